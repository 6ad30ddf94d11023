/* SPDX-License-Identifier: Apache-2.0 */
#include "selftests/lib/host.h"

#include <netinet/in.h>

/* The endpoints' slots judge nothing; both are there. */
void host_again(void)
{
	struct mg_uplink uplink = { .mtu = UPLINK_MTU,
				    .ip4 = place_addr(NODE_OWN, 4),
				    .ip6 = place_addr(NODE_OWN, 6),
				    .host = SLOT_ETH };
	const struct mg_slot none = { 0 };

	uplink_again(&node, 0, 0);
	fixture_put(&node, "mg_uplinks", &(__u32){ UPLINK }, &uplink);
	fixture_put_at(&node, "mg_slots", SLOT_ETH, &none);
	fixture_put_at(&node, "mg_slots", SLOT_ANY, &none);
	node.local.flags |= MG_LOCAL_HOST_POLICY;
	node.local.host_any = 0;
	fixture_local(&node);
	fixture_commit(&node, (struct mg_commit){ 0 });
}

void host_any_judges(void)
{
	node.local.host_any = SLOT_ANY;
	fixture_local(&node);
}

void host_judge(__u16 slot, enum mg_stage stage, __u32 set)
{
	fixture_assign(&node, slot, 0, stage, set);
}

/* A set that lets TCP to port 80 through by RULE; what else comes gets other (MG_VERDICT_*). */
__u32 host_port_80(__u32 other)
{
	const __u32 verdict = fixture_verdict(&node, MG_ACTION_ALLOW, RULE, 0);
	const struct fixture_entry port = { 80, verdict + 1 };
	struct mg_class class = { .verdict = other };
	struct fixture_entry all[16];
	unsigned int count = 0;
	__u32 number;

	class.l4[MG_L4_TCP] = fixture_table(&node, &port, 1);
	number = fixture_class(&node, &class);
	for (__u16 identity = 0; identity < 16; identity++)
		all[count++] = (struct fixture_entry){ identity, number };
	return fixture_set(&node, all, count);
}

/* A rule that denies everything: not the end of a tier. */
__u32 host_deny_by_rule(void)
{
	const struct mg_class class = { .verdict = fixture_verdict(&node, MG_ACTION_DENY, RULE + 1,
								   0) };
	const __u32 number = fixture_class(&node, &class);
	struct fixture_entry all[16];

	for (__u16 identity = 0; identity < 16; identity++)
		all[identity] = (struct fixture_entry){ identity, number };
	return fixture_set(&node, all, 16);
}

struct wire_spec host_tcp(enum place src, enum place dst, int family, unsigned short dport)
{
	struct wire_spec spec = scene_packet(src, dst, family);

	spec.proto = IPPROTO_TCP;
	spec.sport = 45000;
	spec.dport = dport;
	spec.tcp_flags = WIRE_SYN;
	return spec;
}

/* ingress_ifindex: of what is passed on; 0: a socket's. */
void host_meet(enum mg_hook hook, __u32 ifindex, __u32 ingress_ifindex,
	       const struct wire_spec *spec, struct fixture_out *out)
{
	struct fixture_run run = { .hook = hook,
				   .ifindex = ifindex,
				   .ingress_ifindex = ingress_ifindex };
	struct wire wire;

	wire_make(&wire, spec);
	run.in = &wire;
	fixture_run(&node, &run, out);
}

void host_passes(enum mg_hook hook, const struct wire_spec *spec)
{
	struct fixture_out out;
	struct wire wire;

	host_meet(hook, UPLINK, 0, spec, &out);
	wire_make(&wire, spec);
	expect_passed(&out, &wire);
}

void host_drops(enum mg_hook hook, const struct wire_spec *spec, enum mg_reason reason)
{
	struct fixture_out out;

	host_meet(hook, UPLINK, 0, spec, &out);
	expect_drop(&out, reason);
}

void host_changed(void)
{
	struct mg_control control = fixture_control(&node);

	control.host_epoch++;
	control.change++;
	fixture_control_put(&node, &control);
}

void host_failsafe(__u8 direction, unsigned short port, const char *addr, __u32 bits)
{
	const struct mg_failsafe_key key = { .len = MG_FAILSAFE_BITS + bits,
					     .direction = direction,
					     .proto = IPPROTO_TCP,
					     .port = htons(port),
					     .addr = fixture_addr(addr) };

	fixture_put(&node, "mg_failsafe", &key, &(__u32){ 1 });
}

void host_close_all(void)
{
	host_judge(SLOT_ETH, MG_STAGE_NORMAL_IN, MG_SET_DROP_ALL);
	host_judge(SLOT_ETH, MG_STAGE_NORMAL_OUT, MG_SET_DROP_ALL);
}
