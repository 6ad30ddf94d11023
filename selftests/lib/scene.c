/* SPDX-License-Identifier: Apache-2.0 */
#include "selftests/lib/scene.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <limits.h>
#include <linux/pkt_cls.h>
#include <netinet/in.h>
#include <string.h>

#include "base/inet.h"
#include "selftests/lib/sandbox.h"

#define ACT_UNSPEC (-1)
#define UPLINK_PORT 4789

static const char *const places[PLACES][2] = {
	[POD_A] = { "10.65.0.1", "fd00:65::1" },
	[POD_B] = { "10.65.0.2", "fd00:65::2" },
	[POD_QUEUE] = { "10.65.0.3", "fd00:65::3" },
	[POD_LATE] = { "10.65.0.4", "fd00:65::4" },
	[POD_FAR] = { "10.65.0.65", "fd00:65::1:1" },
	[POOL_LOST] = { "10.65.0.60", "fd00:65::3c" },
	[POOL_FAR] = { "10.65.0.100", "fd00:65::1:64" },
	[POOL_NONE] = { "10.65.200.1", "fd00:65::ffff:1" },
	[NODE_OWN] = { "192.168.7.1", "fd00:7::1" },
	[NODE_FAR] = { "192.168.7.2", "fd00:7::2" },
	[WORLD] = { "203.0.113.9", "2001:db8::9" },
	[GATEWAY] = { "169.254.1.1", "fe80::ecee:eeff:feee:eeee" },
	[LINK_A] = { "169.254.7.7", "fe80::ff:fe00:1" },
	[GROUP] = { "224.0.0.251", "ff02::fb" },
	[NOBODY] = { "0.0.0.0", "::" },
};

const unsigned char host_mac[6] = { 0xee, 0xee, 0xee, 0xee, 0xee, 0xee };

const char *place_text(enum place place, int family)
{
	return places[place][family == 6];
}

union mg_addr place_addr(enum place place, int family)
{
	return fixture_addr(place_text(place, family));
}

void pod_mac(__u16 slot, unsigned char *ret_mac)
{
	const unsigned char mac[6] = {
		2, 0, 0, 0, (unsigned char)(slot >> 8), (unsigned char)slot
	};

	memcpy(ret_mac, mac, sizeof(mac));
}

static void both(const struct fixture *fx, enum place place, struct mg_ident ident)
{
	fixture_ident(fx, place_text(place, 4), ident);
	fixture_ident(fx, place_text(place, 6), ident);
}

static void nets(const struct fixture *fx)
{
	struct mg_ident pool = { .identity = MG_IDENT_UNKNOWN4,
				 .flags = MG_ADDR_POOL | MG_ADDR_ANY_POOL };
	struct mg_ident own = { .identity = MG_IDENT_UNKNOWN4,
				.node = 1,
				.flags = pool.flags | MG_ADDR_BLOCK | MG_ADDR_LOCAL };
	struct mg_ident far = { .identity = MG_IDENT_UNKNOWN4,
				.node = 2,
				.flags = pool.flags | MG_ADDR_BLOCK };

	fixture_net(fx, "10.65.0.0/16", pool);
	fixture_net(fx, "10.65.0.0/26", own);
	fixture_net(fx, "10.65.0.64/26", far);
	pool.identity = own.identity = far.identity = MG_IDENT_UNKNOWN6;
	fixture_net(fx, "fd00:65::/64", pool);
	fixture_net(fx, "fd00:65::/122", own);
	fixture_net(fx, "fd00:65::1:0/122", far);
	fixture_net(fx, "fd00:65::1:40/122", far);
}

static void local(struct fixture *fx)
{
	fx->local.ip4 = place_addr(NODE_OWN, 4);
	fx->local.ip6 = place_addr(NODE_OWN, 6);
	fx->local.vxlan_port = htons(UPLINK_PORT);
	fx->local.flags = 0;
	fx->local.flows_new_until = 0;
	fixture_local(fx);
}

static void pods(const struct fixture *fx)
{
	static const struct {
		enum place place;
		__u16 slot, identity;
		__u32 flags;
	} cast[] = {
		{ POD_A, SLOT_A, IDENT_A, MG_EP_READY },
		{ POD_B, SLOT_B, IDENT_B, MG_EP_READY },
		{ POD_QUEUE, SLOT_QUEUE, IDENT_B, MG_EP_READY | MG_EP_NO_PEER },
		{ POD_LATE, SLOT_LATE, IDENT_B, 0 },
	};

	for (size_t i = 0; i < sizeof(cast) / sizeof(cast[0]); i++) {
		fixture_pod(fx, cast[i].slot, place_text(cast[i].place, 4),
			    place_text(cast[i].place, 6), cast[i].identity);
		fixture_ep_flags(fx, cast[i].slot, cast[i].flags);
	}
}

static void cast(struct fixture *fx)
{
	local(fx);
	pods(fx);
	both(fx, POD_FAR,
	     (struct mg_ident){ .identity = IDENT_FAR,
				.node = 2,
				.flags = MG_ADDR_POD | MG_ADDR_POOL | MG_ADDR_ANY_POOL });
	both(fx, NODE_OWN, (struct mg_ident){ .node = 1, .flags = MG_ADDR_HOST | MG_ADDR_LOCAL });
	both(fx, NODE_FAR, (struct mg_ident){ .node = 2, .flags = MG_ADDR_HOST });
}

void scene_open(struct fixture *fx, const struct mg_config *config, __u32 flows)
{
	fixture_open(fx, config, flows);
	nets(fx);
	cast(fx);
}

void scene_again(struct fixture *fx)
{
	fixture_forget(fx);
	cast(fx);
	fixture_commit(fx, (struct mg_commit){ .column = 0, .fallback = 0 });
}

struct fixture node;

int scene_setup_with(const struct mg_config *config, __u32 flows)
{
	char root[PATH_MAX];

	if (sandbox_enter(root))
		return -1;
	scene_open(&node, config, flows);
	return 0;
}

int scene_setup(void **state)
{
	(void)state;
	return scene_setup_with(NULL, 0);
}

int scene_teardown(void **state)
{
	(void)state;
	fixture_close(&node);
	return 0;
}

struct wire_spec scene_packet(enum place src, enum place dst, int family)
{
	struct wire_spec spec = { .src = place_addr(src, family), .dst = place_addr(dst, family) };

	pod_mac(SLOT_A, spec.from);
	memcpy(spec.to, host_mac, sizeof(spec.to));
	return spec;
}

struct wire_spec scene_answer(const struct wire_spec *spec)
{
	struct wire_spec back = *spec;

	back.src = spec->dst;
	back.dst = spec->src;
	back.sport = spec->dport;
	back.dport = spec->sport;
	if (spec->tcp_flags == WIRE_SYN)
		back.tcp_flags = WIRE_SYN | WIRE_ACK;
	if (spec->icmp_type == 8)
		back.icmp_type = 0;
	else if (spec->icmp_type == 128)
		back.icmp_type = 129;
	return back;
}

void scene_run(struct fixture *fx, enum mg_hook hook, __u16 slot, const struct wire_spec *spec,
	       struct fixture_out *out)
{
	struct fixture_run run = { .hook = hook, .ifindex = MG_IFINDEX_BASE + slot };
	struct wire wire;

	wire_make(&wire, spec);
	run.in = &wire;
	fixture_run(fx, &run, out);
}

static const char *const fates[] = { "?",	 "to peer",	     "to device",
				     "to stack", "to stack at once", "to sender",
				     "dropped",	 "swallowed" };

static enum fate fate_of(const struct fixture_out *out)
{
	const struct mg_step *door = fixture_step(out, MG_STEP_DELIVER);

	if (out->code == TC_ACT_SHOT)
		return out->drops ? DROPPED : SWALLOWED;
	if (out->code == ACT_UNSPEC)
		return TO_STACK;
	if (out->code == TC_ACT_OK)
		return TO_STACK_OK;
	if (out->code != TC_ACT_REDIRECT)
		return 0;
	if (!door)
		return TO_SENDER;
	return door->c == 1 ? TO_PEER : TO_DEVICE;
}

static void expect(const struct fixture *fx, const struct fixture_out *out, const char *what,
		   enum fate fate, enum mg_reason reason)
{
	bool marked = out->mark & fx->config.mark;

	if (fate_of(out) != fate || out->reason != reason || out->drops > 1)
		fail_msg("%s: %s (%s, code %d, %u counted), not %s (%s)", what, fates[fate_of(out)],
			 fixture_reason_name(out->reason), out->code, out->drops, fates[fate],
			 fixture_reason_name(reason));
	if (fate <= TO_SENDER && marked != (fate == TO_DEVICE || fate == TO_SENDER))
		fail_msg("%s: mark %x", what, out->mark);
}

void scene_expect(struct fixture *fx, enum mg_hook hook, __u16 slot, const struct wire_spec *spec,
		  enum fate fate, enum mg_reason reason)
{
	struct fixture_out out;

	scene_run(fx, hook, slot, spec, &out);
	expect(fx, &out, "packet", fate, reason);
}

void wire_expect(const struct wire *got, const struct wire *want, const char *what)
{
	if (got->length != want->length)
		fail_msg("%s: %zu bytes, not %zu", what, got->length, want->length);
	for (size_t i = 0; i < want->length; i++)
		if (got->data[i] != want->data[i])
			fail_msg("%s: byte %zu is %02x, not %02x", what, i, got->data[i],
				 want->data[i]);
}

/* What must come out: the same packet, with what a router changes. */
static void expect_wire(const struct row *row, const struct wire_spec *spec, int family,
			const struct fixture_out *out)
{
	struct wire_spec after = *spec;
	struct wire want;

	if (row->fate == TO_PEER || row->fate == TO_DEVICE) {
		after.ttl = (after.ttl ? after.ttl : 64) - 1;
		memcpy(after.from, host_mac, sizeof(after.from));
		pod_mac(row->out_slot, after.to);
	} else if (row->fate != TO_STACK && row->fate != TO_STACK_OK) {
		return;
	}
	wire_make(&want, &after);
	if (row->bend)
		row->bend(&want, family);
	wire_expect(&out->wire, &want, row->what);
}

static void expect_way(const struct row *row, const struct fixture_out *out)
{
	const struct mg_step *door = fixture_step(out, MG_STEP_DELIVER);

	if ((row->fate == TO_PEER || row->fate == TO_DEVICE) &&
	    (door->a != row->out_slot || door->b != (__u32)MG_IFINDEX_BASE + row->out_slot))
		fail_msg("%s: to slot %u, device %u", row->what, door->a, door->b);
}

void row_run(struct fixture *fx, enum mg_hook hook, const struct row *row, int family)
{
	__u16 slot = row->in_slot ? row->in_slot : SLOT_A;
	struct fixture_run run = { .hook = hook,
				   .ifindex = MG_IFINDEX_BASE + slot,
				   .ingress_ifindex = row->ingress_ifindex,
				   .mark = row->mark };
	struct wire_spec spec = row->packet, ends = scene_packet(row->src, row->dst, family);
	struct fixture_out out;
	struct wire wire;

	if (row->family && row->family != family)
		return;
	spec.src = ends.src;
	spec.dst = ends.dst;
	memcpy(spec.to, ends.to, sizeof(spec.to));
	memcpy(spec.from, ends.from, sizeof(spec.from));
	scene_again(fx);
	if (row->prepare)
		row->prepare(fx, family);
	wire_make(&wire, &spec);
	if (row->bend)
		row->bend(&wire, family);
	run.in = &wire;
	fixture_run(fx, &run, &out);
	expect(fx, &out, row->what, row->fate, row->reason);
	expect_way(row, &out);
	expect_wire(row, &spec, family, &out);
}

void rows_run(struct fixture *fx, enum mg_hook hook, const struct row *rows, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		row_run(fx, hook, &rows[i], 4);
		row_run(fx, hook, &rows[i], 6);
	}
}
