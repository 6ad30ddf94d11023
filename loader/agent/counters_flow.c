/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/counters.h"

static void add(struct counters *counters, uint32_t number, __u64 packets, __u64 bytes)
{
	if (number == MG_RULE_NONE || number >= counters->end || number >= counters->limit)
		return;
	counters->rule[number].packets += packets;
	counters->rule[number].bytes += bytes;
}

/* As flow_fold() does (bpf/lib/flow_end.h). */
void counters_add_flow(struct counters *counters, const struct mg_flow *flow)
{
	__u64 packets = flow->packets, bytes = flow->bytes;

	if (!(flow->flags & (MG_FLOW_SNAT | MG_FLOW_DNAT))) {
		packets += flow->back.packets;
		bytes += flow->back.bytes;
	}
	for (unsigned int side = 0; side < 2; side++) {
		if (!(flow->flags & (MG_FLOW_JUDGED_OUT << side))) {
			add(counters, flow->side[side].place.rule, packets, bytes);
			continue;
		}
		add(counters, flow->side[side].judged.rule, packets, bytes);
		add(counters, flow->side[side].judged.staged_rule, packets, bytes);
	}
}

struct mg_rule_stats counters_of(const struct counters *counters, uint32_t number)
{
	return number < counters->end ? counters->rule[number] : (struct mg_rule_stats){ 0 };
}
