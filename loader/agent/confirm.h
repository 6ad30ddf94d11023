/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Objects that wait to be confirmed (model/unconfirmed.h), on this node: while their time runs they
 * are told as they are, afterwards as they were. Then some agent writes them back into the store;
 * it matters to nobody's policy when.
 */
#ifndef MARGAY_AGENT_CONFIRM_H
#define MARGAY_AGENT_CONFIRM_H

#include "agent/agent.h"

/* What is to be told for an event of the store, itself mostly. ret_event's object is a new
 * reference. */
void confirm_event(struct agent *agent, const struct store_event *event,
		   struct store_event *ret_event);

/* Objects that wait: list of {"object":..., "until":...}. New reference. */
json_t *confirm_show(const struct agent *agent);
size_t confirm_count(const struct agent *agent);
void confirm_stop(struct agent *agent);

#endif
