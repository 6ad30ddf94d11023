/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Host endpoints in the scene (uplink.h): one at the uplink, one for all interfaces, and packets
 * of connections that meet them.
 */
#ifndef MARGAY_SELFTESTS_LIB_HOST_H
#define MARGAY_SELFTESTS_LIB_HOST_H

#include "abi/failsafe.h"
#include "selftests/lib/uplink.h"

#define SLOT_ETH 100 /* the endpoint of the uplink */
#define SLOT_ANY 101 /* for all interfaces */
#define RULE 40

#define EACH_FAMILY(family) for (int family = 4; family <= 6; family += 2)

/* uplink_again(); the uplink has its endpoint, which judges nothing yet, and neither does the one
 * for all interfaces, which is not in force. */
void host_again(void);
void host_any_judges(void); /* from now on */
void host_judge(__u16 slot, enum mg_stage stage, __u32 set);
/* The node's own traffic at the uplink is denied both ways. */
void host_close_all(void);
/* Sets changed: what is open is looked at again. */
void host_changed(void);
/* TCP; addr and bits as in an mg_prefix. */
void host_failsafe(__u8 direction, unsigned short port, const char *addr, __u32 bits);

/* A set that lets TCP to port 80 through by RULE; what else comes gets other (MG_VERDICT_*). */
__u32 host_port_80(__u32 other);
/* One that denies by RULE + 1: not by the end of a tier. */
__u32 host_deny_by_rule(void);

struct wire_spec host_tcp(enum place src, enum place dst, int family, unsigned short dport);

/* A packet at a hook; ingress_ifindex: where it came to the stack, 0: a socket's. */
void host_meet(enum mg_hook hook, __u32 ifindex, __u32 ingress_ifindex,
	       const struct wire_spec *spec, struct fixture_out *out);
/* At the uplink, of a socket; what becomes of it is asserted. */
void host_passes(enum mg_hook hook, const struct wire_spec *spec);
void host_drops(enum mg_hook hook, const struct wire_spec *spec, enum mg_reason reason);

#endif
