/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/reconcile.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#include "agent/connect_time.h"
#include "agent/endpoint.h"
#include "agent/grace.h"
#include "agent/hosts.h"
#include "agent/node.h"
#include "agent/node_condition.h"
#include "agent/packet_log.h"
#include "agent/pods.h"
#include "agent/record.h"
#include "agent/settings.h"
#include "agent/trial.h"
#include "agent/uplink.h"
#include "base/arena.h"
#include "base/inet.h"
#include "base/log.h"
#include "base/rpc.h"
#include "state/table.h"
#include "sync/plan.h"
#include "sync/routes.h"
#include "sync/services.h"

#define RETRY_MAX_MS 30000
/* TCX lists announce nothing: looked at by the minute (design, "Beside others"). */
#define CHECK_SECONDS 60

static void add_peer(void *context, const struct state_peer *peer)
{
	struct table *table = ((void **)context)[1];
	struct agent *agent = ((void **)context)[0];
	__u32 number = peer->number;
	struct mg_peer row;

	if (!state_peer_row(agent->state, peer->number, &row))
		table_add(table, &number, &row);
}

static void add_failsafe(void *context, const struct mg_failsafe_key *key)
{
	const __u32 one = 1;

	table_add(context, key, &one);
}

static int want_failsafes(struct agent *agent)
{
	_cleanup_table_ struct table rows;

	table_init(&rows, "mg_failsafe", sizeof(struct mg_failsafe_key), sizeof(__u32));
	state_failsafes(agent->state, add_failsafe, &rows);
	return sync_want(agent->sync, &rows);
}

static int want_nodes(struct agent *agent)
{
	_cleanup_table_ struct table local, peers, uplinks;
	void *context[2] = { agent, &peers };
	struct mg_local row;
	__u32 zero = 0;
	int r;

	table_init(&local, "mg_local", sizeof(__u32), sizeof(struct mg_local));
	table_init(&peers, "mg_peers", sizeof(__u32), sizeof(struct mg_peer));
	table_init(&uplinks, "mg_uplinks", sizeof(__u32), sizeof(struct mg_uplink));
	state_local_row(agent->state, &agent->facts, &row);
	table_add(&local, &zero, &row);
	state_each_peer(agent->state, add_peer, context);
	for (unsigned int i = 0; i < agent->uplink_count; i++) {
		__u32 ifindex = (__u32)agent->uplinks[i].ifindex;

		table_add(&uplinks, &ifindex, &agent->uplinks[i].row);
	}
	r = sync_want(agent->sync, &local);
	if (!r)
		r = want_failsafes(agent);
	if (!r)
		r = sync_want(agent->sync, &peers);
	return r < 0 ? r : sync_want(agent->sync, &uplinks);
}

/* ready is the last thing a new endpoint becomes: after its sets are in force. */
static int want_endpoints(struct agent *agent)
{
	_cleanup_table_ struct table rows, by_ifindex, namespaces;
	const __u32 own = MG_SLOT_NONE;
	int r;

	table_init(&rows, "mg_ep", sizeof(__u32), sizeof(struct mg_ep));
	table_init(&by_ifindex, "mg_ep_if", sizeof(__u32), sizeof(__u32));
	table_init(&namespaces, "mg_netns", sizeof(__u64), sizeof(__u32));
	table_add(&namespaces, &agent->netns_cookie, &own);
	for (const struct endpoint *ep = agent->endpoints; ep; ep = ep->hh.next) {
		__u32 slot = ep->slot, ifindex = ep->ifindex;
		struct mg_ep row;

		if (!ep->committed || state_endpoint_row(agent->state, ep->slot, true, &row) < 0)
			continue;
		table_add(&rows, &slot, &row);
		if (ifindex != MG_IFINDEX_BASE + slot)
			table_add(&by_ifindex, &ifindex, &slot);
		if (row.netns_cookie && row.netns_cookie != agent->netns_cookie)
			table_add(&namespaces, &row.netns_cookie, &slot);
	}
	r = sync_want(agent->sync, &rows);
	if (!r)
		r = sync_want(agent->sync, &by_ifindex);
	return r < 0 ? r : sync_want(agent->sync, &namespaces);
}

static int run_sync(struct agent *agent, struct err *err)
{
	struct sync_status status;
	int r = sync_run(agent->sync, (uint64_t)rpc_now(), &status);

	if (r < 0)
		*err = status.error;
	return r;
}

/* After the sets: at which interfaces they judge. */
static int apply_hosts(struct agent *agent, struct err *err)
{
	int r = hosts_apply(agent) ? want_nodes(agent) : 0;

	if (!r)
		r = run_sync(agent, err);
	if (r < 0)
		return r;
	if (agent->hosts_changed) {
		agent->hosts_judge_anew = true;
		dp_control_raise(&agent->control->host_epoch);
		dp_control_raise(&agent->control->change);
		agent->hosts_changed = false;
	}
	hosts_applied(agent);
	return 0;
}

/* --- routes -------------------------------------------------------------------------------- */

struct wanted_routes {
	struct net_route *v;
	size_t count, room;
};

static void add_route(void *context, const struct state_route *route)
{
	struct wanted_routes *wanted = context;

	if (wanted->count == wanted->room) {
		wanted->room = wanted->room ? wanted->room * 2 : 16;
		wanted->v = xrealloc(wanted->v, wanted->room, sizeof(*wanted->v));
	}
	wanted->v[wanted->count++] = (struct net_route){
		.dst = route->dst,
		.type = route->blackhole ? RTN_BLACKHOLE : RTN_UNICAST,
		.ifindex = (int)route->ifindex,
		.gateway = route->gateway,
		.src = route->src,
		.mtu = route->mtu,
		.protocol = NET_PROTOCOL,
		.onlink = !route->blackhole,
	};
}

static bool is_pods(const struct agent *agent, const struct net_route *route)
{
	const union mg_addr dst = route->dst.addr;

	for (const struct endpoint *ep = agent->endpoints; ep; ep = ep->hh.next) {
		if (!ep->committed && route->dst.len == MG_ADDR_BITS &&
		    (!addr_cmp(&ep->ip4, &dst) || !addr_cmp(&ep->ip6, &dst)))
			return true;
	}
	return false;
}

/* The plugin writes a pod's route before it commits. */
static int keep_unfinished(struct agent *agent, struct wanted_routes *wanted, struct err *err)
{
	_cleanup_free_ struct net_route *routes = NULL;
	size_t count = 0;
	int r = net_route_list(agent->net, NET_PROTOCOL, &routes, &count, err);

	for (size_t i = 0; i < count; i++) {
		if (!is_pods(agent, &routes[i]))
			continue;
		add_route(wanted, &(struct state_route){ 0 });
		wanted->v[wanted->count - 1] = routes[i];
	}
	return r;
}

/* Routes of the plugin to local pods are of our protocol too: they stay. */
static void keep_pods(struct agent *agent, struct wanted_routes *wanted)
{
	for (const struct endpoint *ep = agent->endpoints; ep; ep = ep->hh.next) {
		const union mg_addr *addrs[] = { &ep->ip4, &ep->ip6 };
		struct net_link link;

		/* DEL takes the interface away before it tells us; one that is down has no route.
		 */
		if (!ep->committed || net_link_get(agent->net, (int)ep->ifindex, &link, NULL) < 0 ||
		    !(link.flags & IFF_UP))
			continue;
		for (unsigned int i = 0; i < 2; i++) {
			struct state_route route = { .dst = { .len = MG_ADDR_BITS,
							      .addr = *addrs[i] },
						     .ifindex = ep->ifindex };
			if (!(addrs[i]->d[0] | addrs[i]->d[1]))
				continue;
			add_route(wanted, &route);
			wanted->v[wanted->count - 1].onlink = false;
		}
	}
}

static int want_routes(struct agent *agent, struct err *err)
{
	struct wanted_routes wanted = { 0 };
	struct routes_report report;
	int r;

	state_routes(agent->state, add_route, &wanted);
	keep_pods(agent, &wanted);
	r = keep_unfinished(agent, &wanted, err);
	if (!r)
		r = routes_sync(agent->net, wanted.v, wanted.count, agent->synced, &report, err);
	free(wanted.v);
	/* An interface that went, or was taken down by a DEL, between the look and the write: the
	 * next event looks again. */
	return r == -ENODEV || r == -ENETDOWN ? 0 : r;
}

/* --- one round ----------------------------------------------------------------------------- */

static int write_policy(struct agent *agent, struct err *err)
{
	const struct plan_target target = {
		.dp = agent->dp,
		.pages = agent->pages,
		.control = agent->control,
		.engine = agent->engine,
		.state = agent->state,
		.removal = agent->synced,
	};
	struct plan_report report;
	const struct plan *plan;
	int built, r;

	built = engine_build(agent->engine, &plan, err);
	agent->builds++;
	r = plan_write(&target, plan, &report, built < 0 ? NULL : err);
	if (r < 0)
		return r;
	agent->hosts_judge_anew |= plan->hosts;
	engine_applied(agent->engine);
	if (report.committed || !agent->log_looked)
		packet_log_look(agent);
	agent->log_looked = true;
	state_touched_done(agent->state);
	grace_want(agent);
	/* Numbers are short until the grace that is due: the round after it goes on. */
	return built == -EAGAIN ? 0 : built;
}

/* The first failure of a round is kept; what does not depend on it goes on. */
struct round {
	struct agent *agent;
	unsigned int changes;
	struct err *err;
	int first;
};

static int keep(struct round *round, int r, const struct err *err)
{
	if (r < 0 && !round->first) {
		round->first = r;
		*round->err = *err;
	}
	return r;
}

/* What fails here (an interface that vanished) must not keep policy back. */
static void look(struct round *round)
{
	struct agent *agent = round->agent;
	struct err err;

	if (round->changes & CHANGE_SETTINGS)
		keep(round, settings_apply(agent, &err), &err);
	if (round->changes & CHANGE_LINKS)
		keep(round, uplinks_look(agent, &err), &err);
	if (round->changes & CHANGE_NODES)
		node_refresh(agent);
	if (round->changes & (CHANGE_PODS | CHANGE_HOOKS))
		keep(round, pods_queues(agent, &err), &err);
	/* Told by the two of them. */
	round->changes |= agent->changes;
	agent->changes = 0;
}

/* After policy: a backend's address has its identity before anybody is sent there. */
static int write_services(struct agent *agent, struct err *err)
{
	size_t rows;
	int r = services_sync(agent->dp, agent->services, &rows, err);

	if (!r && rows)
		grace_want(agent);
	return r;
}

/* Rows in their order: nodes, policy, services, endpoints, which make a pod ready. */
static int write_rows(struct round *round, struct err *err)
{
	struct agent *agent = round->agent;
	int r = 0;

	if (round->changes & (CHANGE_NODES | CHANGE_LINKS))
		r = want_nodes(agent);
	if (!r)
		r = run_sync(agent, err);
	if (!r)
		r = write_policy(agent, err);
	if (!r)
		r = apply_hosts(agent, err);
	if (!r && round->changes & CHANGE_SERVICES)
		r = write_services(agent, err);
	if (!r && round->changes & CHANGE_ENDPOINTS)
		r = want_endpoints(agent);
	if (!r)
		r = run_sync(agent, err);
	if (!r && !agent->took_over) {
		r = dp_takeover(agent->dp, err);
		agent->took_over = !r;
	}
	return r;
}

static void attach(struct round *round)
{
	struct agent *agent = round->agent;
	struct err err;

	if (round->changes & CHANGE_LINKS)
		keep(round, uplinks_attach(agent, &err), &err);
	if (round->changes & (CHANGE_SETTINGS | CHANGE_HOOKS))
		connect_time_attach(agent);
	if (round->changes & (CHANGE_PODS | CHANGE_HOOKS))
		keep(round, pods_refresh(agent, round->changes & CHANGE_PODS, &err), &err);
}

static int round_of(struct agent *agent, unsigned int changes, struct err *ret_err)
{
	struct round round = { .agent = agent, .changes = changes, .err = ret_err };
	struct err err;

	sync_on_change(agent->sync, hosts_on_row, agent);
	sync_allow_removal(agent->sync);
	endpoints_commit(agent);
	look(&round);
	if (keep(&round, write_rows(&round, &err), &err) == 0) {
		endpoints_settled(agent);
		attach(&round);
	}
	if (round.changes & CHANGE_ROUTES)
		keep(&round, want_routes(agent, &err), &err);
	return round.first;
}

static void retry_later(struct agent *agent)
{
	struct timeval when;

	agent->retry_ms = agent->retry_ms ? agent->retry_ms * 2 : 100;
	if (agent->retry_ms > RETRY_MAX_MS)
		agent->retry_ms = RETRY_MAX_MS;
	when = (struct timeval){ .tv_sec = agent->retry_ms / 1000,
				 .tv_usec = agent->retry_ms % 1000 * 1000 };
	event_add(agent->dirty_event, &when);
}

static int64_t now_usec(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

void reconcile(struct agent *agent)
{
	unsigned int changes = agent->changes;
	struct err err = { 0 };
	int64_t began = now_usec();
	int r;

	agent->dirty = false;
	/* Nothing is touched before everything that should be is known. */
	if (!agent->synced)
		return;
	agent->changes = 0;
	r = round_of(agent, changes, &err);
	agent->rounds++;
	agent->round_usec += (unsigned long long)(now_usec() - began);
	if (r < 0) {
		agent->changes = CHANGE_ALL;
		agent->build_failures++;
		if (!agent->degraded || strcmp(agent->problem.text, err.text))
			log_error("not all is in force", "why", err.text, NULL);
		agent->problem = err;
		agent->degraded = true;
		retry_later(agent);
		return;
	}
	if (agent->degraded)
		log_info("everything is in force again", NULL);
	agent->degraded = false;
	agent->retry_ms = 0;
	trial_round(agent, agent->hosts_judge_anew);
	agent->hosts_judge_anew = false;
	node_condition_look(agent);
}

static void on_dirty(evutil_socket_t fd, short what, void *context)
{
	(void)fd;
	(void)what;
	reconcile(context);
}

static void on_check(evutil_socket_t fd, short what, void *context)
{
	struct agent *agent = context;

	(void)fd;
	(void)what;
	records_released(agent);
	agent_dirty(agent, CHANGE_ALL);
}

void agent_dirty(struct agent *agent, unsigned int changes)
{
	const struct timeval now = { 0 };

	agent->changes |= changes;
	if (agent->dirty)
		return;
	agent->dirty = true;
	event_add(agent->dirty_event, &now);
}

void reconcile_start(struct agent *agent)
{
	const struct timeval check = { .tv_sec = CHECK_SECONDS };

	agent->changes = CHANGE_ALL;
	agent->dirty_event = evtimer_new(agent->base, on_dirty, agent);
	grace_start(agent);
	agent->check_event = event_new(agent->base, -1, EV_PERSIST, on_check, agent);
	/* Requests and object changes first, then one round for all of them. */
	event_priority_set(agent->dirty_event, 1);
	event_add(agent->check_event, &check);
}

void reconcile_stop(struct agent *agent)
{
	struct event *events[] = { agent->dirty_event, agent->check_event };

	grace_stop(agent);
	hosts_stop(agent);
	for (unsigned int i = 0; i < sizeof(events) / sizeof(events[0]); i++) {
		if (events[i])
			event_free(events[i]);
	}
}
