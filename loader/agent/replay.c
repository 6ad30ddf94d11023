/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/replay.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#include "abi/failsafe.h"
#include "abi/flow.h"
#include "base/arena.h"
#include "base/inet.h"
#include "policy/compare.h"
#include "policy/judge.h"
#include "policy/vec.h"

#define TYPE_ECHO (8 << 8)
#define TYPE_ECHO6 (128 << 8)

struct place {
	union mg_addr addr;
	uint16_t slot;
};

struct replay {
	VEC(struct replay_flow) flow;
	/* As of the judgement at hand. */
	struct agent *agent;
	VEC(struct place) place; /* of local pods, by address */
	VEC(struct mg_failsafe_key) failsafe;
	struct mg_local local;
};

/* --- reading ------------------------------------------------------------------------------- */

static struct replay_flow flow_of(const struct mg_flow_key *key, const struct mg_flow *row)
{
	bool from_b = row->flags & MG_FLOW_FROM_B;
	struct replay_flow flow = {
		.src = from_b ? key->b : key->a,
		.dst = from_b ? key->a : key->b,
		.sport = ntohs(from_b ? key->port_b : key->port_a),
		.dport = ntohs(from_b ? key->port_a : key->port_b),
		.proto = key->proto,
		.flags = row->flags,
	};

	for (unsigned int side = 0; side < 2; side++)
		if (!(row->flags & (MG_FLOW_JUDGED_OUT << side)))
			flow.at[side] = row->side[side].place.at;
	if (row->flags & MG_FLOW_DNAT) {
		flow.dst = row->xlat;
		flow.dport = ntohs((__be16)row->way[1]);
	}
	return flow;
}

static int add(const void *key, const void *value, void *data)
{
	struct replay *replay = data;
	struct mg_flow_key k;
	struct mg_flow row;

	memcpy(&k, key, sizeof(k));
	memcpy(&row, value, sizeof(row));
	if (!(row.flags & MG_FLOW_REPLY))
		vec_push(&replay->flow, flow_of(&k, &row));
	return 0;
}

struct replay *replay_read(struct agent *agent)
{
	struct replay *replay = xcalloc(1, sizeof(*replay));

	dp_map_each(dp_get_map(agent->dp, "mg_flow_e"), add, replay);
	dp_map_each(dp_get_map(agent->dp, "mg_flow_t"), add, replay);
	return replay;
}

void replay_free(struct replay *replay)
{
	if (!replay)
		return;
	vec_done(&replay->flow);
	vec_done(&replay->place);
	vec_done(&replay->failsafe);
	free(replay);
}

size_t replay_count(const struct replay *replay)
{
	return replay->flow.n;
}

const struct replay_flow *replay_at(const struct replay *replay, size_t i)
{
	return &replay->flow.v[i];
}

/* --- pods ---------------------------------------------------------------------------------- */

static int by_address(const void *a, const void *b)
{
	return addr_cmp(&((const struct place *)a)->addr, &((const struct place *)b)->addr);
}

static void find_places(struct replay *replay)
{
	replay->place.n = 0;
	for (const struct endpoint *ep = replay->agent->endpoints; ep; ep = ep->hh.next) {
		if (!addr_is_zero(&ep->ip4))
			vec_push(&replay->place, (struct place){ ep->ip4, ep->slot });
		if (!addr_is_zero(&ep->ip6))
			vec_push(&replay->place, (struct place){ ep->ip6, ep->slot });
	}
	if (replay->place.n)
		qsort(replay->place.v, replay->place.n, sizeof(*replay->place.v), by_address);
}

static uint16_t slot_of(const struct replay *replay, const union mg_addr *addr)
{
	const struct place key = { .addr = *addr }, *found = NULL;

	if (replay->place.n)
		found = bsearch(&key, replay->place.v, replay->place.n, sizeof(key), by_address);
	return found ? found->slot : 0;
}

static uint16_t type_of(const struct replay_flow *flow)
{
	if (flow->proto == IPPROTO_ICMP)
		return TYPE_ECHO;
	return flow->proto == IPPROTO_ICMPV6 ? TYPE_ECHO6 : flow->dport;
}

static uint32_t verdict_of(const struct replay *replay, const struct replay_flow *flow,
			   uint32_t set, bool in)
{
	const struct engine *engine = replay->agent->engine;
	const struct judge_packet packet = { flow->proto, flow->sport, type_of(flow) };
	const union mg_addr *near = in ? &flow->dst : &flow->src;
	const union mg_addr *far = in ? &flow->src : &flow->dst;
	const struct judge_ends ends = { compare_identity_now(engine, near),
					 compare_identity_now(engine, far) };

	return judge_packet(engine, judge_class(engine, set, &ends), &packet);
}

/* A pod that is gone judges nothing more; one without a set denies. */
static uint32_t pod_side(const struct replay *replay, const struct replay_flow *flow,
			 enum replay_side side)
{
	bool in = side == REPLAY_RECEIVER;
	uint16_t slot = slot_of(replay, in ? &flow->dst : &flow->src);
	uint32_t set;

	if (!(flow->flags & (in ? MG_FLOW_JUDGED_IN : MG_FLOW_JUDGED_OUT)) || !slot)
		return REPLAY_NOT_JUDGED;
	set = engine_endpoint_set_number(replay->agent->engine, slot,
					 in ? MG_STAGE_WORKLOAD_IN : MG_STAGE_WORKLOAD_OUT);
	return set == MG_SET_NONE ? MG_VERDICT_DROP : verdict_of(replay, flow, set, in);
}

/* --- host endpoints: the order of bpf/lib/host.h ------------------------------------------- */

static bool is_own(const struct replay_flow *flow, unsigned int side)
{
	return !(flow->flags & (MG_FLOW_JUDGED_OUT << side)) && flow->at[side] == MG_SIDE_OWN;
}

static uint16_t host_slot(const struct replay *replay, uint32_t at)
{
	const struct agent *agent = replay->agent;

	if (at == MG_SIDE_TUNNEL)
		return replay->local.host_any;
	for (unsigned int i = 0; at && i < agent->uplink_count; i++)
		if ((uint32_t)agent->uplinks[i].ifindex == at)
			return agent->uplinks[i].row.host;
	return 0;
}

static bool failsafe(const struct replay *replay, const struct replay_flow *flow, uint8_t direction)
{
	const union mg_addr *addr = direction == MG_FAILSAFE_IN ? &flow->src : &flow->dst;

	for (size_t i = 0; i < replay->failsafe.n; i++) {
		const struct mg_failsafe_key *key = &replay->failsafe.v[i];
		const struct mg_prefix net = { .len = key->len - MG_FAILSAFE_BITS,
					       .addr = key->addr };

		if (key->direction == direction && key->proto == flow->proto &&
		    ntohs(key->port) == flow->dport && prefix_contains(&net, addr))
			return true;
	}
	return false;
}

static uint32_t host_stage(const struct replay *replay, const struct replay_flow *flow,
			   uint16_t slot, enum mg_stage stage)
{
	uint32_t set = engine_endpoint_set_number(replay->agent->engine, slot, stage);
	bool in = stage == MG_STAGE_PREDNAT || stage == MG_STAGE_FORWARD_IN ||
		  stage == MG_STAGE_NORMAL_IN;

	return set == MG_SET_NONE ? REPLAY_NOT_JUDGED : verdict_of(replay, flow, set, in);
}

static uint32_t host_entry(const struct replay *replay, const struct replay_flow *flow)
{
	bool own = is_own(flow, 1), pod = flow->flags & MG_FLOW_JUDGED_OUT;
	uint16_t slot = pod ? replay->local.host_any : host_slot(replay, flow->at[0]);
	uint32_t flags = replay->local.flags, verdict;

	if (pod && own && flags & MG_LOCAL_POD_HOST_DROP)
		return MG_VERDICT_DROP;
	if ((pod && own && !(flags & MG_LOCAL_POD_HOST_JUDGE)) || !slot ||
	    (own && failsafe(replay, flow, MG_FAILSAFE_IN)))
		return REPLAY_NOT_JUDGED;
	verdict = host_stage(replay, flow, slot, MG_STAGE_PREDNAT);
	if (verdict == REPLAY_NOT_JUDGED ||
	    compare_outcome(replay->agent->engine, MG_STAGE_PREDNAT, verdict) == COMPARE_GOES_ON)
		verdict = host_stage(replay, flow, slot,
				     own ? MG_STAGE_NORMAL_IN : MG_STAGE_FORWARD_IN);
	return verdict;
}

static uint32_t host_exit(const struct replay *replay, const struct replay_flow *flow)
{
	bool own = is_own(flow, 0), pod = flow->flags & MG_FLOW_JUDGED_IN;
	uint16_t slot = pod ? replay->local.host_any : host_slot(replay, flow->at[1]);

	if (!slot || (own && (pod || failsafe(replay, flow, MG_FAILSAFE_OUT))))
		return REPLAY_NOT_JUDGED;
	return host_stage(replay, flow, slot, own ? MG_STAGE_NORMAL_OUT : MG_STAGE_FORWARD_OUT);
}

/* --- a flow -------------------------------------------------------------------------------- */

static bool denies(const struct replay *replay, uint32_t verdict)
{
	return verdict != REPLAY_NOT_JUDGED &&
	       judge_row(replay->agent->engine, verdict).action != MG_ACTION_ALLOW;
}

/* A pod reaches itself. */
static bool with_itself(const struct replay *replay, const struct replay_flow *flow)
{
	uint32_t both = MG_FLOW_JUDGED_OUT | MG_FLOW_JUDGED_IN;
	uint16_t slot = slot_of(replay, &flow->src);

	return (flow->flags & both) == both && slot && slot == slot_of(replay, &flow->dst);
}

static void judge(const struct replay *replay, struct replay_flow *flow,
		  struct replay_answer *answer)
{
	bool host = flow->flags & MG_FLOW_JUDGED_HOST && replay->local.flags & MG_LOCAL_HOST_POLICY;

	for (unsigned int side = 0; side < REPLAY_SIDES; side++)
		answer->verdict[side] = REPLAY_NOT_JUDGED;
	answer->denied = REPLAY_SIDES;
	if (with_itself(replay, flow))
		return;
	answer->verdict[REPLAY_SENDER] = pod_side(replay, flow, REPLAY_SENDER);
	answer->verdict[REPLAY_RECEIVER] = pod_side(replay, flow, REPLAY_RECEIVER);
	if (host) {
		answer->verdict[REPLAY_ENTRY] = host_entry(replay, flow);
		answer->verdict[REPLAY_EXIT] = host_exit(replay, flow);
	}
	for (enum replay_side side = 0; side < REPLAY_SIDES; side++) {
		if (!denies(replay, answer->verdict[side]))
			continue;
		answer->denied = side;
		break;
	}
}

static void add_failsafe(void *context, const struct mg_failsafe_key *key)
{
	struct replay *replay = context;

	vec_push(&replay->failsafe, *key);
}

void replay_judge(struct replay *replay, struct agent *agent, unsigned int when)
{
	replay->agent = agent;
	replay->failsafe.n = 0;
	state_failsafes(agent->state, add_failsafe, replay);
	state_local_row(agent->state, &agent->facts, &replay->local);
	find_places(replay);
	for (size_t i = 0; i < replay->flow.n; i++)
		judge(replay, &replay->flow.v[i], &replay->flow.v[i].answer[when]);
}
