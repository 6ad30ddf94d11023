/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Services' rows: what a frontend leads to, by readiness, policy and hints; that what a program
 * reads leads to a row at each moment of a write; that a long life, a fresh start and a restart on
 * the rows of a former agent end alike; and that a change costs rows of its service alone. Sources:
 * Kubernetes API reference (Service, EndpointSlice), "Virtual IPs and Service Proxies", "Topology
 * Aware Routing".
 */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <netinet/in.h>

#include "base/arena.h"
#include "base/inet.h"
#include "selftests/lib/services_world.h"

/* --- what a frontend leads to --------------------------------------------------------------- */

static void expect(const struct services_world *world, const char *addr, uint16_t port,
		   uint8_t proto, const char *want)
{
	struct mg_front_key key = { .port = htons(port), .proto = proto };
	_cleanup_free_ char *got = NULL;

	assert_int_equal(addr_parse(addr, &key.addr), 0);
	got = services_world_leads(world, &key);
	if (strcmp(got, want) != 0)
		fail_msg("%s:%u leads to \"%s\", not \"%s\"", addr, port, got, want);
}

#define SERVICE                                                                                    \
	"--- {apiVersion: v1, kind: Service, metadata: {name: web, namespace: shop, uid: u1}, "    \
	"spec: {clusterIPs: [10.96.0.1%s], clusterIP: 10.96.0.1, %s ports: [{name: http, port: "   \
	"80, targetPort: 8080}]}}"
#define SLICE                                                                                      \
	"--- {apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: %s, "         \
	"namespace: shop, labels: {kubernetes.io/service-name: web}}, addressType: %s, ports: "    \
	"[{name: http, port: 8080, protocol: TCP}], endpoints: [%s]}"

static void test_cluster_ip(void **state)
{
	_cleanup_services_world_ struct services_world world = services_world_new();

	(void)state;
	services_world_set(&world, SERVICE, "", "");
	services_world_sync(&world);
	expect(&world, "10.96.0.1", 80, IPPROTO_TCP, "");
	services_world_set(&world, SLICE, "web-1", "IPv4",
			   "{addresses: [10.0.0.1]}, {addresses: [10.0.0.2]}");
	services_world_sync(&world);
	expect(&world, "10.96.0.1", 80, IPPROTO_TCP, "10.0.0.1:8080 10.0.0.2:8080");
	expect(&world, "10.96.0.1", 80, IPPROTO_UDP, "-");
	/* one address in several slices counts once */
	services_world_set(&world, SLICE, "web-2", "IPv4",
			   "{addresses: [10.0.0.2]}, {addresses: [10.0.0.3]}");
	services_world_sync(&world);
	expect(&world, "10.96.0.1", 80, IPPROTO_TCP, "10.0.0.1:8080 10.0.0.2:8080 10.0.0.3:8080");
	services_del(world.services, KIND_ENDPOINT_SLICE, "shop", "web-1");
	services_world_sync(&world);
	expect(&world, "10.96.0.1", 80, IPPROTO_TCP, "10.0.0.2:8080 10.0.0.3:8080");
	services_del(world.services, KIND_SERVICE, "shop", "web");
	services_world_sync(&world);
	expect(&world, "10.96.0.1", 80, IPPROTO_TCP, "-");
	assert_null(world.maps[BACKS]);
	assert_null(world.maps[DIGESTS]);
}

static void test_families(void **state)
{
	_cleanup_services_world_ struct services_world world = services_world_new();

	(void)state;
	services_world_set(&world, SERVICE, ", 'fd00::1'", "");
	services_world_set(&world, SLICE, "web-1", "IPv4", "{addresses: [10.0.0.1]}");
	services_world_set(&world, SLICE, "web-2", "IPv6", "{addresses: ['fd00::a']}");
	services_world_sync(&world);
	expect(&world, "10.96.0.1", 80, IPPROTO_TCP, "10.0.0.1:8080");
	expect(&world, "fd00::1", 80, IPPROTO_TCP, "fd00::a:8080");
}

/* Ready before terminating ones that serve; those that do neither never. */
static void test_conditions(void **state)
{
	_cleanup_services_world_ struct services_world world = services_world_new();

	(void)state;
	services_world_set(&world, SERVICE, "", "");
	services_world_set(
		&world, SLICE, "web-1", "IPv4",
		"{addresses: [10.0.0.1], conditions: {ready: true}}, "
		"{addresses: [10.0.0.2], conditions: {ready: false}}, "
		"{addresses: [10.0.0.3], conditions: {ready: false, serving: true, terminating: "
		"true}}");
	services_world_sync(&world);
	expect(&world, "10.96.0.1", 80, IPPROTO_TCP, "10.0.0.1:8080");
	services_world_set(
		&world, SLICE, "web-1", "IPv4",
		"{addresses: [10.0.0.2], conditions: {ready: false}}, "
		"{addresses: [10.0.0.3], conditions: {ready: false, serving: true, terminating: "
		"true}}, "
		"{addresses: [10.0.0.4], conditions: {ready: false, serving: false, terminating: "
		"true}}");
	services_world_sync(&world);
	expect(&world, "10.96.0.1", 80, IPPROTO_TCP, "10.0.0.3:8080");
}

static void test_local(void **state)
{
	_cleanup_services_world_ struct services_world world = services_world_new();

	(void)state;
	services_world_set(&world, SERVICE, "", "internalTrafficPolicy: Local,");
	services_world_set(
		&world, SLICE, "web-1", "IPv4",
		"{addresses: [10.0.0.1], nodeName: n1}, {addresses: [10.0.0.2], nodeName: n2}");
	services_world_sync(&world);
	expect(&world, "10.96.0.1", 80, IPPROTO_TCP, "10.0.0.1:8080");
	services_world_set(
		&world, SLICE, "web-1", "IPv4",
		"{addresses: [10.0.0.1], nodeName: n1, conditions: {ready: false, serving: true, "
		"terminating: true}}, {addresses: [10.0.0.2], nodeName: n2}");
	services_world_sync(&world);
	expect(&world, "10.96.0.1", 80, IPPROTO_TCP, "10.0.0.1:8080");
	services_world_set(&world, SLICE, "web-1", "IPv4", "{addresses: [10.0.0.2], nodeName: n2}");
	services_world_sync(&world);
	expect(&world, "10.96.0.1", 80, IPPROTO_TCP, "silent");
	/* nobody anywhere: refused, not dropped */
	services_world_set(&world, SLICE, "web-1", "IPv4", "");
	services_world_sync(&world);
	expect(&world, "10.96.0.1", 80, IPPROTO_TCP, "");
}

static void test_hints(void **state)
{
	_cleanup_services_world_ struct services_world world = services_world_new();

	(void)state;
	services_world_set(&world, SERVICE, "", "");
	services_world_set(&world, SLICE, "web-1", "IPv4",
			   "{addresses: [10.0.0.1], hints: {forZones: [{name: east}]}}, "
			   "{addresses: [10.0.0.2], hints: {forZones: [{name: west}]}}");
	services_world_sync(&world);
	/* the zone is not known */
	expect(&world, "10.96.0.1", 80, IPPROTO_TCP, "10.0.0.1:8080 10.0.0.2:8080");
	services_world_set(&world, "--- {apiVersion: v1, kind: Node, metadata: {name: n1, labels: "
				   "{topology.kubernetes.io/zone: west}}}");
	services_world_sync(&world);
	expect(&world, "10.96.0.1", 80, IPPROTO_TCP, "10.0.0.2:8080");
	/* one without a hint: they do not count */
	services_world_set(&world, SLICE, "web-2", "IPv4", "{addresses: [10.0.0.3]}");
	services_world_sync(&world);
	expect(&world, "10.96.0.1", 80, IPPROTO_TCP, "10.0.0.1:8080 10.0.0.2:8080 10.0.0.3:8080");
	services_world_set(&world, SLICE, "web-2", "IPv4",
			   "{addresses: [10.0.0.3], hints: {forZones: [{name: west}], forNodes: "
			   "[{name: n1}]}}");
	services_world_set(&world, SLICE, "web-1", "IPv4",
			   "{addresses: [10.0.0.2], hints: {forZones: [{name: west}], forNodes: "
			   "[{name: n2}]}}");
	services_world_sync(&world);
	expect(&world, "10.96.0.1", 80, IPPROTO_TCP, "10.0.0.3:8080");
}

static void test_not_ours(void **state)
{
	_cleanup_services_world_ struct services_world world = services_world_new();

	(void)state;
	services_world_set(
		&world,
		"--- {apiVersion: v1, kind: Service, metadata: {name: web, namespace: shop, "
		"labels: {service.kubernetes.io/service-proxy-name: other}}, spec: {clusterIP: "
		"10.96.0.1, ports: [{name: http, port: 80}]}}");
	services_world_set(
		&world,
		"--- {apiVersion: v1, kind: Service, metadata: {name: dns, namespace: shop, "
		"annotations: {projectcalico.org/natExcludeService: 'true'}}, spec: {clusterIP: "
		"10.96.0.2, ports: [{name: dns, port: 53, protocol: UDP}]}}");
	services_world_set(
		&world,
		"--- {apiVersion: v1, kind: Service, metadata: {name: set, namespace: shop}, "
		"spec: {clusterIP: None, ports: [{name: http, port: 80}]}}");
	services_world_sync(&world);
	assert_null(world.maps[FRONTS]);
}

/* The way to the API server outlives an empty list. */
static void test_api_server(void **state)
{
	static const char slice[] =
		"--- {apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: "
		"kubernetes, namespace: default, labels: {kubernetes.io/service-name: "
		"kubernetes}}, "
		"addressType: IPv4, ports: [{name: https, port: 6443}], endpoints: [%s]}";
	_cleanup_services_world_ struct services_world world = services_world_new();

	(void)state;
	services_world_set(
		&world,
		"--- {apiVersion: v1, kind: Service, metadata: {name: kubernetes, namespace: "
		"default}, spec: {clusterIP: 10.96.0.1, ports: [{name: https, port: 443}]}}");
	services_world_set(&world, slice, "{addresses: [192.168.0.1]}");
	services_world_sync(&world);
	services_world_set(&world, slice, "");
	services_world_sync(&world);
	expect(&world, "10.96.0.1", 443, IPPROTO_TCP, "192.168.0.1:6443");
}

/* Two services with one address: the first name has it, whichever came first. */
static void test_taken(void **state)
{
	static const char service[] =
		"--- {apiVersion: v1, kind: Service, metadata: {name: %s, namespace: shop}, spec: "
		"{clusterIP: 10.96.0.1, ports: [{name: http, port: 80}]}}";
	static const char slice[] =
		"--- {apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: %s, "
		"namespace: shop, labels: {kubernetes.io/service-name: %s}}, addressType: IPv4, "
		"ports: [{name: http, port: 80}], endpoints: [{addresses: [10.0.0.%d]}]}";
	_cleanup_services_world_ struct services_world world = services_world_new();

	(void)state;
	services_world_set(&world, service, "b");
	services_world_set(&world, slice, "b", "b", 2);
	services_world_sync(&world);
	expect(&world, "10.96.0.1", 80, IPPROTO_TCP, "10.0.0.2:80");
	services_world_set(&world, service, "a");
	services_world_set(&world, slice, "a", "a", 1);
	services_world_sync(&world);
	expect(&world, "10.96.0.1", 80, IPPROTO_TCP, "10.0.0.1:80");
	services_del(world.services, KIND_SERVICE, "shop", "a");
	services_world_sync(&world);
	expect(&world, "10.96.0.1", 80, IPPROTO_TCP, "10.0.0.2:80");
}

/* --- random lives --------------------------------------------------------------------------- */

#define SERVICES 8
#define STEPS 400

static unsigned int seed;

static unsigned int draw(unsigned int below)
{
	return (unsigned int)rand_r(&seed) % below;
}

/* Text of a random object: number 0 to SERVICES - 1 a Service, then two slices of each. */
static char *random_object(unsigned int number)
{
	unsigned int service = number % SERVICES, count;
	char *text = NULL;
	size_t size;
	FILE *out;

	if (number < SERVICES)
		return xasprintf(
			"--- {apiVersion: v1, kind: Service, metadata: {name: s%u, namespace: x, "
			"uid: "
			"u%u}, spec: {clusterIPs: [10.96.0.%u, 'fd00::%u'], clusterIP: 10.96.0.%u, "
			"type: LoadBalancer, externalIPs: [198.51.100.%u], externalTrafficPolicy: "
			"%s, %s"
			"internalTrafficPolicy: %s, sessionAffinity: %s, ports: [{name: a, port: "
			"80, nodePort: %u}, "
			"{name: b, port: %u, protocol: UDP}]}, status: {loadBalancer: {ingress: "
			"[{ip: 198.51.100.%u}]}}}",
			service, draw(2), service / 2, service, service / 2, draw(3),
			draw(2) ? "Local" : "Cluster",
			draw(2) ? "loadBalancerSourceRanges: [203.0.113.0/24]," : "",
			draw(2) ? "Local" : "Cluster", draw(2) ? "ClientIP" : "None",
			30000 + draw(3), 53 + draw(2), draw(3));
	out = open_memstream(&text, &size);
	fprintf(out,
		"--- {apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: e%u, "
		"namespace: x, labels: {kubernetes.io/service-name: s%u}}, addressType: IPv4, "
		"ports: "
		"[{name: a, port: 8080}, {name: b, port: 5353, protocol: UDP}], endpoints: [",
		number, service);
	count = draw(7);
	for (unsigned int i = 0; i < count; i++)
		fprintf(out,
			"%s{addresses: [10.0.0.%u], nodeName: n%u, conditions: {ready: %s, "
			"serving: "
			"true, terminating: %s}, hints: {%s}}",
			i ? ", " : "", 1 + draw(9), 1 + draw(2), draw(3) ? "true" : "false",
			draw(2) ? "true" : "false",
			draw(3)	  ? ""
			: draw(2) ? "forNodes: [{name: n1}]"
				  : "forZones: [{name: z1}]");
	fputs("]}", out);
	fclose(out);
	return text;
}

static void expect_same(const struct services_world *a, const struct services_world *b)
{
	const struct map_row *row, *next;

	assert_int_equal(HASH_COUNT(a->maps[FRONTS]), HASH_COUNT(b->maps[FRONTS]));
	assert_int_equal(HASH_COUNT(a->maps[BACKS]), HASH_COUNT(b->maps[BACKS]));
	assert_int_equal(HASH_COUNT(a->maps[MEMBERS]), HASH_COUNT(b->maps[MEMBERS]));
	assert_int_equal(HASH_COUNT(a->maps[RANGES]), HASH_COUNT(b->maps[RANGES]));
	assert_int_equal(HASH_COUNT(a->maps[DIGESTS]), HASH_COUNT(b->maps[DIGESTS]));
	HASH_ITER(hh, a->maps[FRONTS], row, next) {
		const struct mg_front_key *key = (const struct mg_front_key *)row->key;
		_cleanup_free_ char *one = services_world_leads(a, key),
				    *other = services_world_leads(b, key);

		assert_string_equal(one, other);
	}
}

/* Rows by address say where their backend is. */
static void check_members(const struct services_world *world)
{
	const struct map_row *row, *next;

	HASH_ITER(hh, world->maps[MEMBERS], row, next) {
		const struct mg_member *member = (const struct mg_member *)row->key;
		const struct mg_back *back;
		uint32_t slot;

		memcpy(&slot, row->value, sizeof(slot));
		back = services_world_back(world, member->set, slot);
		assert_non_null(back);
		assert_memory_equal(&back->addr, &member->addr, sizeof(back->addr));
		assert_int_equal(back->port, member->port);
	}
}

static void tell(struct services_world *world, unsigned int number, const char *text)
{
	if (text)
		services_world_set(world, "%s", text);
	else if (number < SERVICES)
		services_del(world->services, KIND_SERVICE, "x",
			     (char[]){ 's', (char)('0' + number), 0 });
	else {
		char name[16];

		snprintf(name, sizeof(name), "e%u", number);
		services_del(world->services, KIND_ENDPOINT_SLICE, "x", name);
	}
}

static void tell_all(struct services_world *world, char *const *objects)
{
	for (unsigned int i = 3 * SERVICES; i--;) {
		if (objects[i])
			tell(world, i, objects[i]);
	}
}

static void test_life(void **state)
{
	char *objects[3 * SERVICES] = { NULL };
	struct services_world world = services_world_new();

	(void)state;
	seed = 1;
	for (unsigned int step = 0; step < STEPS; step++) {
		unsigned int number = draw(3 * SERVICES);

		free(objects[number]);
		objects[number] = draw(4) ? random_object(number) : NULL;
		tell(&world, number, objects[number]);
		if (draw(20) == 0) { /* a write that fails */
			if (!services_known(world.services))
				services_world_restore(&world);
			services_world_write(&world, draw(12), false);
			services_forget(world.services);
		}
		if (draw(20) == 0) { /* a restart */
			services_free(world.services);
			world.services = services_new("n1");
			tell_all(&world, objects);
		}
		services_world_sync(&world);
		check_members(&world);
		if (step % 10 == 0) {
			_cleanup_services_world_ struct services_world fresh = services_world_new();

			tell_all(&fresh, objects);
			services_world_sync(&fresh);
			expect_same(&world, &fresh);
		}
	}
	for (unsigned int i = 0; i < 3 * SERVICES; i++)
		free(objects[i]);
	services_world_done(&world);
}

/* A restart finds numbers and slots: nothing is written, and so no flow and no choice moves. */
static void test_restart(void **state)
{
	_cleanup_services_world_ struct services_world world = services_world_new();

	(void)state;
	for (int round = 0; round < 2; round++) {
		services_world_set(&world, SERVICE, "", "");
		services_world_set(
			&world, SLICE, "web-1", "IPv4",
			round ? "{addresses: [10.0.0.3]}, {addresses: [10.0.0.1]}"
			      : "{addresses: [10.0.0.1]}, {addresses: [10.0.0.2]}, {addresses: "
				"[10.0.0.3]}");
		services_world_sync(&world);
	}
	services_free(world.services);
	world.services = services_new("n1");
	services_world_set(&world, SLICE, "web-1", "IPv4",
			   "{addresses: [10.0.0.3]}, {addresses: [10.0.0.1]}");
	services_world_set(&world, SERVICE, "", "");
	services_world_sync(&world);
	assert_int_equal(world.written, 0);
	/* what no object asks for any more goes */
	services_free(world.services);
	world.services = services_new("n1");
	services_world_sync(&world);
	for (unsigned int i = 0; i < MAPS; i++)
		assert_null(world.maps[i]);
}

/* One endpoint of one service among many: three rows at most. */
static void test_cost(void **state)
{
	_cleanup_services_world_ struct services_world world = services_world_new();

	(void)state;
	for (unsigned int i = 0; i < 200; i++)
		services_world_set(&world,
				   "--- {apiVersion: v1, kind: Service, metadata: {name: s%u, "
				   "namespace: yard}, "
				   "spec: "
				   "{clusterIP: 10.97.0.%u, ports: [{name: http, port: 80}]}}",
				   i, i);
	services_world_set(&world, SERVICE, "", "");
	services_world_set(&world, SLICE, "web-1", "IPv4",
			   "{addresses: [10.0.0.1]}, {addresses: [10.0.0.2]}");
	services_world_write(&world, SIZE_MAX, false);
	services_world_set(
		&world, SLICE, "web-1", "IPv4",
		"{addresses: [10.0.0.1]}, {addresses: [10.0.0.2]}, {addresses: [10.0.0.3]}");
	services_world_sync(&world);
	assert_int_equal(world.written, 2);
	services_world_set(&world, SLICE, "web-1", "IPv4",
			   "{addresses: [10.0.0.2]}, {addresses: [10.0.0.3]}");
	services_world_sync(&world);
	assert_int_equal(world.written, 3);
	/* nothing that matters */
	services_world_set(&world, SLICE, "web-1", "IPv4",
			   "{addresses: [10.0.0.3]}, {addresses: [10.0.0.2]}");
	services_world_sync(&world);
	assert_int_equal(world.written, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cluster_ip), cmocka_unit_test(test_families),
		cmocka_unit_test(test_conditions), cmocka_unit_test(test_local),
		cmocka_unit_test(test_hints),	   cmocka_unit_test(test_not_ours),
		cmocka_unit_test(test_api_server), cmocka_unit_test(test_taken),
		cmocka_unit_test(test_life),	   cmocka_unit_test(test_restart),
		cmocka_unit_test(test_cost),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
