/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The state's rows of addresses: who has one, what comes before what, what follows when objects
 * come in another order, that a long life ends where a fresh start begins, and what a pod costs.
 */
#include <errno.h>
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/inet.h"
#include "policy/engine.h"
#include "selftests/lib/decode.h"
#include "state/state.h"

struct world {
	struct engine *engine;
	struct state *state;
};

static struct world world_new(void)
{
	struct world world = { .engine = engine_new(NULL) };

	world.state = state_new("n1", world.engine);
	return world;
}

static void world_done(struct world *world)
{
	state_free(world->state);
	engine_free(world->engine);
}
#define _cleanup_world_ __attribute__((cleanup(world_done)))

static void __attribute__((format(printf, 2, 3))) set(struct world *world, const char *format, ...)
{
	_cleanup_object_ struct object *object = NULL;
	char text[2048];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	object = decode_yaml(text, DECODE_LENIENT);
	state_object_set(world->state, object);
}

static void set_node(struct world *world, const char *name, const char *ip)
{
	set(world,
	    "--- {apiVersion: v1, kind: Node, metadata: {name: %s}, status: {addresses: "
	    "[{type: InternalIP, address: %s}]}}",
	    name, ip);
}

static void set_wep(struct world *world, const char *name, const char *pod, const char *node,
		    const char *ips)
{
	set(world,
	    "--- {apiVersion: projectcalico.org/v3, kind: WorkloadEndpoint, metadata: {name: %s, "
	    "namespace: default, labels: {app: a}}, spec: {orchestrator: k8s, node: %s, pod: %s, "
	    "endpoint: eth0, ipNetworks: [%s]}}",
	    name, node, pod, ips);
}

static void set_pod(struct world *world, const char *name, const char *node, const char *phase,
		    const char *ip)
{
	set(world,
	    "--- {apiVersion: v1, kind: Pod, metadata: {name: %s, namespace: default, labels: "
	    "{app: "
	    "a}}, spec: {nodeName: %s}, status: {phase: %s, podIPs: [{ip: %s}]}}",
	    name, node, phase, ip);
}

static void set_endpoint(struct world *world, const char *pod, uint16_t slot, const char *ip)
{
	struct state_endpoint endpoint = { .slot = slot, .ns = "default", .pod = pod };

	assert_int_equal(addr_parse(ip, &endpoint.ip4), 0);
	state_endpoint_set(world->state, &endpoint);
}

/* "node slot flags owner", "-": nobody has it. */
static void assert_row(const struct world *world, const char *ip, const char *want)
{
	_cleanup_free_ char *owner = NULL;
	struct mg_ident row;
	union mg_addr addr;
	char text[200];

	assert_int_equal(addr_parse(ip, &addr), 0);
	owner = state_addr_owner(world->state, &addr);
	if (state_addr_row(world->state, &addr, 7, &row) < 0)
		snprintf(text, sizeof(text), "-");
	else
		snprintf(text, sizeof(text), "%u %u%s%s%s%s %s", row.node, row.slot,
			 row.flags & MG_ADDR_POD ? " pod" : "",
			 row.flags & MG_ADDR_HOST ? " host" : "",
			 row.flags & MG_ADDR_LOCAL ? " local" : "",
			 row.flags & MG_ADDR_PORTLESS ? " portless" : "", owner ? owner : "-");
	assert_string_equal(text, want);
}

static void test_nodes_come_late(void **unused)
{
	_cleanup_world_ struct world world = world_new();

	(void)unused;
	set_wep(&world, "w1", "p1", "n2", "10.0.0.1/32");
	assert_row(&world, "10.0.0.1", "0 0 pod default/p1");
	set_node(&world, "n1", "192.168.0.1");
	set_node(&world, "n2", "192.168.0.2");
	assert_row(&world, "10.0.0.1", "2 0 pod default/p1");
	assert_row(&world, "192.168.0.1", "1 0 host local -");
	assert_row(&world, "192.168.0.2", "2 0 host -");
	state_object_del(world.state, KIND_NODE, "", "n2");
	assert_row(&world, "10.0.0.1", "0 0 pod default/p1");
	assert_row(&world, "192.168.0.2", "-");
	state_object_del(world.state, KIND_WORKLOAD_ENDPOINT, "default", "w1");
	assert_row(&world, "10.0.0.1", "-");
}

/* Whether rows of nodes' addresses are told to be looked at. */
static void count_touched(void *ctx, const struct mg_prefix *prefix, bool net)
{
	(void)prefix;
	*(unsigned int *)ctx += !net;
}

static void set_node_port_addresses(struct world *world, const char *list, unsigned int touched)
{
	unsigned int count = 0;

	state_touched_done(world->state);
	set(world,
	    "--- {apiVersion: projectcalico.org/v3, kind: FelixConfiguration, metadata: {name: "
	    "default}, spec: {nodePortAddresses: [%s]}}",
	    list);
	state_touched(world->state, count_touched, &count);
	assert_int_equal(count, touched);
}

static uint32_t portless(const struct world *world)
{
	const struct state_node_facts facts = { 0 };
	struct mg_local row;

	state_local_row(world->state, &facts, &row);
	return row.flags & (MG_LOCAL_PORTLESS4 | MG_LOCAL_PORTLESS6);
}

/* nodePortAddresses: which of the nodes' addresses have node ports, and loopback ones. Source:
 * Kubernetes documentation, kube-proxy's --nodeport-addresses. */
static void test_node_port_addresses(void **unused)
{
	const uint32_t none = MG_LOCAL_PORTLESS4 | MG_LOCAL_PORTLESS6;
	_cleanup_world_ struct world world = world_new();

	(void)unused;
	set_node(&world, "n1", "192.168.0.1");
	set(&world, "--- {apiVersion: v1, kind: Node, metadata: {name: n2}, status: {addresses: "
		    "[{type: InternalIP, address: 192.168.0.2}, {type: InternalIP, address: "
		    "'fd10::2'}, {type: ExternalIP, address: 203.0.113.2}]}}");
	set_node_port_addresses(&world, "", 0);
	assert_row(&world, "192.168.0.2", "2 0 host -");
	assert_int_equal(portless(&world), 0);
	set_node_port_addresses(&world, "192.168.0.0/16, 127.0.0.0/8", 4);
	assert_row(&world, "192.168.0.1", "1 0 host local -");
	assert_row(&world, "192.168.0.2", "2 0 host -");
	assert_row(&world, "203.0.113.2", "2 0 host portless -");
	assert_row(&world, "fd10::2", "2 0 host portless -");
	assert_int_equal(portless(&world), MG_LOCAL_PORTLESS6);
	/* every IPv6 address is no IPv4 address */
	set_node_port_addresses(&world, "'::/0', 203.0.113.2/32", 4);
	assert_row(&world, "192.168.0.1", "1 0 host local portless -");
	assert_row(&world, "203.0.113.2", "2 0 host -");
	assert_row(&world, "fd10::2", "2 0 host -");
	assert_int_equal(portless(&world), MG_LOCAL_PORTLESS4);
	set_node_port_addresses(&world, "primary", 4);
	assert_row(&world, "192.168.0.2", "2 0 host -");
	assert_row(&world, "fd10::2", "2 0 host -");
	assert_row(&world, "203.0.113.2", "2 0 host portless -");
	assert_int_equal(portless(&world), none);
	set_node_port_addresses(&world, "", 4);
	assert_row(&world, "203.0.113.2", "2 0 host -");
}

/* What an agent wrote comes before what the Pod says, an endpoint of this node before both. */
static void test_precedence(void **unused)
{
	_cleanup_world_ struct world world = world_new();

	(void)unused;
	set_node(&world, "n1", "192.168.0.1");
	set_node(&world, "n2", "192.168.0.2");
	set_pod(&world, "p", "n2", "Running", "10.0.0.1");
	assert_row(&world, "10.0.0.1", "2 0 pod default/p");
	set_wep(&world, "w", "p", "n2", "10.0.0.2/32");
	assert_row(&world, "10.0.0.1", "-");
	assert_row(&world, "10.0.0.2", "2 0 pod default/p");
	set_endpoint(&world, "p", 5, "10.0.0.2");
	assert_row(&world, "10.0.0.2", "1 5 pod local default/p");
	state_endpoint_del(world.state, 5);
	assert_row(&world, "10.0.0.2", "2 0 pod default/p");
	state_object_del(world.state, KIND_WORKLOAD_ENDPOINT, "default", "w");
	assert_row(&world, "10.0.0.1", "2 0 pod default/p");
	assert_row(&world, "10.0.0.2", "-");
}

/* The API: a completed pod is no peer. One of this node without an endpoint is a leftover. */
static void test_done_and_leftover(void **unused)
{
	_cleanup_world_ struct world world = world_new();

	(void)unused;
	set_node(&world, "n2", "192.168.0.2");
	set_wep(&world, "w", "p", "n2", "10.0.0.1/32");
	set_pod(&world, "p", "n2", "Succeeded", "10.0.0.1");
	assert_row(&world, "10.0.0.1", "-");
	set_pod(&world, "p", "n2", "Running", "10.0.0.1");
	assert_row(&world, "10.0.0.1", "1 0 pod default/p");
	set_wep(&world, "w2", "q", "n1", "10.0.0.3/32");
	assert_row(&world, "10.0.0.3", "-");
	set_pod(&world, "r", "n1", "Running", "10.0.0.4");
	assert_row(&world, "10.0.0.4", "-");
}

/* An address given to another pod before the old one's object is gone. */
static void test_moving_address(void **unused)
{
	_cleanup_world_ struct world world = world_new();

	(void)unused;
	set_wep(&world, "w1", "old", "n2", "10.0.0.1/32");
	set_wep(&world, "w2", "new", "n3", "10.0.0.1/32");
	assert_row(&world, "10.0.0.1", "0 0 pod default/new");
	set_wep(&world, "w1", "old", "n2", "10.0.0.1/32, 10.0.0.2/32");
	assert_row(&world, "10.0.0.1", "0 0 pod default/new");
	assert_row(&world, "10.0.0.2", "0 0 pod default/old");
	state_object_del(world.state, KIND_WORKLOAD_ENDPOINT, "default", "w2");
	assert_row(&world, "10.0.0.1", "0 0 pod default/old");
}

/* More addresses than one item holds; then another pod behind the same name. */
static void test_many_addresses(void **unused)
{
	_cleanup_world_ struct world world = world_new();
	char ips[2000] = "", ip[32];

	(void)unused;
	for (int i = 1; i <= 40; i++)
		snprintf(ips + strlen(ips), sizeof(ips) - strlen(ips), "%s10.0.1.%d/32",
			 i > 1 ? ", " : "", i);
	for (int round = 0; round < 2; round++) {
		set_wep(&world, "w", round ? "q" : "p", "n2", ips);
		for (int i = 1; i <= 40; i++) {
			snprintf(ip, sizeof(ip), "10.0.1.%d", i);
			assert_row(&world, ip, round ? "0 0 pod default/q" : "0 0 pod default/p");
		}
	}
	set_wep(&world, "w", "q", "n2", "10.0.1.40/32");
	assert_row(&world, "10.0.1.39", "-");
	assert_row(&world, "10.0.1.40", "0 0 pod default/q");
}

/* Of pods elsewhere the object is not kept; of those that may be added here it is. */
static void test_kept_pods(void **unused)
{
	_cleanup_world_ struct world world = world_new();

	(void)unused;
	set_pod(&world, "here", "n1", "Running", "10.0.0.1");
	set_pod(&world, "there", "n2", "Running", "10.0.0.2");
	assert_non_null(state_pod(world.state, "default", "here"));
	assert_null(state_pod(world.state, "default", "there"));
	set_pod(&world, "here", "n2", "Running", "10.0.0.1");
	assert_null(state_pod(world.state, "default", "here"));
}

/* --- a long life and a fresh start --------------------------------------------------------- */

#define PODS 12
#define STEPS 4000

struct kind_of_row {
	bool pod, wep, done;
	unsigned int node, wep_node, pod_ip, wep_ip;
};

static void tell_one(struct world *world, unsigned int i, const struct kind_of_row *row, bool pod)
{
	char name[32], wep[32], node[16], ip[32];

	snprintf(name, sizeof(name), "p%u", i);
	snprintf(wep, sizeof(wep), "w%u", i);
	if (pod) {
		snprintf(node, sizeof(node), "n%u", row->node);
		snprintf(ip, sizeof(ip), "10.1.%u.%u", i, row->pod_ip);
		if (row->pod)
			set_pod(world, name, node, row->done ? "Failed" : "Running", ip);
		else
			state_object_del(world->state, KIND_POD, "default", name);
		return;
	}
	snprintf(node, sizeof(node), "n%u", row->wep_node);
	snprintf(ip, sizeof(ip), "10.1.%u.%u/32", i, row->wep_ip);
	if (row->wep)
		set_wep(world, wep, name, node, ip);
	else
		state_object_del(world->state, KIND_WORKLOAD_ENDPOINT, "default", wep);
}

static void change(struct kind_of_row *row)
{
	*row = (struct kind_of_row){ .pod = random() % 2,
				     .wep = random() % 2,
				     .done = random() % 4 == 0,
				     .node = 1 + (unsigned int)random() % 3,
				     .wep_node = 1 + (unsigned int)random() % 3,
				     .pod_ip = (unsigned int)random() % 4,
				     .wep_ip = (unsigned int)random() % 4 };
}

static void assert_same(const struct world *a, const struct world *b, const char *ip)
{
	struct mg_ident row_a = { 0 }, row_b = { 0 };
	uint16_t ident_a = 0, ident_b = 0;
	union mg_addr addr;
	int r;

	assert_int_equal(addr_parse(ip, &addr), 0);
	r = state_addr_row(a->state, &addr, 1, &row_a);
	assert_int_equal(r, state_addr_row(b->state, &addr, 1, &row_b));
	assert_memory_equal(&row_a, &row_b, sizeof(row_a));
	r = engine_addr_identity(a->engine, &addr, &ident_a);
	assert_int_equal(r, engine_addr_identity(b->engine, &addr, &ident_b));
}

static void test_incremental_is_full(void **unused)
{
	_cleanup_world_ struct world life = world_new(), fresh = world_new();
	struct kind_of_row rows[PODS] = { 0 };
	const struct plan *plan;
	char ip[32];

	(void)unused;
	srandom(11);
	for (int i = 0; i < STEPS; i++) {
		unsigned int n = (unsigned int)random() % PODS;
		bool pod = random() % 2;

		change(&rows[n]);
		tell_one(&life, n, &rows[n], pod);
		tell_one(&life, n, &rows[n], !pod);
	}
	for (unsigned int n = 0; n < PODS; n++) {
		tell_one(&fresh, n, &rows[n], false);
		tell_one(&fresh, n, &rows[n], true);
	}
	engine_build(life.engine, &plan, NULL);
	engine_build(fresh.engine, &plan, NULL);
	for (unsigned int n = 0; n < PODS; n++) {
		for (unsigned int k = 0; k < 4; k++) {
			snprintf(ip, sizeof(ip), "10.1.%u.%u", n, k);
			assert_same(&life, &fresh, ip);
		}
	}
}

/* --- memory -------------------------------------------------------------------------------- */

#define MANY 10000
/* Of both the state and the engine, with the room that their arrays keep. */
#define BYTES_A_POD 220

static size_t heap_bytes(void)
{
	struct mallinfo2 info = mallinfo2();

	return info.uordblks + info.hblkhd;
}

static void test_bytes_a_pod(void **unused)
{
	_cleanup_world_ struct world world = world_new();
	const struct plan *plan;
	size_t before, after;

	(void)unused;
	before = heap_bytes();
	for (unsigned int i = 0; i < MANY; i++)
		set(&world,
		    "--- {apiVersion: projectcalico.org/v3, kind: WorkloadEndpoint, metadata: "
		    "{name: "
		    "n2-k8s-pod--%u-eth0, namespace: default, labels: {app: app-%u}}, spec: "
		    "{orchestrator: k8s, node: n2, pod: pod-%u, endpoint: eth0, ipNetworks: "
		    "[10.1.%u.%u/32]}}",
		    i, i % 100, i, i / 250, i % 250 + 1);
	assert_int_equal(engine_build(world.engine, &plan, NULL), 0);
	engine_applied(world.engine);
	state_touched_done(world.state);
	after = heap_bytes();
	print_message("%zu bytes a pod\n", (after - before) / MANY);
#ifndef __SANITIZE_ADDRESS__
	assert_in_range((after - before) / MANY, 40, BYTES_A_POD);
#endif
	for (unsigned int i = 0; i < MANY; i++) {
		char name[64];

		snprintf(name, sizeof(name), "n2-k8s-pod--%u-eth0", i);
		state_object_del(world.state, KIND_WORKLOAD_ENDPOINT, "default", name);
	}
	assert_int_equal(engine_build(world.engine, &plan, NULL), 0);
	engine_applied(world.engine);
	state_touched_done(world.state);
	assert_row(&world, "10.1.3.4", "-");
}

/* Of a service that no rule names, with ten endpoints: 240 bytes are their addresses and ports. */
#define BYTES_A_SERVICE 400

static void set_slice(struct world *world, unsigned int i)
{
	char list[512];
	size_t used = 0;

	for (unsigned int k = 0; k < 10; k++)
		used += (size_t)snprintf(list + used, sizeof(list) - used,
					 "%s{addresses: [10.1.%u.%u]}", k ? ", " : "", i / 20 % 256,
					 i % 20 * 10 + k);
	set(world,
	    "--- {apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, addressType: IPv4, "
	    "metadata: {name: service-%u-x, namespace: default, labels: "
	    "{kubernetes.io/service-name: service-%u}}, ports: [{port: 8080}], endpoints: [%s]}",
	    i, i, list);
}

static void test_bytes_a_service(void **unused)
{
	_cleanup_world_ struct world world = world_new();
	const struct plan *plan;
	size_t before, after;

	(void)unused;
	assert_int_equal(engine_build(world.engine, &plan, NULL), 0);
	engine_applied(world.engine);
	before = heap_bytes();
	for (unsigned int i = 0; i < MANY; i++)
		set_slice(&world, i);
	after = heap_bytes();
	print_message("%zu bytes a service\n", (after - before) / MANY);
#ifndef __SANITIZE_ADDRESS__
	assert_in_range((after - before) / MANY, 240, BYTES_A_SERVICE);
#endif
	assert_false(engine_pending(world.engine));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nodes_come_late),
		cmocka_unit_test(test_precedence),
		cmocka_unit_test(test_node_port_addresses),
		cmocka_unit_test(test_done_and_leftover),
		cmocka_unit_test(test_moving_address),
		cmocka_unit_test(test_many_addresses),
		cmocka_unit_test(test_kept_pods),
		cmocka_unit_test(test_incremental_is_full),
		cmocka_unit_test(test_bytes_a_pod),
		cmocka_unit_test(test_bytes_a_service),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
