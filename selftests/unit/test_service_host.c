/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ports of the node that lead to its pods: their frontends by address and family, who has a port
 * that two ask for, and what a new agent keeps. Sources: CNI conventions (portMappings), Kubernetes
 * API reference (hostPort, hostIP: other addresses or protocols are no conflict).
 */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <netinet/in.h>

#include "base/arena.h"
#include "base/inet.h"
#include "selftests/lib/services_world.h"

#define POD4 "10.0.0.9"
#define POD6 "fd00::9"

static union mg_addr address(const char *text)
{
	union mg_addr addr = { 0 };

	if (*text)
		assert_int_equal(addr_parse(text, &addr), 0);
	return addr;
}

static struct host_port port_at(const char *addr, uint16_t port, uint8_t proto)
{
	union mg_addr parsed = address(addr);
	bool any = addr_is_zero(&parsed);

	return (struct host_port){ .addr = parsed,
				   .port = port,
				   .target = 8080,
				   .proto = proto,
				   .v4 = any || addr_is4(&parsed),
				   .v6 = any || !addr_is4(&parsed) };
}

static struct host_ports ports_of(const char *key, const struct host_port *v, size_t count)
{
	return (struct host_ports){ .key = key,
				    .name = "shop/web",
				    .ip4 = address(POD4),
				    .ip6 = address(POD6),
				    .v = v,
				    .count = count };
}

static void tell(struct services_world *world, const char *key, const struct host_port *v,
		 size_t count)
{
	const struct host_ports ports = ports_of(key, v, count);

	services_ports_set(world->services, &ports);
	services_world_sync(world);
}

static void expect(const struct services_world *world, const char *addr, uint8_t proto,
		   uint8_t scope, const char *want)
{
	const struct mg_front_key key = {
		.addr = address(addr), .port = htons(80), .proto = proto, .scope = scope
	};
	_cleanup_free_ char *got = services_world_leads(world, &key);

	if (strcmp(got, want) != 0)
		fail_msg("%s for %u leads to \"%s\", not \"%s\"", addr, scope, got, want);
}

static void expect_both(const struct services_world *world, const char *addr, const char *want)
{
	expect(world, addr, IPPROTO_TCP, MG_FRONT_NEAR, want);
	expect(world, addr, IPPROTO_TCP, MG_FRONT_FAR, want);
}

/* For all addresses, for one, for the node itself; of both families, and gone again. */
static void test_rows(void **state)
{
	static const struct {
		const char *addr, *front4, *front6;
	} cases[] = {
		{ "", "0.0.0.0", "::" },
		{ "10.10.0.1", "10.10.0.1", NULL },
		{ "fd10::1", NULL, "fd10::1" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		_cleanup_services_world_ struct services_world world = services_world_new();
		const struct host_port port = port_at(cases[i].addr, 80, IPPROTO_TCP);

		tell(&world, "c1:eth0", &port, 1);
		expect_both(&world, cases[i].front4 ? cases[i].front4 : "0.0.0.0",
			    !cases[i].front4 ? "-"
			    : i		     ? POD4 ":8080"
					     : POD4 ":8080 own");
		expect_both(&world, cases[i].front6 ? cases[i].front6 : "::",
			    !cases[i].front6 ? "-"
			    : i		     ? POD6 ":8080"
					     : POD6 ":8080 own");
		services_ports_del(world.services, "c1:eth0");
		services_world_sync(&world);
		for (int map = 0; map < MAPS; map++)
			assert_null(world.maps[map]);
	}
}

/* What is for a loopback address no packet may find. */
static void test_loopback(void **state)
{
	static const char *const addrs[] = { "127.0.0.1", "::1" };

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		_cleanup_services_world_ struct services_world world = services_world_new();
		const struct host_port port = port_at(addrs[i], 80, IPPROTO_TCP);

		tell(&world, "c1:eth0", &port, 1);
		expect_both(&world, addrs[i], "-");
		expect(&world, addrs[i], IPPROTO_TCP, MG_FRONT_SELF,
		       i ? POD6 ":8080" : POD4 ":8080");
	}
}

/* Told again it is written no more, and a new agent finds numbers and slots as they are. */
static void test_kept(void **state)
{
	const struct host_port ports[] = { port_at("", 80, IPPROTO_TCP),
					   port_at("", 80, IPPROTO_SCTP),
					   port_at("", 80, IPPROTO_TCP) };
	_cleanup_services_world_ struct services_world world = services_world_new();

	(void)state;
	tell(&world, "c1:eth0", ports, 3);
	tell(&world, "c1:eth0", ports, 3);
	assert_int_equal(world.written, 0);
	services_free(world.services);
	world.services = services_new("n1");
	tell(&world, "c1:eth0", ports, 3);
	assert_int_equal(world.written, 0);
	expect(&world, "0.0.0.0", IPPROTO_SCTP, MG_FRONT_FAR, POD4 ":8080 own");
}

static void expect_taken(struct services_world *world, struct host_port port, const char *want)
{
	const struct host_ports ports = ports_of("c2:eth0", &port, 1);
	_cleanup_free_ char *got = services_ports_taken(world->services, &ports);

	if (want ? !got || strcmp(got, want) != 0 : got != NULL)
		fail_msg("taken: \"%s\", not \"%s\"", got ? got : "", want ? want : "");
}

/* Another pod's, unless by address, family or protocol they are two ports. */
static void test_other_pod(void **state)
{
	const struct host_port ports[] = { port_at("", 80, IPPROTO_TCP),
					   port_at("10.10.0.1", 81, IPPROTO_TCP) };
	_cleanup_services_world_ struct services_world world = services_world_new();
	const struct host_ports own = ports_of("c1:eth0", ports, 2);

	(void)state;
	tell(&world, "c1:eth0", ports, 2);
	assert_null(services_ports_taken(world.services, &own));
	expect_taken(&world, port_at("", 80, IPPROTO_TCP),
		     "hostPort 80/TCP belongs to pod shop/web");
	expect_taken(&world, port_at("fd10::1", 80, IPPROTO_TCP),
		     "hostPort [fd10::1]:80/TCP belongs to pod shop/web");
	expect_taken(&world, port_at("", 81, IPPROTO_TCP),
		     "hostPort 81/TCP belongs to pod shop/web");
	expect_taken(&world, port_at("", 80, IPPROTO_UDP), NULL);
	expect_taken(&world, port_at("", 82, IPPROTO_TCP), NULL);
	expect_taken(&world, port_at("10.10.0.2", 81, IPPROTO_TCP), NULL);
	expect_taken(&world, port_at("fd10::1", 81, IPPROTO_TCP), NULL);
}

#define SERVICE                                                                                    \
	"--- {apiVersion: v1, kind: Service, metadata: {name: a, namespace: a, uid: u1}, spec: "   \
	"{type: NodePort, clusterIPs: [10.96.0.1], clusterIP: 10.96.0.1, ports: [{name: http, "    \
	"port: 80, nodePort: 80}]}}"

/* A node port keeps an ADD out; the pod that was there first keeps its port. */
static void test_node_port(void **state)
{
	_cleanup_services_world_ struct services_world world = services_world_new();
	const struct host_port port = port_at("", 80, IPPROTO_TCP);

	(void)state;
	services_world_set(&world, SERVICE);
	services_world_sync(&world);
	expect_taken(&world, port, "hostPort 80/TCP belongs to service a/a");
	expect_taken(&world, port_at("10.10.0.1", 80, IPPROTO_TCP),
		     "hostPort 10.10.0.1:80/TCP belongs to service a/a");
	expect_taken(&world, port_at("fd10::1", 80, IPPROTO_TCP), NULL);
	tell(&world, "c1:eth0", &port, 1);
	expect_both(&world, "0.0.0.0", POD4 ":8080 own");
	services_ports_del(world.services, "c1:eth0");
	services_world_sync(&world);
	expect_both(&world, "0.0.0.0", "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),	  cmocka_unit_test(test_loopback),
		cmocka_unit_test(test_kept),	  cmocka_unit_test(test_other_pod),
		cmocka_unit_test(test_node_port),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
