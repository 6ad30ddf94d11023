/* SPDX-License-Identifier: Apache-2.0 */
#include "selftests/lib/uplink.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include <netinet/in.h>
#include <string.h>

#include "base/err.h"
#include "dataplane/netlink.h"
#include "dataplane/netns.h"

#define ACT_UNSPEC (-1)

const unsigned char vtep_own[6] = { 0x66, 0, 0, 0, 0, 1 };
const unsigned char vtep_far[6] = { 0x66, 0, 0, 0, 0, 2 };

static void put16(unsigned char *at, unsigned int value)
{
	at[0] = (unsigned char)(value >> 8);
	at[1] = (unsigned char)value;
}

/* --- the kernel's side ------------------------------------------------------------------- */
#define OK(expression)                                                                             \
	do {                                                                                       \
		if (expression)                                                                    \
			fail_msg("%s: %s", #expression, err.text);                                 \
	} while (0)

void uplink_build(void)
{
	_cleanup_net_ struct net_sock *sock = NULL;
	struct err err = { 0 };
	struct net_addr addr = { .ifindex = UPLINK };
	struct net_route route = { .ifindex = UPLINK };

	fixture_device(UPLINK);
	OK(net_open(&sock, &err));
	OK(netns_sysctl_set("ipv4/ip_forward", "1", &err));
	OK(netns_sysctl_set("ipv6/conf/all/forwarding", "1", &err));
	OK(net_link_set_up(sock, UPLINK, true, &err));
	for (int slot = SLOT_A; slot <= SLOT_LATE; slot++)
		OK(net_link_set_up(sock, MG_IFINDEX_BASE + slot, true, &err));
	for (int family = 4; family <= 6; family += 2) {
		addr.addr = place_addr(NODE_OWN, family);
		addr.bits = family == 4 ? 24 : 64;
		OK(net_addr_add(sock, &addr, &err));
		route.dst.addr = fixture_addr(family == 4 ? "0.0.0.0" : "::");
		route.dst.len = family == 4 ? 96 : 0;
		route.gateway = fixture_addr(family == 4 ? "192.168.7.254" : "fd00:7::fe");
		OK(net_route_add(sock, &route, &err));
	}
}

int uplink_setup(void **state)
{
	int r = scene_setup(state);

	if (!r)
		uplink_build();
	return r;
}

/* --- rows -------------------------------------------------------------------------------- */
void uplink_peer(const struct fixture *fx, __u32 flags, __u32 mtu, int outer)
{
	struct mg_peer peer = { .flags = MG_PEER_KNOWN | flags };

	if (outer != 6) {
		peer.ip4 = place_addr(NODE_FAR, 4);
		peer.way4 = (struct mg_way){ .ifindex = UPLINK, .mtu = mtu };
	}
	if (outer != 4) {
		peer.ip6 = place_addr(NODE_FAR, 6);
		peer.way6 = (struct mg_way){ .ifindex = UPLINK, .mtu = mtu };
	}
	memcpy(peer.vtep_mac, vtep_far, sizeof(peer.vtep_mac));
	memcpy(peer.vtep_mac6, vtep_far, sizeof(peer.vtep_mac6));
	fixture_put_at(fx, "mg_peers", NODE_2, &peer);
}

static void add_mode(const struct fixture *fx, enum place place, __u32 mode)
{
	struct mg_ident ident;

	for (int family = 4; family <= 6; family += 2) {
		union mg_addr addr = place_addr(place, family);

		if (!fixture_get(fx, "mg_addrs", &addr, &ident))
			fail_msg("no row of %s", place_text(place, family));
		ident.flags |= (__u16)(mode | MG_ADDR_NAT_OUT | MG_ADDR_POOL | MG_ADDR_ANY_POOL);
		fixture_ident(fx, place_text(place, family), ident);
	}
}

void uplink_again(struct fixture *fx, __u32 mode, int outer)
{
	struct mg_uplink uplink = { .mtu = UPLINK_MTU,
				    .ip4 = place_addr(NODE_OWN, 4),
				    .ip6 = place_addr(NODE_OWN, 6) };
	const struct mg_pmtu none = { 0 };

	scene_again(fx);
	fx->local.flags = MG_LOCAL_IPIP | MG_LOCAL_VXLAN;
	fx->local.vni = VNI;
	fx->local.sport_first = SPORT_FIRST;
	fx->local.sport_count = SPORT_COUNT;
	fx->local.nat_total = NAT_LAST - NAT_FIRST + 1;
	fx->local.nat[0] = (struct mg_port_range){ NAT_FIRST, NAT_LAST };
	memset(&fx->local.nat4, 0, sizeof(fx->local.nat4));
	memset(&fx->local.nat6, 0, sizeof(fx->local.nat6));
	memcpy(fx->local.vtep_mac, vtep_own, sizeof(vtep_own));
	fixture_local(fx);
	uplink_peer(fx, 0, UPLINK_MTU, outer);
	fixture_put_at(fx, "mg_uplinks", UPLINK, &uplink);
	fixture_put_at(fx, "mg_pmtu", NODE_2, &none);
	add_mode(fx, POD_FAR, mode);
	add_mode(fx, POD_A, mode);
	add_mode(fx, POD_B, mode);
}

/* --- outer headers ----------------------------------------------------------------------- */
struct outer_spec uplink_outer(enum tunnel tunnel, int family, unsigned char tos)
{
	struct outer_spec spec = { .tunnel = tunnel,
				   .family = family,
				   .from = NODE_OWN,
				   .to = NODE_FAR,
				   .tos = tos,
				   .vni = VNI };

	memcpy(spec.to_mac, vtep_far, 6);
	memcpy(spec.from_mac, vtep_own, 6);
	return spec;
}

/* RFC 7348 section 5: UDP without checksum, flags with the I bit, VNI, the inner frame. */
static size_t put_vxlan(unsigned char *at, const struct outer_spec *spec, bool inner4,
			size_t length)
{
	put16(at, spec->sport);
	put16(at + 2, VXLAN_PORT);
	put16(at + 4, (unsigned int)(length + 30));
	at[8] = 0x08;
	at[12] = (unsigned char)(spec->vni >> 16);
	put16(at + 13, spec->vni & 0xffff);
	memcpy(at + 16, spec->to_mac, 6);
	memcpy(at + 22, spec->from_mac, 6);
	put16(at + 28, inner4 ? ETH_P_IP : ETH_P_IPV6);
	return 30;
}

static size_t put_ip(struct wire *wire, const struct outer_spec *spec, unsigned char proto,
		     size_t payload)
{
	union mg_addr from = place_addr(spec->from, spec->family);
	union mg_addr to = place_addr(spec->to, spec->family);
	unsigned char *ip = wire->data + WIRE_ETH;

	if (spec->family == 4) {
		ip[0] = 0x45;
		ip[1] = spec->tos;
		put16(ip + 2, (unsigned int)(20 + payload));
		put16(ip + 6, 0x4000); /* DF; the identification means nothing then (RFC 6864) */
		ip[8] = 64;
		ip[9] = proto;
		memcpy(ip + 12, &from.b[12], 4);
		memcpy(ip + 16, &to.b[12], 4);
		wire_sum4(wire);
		return 20;
	}
	ip[0] = (unsigned char)(0x60 | spec->tos >> 4);
	ip[1] = (unsigned char)(spec->tos << 4);
	put16(ip + 4, (unsigned int)payload);
	ip[6] = proto;
	ip[7] = 64;
	memcpy(ip + 8, &from, 16);
	memcpy(ip + 24, &to, 16);
	return 40;
}

void outer_make(struct wire *wire, const struct outer_spec *spec, const struct wire *inner)
{
	bool inner4 = inner->data[WIRE_ETH] >> 4 == 4;
	size_t length = inner->length - WIRE_ETH, at = spec->family == 4 ? 20 : 40;
	size_t start = spec->tunnel == VXLAN ? 30 : 0;
	unsigned char proto = spec->tunnel == VXLAN ? IPPROTO_UDP
			      : inner4		    ? IPPROTO_IPIP
						    : IPPROTO_IPV6;

	memset(wire, 0, sizeof(*wire));
	memcpy(wire->data, inner->data, 12);
	put16(wire->data + 12, spec->family == 4 ? ETH_P_IP : ETH_P_IPV6);
	put_ip(wire, spec, proto, length + start);
	at += WIRE_ETH;
	if (start)
		at += put_vxlan(wire->data + at, spec, inner4, length);
	memcpy(wire->data + at, inner->data + WIRE_ETH, length);
	wire->length = at + length;
}

/* --- runs and expectations ---------------------------------------------------------------- */
void uplink_run(struct fixture *fx, enum mg_hook hook, const struct wire *in, __u32 mark,
		struct fixture_out *out)
{
	const struct fixture_run run = { .hook = hook, .ifindex = UPLINK, .mark = mark, .in = in };

	fixture_run(fx, &run, out);
}

void uplink_run_spec(struct fixture *fx, enum mg_hook hook, const struct wire_spec *spec,
		     struct fixture_out *out)
{
	struct wire wire;

	wire_make(&wire, spec);
	uplink_run(fx, hook, &wire, 0, out);
}

void expect_drop(const struct fixture_out *out, enum mg_reason reason)
{
	if (out->code != TC_ACT_SHOT || out->reason != reason)
		fail_msg("code %d, %s, not %s", out->code, fixture_reason_name(out->reason),
			 fixture_reason_name(reason));
}

void expect_passed(const struct fixture_out *out, const struct wire *bytes)
{
	if (out->code != ACT_UNSPEC || out->drops)
		fail_msg("code %d, %s", out->code, fixture_reason_name(out->reason));
	wire_expect(&out->wire, bytes, "what passed");
}

void expect_sent(const struct fixture_out *out)
{
	const struct mg_step *way = fixture_step(out, MG_STEP_FORWARD);

	if (out->code != TC_ACT_REDIRECT || out->drops || !way)
		fail_msg("code %d, %s", out->code, fixture_reason_name(out->reason));
	assert_int_equal(way->a, UPLINK);
	assert_int_equal(out->mark, 0x01000000);
}

void expect_delivery(const struct fixture_out *out, const struct wire_spec *spec, __u16 slot)
{
	const struct mg_step *door = fixture_step(out, MG_STEP_DELIVER);
	struct wire_spec after = *spec;
	struct wire want;

	if (out->code != TC_ACT_REDIRECT || out->drops || !door)
		fail_msg("code %d, %s", out->code, fixture_reason_name(out->reason));
	assert_int_equal(door->a, slot);
	assert_int_equal(out->mark, 0);
	after.ttl = (unsigned char)((spec->ttl ? spec->ttl : 64) - 1);
	pod_mac(slot, after.to);
	memcpy(after.from, host_mac, sizeof(after.from));
	wire_make(&want, &after);
	wire_expect(&out->wire, &want, "what the pod gets");
}

static unsigned int sum(const unsigned char *at, size_t length, unsigned int start)
{
	for (size_t i = 0; i + 1 < length; i += 2)
		start += (unsigned int)(at[i] << 8 | at[i + 1]);
	if (length & 1)
		start += (unsigned int)at[length - 1] << 8;
	while (start >> 16)
		start = (start & 0xffff) + (start >> 16);
	return start;
}

void expect_sums(const struct wire *wire)
{
	const unsigned char *ip = wire->data + WIRE_ETH;
	bool is4 = ip[0] >> 4 == 4;
	size_t header = is4 ? (ip[0] & 15) * 4UL : 40;
	size_t length = wire->length - WIRE_ETH - header;
	unsigned int proto = is4 ? ip[9] : ip[6], start = proto + (unsigned int)length;

	if (is4)
		assert_int_equal(sum(ip, header, 0), 0xffff);
	if (proto == IPPROTO_UDP && !ip[header + 6] && !ip[header + 7])
		return;
	if (proto == IPPROTO_ICMP)
		start = 0;
	else
		start = sum(ip + (is4 ? 12 : 8), is4 ? 8 : 32, start);
	if (proto == IPPROTO_TCP || proto == IPPROTO_UDP || proto == IPPROTO_ICMP ||
	    proto == IPPROTO_ICMPV6)
		assert_int_equal(sum(ip + header, length, start), 0xffff);
}
