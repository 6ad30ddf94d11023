/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Host endpoints of this node: which one judges at which interface, and their slots.
 *
 * Of an interface it is, of the endpoints that name it and those that name no interface and expect
 * one of its addresses, the first by name; else the one for all interfaces ("*").
 *
 * An endpoint judges (mg_uplinks, mg_local) only once its sets are in force, and its sets go only
 * when it judges no more: hosts_apply() between the two writes of a round.
 */
#ifndef MARGAY_AGENT_HOSTS_H
#define MARGAY_AGENT_HOSTS_H

#include "agent/agent.h"

/* Objects came or went: slots are given, the engine is told. */
void hosts_look(struct agent *agent);

/* An interface that an endpoint names gets our programs, whatever its name matches. */
bool hosts_name(const struct agent *agent, const char *interface);

/* The slot that is to judge at an interface with these addresses; 0: none. */
uint16_t hosts_slot(const struct agent *agent, const struct net_link *link,
		    const struct net_addr *addrs, size_t count);
/* The one that judges there now. */
uint16_t hosts_in_force(const struct agent *agent, int ifindex);

/* Policy is in force: uplinks and facts say what is to judge. True: something changed, and the
 * rows have to be written. */
bool hosts_apply(struct agent *agent);
/* Of sync_on_change(): notes in hosts_changed whether host endpoints judge differently from now on,
 * so that flows are looked at again. */
void hosts_on_row(const char *map, const void *key, const void *before, const void *after,
		  void *data);
/* They were: what judges nowhere any more leaves the engine. */
void hosts_applied(struct agent *agent);

/* Those that are known, with their slots. */
void hosts_each(const struct agent *agent, void (*each)(void *ctx, const char *name, uint16_t slot),
		void *ctx);
bool hosts_have_slot(const struct agent *agent, uint16_t slot);
/* NULL: no host endpoint has the slot. */
const char *hosts_name_of_slot(const struct agent *agent, uint16_t slot);
void hosts_stop(struct agent *agent);

#endif
