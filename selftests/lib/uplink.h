/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The scene (scene.h) with an uplink: device UPLINK with routes and neighbours, node 2 behind it,
 * pools with a mode, source translation. And outer headers, byte by byte, as the RFCs draw them.
 */
#ifndef MARGAY_SELFTESTS_LIB_UPLINK_H
#define MARGAY_SELFTESTS_LIB_UPLINK_H

#include "selftests/lib/scene.h"

#define UPLINK 77
#define UPLINK_MTU 1500
#define NODE_2 2
#define SPORT_FIRST 50000
#define SPORT_COUNT 1000
#define VXLAN_PORT 4789
#define VNI 4096
#define NAT_FIRST 20000
#define NAT_LAST 20999

enum tunnel { IPIP, VXLAN };

extern const unsigned char vtep_own[6];
extern const unsigned char vtep_far[6];

/* The device with addresses and default routes, which bpf_fib_lookup() asks; pods' devices up. */
void uplink_build(void);
/* Group set-up of the one node (scene.h): scene_setup() and uplink_build(). */
int uplink_setup(void **state);
/* scene_again(), and: both tunnels in use, the pods' pool of this mode (MG_ADDR_IPIP, _VXLAN,
 * _CROSS, or 0) with natOutgoing, node 2 reached by this outer family (0: both). */
void uplink_again(struct fixture *fx, __u32 mode, int outer);
/* flags beside MG_PEER_KNOWN, and the way's MTU. */
void uplink_peer(const struct fixture *fx, __u32 flags, __u32 mtu, int outer);

struct outer_spec {
	enum tunnel tunnel;
	int family;
	enum place from;
	enum place to;
	unsigned char tos;
	unsigned short sport; /* VXLAN */
	unsigned int vni;
	unsigned char to_mac[6]; /* VXLAN: inner Ethernet header */
	unsigned char from_mac[6];
};

/* What node 1 must put around a packet for node 2. */
struct outer_spec uplink_outer(enum tunnel tunnel, int family, unsigned char tos);
/* Around the network packet of inner; the outer Ethernet addresses are inner's. */
void outer_make(struct wire *wire, const struct outer_spec *spec, const struct wire *inner);

/* A packet through a netdev hook at the uplink. */
void uplink_run(struct fixture *fx, enum mg_hook hook, const struct wire *in, __u32 mark,
		struct fixture_out *out);
void uplink_run_spec(struct fixture *fx, enum mg_hook hook, const struct wire_spec *spec,
		     struct fixture_out *out);

/* Asserts delivery to a pod's slot, and that the bytes are those of spec with one hop less. */
void expect_delivery(const struct fixture_out *out, const struct wire_spec *spec, __u16 slot);
/* Asserts code TC_ACT_SHOT and the reason. */
void expect_drop(const struct fixture_out *out, enum mg_reason reason);
/* Asserts that the packet goes on, with these bytes. */
void expect_passed(const struct fixture_out *out, const struct wire *bytes);
/* Asserts a redirect by neighbour out of UPLINK, with the mark. */
void expect_sent(const struct fixture_out *out);
/* Fails unless every checksum in the packet is right. */
void expect_sums(const struct wire *wire);

#endif
