/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frontends for clients from outside: node ports, externalIPs, load balancers' addresses; by both
 * policies, and whom source ranges let in. Sources: Kubernetes API reference (Service), "Virtual
 * IPs and Service Proxies" (traffic policies, terminating endpoints), KEP-1860 (ipMode).
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

static void expect(const struct services_world *world, const char *addr, uint16_t port,
		   uint8_t scope, const char *want)
{
	struct mg_front_key key = { .port = htons(port), .proto = IPPROTO_TCP, .scope = scope };
	_cleanup_free_ char *got = NULL;

	assert_int_equal(addr_parse(addr, &key.addr), 0);
	got = services_world_leads(world, &key);
	if (strcmp(got, want) != 0)
		fail_msg("%s:%u (%s) leads to \"%s\", not \"%s\"", addr, port,
			 scope == MG_FRONT_FAR ? "outside" : "cluster", got, want);
}

static void expect_both(const struct services_world *world, const char *addr, uint16_t port,
			const char *near, const char *far)
{
	expect(world, addr, port, MG_FRONT_NEAR, near);
	expect(world, addr, port, MG_FRONT_FAR, far);
}

#define SERVICE                                                                                    \
	"--- {apiVersion: v1, kind: Service, metadata: {name: web, namespace: shop, uid: u1}, "    \
	"spec: {clusterIPs: [10.96.0.1%s], clusterIP: 10.96.0.1, %s ports: [{name: http, port: "   \
	"80, targetPort: 8080%s}]}, status: {loadBalancer: {ingress: [%s]}}}"
#define SLICE                                                                                      \
	"--- {apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: web-%d, "     \
	"namespace: shop, labels: {kubernetes.io/service-name: web}}, addressType: IPv%d, ports: " \
	"[{name: http, port: 8080, protocol: TCP}], endpoints: [%s]}"

#define HERE "{addresses: [10.0.0.1], nodeName: n1}"
#define THERE "{addresses: [10.0.0.2], nodeName: n2}"
#define DRAINS ", conditions: {ready: false, serving: true, terminating: true}}"

static void tell_slice(struct services_world *world, const char *ends)
{
	services_world_set(world, SLICE, 4, 4, ends);
	services_world_sync(world);
}

static void test_node_port(void **state)
{
	_cleanup_services_world_ struct services_world world = services_world_new();

	(void)state;
	services_world_set(&world, SERVICE, ", 'fd00::1'", "type: NodePort,", ", nodePort: 30080",
			   "");
	services_world_set(&world, SLICE, 6, 6, "{addresses: ['fd00::a'], nodeName: n2}");
	tell_slice(&world, HERE ", " THERE);
	expect_both(&world, "0.0.0.0", 30080, "10.0.0.1:8080 10.0.0.2:8080",
		    "10.0.0.1:8080 10.0.0.2:8080");
	expect_both(&world, "::", 30080, "fd00::a:8080", "fd00::a:8080");
	/* the cluster's address is for the cluster */
	expect_both(&world, "10.96.0.1", 80, "10.0.0.1:8080 10.0.0.2:8080", "-");
	/* one family: no node port of the other */
	services_world_set(&world, SERVICE, "", "type: NodePort,", ", nodePort: 30080", "");
	services_world_sync(&world);
	expect_both(&world, "::", 30080, "-", "-");
	/* another type in place */
	services_world_set(&world, SERVICE, "", "", "", "");
	services_world_sync(&world);
	expect_both(&world, "0.0.0.0", 30080, "-", "-");
	expect(&world, "10.96.0.1", 80, MG_FRONT_NEAR, "10.0.0.1:8080 10.0.0.2:8080");
}

/* externalTrafficPolicy Local: of this node for others, of all for the cluster; one that drains
 * before none; silence where others have some. */
static void test_local(void **state)
{
	static const char *const addrs[] = { "0.0.0.0", "198.51.100.1", "198.51.100.2" };
	static const uint16_t ports[] = { 30080, 80, 80 };
	static const struct {
		const char *ends, *near, *far;
	} cases[] = {
		{ HERE ", " THERE, "10.0.0.1:8080 10.0.0.2:8080", "10.0.0.1:8080" },
		{ THERE, "10.0.0.2:8080", "silent" },
		{ "{addresses: [10.0.0.1], nodeName: n1" DRAINS ", " THERE, "10.0.0.2:8080",
		  "10.0.0.1:8080" },
		{ "", "", "" },
	};
	_cleanup_services_world_ struct services_world world = services_world_new();

	(void)state;
	services_world_set(&world, SERVICE, "",
			   "type: LoadBalancer, externalTrafficPolicy: Local, externalIPs: "
			   "[198.51.100.1],",
			   ", nodePort: 30080", "{ip: 198.51.100.2}");
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		tell_slice(&world, cases[i].ends);
		for (size_t k = 0; k < 3; k++)
			expect_both(&world, addrs[k], ports[k], cases[i].near, cases[i].far);
	}
}

/* Both policies of one service. */
static void test_policies(void **state)
{
	_cleanup_services_world_ struct services_world world = services_world_new();

	(void)state;
	services_world_set(&world, SERVICE, "",
			   "type: NodePort, internalTrafficPolicy: Local, externalIPs: "
			   "[198.51.100.1],",
			   ", nodePort: 30080", "");
	tell_slice(&world, HERE ", " THERE);
	expect(&world, "10.96.0.1", 80, MG_FRONT_NEAR, "10.0.0.1:8080");
	expect_both(&world, "198.51.100.1", 80, "10.0.0.1:8080 10.0.0.2:8080",
		    "10.0.0.1:8080 10.0.0.2:8080");
}

static void test_ip_mode(void **state)
{
	_cleanup_services_world_ struct services_world world = services_world_new();

	(void)state;
	services_world_set(&world, SERVICE, "", "type: LoadBalancer,", "",
			   "{ip: 198.51.100.2, ipMode: Proxy}, {ip: 198.51.100.3, ipMode: VIP}, "
			   "{ip: '2001:db8::3'}, {hostname: lb.example}");
	tell_slice(&world, HERE);
	expect_both(&world, "198.51.100.2", 80, "-", "-");
	expect_both(&world, "198.51.100.3", 80, "10.0.0.1:8080", "10.0.0.1:8080");
	expect_both(&world, "2001:db8::3", 80, "", "");
}

static void test_refused(void **state)
{
	_cleanup_services_world_ struct services_world world = services_world_new();

	(void)state;
	services_world_set(&world, SERVICE, "",
			   "type: LoadBalancer, externalIPs: [198.51.100.1, 198.51.100.2],", "",
			   "{ip: 198.51.100.2}");
	tell_slice(&world, HERE);
	expect_both(&world, "198.51.100.1", 80, "10.0.0.1:8080", "10.0.0.1:8080");
	services_refuse_external_ips(world.services, true);
	services_world_sync(&world);
	expect_both(&world, "198.51.100.1", 80, "-", "-");
	expect_both(&world, "198.51.100.2", 80, "10.0.0.1:8080", "10.0.0.1:8080");
	services_refuse_external_ips(world.services, false);
	services_world_sync(&world);
	expect_both(&world, "198.51.100.1", 80, "10.0.0.1:8080", "10.0.0.1:8080");
}

static size_t ranges(const struct services_world *world)
{
	return HASH_COUNT(world->maps[RANGES]);
}

#define BALANCER(ranges_)                                                                          \
	services_world_set(&world, SERVICE, "",                                                    \
			   "type: LoadBalancer, externalIPs: [198.51.100.1]," ranges_,             \
			   ", nodePort: 30080", "{ip: 198.51.100.2}")

/* They close a balancer's addresses alone; rows come before what asks for them, and go after. */
static void test_source_ranges(void **state)
{
	struct services_world world = services_world_new();

	(void)state;
	BALANCER("loadBalancerSourceRanges: [203.0.113.0/24, 192.0.2.0/24, 203.0.113.0/24],");
	tell_slice(&world, HERE);
	expect_both(&world, "198.51.100.2", 80, "10.0.0.1:8080 sources", "10.0.0.1:8080 sources");
	expect_both(&world, "198.51.100.1", 80, "10.0.0.1:8080", "10.0.0.1:8080");
	expect_both(&world, "0.0.0.0", 30080, "10.0.0.1:8080", "10.0.0.1:8080");
	assert_int_equal(ranges(&world), 2);
	BALANCER("loadBalancerSourceRanges: [192.0.2.0/24],");
	services_world_sync(&world);
	assert_int_equal(ranges(&world), 1);
	/* a restart writes nothing */
	services_free(world.services);
	world.services = services_new("n1");
	BALANCER("loadBalancerSourceRanges: [192.0.2.0/24],");
	tell_slice(&world, HERE);
	assert_int_equal(world.written, 0);
	BALANCER("");
	services_world_sync(&world);
	assert_int_equal(ranges(&world), 0);
	expect(&world, "198.51.100.2", 80, MG_FRONT_FAR, "10.0.0.1:8080");
	services_world_done(&world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_node_port), cmocka_unit_test(test_local),
		cmocka_unit_test(test_policies),  cmocka_unit_test(test_ip_mode),
		cmocka_unit_test(test_refused),	  cmocka_unit_test(test_source_ranges),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
