/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names and fixed addresses that Calico's users and their scripts expect.
 */
#ifndef MARGAY_CNI_NAMES_H
#define MARGAY_CNI_NAMES_H

#include <net/if.h>

#include "abi/addr.h"

#define CNI_HOST_PREFIX "cali"
#define CNI_HOST_PREFIX_MAX 8 /* with so many letters 7 digits are left: one of 268 million */
#define CNI_HOST_PREFIX_FILE "interface-prefix"
#define CNI_GATEWAY4 "169.254.1.1"
#define CNI_ASIDE_PREFIX "cali-" /* of an interface that waits for its deletion */
#define CNI_HOST_MAC "ee:ee:ee:ee:ee:ee"
#define MAC_TEXT_MAX 18

/* What the agent wrote into STATE_DIR/interface-prefix (interfacePrefix), "cali" without it. */
void host_prefix(const char *state_dir, char ret_prefix[CNI_HOST_PREFIX_MAX + 1]);

/*
 * Host side of a pod's veth pair: the prefix ("cali") and the first 11 hexadecimal digits, fewer
 * where the prefix leaves no room, of the SHA-1 of "namespace.pod" for eth0, of
 * "namespace.pod/ifname" for every other interface, so that two networks of one pod get two names
 * (a slash is in no name, so no other pod's).
 */
void host_ifname(const char *prefix, const char *pod_namespace, const char *pod, const char *ifname,
		 char ret_name[IFNAMSIZ]);
/* What the pair of that host's interface is called once it is nobody's, and its other end. */
void aside_ifnames(const char *host_ifname, char ret_host[IFNAMSIZ], char ret_peer[IFNAMSIZ]);

/* The gateway that a pod sees: CNI_GATEWAY4, or the link-local address (modified EUI-64,
 * RFC 4291 appendix A) of the host side's MAC. */
union mg_addr gateway4(void);
union mg_addr gateway6(const __u8 host_mac[6]);

/* "aa:bb:cc:dd:ee:ff" of a single station; -EINVAL: not one, a group address, or zero. */
int mac_parse(const char *text, __u8 ret_mac[6]);
const char *mac_format(const __u8 mac[6], char text[MAC_TEXT_MAX]); /* returns text */

#endif
