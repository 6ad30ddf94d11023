/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/compare.h"

#include <string.h>

#include "base/inet.h"
#include "policy/compare_traffic.h"
#include "policy/engine_state.h"
#include "policy/judge.h"

typedef VEC(const struct compare_peer *) peer_vec;

struct peer_node {
	struct hnode node;
	struct compare_peer peer;
	bool v6;
};

/* What two classes differ in, known by the two. */
struct memo {
	struct hnode node;
	struct compare_classes classes;
	bool early; /* a stage whose verdicts may go on */
	traffic_vec traffic;
	peer_vec far; /* of the group at hand */
};

struct compare {
	VEC(struct mg_slot) slot; /* column 0 alone */
	struct addrs addrs;	  /* copies */
	struct nets nets;
	struct hmap peers;
	struct hmap memos;
};

/* --- before -------------------------------------------------------------------------------- */

struct compare *compare_begin(const struct engine *e)
{
	struct compare *before = xcalloc(1, sizeof(*before));
	size_t rows = e->addrs.room * sizeof(*e->addrs.row);
	size_t nets = e->nets.net.n * sizeof(*e->nets.net.v);

	for (size_t i = 0; i < e->columns.slot.n; i++) {
		struct mg_slot row = {};

		memcpy(row.set[0], e->columns.slot.v[i].row.set[e->columns.in_force],
		       sizeof(row.set[0]));
		vec_push(&before->slot, row);
	}
	before->addrs.room = e->addrs.room;
	before->addrs.count = e->addrs.count;
	if (rows) {
		before->addrs.row = xmalloc(rows);
		memcpy(before->addrs.row, e->addrs.row, rows);
	}
	vec_reserve(&before->nets.net, e->nets.net.n);
	if (nets)
		memcpy(before->nets.net.v, e->nets.net.v, nets);
	before->nets.net.n = e->nets.net.n;
	return before;
}

static void memo_free(struct memo *memo)
{
	vec_done(&memo->traffic);
	vec_done(&memo->far);
	free(memo);
}

void compare_end(struct compare *before)
{
	if (!before)
		return;
	hmap_for_each(&before->peers, i, node, after) free(node);
	hmap_for_each(&before->memos, k, other, next) memo_free((struct memo *)other);
	hmap_done(&before->peers);
	hmap_done(&before->memos);
	free(before->addrs.row);
	vec_done(&before->nets.net);
	vec_done(&before->slot);
	free(before);
}

static uint16_t identity_in(const struct addrs *addrs, const struct nets *nets,
			    const union mg_addr *addr)
{
	const struct addr_row *row = addrs_find(addrs, addr);
	struct mg_prefix prefix = { .len = MG_ADDR_BITS, .addr = *addr };

	return row && row->identity != NO_IDENTITY ? row->identity : nets_identity(nets, &prefix);
}

uint16_t compare_identity(const struct compare *before, const union mg_addr *addr)
{
	return identity_in(&before->addrs, &before->nets, addr);
}

uint16_t compare_identity_now(const struct engine *e, const union mg_addr *addr)
{
	return identity_in(&e->addrs, &e->nets, addr);
}

uint32_t compare_set(const struct compare *before, uint32_t slot, enum mg_stage stage)
{
	return slot < before->slot.n ? before->slot.v[slot].set[0][stage] : MG_SET_NONE;
}

/* --- peers --------------------------------------------------------------------------------- */

static void add_peer(struct compare *before, const struct mg_prefix *prefix, uint16_t was,
		     uint16_t now)
{
	bool v6 = !prefix_is4(prefix);
	uint32_t hash = hash_u64((uint64_t)v6 << 32 | (uint32_t)was << 16 | now, 0);
	struct peer_node *peer = (struct peer_node *)hmap_first(&before->peers, hash);

	while (peer && (peer->peer.before != was || peer->peer.now != now || peer->v6 != v6))
		peer = (struct peer_node *)hmap_same(&peer->node);
	if (!peer) {
		peer = xcalloc(1, sizeof(*peer));
		peer->peer.before = was;
		peer->peer.now = now;
		peer->v6 = v6;
		hmap_add(&before->peers, &peer->node, hash);
	}
	if (peer->peer.count < COMPARE_SAMPLES)
		peer->peer.sample[peer->peer.count] = *prefix;
	peer->peer.count++;
}

static void address_peers(struct compare *before, const struct engine *e)
{
	addr_for_each(&e->addrs, row)
	{
		const struct mg_prefix prefix = { .len = MG_ADDR_BITS, .addr = row->addr };

		add_peer(before, &prefix, compare_identity(before, &row->addr),
			 compare_identity_now(e, &row->addr));
	}
	addr_for_each(&before->addrs, old)
	{
		const struct mg_prefix prefix = { .len = MG_ADDR_BITS, .addr = old->addr };

		if (!addrs_find(&e->addrs, &old->addr))
			add_peer(before, &prefix, compare_identity(before, &old->addr),
				 compare_identity_now(e, &old->addr));
	}
}

/* Of a prefix that is one known address nobody ever asks. */
static bool hidden(const struct engine *e, const struct mg_prefix *prefix)
{
	const union mg_addr addr = prefix->addr;

	return prefix->len == MG_ADDR_BITS && addrs_find(&e->addrs, &addr);
}

static void net_peers(struct compare *before, const struct engine *e)
{
	static const struct mg_prefix all[] = {
		{ .len = 96, .addr.b = { [10] = 0xff, [11] = 0xff } }, /* 0.0.0.0/0 */
		{ .len = 0 },
	};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		add_peer(before, &all[i], nets_identity(&before->nets, &all[i]),
			 nets_identity(&e->nets, &all[i]));
	for (size_t i = 0; i < e->nets.net.n; i++) {
		const struct net *net = &e->nets.net.v[i];

		if (net->identity != NO_IDENTITY && !hidden(e, &net->prefix))
			add_peer(before, &net->prefix, nets_identity(&before->nets, &net->prefix),
				 net->identity);
	}
	for (size_t i = 0; i < before->nets.net.n; i++) {
		const struct net *net = &before->nets.net.v[i], *now;

		now = nets_find(&e->nets, &net->prefix);
		if (net->identity != NO_IDENTITY && !hidden(e, &net->prefix) &&
		    (!now || now->identity == NO_IDENTITY))
			add_peer(before, &net->prefix, net->identity,
				 nets_identity(&e->nets, &net->prefix));
	}
}

/* --- sets ---------------------------------------------------------------------------------- */

/* Endpoints that share their sets at a stage, then and now. */
struct group {
	enum mg_stage stage;
	uint32_t before;
	uint32_t now;
	VEC(uint32_t) slot;
};

struct run_state {
	struct compare *before;
	const struct engine *engine;
	void (*each)(void *ctx, const struct compare_change *change);
	void *ctx;
	VEC(struct group) group;
	VEC(struct memo *) hit; /* with peers, of the near ends at hand */
};

static struct memo *memo_of(struct run_state *run, const struct compare_classes *classes)
{
	bool early = classes->stage <= MG_STAGE_PREDNAT;
	uint32_t hash = hash_u64((uintptr_t)classes->before ^ (uint64_t)early << 1 ^ classes->v6,
				 hash_u64((uintptr_t)classes->now, 0));
	struct memo *memo = (struct memo *)hmap_first(&run->before->memos, hash);

	while (memo &&
	       (memo->classes.before != classes->before || memo->classes.now != classes->now ||
		memo->early != early || memo->classes.v6 != classes->v6))
		memo = (struct memo *)hmap_same(&memo->node);
	if (memo)
		return memo;
	memo = xcalloc(1, sizeof(*memo));
	memo->classes = *classes;
	memo->early = early;
	compare_classes(classes, &memo->traffic);
	hmap_add(&run->before->memos, &memo->node, hash);
	return memo;
}

static void look_at(struct run_state *run, const struct group *group, const struct peer_node *near,
		    const struct peer_node *far)
{
	const struct judge_ends was = { near ? near->peer.before : 0, far->peer.before };
	const struct judge_ends is = { near ? near->peer.now : 0, far->peer.now };
	const struct compare_classes classes = {
		.engine = run->engine,
		.stage = group->stage,
		.v6 = far->v6,
		.before = judge_class(run->engine, group->before, &was),
		.now = judge_class(run->engine, group->now, &is),
	};
	struct memo *memo;

	if (classes.before == classes.now)
		return;
	memo = memo_of(run, &classes);
	if (!memo->traffic.n)
		return;
	if (!memo->far.n)
		vec_push(&run->hit, memo);
	vec_push(&memo->far, &far->peer);
}

static void tell(struct run_state *run, const struct group *group, const peer_vec *near)
{
	for (size_t i = 0; i < run->hit.n; i++) {
		struct memo *memo = run->hit.v[i];
		const struct compare_change change = {
			.stage = group->stage,
			.slot = group->slot.v,
			.slots = group->slot.n,
			.near = near ? near->v : NULL,
			.nears = near ? near->n : 0,
			.far = memo->far.v,
			.fars = memo->far.n,
			.traffic = memo->traffic.v,
			.traffics = memo->traffic.n,
		};

		run->each(run->ctx, &change);
		memo->far.n = 0;
	}
	run->hit.n = 0;
}

/* Of one near end, or of all alike (first: one of them). */
static void compare_far(struct run_state *run, const struct group *group, const peer_vec *near,
			const struct peer_node *first)
{
	hmap_for_each(&run->before->peers, i, node, after)
	{
		const struct peer_node *far = (const struct peer_node *)node;

		if (first && first->v6 != far->v6)
			continue;
		if (group->before != group->now || far->peer.before != far->peer.now || first)
			look_at(run, group, first, far);
	}
	tell(run, group, near);
}

/* --- sets of both ends --------------------------------------------------------------------- */

/* Near ends for which sets have the same tables. */
struct near_group {
	uint32_t root[2];
	const struct peer_node *first;
	peer_vec near;
};

static uint32_t near_root(const struct engine *e, uint32_t number, uint16_t near)
{
	const struct set *set = set_by_number(&e->sets, number);

	if (!set)
		return 0;
	return set->both ? table_get(&e->tables, set->root, near) : set->root;
}

static bool is_both(const struct engine *e, uint32_t number)
{
	const struct set *set = set_by_number(&e->sets, number);

	return set && set->both;
}

static void compare_both(struct run_state *run, const struct group *group)
{
	const struct engine *e = run->engine;
	VEC(struct near_group) groups = {};

	hmap_for_each(&run->before->peers, i, node, after)
	{
		const struct peer_node *near = (const struct peer_node *)node;
		uint32_t was = near_root(e, group->before, near->peer.before);
		uint32_t is = near_root(e, group->now, near->peer.now);
		size_t k = 0;

		while (k < groups.n && (groups.v[k].root[0] != was || groups.v[k].root[1] != is ||
					groups.v[k].first->v6 != near->v6))
			k++;
		if (k == groups.n)
			vec_push(&groups, (struct near_group){ { was, is }, near, {} });
		vec_push(&groups.v[k].near, &near->peer);
	}
	for (size_t k = 0; k < groups.n; k++) {
		compare_far(run, group, &groups.v[k].near, groups.v[k].first);
		vec_done(&groups.v[k].near);
	}
	vec_done(&groups);
}

/* --- all of it ----------------------------------------------------------------------------- */

static void add_slot(struct run_state *run, uint32_t slot, enum mg_stage stage)
{
	uint32_t before = compare_set(run->before, slot, stage);
	uint32_t now = engine_endpoint_set_number(run->engine, slot, stage);
	size_t i = 0;

	while (i < run->group.n && (run->group.v[i].stage != stage ||
				    run->group.v[i].before != before || run->group.v[i].now != now))
		i++;
	if (i == run->group.n)
		vec_push(&run->group, (struct group){ stage, before, now, {} });
	vec_push(&run->group.v[i].slot, slot);
}

static void find_groups(struct run_state *run)
{
	const struct engine *e = run->engine;

	for (uint32_t slot = 0; slot < e->columns.slot.n; slot++) {
		const struct endpoint *endpoint = e->columns.slot.v[slot].endpoint;
		bool host;

		if (!endpoint)
			continue;
		host = endpoint->facts->kind == ENGINE_HOST_END;
		for (enum mg_stage stage = 0; stage < MG_STAGE_STAGED_IN; stage++)
			if (host == (stage < MG_STAGE_WORKLOAD_IN))
				add_slot(run, slot, stage);
	}
}

void compare_run(struct compare *before, const struct engine *engine,
		 void (*each)(void *ctx, const struct compare_change *change), void *ctx)
{
	struct run_state run = { .before = before, .engine = engine, .each = each, .ctx = ctx };

	net_peers(before, engine); /* first, so that they are among the samples */
	address_peers(before, engine);
	find_groups(&run);
	for (size_t i = 0; i < run.group.n; i++) {
		const struct group *group = &run.group.v[i];

		if (is_both(engine, group->before) || is_both(engine, group->now))
			compare_both(&run, group);
		else
			compare_far(&run, group, NULL, NULL);
		vec_done(&run.group.v[i].slot);
	}
	vec_done(&run.group);
	vec_done(&run.hit);
}
