/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random and mutated packets through every program that sees packets: HOSTILE_PACKETS a program
 * (20,000; a million before a release), HOSTILE_SEED repeats a run. After each packet: the code is
 * one that the program may return; a drop is counted once, under one reason, and nothing else is;
 * and by a second reading (hostile.h) nothing malformed, spoofed, encapsulated by a stranger or
 * forbidden to pods went on.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <linux/pkt_cls.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "selftests/lib/hostile.h"
#include "selftests/lib/uplink.h"

#define FORGET_EVERY 2048 /* packets: full tables would hide paths */
#define ETH_ARP 0x0806

static struct chance chance;
static unsigned long packets, seed;

/* --- the node ------------------------------------------------------------------------------ */
static void far_pods(__u16 mode)
{
	struct mg_ident ident = { .identity = IDENT_FAR,
				  .node = 2,
				  .flags = MG_ADDR_POD | MG_ADDR_POOL | MG_ADDR_ANY_POOL |
					   MG_ADDR_NAT_OUT | mode };

	fixture_ident(&node, place_text(POD_FAR, 4), ident);
	fixture_ident(&node, place_text(POD_FAR, 6), ident);
}

/* Two kinds of tunnel are in use, a peer and an uplink known. */
static void scene(__u16 mode)
{
	const struct mg_way way = { .ifindex = UPLINK, .mtu = 1500 };
	struct mg_peer peer = { .ip4 = place_addr(NODE_FAR, 4),
				.ip6 = place_addr(NODE_FAR, 6),
				.way4 = way,
				.way6 = way,
				.flags = MG_PEER_KNOWN };
	struct mg_uplink uplink = { .mtu = 1500,
				    .ip4 = place_addr(NODE_OWN, 4),
				    .ip6 = place_addr(NODE_OWN, 6) };

	scene_again(&node);
	node.local.flags = MG_LOCAL_IPIP | MG_LOCAL_VXLAN;
	node.local.vni = 4096;
	node.local.nat[0] = (struct mg_port_range){ 10240, 29999 };
	node.local.nat_total = 29999 - 10240 + 1;
	fixture_local(&node);
	fixture_put_at(&node, "mg_peers", 2, &peer);
	fixture_put_at(&node, "mg_uplinks", UPLINK, &uplink);
	far_pods(mode);
}

/* --- what is asserted ---------------------------------------------------------------------- */
struct trial {
	enum mg_hook hook;
	unsigned long number;
	struct fixture_run run;
	struct fixture_out out;
	struct wire in;
	struct reading before;
	struct reading after; /* of what came out */
};

static void __attribute__((noreturn)) fail_trial(const struct trial *trial, const char *what)
{
	char hex[2 * 160 + 1] = "";

	for (size_t i = 0; i < trial->in.length && i < 160; i++)
		snprintf(hex + 2 * i, 3, "%02x", trial->in.data[i]);
	fail_msg("HOSTILE_SEED=%lu, packet %lu of hook %d: %s; code %d, %u counted (%s), mark %x; "
		 "%zu bytes: %s",
		 seed, trial->number, trial->hook, what, trial->out.code, trial->out.drops,
		 fixture_reason_name(trial->out.reason), trial->run.mark, trial->in.length, hex);
	abort();
}

#define DEMAND(trial, condition)                                                                   \
	do {                                                                                       \
		if (!(condition))                                                                  \
			fail_trial(trial, #condition);                                             \
	} while (0)

static bool is_place(const union mg_addr *addr, enum place place)
{
	union mg_addr want4 = place_addr(place, 4), want6 = place_addr(place, 6);

	return !memcmp(addr, &want4, sizeof(want4)) || !memcmp(addr, &want6, sizeof(want6));
}

static bool is_local_pod(const union mg_addr *addr)
{
	return is_place(addr, POD_A) || is_place(addr, POD_B) || is_place(addr, POD_QUEUE) ||
	       is_place(addr, POD_LATE);
}

static bool link_local(const union mg_addr *addr)
{
	return addr->b[0] == 0xfe && (addr->b[1] & 0xc0) == 0x80;
}

static bool is_tunnel(const struct reading *reading)
{
	return reading->proto == IPPROTO_IPIP || reading->proto == IPPROTO_IPV6 ||
	       (reading->proto == IPPROTO_UDP && !reading->later && reading->dport == VXLAN_PORT);
}

static bool is_control(const struct reading *reading)
{
	if (reading->later)
		return false;
	if (reading->proto == IPPROTO_ICMP && reading->family == 4)
		return reading->icmp_type == 5 || reading->icmp_type == 9;
	if (reading->proto == IPPROTO_ICMPV6 && reading->family == 6)
		return reading->icmp_type == 134 || reading->icmp_type == 137;
	if (reading->proto != IPPROTO_UDP)
		return false;
	return reading->family == 4 ? reading->sport == 67 && reading->dport == 68
				    : reading->sport == 547 && reading->dport == 546;
}

/* Talk that ends at the link: the one kind of packet that may vanish uncounted. */
static bool is_link_talk(const struct reading *reading)
{
	return reading->type == ETH_ARP || (reading->family == 4 && reading->proto == 2) ||
	       (reading->family == 6 && reading->proto == IPPROTO_ICMPV6);
}

/* Dropped and counted, and the sender is told: the answer goes back in the packet's place. */
static bool is_answered(const struct trial *trial)
{
	const struct fixture_out *out = &trial->out;

	return out->code == TC_ACT_REDIRECT && out->drops == 1 &&
	       (out->reason == MG_DROP_TTL || out->reason == MG_DROP_TOO_BIG);
}

static void judge_count(const struct trial *trial)
{
	const struct fixture_out *out = &trial->out;

	DEMAND(trial, out->code == TC_ACT_SHOT || out->code == TC_ACT_REDIRECT ||
			      out->code == TC_ACT_UNSPEC);
	DEMAND(trial, out->drops == (out->code == TC_ACT_SHOT) || is_answered(trial) ||
			      (trial->hook == MG_HOOK_FROM_POD && !out->drops &&
			       is_link_talk(&trial->before)));
	DEMAND(trial, out->reason != MG_DROP_INTERNAL);
}

static void judge_from_pod(const struct trial *trial)
{
	const struct reading *before = &trial->before;
	bool talk = is_link_talk(before);

	if (trial->out.code == TC_ACT_SHOT || before->type == ETH_ARP)
		return;
	DEMAND(trial, before->ip && before->sound && !before->routed);
	DEMAND(trial, is_place(&before->src, POD_A) || (talk && link_local(&before->src)));
	DEMAND(trial, !before->multicast || talk);
	DEMAND(trial, !is_tunnel(before) && !is_control(before));
}

static void judge_to_pod(const struct trial *trial)
{
	const struct reading *before = &trial->before;

	DEMAND(trial, trial->out.code != TC_ACT_REDIRECT);
	if (trial->out.code == TC_ACT_SHOT || trial->run.mark || !trial->run.ingress_ifindex)
		return;
	DEMAND(trial, before->ip && before->sound && !before->routed && !before->multicast);
}

static bool is_in_pool(const struct reading *reading)
{
	union mg_addr pod = place_addr(POD_FAR, reading->family);

	return !memcmp(&reading->src, &pod, reading->family == 4 ? 14 : 8);
}

/* A client from outside, for whom node 2 was asked for a service (10.65.0.0/16 and fd00:65::/64 are
 * the pool's). */
static bool is_carried(const struct reading *reading)
{
	const unsigned char *b = reading->src.b;
	bool routed = reading->family == 4 ? b[12] && b[12] != 127 && (b[12] != 169 || b[13] != 254)
					   : b[0] && (b[0] != 0xfe || (b[1] & 0xc0) != 0x80);

	return routed && !is_in_pool(reading) && !is_place(&reading->src, NODE_OWN);
}

/* Node 2 itself, its pods, its blocks: 10.65.0.64/26 and fd00:65::1:0/121. */
static bool is_behind_far(const struct reading *reading)
{
	union mg_addr block = place_addr(POD_FAR, reading->family);
	unsigned char mask = reading->family == 4 ? 0xc0 : 0x80;

	return is_place(&reading->src, NODE_FAR) ||
	       (!memcmp(&reading->src, &block, 15) &&
		(reading->src.b[15] & mask) == (block.b[15] & mask));
}

/* Handed to a pod: by whom, to whom, and out of whose tunnel. */
static void judge_delivered(const struct trial *trial)
{
	const struct reading *before = &trial->before, *after = &trial->after;

	DEMAND(trial, after->ip && after->sound && !after->routed && !after->multicast);
	DEMAND(trial, is_local_pod(&after->dst) && !is_local_pod(&after->src));
	DEMAND(trial, !is_place(&after->src, NODE_OWN));
	if (!fixture_step(&trial->out, MG_STEP_DECAP))
		return;
	DEMAND(trial, before->sound && !before->fragment && is_tunnel(before));
	DEMAND(trial, is_place(&before->src, NODE_FAR) && is_place(&before->dst, NODE_OWN));
	DEMAND(trial, is_behind_far(after) || is_carried(after));
}

/* What it quotes is not read here; one that quotes rubbish goes to the stack. */
static bool is_icmp_error(const struct reading *reading)
{
	unsigned char type = reading->icmp_type;

	if (reading->proto == IPPROTO_ICMPV6 && reading->family == 6)
		return type < 128;
	return reading->proto == IPPROTO_ICMP && reading->family == 4 &&
	       ((type >= 3 && type <= 5) || type == 11 || type == 12);
}

static void judge_from_netdev(const struct trial *trial)
{
	const struct reading *before = &trial->before;

	if (fixture_step(&trial->out, MG_STEP_DELIVER) && trial->out.code != TC_ACT_SHOT)
		judge_delivered(trial);
	if (!before->sound || before->routed || before->multicast)
		return;
	if (is_tunnel(before) && is_place(&before->dst, NODE_OWN) &&
	    !is_place(&before->src, NODE_FAR))
		DEMAND(trial, trial->out.reason == MG_DROP_FOREIGN_TUNNEL ||
				      trial->out.reason == MG_DROP_IP_OPTIONS);
	else if (is_local_pod(&before->src) && !is_icmp_error(before))
		DEMAND(trial, trial->out.code == TC_ACT_SHOT);
}

static void judge_to_netdev(const struct trial *trial)
{
	if (trial->run.mark)
		DEMAND(trial, trial->out.code == TC_ACT_UNSPEC && !trial->out.mark);
	if (fixture_step(&trial->out, MG_STEP_ENCAP) && trial->out.code != TC_ACT_SHOT)
		DEMAND(trial, trial->before.sound && trial->after.sound);
}

/* A test run has no tunnel's key: what is marked came out of nobody's tunnel. */
static void judge_from_tunnel(const struct trial *trial)
{
	DEMAND(trial, trial->out.code == TC_ACT_SHOT);
	DEMAND(trial, trial->run.mark || trial->out.reason == MG_DROP_UNMARKED_TUNNEL);
}

/* --- trials -------------------------------------------------------------------------------- */
static const struct {
	const char *name;
	bool uplink;
	__u32 ifindex;
	void (*judge)(const struct trial *trial);
} hooks[] = {
	[MG_HOOK_FROM_POD] = { "from_pod", false, MG_IFINDEX_BASE + SLOT_A, judge_from_pod },
	[MG_HOOK_TO_POD] = { "to_pod", true, MG_IFINDEX_BASE + SLOT_B, judge_to_pod },
	[MG_HOOK_FROM_NETDEV] = { "from_netdev", true, UPLINK, judge_from_netdev },
	[MG_HOOK_TO_NETDEV] = { "to_netdev", false, UPLINK, judge_to_netdev },
	[MG_HOOK_FROM_TUNNEL] = { "from_tunnel", true, UPLINK, judge_from_tunnel },
};

static void one(struct trial *trial)
{
	bool marks = trial->hook != MG_HOOK_FROM_POD && trial->hook != MG_HOOK_FROM_NETDEV;

	hostile_make(&chance, hooks[trial->hook].uplink, &trial->in);
	hostile_read(&trial->in, &trial->before);
	trial->run = (struct fixture_run){ .hook = trial->hook,
					   .ifindex = hooks[trial->hook].ifindex,
					   .in = &trial->in };
	if (hooks[trial->hook].uplink && !chance_one_in(&chance, 4))
		trial->run.ingress_ifindex = UPLINK;
	if (marks && chance_one_in(&chance, 8))
		trial->run.mark = node.config.mark;
	fixture_run(&node, &trial->run, &trial->out);
	hostile_read(&trial->out.wire, &trial->after);
	judge_count(trial);
	hooks[trial->hook].judge(trial);
}

static void run_hook(enum mg_hook hook)
{
	static const __u16 modes[] = { 0, MG_ADDR_IPIP, MG_ADDR_VXLAN };
	static struct trial trial;
	unsigned long codes[3] = { 0 };

	chance.state = seed + (unsigned long)hook;
	trial.hook = hook;
	for (unsigned long i = 0; i < packets; i++) {
		if (i % FORGET_EVERY == 0)
			scene(modes[i / FORGET_EVERY % 3]);
		trial.number = i;
		one(&trial);
		codes[trial.out.code == TC_ACT_SHOT	? 0
		      : trial.out.code == TC_ACT_UNSPEC ? 1
							: 2]++;
	}
	printf("# %s: seed %lu, %lu packets: %lu dropped, %lu to the stack, %lu sent on\n",
	       hooks[hook].name, seed, packets, codes[0], codes[1], codes[2]);
	/* a generator that makes nothing but rubbish proves little */
	assert_true(codes[0] < packets || hook == MG_HOOK_FROM_TUNNEL);
	assert_true(codes[0] || hook == MG_HOOK_TO_NETDEV);
}

static void test_from_pod(void **state)
{
	(void)state;
	run_hook(MG_HOOK_FROM_POD);
}

static void test_to_pod(void **state)
{
	(void)state;
	run_hook(MG_HOOK_TO_POD);
}

static void test_from_netdev(void **state)
{
	(void)state;
	run_hook(MG_HOOK_FROM_NETDEV);
}

static void test_to_netdev(void **state)
{
	(void)state;
	run_hook(MG_HOOK_TO_NETDEV);
}

static void test_from_tunnel(void **state)
{
	(void)state;
	run_hook(MG_HOOK_FROM_TUNNEL);
}

static unsigned long number(const char *name, unsigned long otherwise)
{
	const char *text = getenv(name);

	return text && *text ? strtoul(text, NULL, 10) : otherwise;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_from_pod),    cmocka_unit_test(test_to_pod),
		cmocka_unit_test(test_from_netdev), cmocka_unit_test(test_to_netdev),
		cmocka_unit_test(test_from_tunnel),
	};

	packets = number("HOSTILE_PACKETS", 20000);
	seed = number("HOSTILE_SEED", (unsigned long)time(NULL)) | 1;
	return cmocka_run_group_tests(tests, uplink_setup, scene_teardown);
}
