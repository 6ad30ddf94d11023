/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Attachments of this node: interfaces of containers, by (container, ifname) and by slot.
 */
#ifndef MARGAY_AGENT_ENDPOINT_H
#define MARGAY_AGENT_ENDPOINT_H

#include "agent/agent.h"

void endpoints_start(struct agent *agent);
void endpoints_stop(struct agent *agent);

struct endpoint *endpoint_find(struct agent *agent, const char *container, const char *ifname);
/* Of the interface on the host's side; NULL: it belongs to no pod. */
struct endpoint *endpoint_of_ifindex(struct agent *agent, int ifindex);
/* slot 0: any; another one if it is taken. NULL: none is free. */
struct endpoint *endpoint_new(struct agent *agent, const char *container, const char *ifname,
			      uint16_t slot);

/* From a request or record: names; interface; labels, bandwidth and ports; list of address texts.
 */
void endpoint_name(struct endpoint *endpoint, const json_t *request);
void endpoint_fill(struct endpoint *endpoint, const json_t *record);
void endpoint_wishes(struct endpoint *endpoint, const json_t *request);
void endpoint_addresses(struct endpoint *endpoint, const json_t *list);

/* Tells the state; the rows follow with the next reconcile. */
void endpoint_changed(struct agent *agent, struct endpoint *endpoint);
void endpoint_remove(struct agent *agent, struct endpoint *endpoint);

/* The interface stands and `waiting` waits: its rows follow, once the watch has brought the Pod of
 * which ADD spoke. endpoints_commit(): those that waited for it. */
void endpoint_commit(struct agent *agent, struct endpoint *endpoint);
void endpoints_commit(struct agent *agent);

/* After a reconcile that put everything into the maps: answers commits that waited for it. */
void endpoints_settled(struct agent *agent);

#endif
