/* SPDX-License-Identifier: Apache-2.0 */
#include "selftests/lib/service_far.h"

#include <string.h>

#include "base/inet.h"

static const unsigned char router_mac[6] = { 2, 0, 0, 0, 9, 9 };
static const unsigned char uplink_mac[6] = { 2, 0, 0, 0, 7, 7 };

static bool is_node_port(const struct wire_spec *spec)
{
	return spec->dport == NODE_PORT_NUMBER;
}

struct wire_spec comes_for(unsigned char proto, int family, enum far_address address)
{
	struct wire_spec spec = asks(proto, family);

	spec.src = place_addr(WORLD, family);
	if (address == NODE_PORT) {
		spec.dst = place_addr(NODE_OWN, family);
		spec.dport = NODE_PORT_NUMBER;
	}
	memcpy(spec.from, router_mac, 6);
	memcpy(spec.to, uplink_mac, 6);
	return spec;
}

static union mg_addr front_addr(const struct wire_spec *spec)
{
	if (is_node_port(spec))
		return fixture_addr(addr_is4(&spec->dst) ? "0.0.0.0" : "::");
	return spec->dst;
}

void front_far(const struct wire_spec *spec, struct mg_front front)
{
	union mg_addr addr = front_addr(spec);

	fixture_front_far(&node, &addr, spec->dport, spec->proto, front);
}

void serve_far(const struct wire_spec *spec, enum place place)
{
	union mg_addr addr = place_addr(place, addr_is4(&spec->dst) ? 4 : 6);

	front_far(spec, (struct mg_front){ .set = SET, .count = 1 });
	fixture_back(&node, SET, 0, &addr, BPORT, false);
}

void serve_near(const struct wire_spec *spec, enum place place)
{
	union mg_addr addr = place_addr(place, addr_is4(&spec->dst) ? 4 : 6);
	union mg_addr front = front_addr(spec);

	fixture_front(&node, &front, spec->dport, spec->proto,
		      (struct mg_front){ .set = SET + 1, .count = 1 });
	fixture_back(&node, SET + 1, 0, &addr, BPORT, false);
}

void serve_host_port(const struct wire_spec *spec, enum place place)
{
	const struct mg_front front = { .set = SET, .count = 1, .flags = MG_FRONT_OWN };
	union mg_addr addr = place_addr(place, addr_is4(&spec->dst) ? 4 : 6);
	union mg_addr any = front_addr(spec);

	front_far(spec, front);
	fixture_front(&node, &any, spec->dport, spec->proto, front);
	fixture_back(&node, SET, 0, &addr, BPORT, false);
}

void enters(const struct wire_spec *spec, const struct wire_spec *want, __u16 slot)
{
	struct fixture_out out;

	uplink_run_spec(&node, MG_HOOK_FROM_NETDEV, spec, &out);
	expect_delivery(&out, want, slot);
	expect_sums(&out.wire);
}

void expect_in(const struct wire_spec *spec, enum mg_reason reason)
{
	struct fixture_out out;

	uplink_run_spec(&node, MG_HOOK_FROM_NETDEV, spec, &out);
	expect_drop(&out, reason);
}

void leaves(__u16 slot, const struct wire_spec *spec, const struct wire_spec *want)
{
	struct wire_spec after = *want;
	struct fixture_out out;
	struct wire wire;

	scene_run(&node, MG_HOOK_FROM_POD, slot, spec, &out);
	expect_sent(&out);
	after.ttl = 63;
	wire_make(&wire, &after);
	wire_expect(&out.wire, &wire, "to the client");
	expect_sums(&out.wire);
}
