/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/show.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <string.h>

#include "abi/event.h"
#include "abi/flow.h"
#include "abi/reason.h"
#include "agent/confirm.h"
#include "agent/counters.h"
#include "agent/history.h"
#include "agent/problems.h"
#include "agent/status.h"
#include "base/arena.h"
#include "base/inet.h"
#include "base/version.h"
#include "dataplane/names.h"
#include "state/service.h"

static json_t *addr_json(const union mg_addr *addr)
{
	char text[ADDR_TEXT_MAX];

	return addr_is_zero(addr) ? json_null() : json_string(addr_format(addr, text));
}

/* "FelixConfiguration default: spec.x: unknown field", one a problem. */
static json_t *configuration(const struct agent *agent)
{
	json_t *list = json_array(), *texts, *text;
	const char *title;
	size_t i;

	json_object_foreach(agent->config_reports, title, texts) {
		json_array_foreach(texts, i, text)
			json_array_append_new(
				list, json_sprintf("%s: %s", title, json_string_value(text)));
	}
	return list;
}

json_t *show_status(struct agent *agent)
{
	_cleanup_free_ char *text = NULL;
	struct engine_stats stats;
	json_t *status;
	size_t size;
	FILE *out = open_memstream(&text, &size);
	bool ready;

	if (!out)
		abort();
	ready = status_ready(agent, out);
	fclose(out);
	engine_stats(agent->engine, &stats);
	status = json_pack(
		"{s:s,s:b,s:s,s:b,s:I,s:I,s:I,s:I,s:I,s:I,s:s,s:o,s:o,s:o,s:o,s:s}", "node",
		agent->config.node, "ready", ready, "reasons", text, "datastore_up",
		!agent->store_down, "endpoints", (json_int_t)HASH_COUNT(agent->endpoints),
		"addresses", (json_int_t)stats.addresses, "identities",
		(json_int_t)stats.identities, "policy_generation", (json_int_t)stats.generation,
		"build_failures", (json_int_t)agent->build_failures, "rules_uncounted",
		(json_int_t)counters_left_out(agent), "attach", agent->attach->name, "ipv4",
		addr_json(&agent->own4), "ipv6", addr_json(&agent->own6), "configuration",
		configuration(agent), "problems", problems_show(agent), "version", margay_version);
	json_object_set_new(status, "policy_held", json_boolean(history_held(agent)));
	json_object_set_new(status, "unconfirmed", confirm_show(agent));
	return status;
}

json_t *show_endpoints(struct agent *agent)
{
	json_t *list = json_array();

	for (const struct endpoint *ep = agent->endpoints; ep; ep = ep->hh.next) {
		uint16_t identity = 0;

		engine_addr_identity(agent->engine, addr_is_zero(&ep->ip4) ? &ep->ip6 : &ep->ip4,
				     &identity);
		json_array_append_new(
			list,
			json_pack("{s:s,s:s,s:s,s:s,s:s,s:i,s:i,s:o,s:o,s:i,s:b,s:I,s:I}",
				  "namespace", ep->ns, "pod", ep->pod, "container", ep->container,
				  "ifname", ep->ifname, "interface", ep->host_ifname, "slot",
				  ep->slot, "ifindex", (int)ep->ifindex, "ipv4",
				  addr_json(&ep->ip4), "ipv6", addr_json(&ep->ip6), "identity",
				  identity, "ready", ep->ready, "ingress_set",
				  (json_int_t)engine_endpoint_set_number(agent->engine, ep->slot,
									 MG_STAGE_WORKLOAD_IN),
				  "egress_set",
				  (json_int_t)engine_endpoint_set_number(agent->engine, ep->slot,
									 MG_STAGE_WORKLOAD_OUT)));
	}
	return list;
}

json_t *show_drops(struct agent *agent)
{
	const struct dp_map *map = dp_get_map(agent->dp, "mg_drops");
	json_t *list = json_array();
	__u64 sum[sizeof(struct mg_drop_count) / sizeof(__u64)];

	for (unsigned int hook = 0; hook < MG_HOOK_MAX; hook++) {
		for (unsigned int reason = 1; reason < MG_DROP_MAX; reason++) {
			if (dp_map_sum(map, hook * MG_DROP_SLOTS + reason, sum) < 0 || !sum[0])
				continue;
			json_array_append_new(
				list, json_pack("{s:s,s:s,s:I,s:I,s:s}", "hook", dp_hook_name(hook),
						"reason", dp_reason_name(reason), "packets",
						(json_int_t)sum[0], "bytes", (json_int_t)sum[1],
						"meaning", dp_reason_help(reason)));
		}
	}
	return list;
}

struct flow_walk {
	struct agent *agent;
	json_t *list;
	const char *table;
};

static bool both_fins(const struct mg_flow *flow)
{
	return flow->state & MG_TCP_FIN0 && flow->state & MG_TCP_FIN1;
}

/* How far a connection is; of other protocols whether packets went both ways. */
static const char *flow_state(const struct mg_flow_key *key, const struct mg_flow *flow)
{
	if (key->proto != IPPROTO_TCP)
		return flow->flags & MG_FLOW_BOTH_SEEN ? "both-ways" : "one-way";
	if (flow->state & MG_TCP_RST)
		return "reset";
	if (flow->state & (MG_TCP_FIN0 | MG_TCP_FIN1))
		return both_fins(flow) ? "closed" : "closing";
	if (flow->state & (MG_TCP_ESTABLISHED | MG_TCP_MIDSTREAM))
		return "established";
	return flow->state & MG_TCP_SYNACK ? "syn-ack" : "syn";
}

struct mg_judged show_side(const struct mg_flow *flow, unsigned int side)
{
	if (flow->flags & (MG_FLOW_JUDGED_OUT << side))
		return flow->side[side].judged;
	return (struct mg_judged){ .rule = flow->side[side].place.rule };
}

static void add_rules(struct agent *agent, json_t *row, const struct mg_flow *flow)
{
	const struct mg_judged side[2] = { show_side(flow, 0), show_side(flow, 1) };
	json_t *staged = show_staged(agent, side, false);

	json_object_set_new(row, "egress_rule", show_rule(agent, side[0].rule));
	json_object_set_new(row, "ingress_rule", show_rule(agent, side[1].rule));
	if (staged)
		json_object_set_new(row, "staged", staged);
}

static bool flow_has_ended(const struct mg_flow *flow)
{
	return flow->state & MG_TCP_RST || both_fins(flow);
}

/* What an ended flow counted has gone to its rules, and its row says nothing more of it. */
static void forget_counts(json_t *row)
{
	json_object_set_new(row, "packets", json_null());
	json_object_set_new(row, "bytes", json_null());
}

static json_t *flow_json(const struct mg_flow_key *key, const struct mg_flow *flow,
			 const char *table)
{
	bool from_b = flow->flags & MG_FLOW_FROM_B;
	const union mg_addr *src = from_b ? &key->b : &key->a;
	const union mg_addr *dst = from_b ? &key->a : &key->b;
	json_t *row = json_pack("{s:s,s:i,s:o,s:i,s:o,s:i,s:I,s:I,s:s}", "table", table, "proto",
				key->proto, "src", addr_json(src), "sport",
				ntohs(from_b ? key->port_b : key->port_a), "dst", addr_json(dst),
				"dport", ntohs(from_b ? key->port_a : key->port_b), "packets",
				(json_int_t)flow->packets, "bytes", (json_int_t)flow->bytes,
				"state", flow_state(key, flow));

	if (flow_has_ended(flow))
		forget_counts(row);
	if (flow->flags & (MG_FLOW_SNAT | MG_FLOW_DNAT)) {
		json_object_set_new(
			row, flow->flags & MG_FLOW_SNAT ? "translated_src" : "translated_dst",
			addr_json(&flow->xlat));
		json_object_set_new(row, "translated_port",
				    json_integer(ntohs((__be16)flow->way[1])));
	}
	return row;
}

static int add_flow(const void *key, const void *value, void *data)
{
	struct flow_walk *walk = data;
	struct mg_flow_key k;
	struct mg_flow v;
	json_t *row;

	memcpy(&k, key, sizeof(k));
	memcpy(&v, value, sizeof(v));
	row = flow_json(&k, &v, walk->table);
	add_rules(walk->agent, row, &v);
	json_array_append_new(walk->list, row);
	return json_array_size(walk->list) >= SHOW_FLOWS_MAX;
}

json_t *show_flows(struct agent *agent)
{
	struct flow_walk walk = { .agent = agent, .list = json_array(), .table = "established" };

	dp_map_each(dp_get_map(agent->dp, "mg_flow_e"), add_flow, &walk);
	walk.table = "transient";
	if (json_array_size(walk.list) < SHOW_FLOWS_MAX)
		dp_map_each(dp_get_map(agent->dp, "mg_flow_t"), add_flow, &walk);
	return walk.list;
}

static int add_identity(const void *key, const void *value, void *data)
{
	union mg_addr addr;
	struct mg_ident row;
	json_t *table = data;
	char number[8];
	json_t *list;

	memcpy(&addr, key, sizeof(addr));
	memcpy(&row, value, sizeof(row));
	snprintf(number, sizeof(number), "%u", row.identity);
	list = json_object_get(table, number);
	if (!list) {
		list = json_array();
		json_object_set_new(table, number, list);
	}
	json_array_append_new(list, addr_json(&addr));
	return 0;
}

json_t *show_identities(struct agent *agent)
{
	json_t *table = json_object(), *list = json_array(), *addresses;
	const char *number;

	dp_map_each(dp_get_map(agent->dp, "mg_addrs"), add_identity, table);
	json_object_foreach(table, number, addresses) {
		int identity = atoi(number);
		_cleanup_free_ char *text = engine_identity_text(agent->engine, (uint16_t)identity);

		json_array_append_new(list,
				      json_pack("{s:i,s:s,s:O}", "identity", identity, "atoms",
						text ? text : "", "addresses", addresses));
	}
	json_decref(table);
	return list;
}

static void add_route(void *context, const struct state_route *route)
{
	json_t *list = context;
	char text[PREFIX_TEXT_MAX], device[IFNAMSIZ];
	const char *name = route->ifindex ? if_indextoname(route->ifindex, device) : NULL;

	json_array_append_new(list, json_pack("{s:s,s:b,s:s?,s:i,s:i,s:o,s:o}", "destination",
					      prefix_format(&route->dst, text), "blackhole",
					      route->blackhole, "device", name, "ifindex",
					      (int)route->ifindex, "mtu", (int)route->mtu,
					      "gateway", addr_json(&route->gateway), "source",
					      addr_json(&route->src)));
}

json_t *show_routes(struct agent *agent)
{
	json_t *list = json_array();

	state_routes(agent->state, add_route, list);
	return list;
}

static json_t *backends_json(const struct agent *agent, const struct mg_front *front)
{
	const struct dp_map *map = dp_get_map(agent->dp, "mg_backs");
	json_t *list = json_array();

	for (uint32_t slot = 0; slot < front->count; slot++) {
		const struct mg_back_key key = { .set = front->set, .slot = slot };
		char text[ADDR_TEXT_MAX];
		struct mg_back back;

		if (dp_map_get(map, &key, &back) < 0)
			continue;
		json_array_append_new(list, json_sprintf(addr_is4(&back.addr) ? "%s:%u" : "[%s]:%u",
							 addr_format(&back.addr, text),
							 ntohs(back.port)));
	}
	return list;
}

struct service_walk {
	const struct agent *agent;
	json_t *list;
};

static const char *scope_text(uint8_t scope)
{
	if (scope == MG_FRONT_SELF)
		return "node";
	return scope == MG_FRONT_FAR ? "outside" : "cluster";
}

/* taken_by: another service has the address, port and protocol. */
static void add_service(void *context, const struct service_view *view)
{
	struct service_walk *walk = context;
	char text[ADDR_TEXT_MAX]; /* "::" is an address here */
	json_t *row = json_pack(
		"{s:s,s:s,s:o,s:i,s:s,s:s,s:i,s:i,s:o}", "service", view->service, "name",
		view->port, "address", json_string(addr_format(&view->key.addr, text)), "port",
		ntohs(view->key.port), "protocol", transport_name(view->key.proto), "for",
		scope_text(view->key.scope), "set", (int)view->row.set, "affinity",
		(int)view->row.affinity, "backends", backends_json(walk->agent, &view->row));

	json_object_set_new(row, "taken_by",
			    view->taken_by ? json_string(view->taken_by) : json_null());
	json_array_append_new(walk->list, row);
}

json_t *show_services(struct agent *agent)
{
	struct service_walk walk = { .agent = agent, .list = json_array() };

	services_each(agent->services, add_service, &walk);
	return walk.list;
}

json_t *show_rule(struct agent *agent, uint32_t number)
{
	struct engine_rule rule;

	if (!number || engine_rule_get(agent->engine, number, &rule) < 0)
		return json_null();
	return json_pack("{s:s,s:s,s:s,s:s,s:i,s:s}", "kind", rule.policy->kind, "namespace",
			 rule.policy->namespace, "name", rule.policy->name, "direction",
			 rule.direction == POLICY_IN ? "ingress" : "egress", "rule",
			 (int)rule.index, "text", rule.text ? rule.text : "");
}

/* Would this side deny? Of a staged rule that nobody knows any more the verdict is not known. */
static const char *staged_side(const struct agent *agent, const struct mg_judged *side, bool denied)
{
	struct engine_rule rule;

	if (!side->staged_set)
		return denied ? "denied" : "allowed";
	if (side->staged_rule == MG_RULE_NONE)
		return "allowed";
	if (side->staged_rule == MG_RULE_DENIED)
		return "denied";
	if (engine_rule_get(agent->engine, side->staged_rule, &rule) < 0)
		return "unknown";
	return rule.action == RULE_ALLOW ? "allowed" : "denied";
}

static json_t *staged_rule(struct agent *agent, const struct mg_judged *side)
{
	bool named = side->staged_set && side->staged_rule != MG_RULE_DENIED;

	return show_rule(agent, named ? side->staged_rule : MG_RULE_NONE);
}

json_t *show_staged(struct agent *agent, const struct mg_judged side[2], bool denied)
{
	bool by_receiver = denied && side[1].set;
	const char *out, *in;

	if (!side[0].staged_set && !side[1].staged_set)
		return NULL;
	out = staged_side(agent, &side[0], denied && !by_receiver);
	in = staged_side(agent, &side[1], by_receiver);
	return json_pack("{s:s,s:o,s:o}", "verdict", strcmp(out, "allowed") ? out : in,
			 "egress_rule", staged_rule(agent, &side[0]), "ingress_rule",
			 staged_rule(agent, &side[1]));
}
