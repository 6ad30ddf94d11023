/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A service in the scene (scene.h): two virtual addresses, one set of backends, pod A as client.
 */
#ifndef MARGAY_SELFTESTS_LIB_SERVICE_H
#define MARGAY_SELFTESTS_LIB_SERVICE_H

#include <netinet/in.h>

#include "selftests/lib/uplink.h"

#define SET 7
#define SPORT 4000
#define VPORT 80
#define BPORT 8080

#define EACH_PROTOCOL(proto, family)                                                               \
	for (size_t each_ = 0; each_ < 3; each_++)                                                 \
		for (int family = 4; family <= 6; family += 2)                                     \
			for (unsigned char proto = service_protocols[each_], once_ = 1; once_;     \
			     once_ = 0)

extern const unsigned char service_protocols[3]; /* TCP, UDP, SCTP */

/* The services' addresses, number 0 and 1. */
union mg_addr vip(int number, int family);
/* The first packet from pod A to service 0. */
struct wire_spec asks(unsigned char proto, int family);
/* Service 0 has one backend. */
void serve(unsigned char proto, int family, enum place place);
/* spec as a backend gets it. */
struct wire_spec translated(const struct wire_spec *spec, union mg_addr backend);
/* From slot's pod: asserts that the receiver at out_slot gets `want`, with right checksums. */
void delivers(__u16 slot, const struct wire_spec *spec, const struct wire_spec *want,
	      __u16 out_slot);

#endif
