/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A service for clients from outside (service.h): at a node port and at an external address, asked
 * by the world at the uplink.
 */
#ifndef MARGAY_SELFTESTS_LIB_SERVICE_FAR_H
#define MARGAY_SELFTESTS_LIB_SERVICE_FAR_H

#include "selftests/lib/service.h"

#define NODE_PORT_NUMBER 30080

enum far_address { NODE_PORT, EXTERNAL, FAR_ADDRESSES };

#define EACH_FAR_ADDRESS(address)                                                                  \
	for (enum far_address address = NODE_PORT; address < FAR_ADDRESSES; address++)

/* The first packet from the world, as it comes in by the uplink. */
struct wire_spec comes_for(unsigned char proto, int family, enum far_address address);
/* The frontend that this packet asks; of a node port the one at all nodes' addresses. */
void front_far(const struct wire_spec *spec, struct mg_front front);
/* One backend for clients from outside; for those of the cluster. */
void serve_far(const struct wire_spec *spec, enum place place);
void serve_near(const struct wire_spec *spec, enum place place);
/* A pod's port at this node's addresses, for both. */
void serve_host_port(const struct wire_spec *spec, enum place place);
/* By the uplink: asserts that the pod gets `want`, with right checksums. */
void enters(const struct wire_spec *spec, const struct wire_spec *want, __u16 slot);
/* By the uplink: asserts a drop. */
void expect_in(const struct wire_spec *spec, enum mg_reason reason);
/* From a pod: asserts that `want` leaves by the uplink as it is, with right checksums. */
void leaves(__u16 slot, const struct wire_spec *spec, const struct wire_spec *want);

#endif
