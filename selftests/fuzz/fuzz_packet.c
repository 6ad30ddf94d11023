/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as a frame, through the programs' own parser (bpf/lib/parse.h compiled natively). The
 * first byte chooses a device without Ethernet header. The frame lies at the end of its memory,
 * so that a read behind it is seen; what is accepted has offsets that make sense.
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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct packet pkt;
	uint8_t *memory, *frame;
	size_t skew;
	int r;

	if (size < 2 || size > 2048)
		return 0;
	memset(&pkt, 0xa5, sizeof(pkt)); /* what an earlier packet left */
	pkt.flags = data[0] & 1 ? PKT_NO_L2 : 0;
	data++;
	size--;
	pkt.length = (__u32)size;
	skew = pkt.flags & PKT_NO_L2 ? 0 : 2; /* NET_IP_ALIGN: network headers are aligned */
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
