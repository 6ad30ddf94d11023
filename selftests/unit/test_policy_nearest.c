/* SPDX-License-Identifier: Apache-2.0 */
/*
 * policy/nearest.h by hand: what would allow a denied connection, in truth tables.
 */
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/inet.h"
#include "policy/front.h"
#include "policy/nearest.h"
#include "selftests/lib/decode.h"
#include "selftests/lib/policy_kernel.h"

enum { WEB, CLIENT, BATCH, PODS }; /* web and client in shop, batch in lab */

static const struct {
	const char *ns, *app, *ip;
} cast[PODS] = { { "shop", "web", "10.1.0.1" },
		 { "shop", "client", "10.1.0.2" },
		 { "lab", "batch", "10.1.0.3" } };

struct asked {
	const char *src, *dst;
	uint8_t proto;
	uint16_t dport;
	const char *text; /* NULL: nothing near allows it */
	const char *rule; /* "NAME INDEX"; "": none */
};

static void tell_pod(struct engine *engine, int i)
{
	struct engine_label own = { "app", cast[i].app };
	struct engine_label ns = { "team", cast[i].ns };
	struct engine_port port = { "http", 8080, IPPROTO_TCP };
	struct engine_endpoint endpoint = { .facts = { .kind = ENGINE_POD,
						       .namespace = cast[i].ns,
						       .labels = { &own, 1 },
						       .namespace_labels = { &ns, 1 },
						       .ports = &port,
						       .port_count = 1 } };

	assert_int_equal(addr_parse(cast[i].ip, &endpoint.ip4), 0);
	engine_addr_set(engine, &endpoint.ip4, &endpoint.facts);
	assert_int_equal(engine_endpoint_set(engine, (uint32_t)i + 1, &endpoint), 0);
}

/* A host endpoint in slot PODS + 1. */
static void tell_host(struct engine *engine)
{
	struct engine_label own = { "role", "edge" };
	struct engine_endpoint host = { .facts = { .kind = ENGINE_HOST_END, .labels = { &own, 1 } },
					.default_deny = true };

	assert_int_equal(addr_parse("192.0.2.1", &host.ip4), 0);
	engine_addr_set(engine, &host.ip4, &host.facts);
	assert_int_equal(engine_endpoint_set(engine, PODS + 1, &host), 0);
}

static struct engine *given(const char *const *yaml, size_t count)
{
	struct engine *engine = engine_new(NULL);
	struct policy_kernel *kernel = pk_new();

	for (int i = 0; i < PODS; i++)
		tell_pod(engine, i);
	tell_host(engine);
	for (size_t i = 0; i < count; i++) {
		struct object *object = decode_yaml(yaml[i], DECODE_STRICT);

		front_set(engine, object);
		object_unref(object);
	}
	pk_settle(kernel, engine);
	pk_free(kernel);
	return engine;
}

/* The slot of an address; 0: not here. */
static uint32_t slot_of(const char *ip)
{
	for (uint32_t i = 0; i < PODS; i++)
		if (!strcmp(cast[i].ip, ip))
			return i + 1;
	return 0;
}

static void answered(const struct engine *engine, enum policy_direction direction,
		     const struct asked *asked)
{
	_cleanup_arena_ struct arena *arena = arena_new();
	struct nearest_question q = {
		.proto = asked->proto, .sport = 40000, .dport = asked->dport, .icmp_type = 8
	};
	char rule[64] = "";
	struct nearest nearest;
	int r;

	q.slot = slot_of(direction == POLICY_IN ? asked->dst : asked->src);
	q.stage = direction == POLICY_IN ? MG_STAGE_WORKLOAD_IN : MG_STAGE_WORKLOAD_OUT;
	assert_int_equal(addr_parse(asked->src, &q.src), 0);
	assert_int_equal(addr_parse(asked->dst, &q.dst), 0);
	r = engine_nearest(engine, &q, arena, &nearest);
	if (!asked->text) {
		assert_int_equal(r, -ENOENT);
		return;
	}
	assert_int_equal(r, 0);
	assert_string_equal(nearest.text, asked->text);
	assert_int_equal(nearest.direction, direction);
	if (nearest.policy)
		snprintf(rule, sizeof(rule), "%s %u", nearest.policy->name, nearest.index);
	assert_string_equal(rule, asked->rule);
}

#define all_answered(engine, direction, table)                                                     \
	for (size_t _i = 0; _i < sizeof(table) / sizeof((table)[0]); _i++)                         \
	answered(engine, direction, &(table)[_i])

static void kubernetes_policy(void **state)
{
	static const char *const yaml[] = {
		//
		"apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\n"
		"metadata: {name: web, namespace: shop}\n"
		"spec:\n"
		"  podSelector: {matchLabels: {app: web}}\n"
		"  ingress:\n"
		"  - from: [{podSelector: {matchLabels: {app: client}}}]\n"
		"    ports: [{port: 8443}, {port: 9000, endPort: 9010}]\n"
		"  - from: [{namespaceSelector: {matchLabels: {team: lab}}}]\n"
		"    ports: [{port: http}]\n"
		"  - from: [{ipBlock: {cidr: 192.0.2.0/24, except: [192.0.2.0/28]}}]\n"
		"    ports: [{port: 53, protocol: UDP}]\n"
	};
	static const struct asked table[] = {
		{ "10.1.0.2", "10.1.0.1", IPPROTO_TCP, 80, "port 8443 or 9000-9010", "web 0" },
		{ "10.1.0.2", "10.1.0.1", IPPROTO_UDP, 8443, "protocol TCP", "web 0" },
		{ "10.1.0.3", "10.1.0.1", IPPROTO_TCP, 80, "port http", "web 1" },
		{ "10.1.0.2", "10.1.0.1", IPPROTO_TCP, 8080, "port 8443 or 9000-9010", "web 0" },
		{ "192.0.2.99", "10.1.0.1", IPPROTO_UDP, 5353, "port 53", "web 2" },
		{ "192.0.2.3", "10.1.0.1", IPPROTO_UDP, 53,
		  "the source in 192.0.2.0/24 but not in 192.0.2.0/28", "web 2" },
		{ "10.1.0.2", "10.1.0.1", IPPROTO_ICMP, 0,
		  "protocol TCP and port 8443 or 9000-9010", "web 0" },
	};
	struct engine *engine = given(yaml, 1);

	(void)state;
	all_answered(engine, POLICY_IN, table);
	engine_free(engine);
}

static void labels_and_namespaces(void **state)
{
	static const char *const yaml[] = {
		//
		"apiVersion: projectcalico.org/v3\nkind: NetworkPolicy\n"
		"metadata: {name: web, namespace: shop}\n"
		"spec:\n"
		"  selector: app == 'web'\n"
		"  ingress:\n"
		"  - {action: Allow, protocol: TCP, source: {selector: \"role == 'front'\"},\n"
		"     destination: {ports: [80]}}\n"
		"  - {action: Allow, protocol: TCP, destination: {ports: [81]},\n"
		"     source: {namespaceSelector: \"projectcalico.org/name == 'lab'\"}}\n"
		"  - {action: Allow, protocol: UDP, destination: {ports: [82]},\n"
		"     source: {selector: \"app == 'batch' && !has(role)\",\n"
		"              namespaceSelector: \"team == 'red'\"}}\n"
		"  egress:\n"
		"  - {action: Allow, protocol: UDP, destination: {notPorts: [1000],\n"
		"     notNets: [10.0.0.0/8]}}\n"
	};
	static const struct asked in[] = {
		{ "10.1.0.2", "10.1.0.1", IPPROTO_TCP, 80, "label role == \"front\" on the source",
		  "web 0" },
		{ "10.1.0.2", "10.1.0.1", IPPROTO_TCP, 81, "namespace lab at the source", "web 1" },
		{ "10.1.0.3", "10.1.0.1", IPPROTO_UDP, 82,
		  "a namespace with team == \"red\" at the source", "web 2" },
		{ "198.51.100.1", "10.1.0.1", IPPROTO_TCP, 81, "namespace lab at the source",
		  "web 1" },
	};
	static const struct asked out[] = {
		{ "10.1.0.1", "192.0.2.1", IPPROTO_UDP, 1000, "a port other than 1000", "web 0" },
		{ "10.1.0.1", "10.1.0.2", IPPROTO_UDP, 5, "the destination outside of 10.0.0.0/8",
		  "web 0" },
		{ "10.1.0.1", "192.0.2.1", IPPROTO_TCP, 5, "protocol UDP", "web 0" },
	};
	struct engine *engine = given(yaml, 1);

	(void)state;
	all_answered(engine, POLICY_IN, in);
	all_answered(engine, POLICY_OUT, out);
	engine_free(engine);
}

/* What denies may stand before what would allow, and a tier before a tier. */
static void denials(void **state)
{
	static const char *const yaml[] = {
		//
		"apiVersion: projectcalico.org/v3\nkind: GlobalNetworkPolicy\n"
		"metadata: {name: first}\n"
		"spec:\n"
		"  order: 1\n"
		"  selector: app == 'web'\n"
		"  ingress:\n"
		"  - {action: Deny, source: {selector: \"app == 'client'\"}}\n"
		"  - {action: Deny, protocol: UDP}\n"
		"  - {action: Allow, protocol: TCP, destination: {ports: [443]}}\n"
		"  - {action: Deny}\n",
		"apiVersion: projectcalico.org/v3\nkind: GlobalNetworkPolicy\n"
		"metadata: {name: last}\n"
		"spec:\n"
		"  order: 2\n"
		"  selector: app == 'web'\n"
		"  ingress:\n"
		"  - {action: Allow, destination: {ports: [80]}, protocol: TCP}\n",
		"apiVersion: projectcalico.org/v3\nkind: GlobalNetworkPolicy\n"
		"metadata: {name: nothing}\n"
		"spec: {selector: \"app == 'batch'\", types: [Ingress]}\n",
	};
	static const struct asked table[] = {
		/* not "last 0": the rule that denies everything stands before it */
		{ "10.1.0.3", "10.1.0.1", IPPROTO_TCP, 80, "port 443", "first 2" },
		{ "10.1.0.2", "10.1.0.1", IPPROTO_TCP, 443, "label app != \"client\" on the source",
		  "first 2" },
		{ "10.1.0.3", "10.1.0.1", IPPROTO_UDP, 443, "protocol TCP", "first 2" },
		{ "10.1.0.1", "10.1.0.3", IPPROTO_TCP, 80, NULL, NULL },
	};
	struct engine *engine = given(yaml, 3);

	(void)state;
	all_answered(engine, POLICY_IN, table);
	engine_free(engine);
}

/* An answer may be a rule that passes. */
static void tiers(void **state)
{
	static const char *const yaml[] = {
		//
		"apiVersion: projectcalico.org/v3\nkind: GlobalNetworkPolicy\n"
		"metadata: {name: gate}\n"
		"spec:\n"
		"  selector: app == 'web'\n"
		"  ingress:\n"
		"  - {action: Pass, source: {nets: [10.1.0.3/32]}}\n"
		"  - {action: Pass, protocol: TCP, destination: {ports: [22]}}\n",
	};
	static const struct asked table[] = {
		{ "10.1.0.2", "10.1.0.1", IPPROTO_UDP, 22, "the source in 10.1.0.3/32", "gate 0" },
		{ "10.1.0.2", "10.1.0.1", IPPROTO_TCP, 23, "the source in 10.1.0.3/32", "gate 0" },
		{ "10.1.0.2", "10.1.0.1", IPPROTO_TCP, 22, "", "" },
	};
	struct engine *engine = given(yaml, 1);
	_cleanup_arena_ struct arena *arena = arena_new();
	struct nearest_question q = {
		.slot = WEB + 1, .stage = MG_STAGE_WORKLOAD_IN, .proto = IPPROTO_TCP, .dport = 22
	};
	struct nearest nearest;

	(void)state;
	answered(engine, POLICY_IN, &table[0]);
	answered(engine, POLICY_IN, &table[1]);
	assert_int_equal(addr_parse(table[2].src, &q.src), 0);
	assert_int_equal(addr_parse(table[2].dst, &q.dst), 0);
	assert_int_equal(engine_nearest(engine, &q, arena, &nearest), -EEXIST);
	engine_free(engine);
}

/* Of a host endpoint both ends may be anybody: also what passes through it. */
static void host_endpoints(void **state)
{
	static const char *const yaml[] = {
		//
		"apiVersion: projectcalico.org/v3\nkind: GlobalNetworkPolicy\n"
		"metadata: {name: edge}\n"
		"spec:\n"
		"  selector: role == 'edge'\n"
		"  applyOnForward: true\n"
		"  ingress:\n"
		"  - {action: Allow, protocol: TCP, destination: {ports: [22], selector: role == "
		"'edge'}}\n"
		"  - {action: Allow, protocol: TCP, destination: {ports: [80], selector: app == "
		"'web'}}\n",
	};
	const struct {
		enum mg_stage stage;
		const char *dst, *text;
		uint16_t dport;
	} table[] = {
		{ MG_STAGE_NORMAL_IN, "192.0.2.1", "port 22", 23 },
		{ MG_STAGE_FORWARD_IN, "10.1.0.1", "port 80", 443 },
		{ MG_STAGE_FORWARD_IN, "10.1.0.2", "label app == \"web\" on the destination", 80 },
	};
	struct engine *engine = given(yaml, 1);

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		_cleanup_arena_ struct arena *arena = arena_new();
		struct nearest_question q = { .slot = PODS + 1,
					      .stage = table[i].stage,
					      .proto = IPPROTO_TCP,
					      .sport = 40000,
					      .dport = table[i].dport };
		struct nearest nearest;

		assert_int_equal(addr_parse("198.51.100.7", &q.src), 0);
		assert_int_equal(addr_parse(table[i].dst, &q.dst), 0);
		assert_int_equal(engine_nearest(engine, &q, arena, &nearest), 0);
		assert_string_equal(nearest.text, table[i].text);
		assert_string_equal(nearest.policy->name, "edge");
	}
	engine_free(engine);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(kubernetes_policy), cmocka_unit_test(labels_and_namespaces),
		cmocka_unit_test(denials),	     cmocka_unit_test(tiers),
		cmocka_unit_test(host_endpoints),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
