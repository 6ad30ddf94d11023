/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What policy was on this node, and the way back (`margayctl policy history`, rollback, resume).
 *
 * Of every object on which policy depends (model/unconfirmed.h lists the kinds) the content that is
 * told is kept, and of the last changes what it was before. A change is what the store has told at
 * once. Rollback tells the former contents again and holds the node: from then on the store's
 *objects of these kinds are noted, and wait. What is in force then stands in a file too, so that it
 *stays so over a restart. Resume tells what waits.
 *
 *	history.c	contents and changes
 *	held.c		back, forth, and the file
 */
#ifndef MARGAY_AGENT_HISTORY_H
#define MARGAY_AGENT_HISTORY_H

#include "agent/agent.h"

#define HISTORY_CHANGES 32
#define HISTORY_OBJECTS 1000 /* of one change: beyond it there is no way back behind it */

struct packed;

struct past {
	char *key; /* "Kind.group namespace/name" */
	const struct store_kind *kind;
	struct packed *told;   /* in force; NULL: absent */
	struct packed *latest; /* while held: the store's; NULL: absent */
	struct packed *failed; /* what it had become when it was taken back; NULL: absent */
	bool concerned;	       /* it was taken back because of what it had become */
	UT_hash_handle hh;
};

struct history_object {
	char *key;
	struct packed *former; /* NULL: it was not there */
	struct packed *content;
};

struct history_change {
	uint64_t number; /* 0: none yet */
	uint64_t at;	 /* ms since 1970 */
	bool back;	 /* taken back by a rollback */
	struct history_object *object;
	size_t count;
	bool cut; /* more than HISTORY_OBJECTS */
};

struct history {
	struct past *pasts;			       /* by key */
	struct history_change change[HISTORY_CHANGES]; /* by number % HISTORY_CHANGES */
	uint64_t last;				       /* number of the newest */
	bool open;				       /* the newest still takes objects */
	bool held;
	bool lost;   /* held because the datastore was out of reach */
	bool mended; /* what was taken back so has changed in the store */
};

/* Reads what a former agent holds, and tells it. Before the store is followed. */
int history_start(struct agent *agent, struct err *err);
void history_stop(struct agent *agent);

/* Is the object to be told? Not while policy is held. */
bool history_event(struct agent *agent, const struct store_event *event);
/* What came at once is whole. */
void history_settle(struct agent *agent);

json_t *history_show(struct agent *agent);
bool history_held(const struct agent *agent);
size_t history_waiting(const struct agent *agent); /* objects that wait for resume */

/* {"op":"policy-rollback","changes":1}, {"op":"policy-resume"} */
void history_rollback_handle(struct agent *agent, struct server_call *call, const json_t *request);
void history_resume_handle(struct agent *agent, struct server_call *call);

/* Takes all changes behind number `good` back, and holds: until one of their objects changes in the
 * store. How many; 0: there is none, or no way back. err: set where it is not kept over a restart.
 */
size_t history_take_back(struct agent *agent, uint64_t good, struct err *err);

/* --- among its files --- */

void history_go_on(struct agent *agent); /* what waits is told */

/* The content has changed from former (taken over) to what is told: one more object of the change
 * at hand. */
void history_note(struct agent *agent, const struct past *past, struct packed *former);
/* Of objects that are absent nothing is kept. */
void history_sweep(struct agent *agent);
struct past *history_past(struct agent *agent, const char *key, const struct store_kind *kind);
/* Content as it is kept: without what the store assigns to a version. */
struct packed *history_pack(const json_t *object);
bool past_waits(const struct agent *agent, const struct past *past);
/* Tells the content to the rest of the agent. */
void past_tell(struct agent *agent, const struct past *past, const struct packed *content);

#endif
