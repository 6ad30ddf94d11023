/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as a frame, through the programs' own parser (bpf/lib/parse.h compiled natively). The
 * first byte chooses a device without Ethernet header, and a packet that decap.h has found in a
 * tunnel, with its family and where it begins. The frame lies at the end of its memory, so that a
 * read behind it is seen; what is accepted has offsets that make sense.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/parse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct packet *pkt, size_t size)
{
	if (pkt->family != 4 && pkt->family != 6)
		abort();
	if (pkt->l3_offset + (pkt->family == 4 ? 20U : 40U) > size)
		abort();
	if (pkt->l3_length > size - pkt->l3_offset)
		abort();
	if (pkt->flags & PKT_LATER_FRAGMENT ? pkt->l4_offset || !(pkt->flags & PKT_FRAGMENT)
					    : pkt->l4_offset < pkt->l3_offset + 20U)
		abort();
	if (pkt->l4_offset > size)
		abort();
	if ((pkt->flags & PKT_ICMP_QUERY) && pkt->sport != pkt->dport)
		abort();
	if ((pkt->flags & PKT_ICMP_QUERY) && (pkt->flags & PKT_ICMP_ERROR))
		abort();
	if (pkt->family == 4 && (pkt->src.d[0] || pkt->dst.d[0]))
		abort();
}

#define NO_LINK 1
#define IN_TUNNEL 2
#define IN_TUNNEL6 4
#define INNER_WORDS 3 /* how many words the inner packet lies behind, from this bit on */

/* As packet_start() and, of a packet in a tunnel, decap.h leave it. */
static void start(struct packet *pkt, uint8_t choice, size_t skew)
{
	memset(pkt, 0xa5, sizeof(*pkt)); /* what an earlier packet left */
	pkt->flags = choice & NO_LINK ? PKT_NO_L2 : 0;
	pkt->outer_length = 0;
	if (!(choice & IN_TUNNEL))
		return;
	pkt->outer_length = 20;
	pkt->family = choice & IN_TUNNEL6 ? 6 : 4;
	pkt->l3_offset = (__u16)(20 + 4 * (choice >> INNER_WORDS) + skew);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct packet pkt;
	uint8_t *memory, *frame;
	size_t skew;
	int r;

	if (size < 2 || size > 2048)
		return 0;
	skew = data[0] & NO_LINK ? 0 : 2; /* NET_IP_ALIGN: network headers are aligned */
	start(&pkt, data[0], skew);
	data++;
	size--;
	pkt.length = (__u32)size;
	memory = malloc(skew + size);
	if (!memory)
		return 0;
	frame = memory + skew;
	memcpy(frame, data, size);
	r = parse_frame(&pkt, frame, frame + size);
	if (!r)
		check(&pkt, size);
	else if (r >= 0 || -r >= MG_DROP_MAX)
		abort();
	free(memory);
	return 0;
}
