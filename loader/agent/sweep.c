/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/sweep.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "abi/flow.h"
#include "abi/node.h"
#include "agent/agent.h"
#include "base/arena.h"
#include "base/log.h"
#include "dataplane/sweep.h"

#define SLICE_ROWS 512
#define TICK_SHIFT 20 /* of ns: bpf/lib/tick.h */
#define FIRST_SECONDS 10
#define PAUSE_SECONDS 300  /* between rounds */
#define PAUSE_WHEN_FULL 60 /* where the tables are above a quarter */

static const char *const tables[] = { "mg_flow_e", "mg_flow_t" };
#define TABLES (sizeof(tables) / sizeof(tables[0]))

struct sweep {
	struct event *event;
	struct dp_sweep *program; /* NULL: not yet wanted */
	struct mg_local local;	  /* lifetimes, as of the round's begin */
	size_t table;		  /* being read; TABLES: no round is on its way */
	struct dp_cursor cursor;
	uint64_t rows;
	struct mg_flow_key *keys; /* SLICE_ROWS; NULL between rounds */
	struct mg_flow *flows;
};

static uint32_t tick_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	return (uint32_t)(((uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec) >>
			  TICK_SHIFT);
}

static uint32_t tcp_lifetime(const struct mg_local *local, uint8_t state)
{
	const uint8_t fins = MG_TCP_FIN0 | MG_TCP_FIN1;

	if (state & MG_TCP_RST)
		return local->timeout[MG_TMO_TCP_RST];
	if ((state & fins) == fins)
		return local->timeout[MG_TMO_TCP_FIN];
	return local->timeout[state & MG_TCP_ESTABLISHED ? MG_TMO_TCP_ESTABLISHED : MG_TMO_TCP_SYN];
}

/* As flow_lifetime() (bpf/lib/flow.h), which decides: this only says whether to ask. */
static uint32_t lifetime(const struct mg_local *local, const struct mg_flow_key *key,
			 const struct mg_flow *flow)
{
	switch (key->proto) {
	case IPPROTO_TCP:
		return tcp_lifetime(local, flow->state);
	case IPPROTO_UDP:
		return local->timeout[MG_TMO_UDP];
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		return local->timeout[MG_TMO_ICMP];
	}
	return local->timeout[MG_TMO_GENERIC];
}

static void look_at(struct sweep *sweep, size_t i, uint32_t now)
{
	const struct mg_flow *flow = &sweep->flows[i];

	if ((int32_t)(now - flow->seen) <= (int32_t)lifetime(&sweep->local, &sweep->keys[i], flow))
		return;
	/* a failure leaves the row to the next round */
	(void)dp_sweep_flow(sweep->program, &sweep->keys[i]);
}

static int begin(struct agent *agent, struct sweep *sweep, struct err *err)
{
	const __u32 zero = 0;
	int r = sweep->program ? 0 : dp_sweep_open(agent->dp, &sweep->program, err);

	if (!r && dp_map_get(dp_get_map(agent->dp, "mg_local"), &zero, &sweep->local))
		r = err_set(err, -ENOENT, "lifetimes of flows");
	if (r)
		return r;
	sweep->table = 0;
	sweep->rows = 0;
	sweep->cursor = (struct dp_cursor){ 0 };
	sweep->keys = xcalloc(SLICE_ROWS, sizeof(*sweep->keys));
	sweep->flows = xcalloc(SLICE_ROWS, sizeof(*sweep->flows));
	return 0;
}

static void end(struct sweep *sweep)
{
	free(sweep->keys);
	free(sweep->flows);
	sweep->keys = NULL;
	sweep->flows = NULL;
}

static void slice(struct agent *agent, struct sweep *sweep)
{
	const struct dp_map *map = dp_get_map(agent->dp, tables[sweep->table]);
	uint32_t now = tick_now();
	size_t count = 0;

	if (dp_map_next(map, &sweep->cursor, sweep->keys, sweep->flows, SLICE_ROWS, &count))
		sweep->cursor.end = true; /* the next round begins anew */
	for (size_t i = 0; i < count; i++)
		look_at(sweep, i, now);
	sweep->rows += count;
	if (!sweep->cursor.end)
		return;
	sweep->table++;
	sweep->cursor = (struct dp_cursor){ 0 };
	if (sweep->table == TABLES)
		end(sweep);
}

static bool is_full(const struct agent *agent, const struct sweep *sweep)
{
	uint64_t room = 0;

	for (size_t i = 0; i < TABLES; i++)
		room += dp_get_map(agent->dp, tables[i])->entries;
	return sweep->rows > room / 4;
}

static void on_turn(evutil_socket_t fd, short what, void *context)
{
	struct agent *agent = context;
	struct sweep *sweep = agent->sweep;
	struct timeval pause = { 0 };
	struct err err;

	(void)fd;
	(void)what;
	if (sweep->table < TABLES)
		slice(agent, sweep);
	else if (begin(agent, sweep, &err) < 0)
		log_warning("flows that are over stay", "why", err.text, NULL);
	if (sweep->table == TABLES)
		pause.tv_sec = is_full(agent, sweep) ? PAUSE_WHEN_FULL : PAUSE_SECONDS;
	event_add(sweep->event, &pause);
}

void sweep_start(struct agent *agent)
{
	const struct timeval pause = { .tv_sec = FIRST_SECONDS };

	agent->sweep = xcalloc(1, sizeof(*agent->sweep));
	agent->sweep->table = TABLES;
	agent->sweep->event = evtimer_new(agent->base, on_turn, agent);
	event_priority_set(agent->sweep->event, AGENT_PRIORITIES - 1);
	event_add(agent->sweep->event, &pause);
}

void sweep_stop(struct agent *agent)
{
	if (!agent->sweep)
		return;
	event_free(agent->sweep->event);
	end(agent->sweep);
	dp_sweep_close(agent->sweep->program);
	free(agent->sweep);
	agent->sweep = NULL;
}
