/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Node, in both forms: Kubernetes' (v1, with Calico's annotations projectcalico.org/...) and
 * Calico's (projectcalico.org/v3, spec.bgp and friends). Both decode into this struct, so who
 * reads it does not care how it is stored.
 *
 * An address that is not given is all zero (addr_is_zero), a prefix has len 0.
 */
#ifndef MARGAY_MODEL_NODE_H
#define MARGAY_MODEL_NODE_H

#include <stdint.h>

#include "abi/addr.h"
#include "model/object.h"

#define LABEL_ZONE "topology.kubernetes.io/zone"

struct node {
	struct object base;
	/* The node's own address with its subnet's length, host bits kept; without a length in
	 * the source it is a host prefix. v4: spec.bgp.ipv4Address, annotation
	 * projectcalico.org/IPv4Address, else the first InternalIP of that family. */
	struct mg_prefix v4;
	struct mg_prefix v6;
	size_t addr_count;
	union mg_addr *addrs; /* every address the node has listed, v4 and v6 among them */
	size_t cidr_count;
	struct mg_prefix *pod_cidrs; /* spec.podCIDRs, spec.podCIDR, Calico: status.podCIDRs */
	union mg_addr ipip4;	     /* tunnel addresses, from IPAM */
	union mg_addr ipip6;	     /* Margay's: annotation projectcalico.org/IPv6IPIPTunnelAddr */
	union mg_addr vxlan4;
	union mg_addr vxlan6;
	uint8_t vxlan_mac4[6]; /* VTEP's Ethernet address; all zero: not given */
	uint8_t vxlan_mac6[6];
	uint32_t as_number;		/* 0: not given */
	const char *route_reflector_id; /* "" : not one */
};

static inline const struct node *node_of(const struct object *object)
{
	return object && object->kind == KIND_NODE ? (const struct node *)object : NULL;
}

#endif
