/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Packets that contradict themselves, are cut off, or are merely unusual, through from_pod.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <netinet/in.h>
#include <string.h>

#include "selftests/lib/scene.h"

#define RUN(rows) ROWS_RUN(&node, MG_HOOK_FROM_POD, rows)

#define UDP_PACKET { .proto = IPPROTO_UDP, .sport = 4000, .dport = 53, .payload = 20 }
#define TCP_SYN_PACKET { .proto = IPPROTO_TCP, .sport = 4000, .dport = 80, .tcp_flags = WIRE_SYN }

static void version5(struct wire *wire, int family)
{
	(void)family;
	wire->data[WIRE_ETH] = (unsigned char)((wire->data[WIRE_ETH] & 15) | 0x50);
}

static void header_too_small(struct wire *wire, int family)
{
	(void)family;
	wire->data[WIRE_ETH] = 0x44;
}

static void length_too_long(struct wire *wire, int family)
{
	wire->data[WIRE_ETH + (family == 4 ? 3 : 5)] += 1;
}

static void length_too_small(struct wire *wire, int family)
{
	(void)family;
	wire->data[WIRE_ETH + 2] = 0;
	wire->data[WIRE_ETH + 3] = 19;
}

static void transport_in_padding(struct wire *wire, int family)
{
	wire->data[WIRE_ETH + (family == 4 ? 2 : 4)] = 0;
	wire->data[WIRE_ETH + (family == 4 ? 3 : 5)] = family == 4 ? 20 : 0;
	if (family == 4)
		wire_sum4(wire);
}

/* The header says more bytes than the packet has, and its successor is one we do not read. */
static void extension_to_nowhere(struct wire *wire, int family)
{
	static const unsigned char bad[8] = { 0, 9, 1, 4, 0, 0, 0, 0 };

	(void)family;
	wire_extension(wire, IPPROTO_DSTOPTS, bad, sizeof(bad));
	wire->data[WIRE_ETH + 40] = 59;
}

static void cut_transport(struct wire *wire, int family)
{
	wire->length = WIRE_ETH + (family == 4 ? 20U : 40U) + 4;
	wire->data[WIRE_ETH + (family == 4 ? 2 : 4)] = 0;
	wire->data[WIRE_ETH + (family == 4 ? 3 : 5)] = family == 4 ? 24 : 4;
}

static void padded(struct wire *wire, int family)
{
	(void)family;
	wire->length += 6;
	memset(wire->data + wire->length - 6, 0, 6);
}

static void tcp_offset4(struct wire *wire, int family)
{
	wire->data[WIRE_ETH + (family == 4 ? 20 : 40) + 12] = 4 << 4;
}

static void udp_length7(struct wire *wire, int family)
{
	unsigned char *udp = wire->data + WIRE_ETH + (family == 4 ? 20 : 40);

	udp[4] = 0;
	udp[5] = 7;
}

static void not_ip(struct wire *wire, int family)
{
	(void)family;
	wire->data[12] = 0x88;
	wire->data[13] = 0xcc; /* LLDP */
}

static void vlan(struct wire *wire, int family)
{
	(void)family;
	wire->data[12] = 0x81;
	wire->data[13] = 0x00;
}

static void source_route(struct wire *wire, int family)
{
	static const unsigned char loose[8] = { 1, 131, 7, 4, 10, 0, 0, 1 };
	static const unsigned char type0[8] = { 0, 0, 0, 1, 0, 0, 0, 0 };

	if (family == 4)
		wire_options(wire, loose, sizeof(loose));
	else
		wire_extension(wire, IPPROTO_ROUTING, type0, sizeof(type0));
}

static void strict_route(struct wire *wire, int family)
{
	static const unsigned char strict[8] = { 137, 7, 4, 10, 0, 0, 1, 0 };

	(void)family;
	wire_options(wire, strict, sizeof(strict));
}

static void record_route(struct wire *wire, int family)
{
	static const unsigned char record[8] = { 7, 7, 4, 0, 0, 0, 0, 0 };
	static const unsigned char options[8] = { 0, 0, 1, 4, 0, 0, 0, 0 }; /* PadN */

	if (family == 4)
		wire_options(wire, record, sizeof(record));
	else
		wire_extension(wire, IPPROTO_DSTOPTS, options, sizeof(options));
}

static void option_overruns(struct wire *wire, int family)
{
	static const unsigned char bad[4] = { 7, 30, 4, 0 };

	(void)family;
	wire_options(wire, bad, sizeof(bad));
}

static void option_length1(struct wire *wire, int family)
{
	static const unsigned char bad[4] = { 7, 1, 0, 0 };

	(void)family;
	wire_options(wire, bad, sizeof(bad));
}

static void seven_extensions(struct wire *wire, int family)
{
	static const unsigned char pad[8] = { 0, 0, 1, 4, 0, 0, 0, 0 };

	(void)family;
	for (int i = 0; i < 7; i++)
		wire_extension(wire, IPPROTO_DSTOPTS, pad, sizeof(pad));
}

static void six_extensions(struct wire *wire, int family)
{
	static const unsigned char pad[8] = { 0, 0, 1, 4, 0, 0, 0, 0 };

	(void)family;
	for (int i = 0; i < 6; i++)
		wire_extension(wire, IPPROTO_DSTOPTS, pad, sizeof(pad));
}

static void extension_overruns(struct wire *wire, int family)
{
	static const unsigned char bad[8] = { 0, 30, 1, 4, 0, 0, 0, 0 };

	(void)family;
	wire_extension(wire, IPPROTO_HOPOPTS, bad, sizeof(bad));
}

static const struct row broken_rows[] = {
	{ "wrong version", POD_A, POD_B, UDP_PACKET, .bend = version5, .fate = DROPPED,
	  .reason = MG_DROP_MALFORMED },
	{ "IPv4 header of 16 bytes", POD_A, POD_B, UDP_PACKET, .bend = header_too_small,
	  .fate = DROPPED, .reason = MG_DROP_MALFORMED, .family = 4 },
	{ "longer than the frame", POD_A, POD_B, UDP_PACKET, .bend = length_too_long,
	  .fate = DROPPED, .reason = MG_DROP_MALFORMED },
	{ "shorter than its header", POD_A, POD_B, UDP_PACKET, .bend = length_too_small,
	  .fate = DROPPED, .reason = MG_DROP_MALFORMED, .family = 4 },
	{ "transport header in the padding", POD_A, POD_B, UDP_PACKET, .bend = transport_in_padding,
	  .fate = DROPPED, .reason = MG_DROP_SHORT },
	{ "extension header to behind the packet", POD_A, POD_B, UDP_PACKET,
	  .bend = extension_to_nowhere, .fate = DROPPED, .reason = MG_DROP_MALFORMED, .family = 6 },
	{ "cut in the transport header", POD_A, POD_B, TCP_SYN_PACKET, .bend = cut_transport,
	  .fate = DROPPED, .reason = MG_DROP_SHORT },
	{ "TCP header of 16 bytes", POD_A, POD_B, TCP_SYN_PACKET, .bend = tcp_offset4,
	  .fate = DROPPED, .reason = MG_DROP_MALFORMED },
	{ "SYN and FIN",
	  POD_A,
	  POD_B,
	  { .proto = IPPROTO_TCP, .tcp_flags = WIRE_SYN | WIRE_FIN },
	  .fate = DROPPED,
	  .reason = MG_DROP_MALFORMED },
	{ "SYN and RST",
	  POD_A,
	  POD_B,
	  { .proto = IPPROTO_TCP, .tcp_flags = WIRE_SYN | WIRE_RST },
	  .fate = DROPPED,
	  .reason = MG_DROP_MALFORMED },
	{ "UDP length below its header", POD_A, POD_B, UDP_PACKET, .bend = udp_length7,
	  .fate = DROPPED, .reason = MG_DROP_MALFORMED },
	{ "neither IP nor ARP", POD_A, POD_B, UDP_PACKET, .bend = not_ip, .fate = DROPPED,
	  .reason = MG_DROP_NOT_IP },
	{ "a VLAN tag", POD_A, POD_B, UDP_PACKET, .bend = vlan, .fate = DROPPED,
	  .reason = MG_DROP_NOT_IP },
	{ "source route", POD_A, POD_B, UDP_PACKET, .bend = source_route, .fate = DROPPED,
	  .reason = MG_DROP_IP_OPTIONS },
	{ "strict source route", POD_A, POD_B, UDP_PACKET, .bend = strict_route, .fate = DROPPED,
	  .reason = MG_DROP_IP_OPTIONS, .family = 4 },
	{ "option longer than the header", POD_A, POD_B, UDP_PACKET, .bend = option_overruns,
	  .fate = DROPPED, .reason = MG_DROP_MALFORMED, .family = 4 },
	{ "option of length 1", POD_A, POD_B, UDP_PACKET, .bend = option_length1, .fate = DROPPED,
	  .reason = MG_DROP_MALFORMED, .family = 4 },
	{ "seven extension headers", POD_A, POD_B, UDP_PACKET, .bend = seven_extensions,
	  .fate = DROPPED, .reason = MG_DROP_IP_OPTIONS, .family = 6 },
	{ "extension longer than the packet", POD_A, POD_B, UDP_PACKET, .bend = extension_overruns,
	  .fate = DROPPED, .reason = MG_DROP_MALFORMED, .family = 6 },
	{ "a second fragment inside the TCP header",
	  POD_A,
	  POD_B,
	  { .proto = IPPROTO_TCP, .fragment = 1, .payload = 32 },
	  .fate = DROPPED,
	  .reason = MG_DROP_MALFORMED,
	  .family = 4 },
	{ "a fragment before its first",
	  POD_A,
	  POD_B,
	  { .proto = IPPROTO_UDP, .fragment = 100, .payload = 32, .fragment_id = 9 },
	  .fate = DROPPED,
	  .reason = MG_DROP_FRAG_ORDER },
};

static void test_broken(void **state)
{
	(void)state;
	RUN(broken_rows);
}

static const struct row unusual_rows[] = {
	{ "padding behind the packet", POD_A, POD_B, TCP_SYN_PACKET, .bend = padded,
	  .fate = TO_PEER, .out_slot = SLOT_B },
	{ "harmless options", POD_A, POD_B, UDP_PACKET, .fate = TO_PEER, .out_slot = SLOT_B,
	  .family = 6, .bend = record_route },
	{ "six extension headers", POD_A, POD_B, UDP_PACKET, .fate = TO_PEER, .out_slot = SLOT_B,
	  .family = 6, .bend = six_extensions },
	{ "harmless options", POD_A, POD_B, UDP_PACKET, .fate = TO_PEER, .out_slot = SLOT_B,
	  .family = 4, .bend = record_route },
	{ "a first fragment",
	  POD_A,
	  POD_B,
	  { .proto = IPPROTO_UDP,
	    .sport = 4000,
	    .dport = 53,
	    .payload = 32,
	    .more_fragments = true,
	    .fragment_id = 5 },
	  .fate = TO_PEER,
	  .out_slot = SLOT_B },
};

static void test_unusual(void **state)
{
	(void)state;
	RUN(unusual_rows);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_broken),
		cmocka_unit_test(test_unusual),
	};

	return cmocka_run_group_tests(tests, scene_setup, scene_teardown);
}
