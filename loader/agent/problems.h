/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is wrong with objects (design section 7): kept while it is, said in the log once when it
 * begins and once when it ends, shown by `margayctl status` and counted by margay_bad_objects.
 */
#ifndef MARGAY_AGENT_PROBLEMS_H
#define MARGAY_AGENT_PROBLEMS_H

#include <stdio.h>

#include "agent/agent.h"

struct problems;
struct store_event;

/* What decoding an event's object said, in place of what it said before; r: its result.
 * problems NULL: the object went. */
void problems_decoded(struct agent *agent, const struct store_event *event, int r,
		      const struct problems *problems);
/* An object is kept out because of another one; text NULL: it is not any more. name: "IPPool x". */
void problems_overlap(struct agent *agent, const char *name, const char *text);
/* Files that the store cannot serve as they are, and objects that stand in two places: to be
 * called after whatever may have changed the store. */
void problems_look(struct agent *agent);

/* [{"kind", "object", "file", "what", "in_force"}], texts all of them. New reference. */
json_t *problems_show(const struct agent *agent);
/* The lines of margay_bad_objects. */
void problems_metric(const struct agent *agent, FILE *out);
void problems_stop(struct agent *agent);

#endif
