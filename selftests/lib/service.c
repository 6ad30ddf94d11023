/* SPDX-License-Identifier: Apache-2.0 */
#include "selftests/lib/service.h"

const unsigned char service_protocols[3] = { IPPROTO_TCP, IPPROTO_UDP, IPPROTO_SCTP };

union mg_addr vip(int number, int family)
{
	union mg_addr addr = fixture_addr(family == 4 ? "10.96.0.0" : "fd00:96::");

	addr.b[15] = (unsigned char)(10 + number);
	return addr;
}

struct wire_spec asks(unsigned char proto, int family)
{
	struct wire_spec spec = scene_packet(POD_A, WORLD, family);

	spec.dst = vip(0, family);
	spec.proto = proto;
	spec.sport = SPORT;
	spec.dport = VPORT;
	spec.payload = 45;
	if (proto == IPPROTO_TCP)
		spec.tcp_flags = WIRE_SYN;
	return spec;
}

void serve(unsigned char proto, int family, enum place place)
{
	union mg_addr front = vip(0, family), addr = place_addr(place, family);

	fixture_front(&node, &front, VPORT, proto, (struct mg_front){ .set = SET, .count = 1 });
	fixture_back(&node, SET, 0, &addr, BPORT, false);
}

struct wire_spec translated(const struct wire_spec *spec, union mg_addr backend)
{
	struct wire_spec after = *spec;

	after.dst = backend;
	after.dport = BPORT;
	return after;
}

void delivers(__u16 slot, const struct wire_spec *spec, const struct wire_spec *want,
	      __u16 out_slot)
{
	struct fixture_out out;

	scene_run(&node, MG_HOOK_FROM_POD, slot, spec, &out);
	expect_delivery(&out, want, out_slot);
	expect_sums(&out.wire);
}
