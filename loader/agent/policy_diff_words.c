/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/policy_diff_words.h"

#include <netinet/in.h>
#include <string.h>

#include "agent/hosts.h"
#include "agent/replay.h"
#include "agent/show.h"
#include "base/arena.h"
#include "base/inet.h"
#include "base/json.h"
#include "policy/compare.h"
#include "policy/judge.h"
#include "policy/vec.h"

/* Of an answer; what is left out is counted. */
#define CHANGES_MAX 500
#define LIST_MAX 64 /* endpoints, peers, traffic of one */
#define FLOWS_MAX 1000

/* Flows whose change is by the same two verdicts (numbers, or REPLAY_NOT_JUDGED). */
struct tally {
	uint32_t verdict[2];
	bool opens;
	size_t flows;
};

struct policy_diff_report {
	struct agent *agent;
	json_t *ignored;
	json_t *changes;
	size_t changes_left;
	json_t *flows;
	size_t flows_changed, flows_checked;
	VEC(struct tally) tally;
};

struct policy_diff_report *policy_diff_report(struct agent *agent)
{
	struct policy_diff_report *report = xcalloc(1, sizeof(*report));

	report->agent = agent;
	report->ignored = json_array();
	report->changes = json_array();
	report->flows = json_array();
	return report;
}

void policy_diff_ignored(struct policy_diff_report *report, const struct object *object)
{
	_cleanup_free_ char *title = object_title(object);

	json_array_append_new(report->ignored, json_string(title));
}

/* --- verdicts ------------------------------------------------------------------------------ */

/* The policy, or what else has decided. The caller frees. */
static char *decided_by(struct policy_diff_report *report, const struct mg_verdict *verdict)
{
	const struct engine *engine = report->agent->engine;
	struct engine_rule rule;

	if (verdict->rule && !engine_rule_get(engine, verdict->rule, &rule))
		return xasprintf("%s %s%s%s", rule.policy->kind, rule.policy->namespace,
				 *rule.policy->namespace ? "/" : "", rule.policy->name);
	if (verdict->tier) {
		const char *tier = engine_tier_name(engine, verdict->tier);

		return xasprintf("end of tier %s", tier ? tier : "?");
	}
	return xstrdup("no policy");
}

static json_t *verdict_json(struct policy_diff_report *report, const char *word,
			    const struct mg_verdict *verdict)
{
	_cleanup_free_ char *by = decided_by(report, verdict);

	return json_pack("{s:s,s:s,s:o}", "verdict", word, "by", by, "rule",
			 show_rule(report->agent, verdict->rule));
}

static json_t *outcome_json(struct policy_diff_report *report, enum mg_stage stage, uint32_t number)
{
	static const char *const words[] = {
		[COMPARE_DENIES] = "denied",
		[COMPARE_ALLOWS] = "allowed",
		[COMPARE_GOES_ON] = "goes-on",
	};
	const struct mg_verdict verdict = judge_row(report->agent->engine, number);

	return verdict_json(report, words[compare_outcome(report->agent->engine, stage, number)],
			    &verdict);
}

/* --- tables -------------------------------------------------------------------------------- */

static const struct {
	const char *name;
	const char *direction;
} stages[MG_STAGE_MAX] = {
	[MG_STAGE_UNTRACKED_IN] = { "untracked", "ingress" },
	[MG_STAGE_UNTRACKED_OUT] = { "untracked", "egress" },
	[MG_STAGE_PREDNAT] = { "pre-dnat", "ingress" },
	[MG_STAGE_FORWARD_IN] = { "forward", "ingress" },
	[MG_STAGE_FORWARD_OUT] = { "forward", "egress" },
	[MG_STAGE_NORMAL_IN] = { "host", "ingress" },
	[MG_STAGE_NORMAL_OUT] = { "host", "egress" },
	[MG_STAGE_WORKLOAD_IN] = { "pod", "ingress" },
	[MG_STAGE_WORKLOAD_OUT] = { "pod", "egress" },
};

static json_t *endpoint_json(const struct policy_diff_report *report, uint32_t slot)
{
	const struct endpoint *ep =
		slot <= report->agent->slots ? report->agent->by_slot[slot] : NULL;
	const char *host = hosts_name_of_slot(report->agent, (uint16_t)slot);

	if (ep)
		return json_pack("{s:s,s:s}", "namespace", ep->ns, "pod", ep->pod);
	return json_pack("{s:s}", "host_endpoint", host ? host : "?");
}

static json_t *peer_json(const struct policy_diff_report *report, const struct mg_prefix *prefix)
{
	bool single = prefix->len == MG_ADDR_BITS;
	const union mg_addr addr = prefix->addr;
	_cleanup_free_ char *owner = single ? state_addr_owner(report->agent->state, &addr) : NULL;
	char text[PREFIX_TEXT_MAX];

	return json_pack("{s:s,s:s?}", "net",
			 single ? addr_format(&addr, text) : prefix_format(prefix, text), "pod",
			 owner);
}

static json_t *peers_json(const struct policy_diff_report *report,
			  const struct compare_peer *const *peer, size_t count)
{
	json_t *list = json_array();

	for (size_t i = 0; i < count; i++)
		for (uint32_t k = 0; k < peer[i]->count && k < COMPARE_SAMPLES; k++)
			if (json_array_size(list) < LIST_MAX)
				json_array_append_new(list, peer_json(report, &peer[i]->sample[k]));
	return list;
}

static json_int_t peer_count(const struct compare_peer *const *peer, size_t count)
{
	json_int_t sum = 0;

	for (size_t i = 0; i < count; i++)
		sum += peer[i]->count;
	return sum;
}

static json_t *protocol_json(int proto)
{
	static const struct {
		int number;
		const char *name;
	} names[] = { { COMPARE_ALL, "all" },	   { COMPARE_OTHERS, "others" },
		      { IPPROTO_TCP, "TCP" },	   { IPPROTO_UDP, "UDP" },
		      { IPPROTO_SCTP, "SCTP" },	   { IPPROTO_ICMP, "ICMP" },
		      { IPPROTO_ICMPV6, "ICMPv6" } };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (names[i].number == proto)
			return json_string(names[i].name);
	return json_sprintf("%d", proto);
}

/* null: all of them. */
static json_t *range_json(uint16_t first, uint16_t last)
{
	if (!first && last == UINT16_MAX)
		return json_null();
	return first == last ? json_sprintf("%u", first) : json_sprintf("%u-%u", first, last);
}

static json_t *types_json(uint16_t first, uint16_t last)
{
	if (!first && last == UINT16_MAX)
		return json_null();
	if (!(first & 0xff) && (last & 0xff) == 0xff)
		return range_json(first >> 8, last >> 8);
	if (first == last)
		return json_sprintf("%u/%u", first >> 8, first & 0xff);
	return json_sprintf("%u/%u-%u/%u", first >> 8, first & 0xff, last >> 8, last & 0xff);
}

static json_t *traffic_json(struct policy_diff_report *report, enum mg_stage stage,
			    const struct compare_traffic *traffic)
{
	bool icmp = traffic->proto == IPPROTO_ICMP || traffic->proto == IPPROTO_ICMPV6;
	json_t *ports = icmp ? json_null() : range_json(traffic->first, traffic->last);
	json_t *types = icmp ? types_json(traffic->first, traffic->last) : json_null();

	return json_pack("{s:o,s:o,s:o,s:o,s:o,s:o}", "protocol", protocol_json(traffic->proto),
			 "ports", ports, "types", types, "source_ports",
			 range_json(traffic->sport_first, traffic->sport_last), "before",
			 outcome_json(report, stage, traffic->before), "after",
			 outcome_json(report, stage, traffic->now));
}

void policy_diff_change(void *ctx, const struct compare_change *change)
{
	struct policy_diff_report *report = ctx;
	json_t *endpoints = json_array(), *traffic = json_array();

	if (json_array_size(report->changes) == CHANGES_MAX) {
		report->changes_left++;
		return;
	}
	for (size_t i = 0; i < change->slots && i < LIST_MAX; i++)
		json_array_append_new(endpoints, endpoint_json(report, change->slot[i]));
	for (size_t i = 0; i < change->traffics && i < LIST_MAX; i++)
		json_array_append_new(traffic,
				      traffic_json(report, change->stage, &change->traffic[i]));
	json_array_append_new(
		report->changes,
		json_pack("{s:s,s:s,s:o,s:I,s:o,s:I,s:o,s:I,s:o,s:I}", "stage",
			  stages[change->stage].name, "direction", stages[change->stage].direction,
			  "endpoints", endpoints, "endpoint_count", (json_int_t)change->slots,
			  "near", peers_json(report, change->near, change->nears), "near_count",
			  peer_count(change->near, change->nears), "peers",
			  peers_json(report, change->far, change->fars), "peer_count",
			  peer_count(change->far, change->fars), "traffic", traffic,
			  "traffic_count", (json_int_t)change->traffics));
}

/* --- flows --------------------------------------------------------------------------------- */

/* What one side said, which has changed its mind and so the verdict. */
static json_t *side_json(struct policy_diff_report *report, uint32_t number, bool denied)
{
	struct mg_verdict verdict = { .action = MG_ACTION_ALLOW };

	if (number != REPLAY_NOT_JUDGED)
		verdict = judge_row(report->agent->engine, number);
	return verdict_json(report, denied ? "denied" : "allowed", &verdict);
}

static void count(struct policy_diff_report *report, uint32_t before, uint32_t after, bool opens)
{
	size_t i = 0;

	while (i < report->tally.n &&
	       (report->tally.v[i].verdict[0] != before || report->tally.v[i].verdict[1] != after))
		i++;
	if (i == report->tally.n)
		vec_push(&report->tally, (struct tally){ { before, after }, opens, 0 });
	report->tally.v[i].flows++;
}

static void add_flow(struct policy_diff_report *report, const struct replay_flow *flow)
{
	static const char *const sides[] = { "egress", "ingress", "host-ingress", "host-egress" };
	enum replay_side was = flow->answer[0].denied, is = flow->answer[1].denied;
	enum replay_side side = is == REPLAY_SIDES ? was : is;
	char src[ADDR_TEXT_MAX], dst[ADDR_TEXT_MAX];
	bool opens = is == REPLAY_SIDES;
	uint32_t before, after;

	if ((was == REPLAY_SIDES) == opens)
		return;
	before = flow->answer[0].verdict[side];
	after = flow->answer[1].verdict[side];
	report->flows_changed++;
	count(report, before, after, opens);
	if (json_array_size(report->flows) < FLOWS_MAX)
		json_array_append_new(
			report->flows,
			json_pack("{s:i,s:s,s:i,s:s,s:i,s:s,s:o,s:o}", "proto", flow->proto, "src",
				  addr_format(&flow->src, src), "sport", flow->sport, "dst",
				  addr_format(&flow->dst, dst), "dport", flow->dport, "side",
				  sides[side], "before", side_json(report, before, opens), "after",
				  side_json(report, after, !opens)));
}

void policy_diff_flows(struct policy_diff_report *report, const struct replay *flows)
{
	report->flows_checked = replay_count(flows);
	for (size_t i = 0; i < report->flows_checked; i++)
		add_flow(report, replay_at(flows, i));
}

/* Verdicts of one policy are one row, whichever rule it was. */
static json_t *policy_row(json_t *list, const json_t *before, const json_t *after)
{
	json_t *row;
	size_t i;

	json_array_foreach(list, i, row)
		if (json_equal(json_object_get(row, "before"), before) &&
		    json_equal(json_object_get(row, "after"), after))
			return row;
	row = json_pack("{s:i,s:O,s:O}", "flows", 0, "before", before, "after", after);
	json_array_append_new(list, row);
	return row;
}

static json_t *by_policy(struct policy_diff_report *report)
{
	json_t *list = json_array();

	for (size_t i = 0; i < report->tally.n; i++) {
		const struct tally *tally = &report->tally.v[i];
		_cleanup_json_ json_t *before = side_json(report, tally->verdict[0], tally->opens),
				      *after = side_json(report, tally->verdict[1], !tally->opens);
		json_t *row;

		json_object_del(before, "rule");
		json_object_del(after, "rule");
		row = policy_row(list, before, after);
		json_object_set_new(row, "flows",
				    json_integer(json_integer_value(json_object_get(row, "flows")) +
						 (json_int_t)tally->flows));
	}
	return list;
}

json_t *policy_diff_json(struct policy_diff_report *report)
{
	return json_pack("{s:b,s:{s:s,s:o,s:o,s:I,s:{s:I,s:I,s:o,s:o}}}", "ok", 1, "policy-diff",
			 "node", report->agent->config.node, "ignored", report->ignored, "changes",
			 report->changes, "changes_left_off", (json_int_t)report->changes_left,
			 "flows", "checked", (json_int_t)report->flows_checked, "changed",
			 (json_int_t)report->flows_changed, "by_policy", by_policy(report), "list",
			 report->flows);
}
