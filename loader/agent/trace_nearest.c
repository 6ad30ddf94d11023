/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/trace_nearest.h"

#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>

#include "agent/trace_flow.h"
#include "base/arena.h"
#include "base/inet.h"

json_t *trace_connection_json(const struct nearest_question *connection)
{
	const struct trace_flow tuple = { .src = connection->src,
					  .dst = connection->dst,
					  .proto = connection->proto,
					  .sport = connection->sport,
					  .dport = connection->dport };

	return trace_flow_json(&tuple);
}

/* An ICMP packet of ours asks for an echo. */
static void set_proto(struct nearest_question *connection, uint8_t proto)
{
	bool four = addr_is4(&connection->src);

	connection->proto = proto;
	if (proto != IPPROTO_ICMP && proto != IPPROTO_ICMPV6)
		return;
	connection->proto = four ? IPPROTO_ICMP : IPPROTO_ICMPV6;
	connection->icmp_type = four ? ICMP_ECHO : ICMP6_ECHO_REQUEST;
	connection->sport = connection->dport = 0;
}

void trace_connection_read(const json_t *request, struct nearest_question *ret_connection)
{
	struct trace_flow tuple;

	*ret_connection = (struct nearest_question){ 0 };
	if (trace_tuple_read(json_object_get(request, "connection"), &tuple) < 0)
		return;
	*ret_connection = (struct nearest_question){
		.src = tuple.src, .dst = tuple.dst, .sport = tuple.sport, .dport = tuple.dport
	};
	set_proto(ret_connection, tuple.proto);
}

void trace_connection_of(const struct packet_spec *spec, struct nearest_question *ret_connection)
{
	*ret_connection = (struct nearest_question){
		.src = spec->src, .dst = spec->dst, .sport = spec->sport, .dport = spec->dport
	};
	set_proto(ret_connection, spec->proto);
}

/* --- answers ------------------------------------------------------------------------------- */

static json_t *rule_json(const struct nearest *nearest)
{
	if (!nearest->policy)
		return json_null();
	return json_pack("{s:s,s:s,s:s,s:s,s:i}", "kind", nearest->policy->kind, "namespace",
			 nearest->policy->namespace, "name", nearest->policy->name, "direction",
			 nearest->direction == POLICY_IN ? "ingress" : "egress", "rule",
			 (int)nearest->index);
}

static char *words(const struct nearest *nearest)
{
	const struct policy *policy = nearest->policy;

	if (!policy)
		return xasprintf("allowed if %s", nearest->text);
	return xasprintf("allowed if %s (%s %s%s%s, %s rule %u%s)", nearest->text, policy->kind,
			 policy->namespace, *policy->namespace ? "/" : "", policy->name,
			 nearest->direction == POLICY_IN ? "ingress" : "egress", nearest->index,
			 nearest->action == RULE_PASS ? ", passes" : "");
}

static json_t *needs_json(const struct nearest *nearest)
{
	json_t *list = json_array();

	for (unsigned int i = 0; i < nearest->need_count; i++) {
		const struct nearest_need *need = &nearest->need[i];

		json_array_append_new(list, json_pack("{s:s,s:s?,s:s}", "what", need->what, "end",
						      need->end, "text", need->text));
	}
	return list;
}

json_t *trace_nearest(const struct agent *agent, const struct nearest_question *denied)
{
	_cleanup_arena_ struct arena *arena = arena_new();
	_cleanup_free_ char *text = NULL;
	struct nearest nearest;

	if (engine_nearest(agent->engine, denied, arena, &nearest) < 0)
		return NULL;
	text = words(&nearest);
	return json_pack("{s:s,s:o,s:o,s:s}", "text", text, "if", needs_json(&nearest), "rule",
			 rule_json(&nearest), "action",
			 nearest.action == RULE_PASS ? "Pass" : "Allow");
}
