/* SPDX-License-Identifier: Apache-2.0 */
#include "selftests/lib/hostile.h"

#include <netinet/in.h>
#include <string.h>

#define VXLAN_PORT 4789
#define VXLAN_BYTES 8
#define LENGTH_MAX 3000 /* a test run takes less than a page */

uint64_t chance_next(struct chance *chance)
{
	chance->state ^= chance->state >> 12;
	chance->state ^= chance->state << 25;
	chance->state ^= chance->state >> 27;
	return chance->state * 0x2545f4914f6cdd1dULL;
}

unsigned int chance_below(struct chance *chance, unsigned int limit)
{
	return (unsigned int)((chance_next(chance) >> 32) % limit);
}

bool chance_one_in(struct chance *chance, unsigned int n)
{
	return !chance_below(chance, n);
}

#define PICK(chance, list) ((list)[chance_below(chance, sizeof(list) / sizeof((list)[0]))])

/* --- making -------------------------------------------------------------------------------- */
static const unsigned char protos[] = { IPPROTO_TCP,
					IPPROTO_TCP,
					IPPROTO_UDP,
					IPPROTO_UDP,
					IPPROTO_ICMP,
					IPPROTO_ICMPV6,
					IPPROTO_SCTP,
					IPPROTO_IPIP,
					IPPROTO_IPV6,
					IPPROTO_FRAGMENT,
					IPPROTO_ROUTING,
					2,
					47,
					50,
					0,
					60,
					255 };
static const unsigned short ports[] = {
	53, 80, 67, 68, 546, 547, 4789, 443, 10240, 29999, 1024, 0
};
static const unsigned char icmp_types[] = { 0, 3,   4,	 5,   8,   9,	10,  11,  12,  1,
					    2, 128, 129, 130, 133, 134, 135, 136, 137, 143 };

static struct wire_spec any_spec(struct chance *chance, enum place src, enum place dst, int family)
{
	struct wire_spec spec = scene_packet(src, dst, family);

	spec.proto = PICK(chance, protos);
	spec.sport = PICK(chance, ports);
	spec.dport = PICK(chance, ports);
	spec.tcp_flags =
		chance_one_in(chance, 3) ? (unsigned char)chance_below(chance, 256) : WIRE_SYN;
	spec.icmp_type = PICK(chance, icmp_types);
	spec.icmp_code = (unsigned char)chance_below(chance, 5);
	spec.icmp_id = PICK(chance, ports);
	spec.ttl = (unsigned char)(chance_one_in(chance, 8) ? chance_below(chance, 3) : 64);
	if (spec.icmp_type >= 130 && chance_one_in(chance, 2))
		spec.ttl = 255;
	spec.payload = (unsigned short)chance_below(chance, chance_one_in(chance, 20) ? 1400 : 80);
	if (chance_one_in(chance, 10)) {
		spec.fragment = (unsigned short)chance_below(chance, 4);
		spec.more_fragments = chance_one_in(chance, 2);
		spec.fragment_id = chance_below(chance, 4);
	}
	return spec;
}

/* From a pod mostly pod A's own packets: what is spoofed falls at the first test. */
static void make_inner(struct chance *chance, bool uplink, struct wire *wire)
{
	int family = chance_one_in(chance, 2) ? 4 : 6;
	enum place src = chance_below(chance, PLACES), dst = chance_below(chance, PLACES);
	struct wire_spec spec, quoted;
	struct wire quote;

	if (!chance_one_in(chance, 4))
		src = uplink ? (chance_one_in(chance, 2) ? POD_FAR : WORLD) : POD_A;
	spec = any_spec(chance, src, dst, family);
	if (chance_one_in(chance, 6)) {
		quoted = any_spec(chance, dst, src, family);
		wire_make(&quote, &quoted);
		spec.proto = IPPROTO_ICMP;
		spec.quote = &quote;
	}
	wire_make(wire, &spec);
}

static void put16(unsigned char *at, size_t value)
{
	at[0] = (unsigned char)(value >> 8);
	at[1] = (unsigned char)value;
}

/* The frame becomes the payload of IP-in-IP or VXLAN from some place to this node. */
static void wrap(struct chance *chance, struct wire *wire)
{
	static const enum place senders[] = {
		NODE_FAR, NODE_FAR, NODE_FAR, WORLD, POD_FAR, NODE_OWN
	};
	bool vxlan = chance_one_in(chance, 2);
	int inner = wire->data[12] == 0x86 ? 6 : 4;
	struct wire_spec spec =
		scene_packet(PICK(chance, senders), NODE_OWN, chance_one_in(chance, 2) ? 4 : 6);
	size_t length = vxlan ? wire->length + VXLAN_BYTES : wire->length - WIRE_ETH;
	struct wire outer;
	unsigned char *at;

	spec.proto = vxlan ? IPPROTO_UDP : inner == 4 ? IPPROTO_IPIP : IPPROTO_IPV6;
	spec.dport = VXLAN_PORT;
	spec.sport = 50000;
	spec.payload = (unsigned short)length;
	wire_make(&outer, &spec);
	at = outer.data + outer.length - length;
	if (vxlan) {
		memset(at, 0, VXLAN_BYTES);
		at[0] = chance_one_in(chance, 10) ? 0 : 8;
		put16(at + 5, chance_one_in(chance, 10) ? 7 : 4096);
		put16(at + 4, 4096 >> 8); /* the number is 24 bits wide */
		at[6] = 0;
		memcpy(at + VXLAN_BYTES, wire->data, wire->length);
	} else {
		memcpy(at, wire->data + WIRE_ETH, length);
	}
	*wire = outer;
}

/* --- bending ------------------------------------------------------------------------------- */
static size_t header_end(const struct wire *wire)
{
	return wire->length < 100 ? wire->length : 100;
}

static void flip(struct chance *chance, struct wire *wire)
{
	size_t at = 12 + chance_below(chance, (unsigned int)header_end(wire) - 12);

	if (chance_one_in(chance, 2))
		wire->data[at] ^= (unsigned char)(1U << chance_below(chance, 8));
	else
		wire->data[at] = (unsigned char)chance_next(chance);
}

static void resize(struct chance *chance, struct wire *wire)
{
	size_t length = 15 + chance_below(chance, 200);

	if (length > wire->length)
		memset(wire->data + wire->length, 0, length - wire->length);
	wire->length = length;
}

static void set_length(struct chance *chance, struct wire *wire)
{
	put16(wire->data + WIRE_ETH + (wire->data[12] == 0x86 ? 4 : 2), chance_below(chance, 120));
}

static void options(struct chance *chance, struct wire *wire)
{
	unsigned char bytes[40];
	size_t length = 4 + 4 * chance_below(chance, 10);

	if (wire->length < WIRE_ETH + 60)
		return;
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (unsigned char)(chance_one_in(chance, 3) ? chance_next(chance) : 1);
	if (wire->data[12] == 0x86)
		wire_extension(wire, PICK(chance, ((unsigned char[]){ 0, 43, 44, 60 })), bytes, 8);
	else if (wire->data[WIRE_ETH] == 0x45)
		wire_options(wire, bytes, length);
}

static void noise(struct chance *chance, struct wire *wire)
{
	static const unsigned short types[] = { 0x0800, 0x86dd, 0x0806, 0x8100, 0x88cc };

	for (size_t i = 12; i < wire->length && i < 256; i++)
		wire->data[i] = (unsigned char)chance_next(chance);
	put16(wire->data + 12, PICK(chance, types));
	if (wire->length > WIRE_ETH && chance_one_in(chance, 2))
		wire->data[WIRE_ETH] = wire->data[12] == 0x86 ? 0x60 : 0x45;
}

static void bend(struct chance *chance, struct wire *wire)
{
	switch (chance_below(chance, 8)) {
	case 0:
		resize(chance, wire);
		break;
	case 1:
		set_length(chance, wire);
		break;
	case 2:
		options(chance, wire);
		break;
	case 3:
		if (chance_one_in(chance, 4))
			noise(chance, wire);
		break;
	default:
		flip(chance, wire);
	}
}

/* A test run takes no IP packet shorter than its fixed header (kernel 6.18). */
static size_t shortest(const struct wire *wire)
{
	if (wire->data[12] == 0x08 && wire->data[13] == 0)
		return WIRE_ETH + 20;
	return wire->data[12] == 0x86 && wire->data[13] == 0xdd ? WIRE_ETH + 40 : WIRE_ETH + 1;
}

void hostile_make(struct chance *chance, bool uplink, struct wire *wire)
{
	make_inner(chance, uplink, wire);
	if (uplink && chance_one_in(chance, 2)) {
		while (chance_one_in(chance, 3))
			bend(chance, wire);
		wrap(chance, wire);
	}
	while (chance_one_in(chance, 2))
		bend(chance, wire);
	if (wire->length < shortest(wire))
		wire->length = shortest(wire);
	if (wire->length > LENGTH_MAX)
		wire->length = LENGTH_MAX;
	if (wire->data[12] == 0x08 && wire->data[13] == 0 && chance_one_in(chance, 2))
		wire_sum4(wire);
}

/* --- reading ------------------------------------------------------------------------------- */
static size_t get16(const unsigned char *at)
{
	return (size_t)(at[0] << 8 | at[1]);
}

static void address4(union mg_addr *addr, const unsigned char *at)
{
	memset(addr, 0, sizeof(*addr));
	addr->b[10] = addr->b[11] = 0xff;
	memcpy(addr->b + 12, at, 4);
}

/* Options are a list of whole ones, as far as an end. */
static bool options_sound(const unsigned char *at, const unsigned char *end, bool *ret_routed)
{
	while (at < end && *at != 0) {
		if (*at == 1) {
			at++;
			continue;
		}
		*ret_routed |= *at == 131 || *at == 137;
		if (end - at < 2 || at[1] < 2 || at[1] > end - at)
			return false;
		at += at[1];
	}
	return true;
}

/* Behind the network headers; left: bytes that belong to the packet. */
static bool transport_sound(struct reading *reading, const unsigned char *at, size_t left)
{
	if (reading->later)
		return true;
	switch (reading->proto) {
	case IPPROTO_TCP:
		if (left < 20)
			return false;
		reading->sport = (unsigned short)get16(at);
		reading->dport = (unsigned short)get16(at + 2);
		return at[12] >> 4 >= 5 &&
		       !((at[13] & WIRE_SYN) && (at[13] & (WIRE_FIN | WIRE_RST)));
	case IPPROTO_UDP:
		if (left < 8)
			return false;
		reading->sport = (unsigned short)get16(at);
		reading->dport = (unsigned short)get16(at + 2);
		return !get16(at + 4) || get16(at + 4) >= 8;
	case IPPROTO_SCTP:
		return left >= 12;
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		if ((reading->proto == IPPROTO_ICMP) != (reading->family == 4))
			return true;
		if (left < 8)
			return false;
		reading->icmp_type = at[0];
		return true;
	}
	return true;
}

static void read4(const unsigned char *ip, size_t there, struct reading *reading)
{
	size_t header = (ip[0] & 15U) * 4, total = get16(ip + 2), offset = get16(ip + 6);

	reading->family = 4;
	reading->proto = ip[9];
	address4(&reading->src, ip + 12);
	address4(&reading->dst, ip + 16);
	reading->multicast = (ip[16] & 0xf0) == 0xe0 || !memcmp(ip + 16, "\xff\xff\xff\xff", 4);
	if (ip[0] >> 4 != 4 || header < 20 || total < header || total > there)
		return;
	if (!options_sound(ip + 20, ip + header, &reading->routed))
		return;
	reading->fragment = offset & 0x3fff;
	reading->later = offset & 0x1fff;
	if ((offset & 0x1fff) == 1 && reading->proto == IPPROTO_TCP)
		return;
	reading->sound = transport_sound(reading, ip + header, total - header);
}

static bool is_extension(unsigned char proto)
{
	return proto == 0 || proto == 43 || proto == 44 || proto == 60;
}

/* One header further; false where it is cut off. */
static bool step6(struct reading *reading, const unsigned char **at, size_t *left)
{
	const unsigned char *ext = *at;
	size_t size;

	if (*left < 8)
		return false;
	size = reading->proto == 44 ? 8 : 8 + ext[1] * 8U;
	if (size > *left)
		return false;
	if (reading->proto == 43 && ext[3])
		reading->routed = true;
	if (reading->proto == 44 && get16(ext + 2) & ~6U) {
		reading->fragment = true;
		reading->later = get16(ext + 2) & ~7U;
	}
	reading->proto = ext[0];
	*at += size;
	*left -= size;
	return true;
}

static void read6(const unsigned char *ip, size_t there, struct reading *reading)
{
	size_t left = get16(ip + 4);
	const unsigned char *at = ip + 40;

	reading->family = 6;
	reading->proto = ip[6];
	memcpy(&reading->src, ip + 8, 16);
	memcpy(&reading->dst, ip + 24, 16);
	reading->multicast = ip[24] == 0xff;
	if (ip[0] >> 4 != 6 || left + 40 > there)
		return;
	while (is_extension(reading->proto) && !reading->later)
		if (!step6(reading, &at, &left))
			return;
	reading->sound = transport_sound(reading, at, left);
}

void hostile_read(const struct wire *wire, struct reading *ret_reading)
{
	size_t there = wire->length - WIRE_ETH;

	memset(ret_reading, 0, sizeof(*ret_reading));
	if (wire->length < WIRE_ETH)
		return;
	ret_reading->type = (unsigned short)get16(wire->data + 12);
	if (ret_reading->type == 0x0800 && there >= 20) {
		ret_reading->ip = true;
		read4(wire->data + WIRE_ETH, there, ret_reading);
	} else if (ret_reading->type == 0x86dd && there >= 40) {
		ret_reading->ip = true;
		read6(wire->data + WIRE_ETH, there, ret_reading);
	}
}
