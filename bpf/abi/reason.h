/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Why a packet went no further: one list makes the return code of a step, the
 * index of the drop counters, the field of an event and the text of the tools.
 *
 * X(NAME, "name in tools and metrics", "what it means, in one line")
 * A step returns -MG_DROP_x. New reasons go to the end: numbers are in pinned maps.
 */
#ifndef MARGAY_ABI_REASON_H
#define MARGAY_ABI_REASON_H

#define MG_REASONS(X)                                                                              \
	X(NONE, "none", "not dropped")                                                             \
	X(INTERNAL, "internal", "a row that must exist is missing: a defect of Margay")            \
	X(NOT_READY, "not-ready", "the endpoint has no policy in force yet")                       \
	X(NO_ENDPOINT, "no-endpoint", "the interface belongs to no endpoint")                      \
	X(NOT_IP, "not-ip", "neither IPv4, IPv6, ARP nor neighbour discovery")                     \
	X(SHORT, "short-packet", "a header is cut off")                                            \
	X(MALFORMED, "malformed", "a header contradicts itself")                                   \
	X(IP_OPTIONS, "ip-options", "source routing or too many extension headers")                \
	X(SPOOFED, "spoofed-source", "the source is not an address of the sending endpoint")       \
	X(POD_ENCAP, "pod-encapsulation", "a pod may not send encapsulated packets of its own")    \
	X(POD_CONTROL, "pod-control", "router advertisement, redirect or DHCP answer from a pod")  \
	X(POLICY_EGRESS, "policy-egress", "the sender's policy does not allow it")                 \
	X(POLICY_INGRESS, "policy-ingress", "the receiver's policy does not allow it")             \
	X(UNKNOWN_PEER, "unknown-peer", "a pool's address whose owner is not known on this node")  \
	X(NO_FLOW, "no-flow", "a TCP segment of a connection this node does not know")             \
	X(FLOW_FULL, "flow-table-full", "no room for a new flow")                                  \
	X(FRAG_ORDER, "fragment-order", "a fragment came before the first one of its packet")      \
	X(TTL, "ttl-exceeded", "the hop limit is used up")                                         \
	X(TOO_BIG, "too-big", "larger than the path; the sender was told")                         \
	X(NO_ROUTE, "no-route", "no way to the destination")                                       \
	X(NO_NODE, "unknown-node", "the destination's node has no address that can be reached")    \
	X(FOREIGN_TUNNEL, "foreign-tunnel", "an encapsulated packet from no node of ours")         \
	X(TUNNEL_SPOOF, "tunnel-spoofed", "the inner source does not live behind the outer one")   \
	X(UNMARKED_TUNNEL, "unmarked-tunnel", "reached the idle device without our programs")      \
	X(NAT_EXHAUSTED, "nat-exhausted", "no free port for source translation")                   \
	X(NAT_UNSUPPORTED, "nat-unsupported", "this protocol cannot be translated")                \
	X(ICMP_UNRELATED, "icmp-unrelated", "an ICMP error about a packet that was never sent")    \
	X(ENCAP_FAILED, "encap-failed", "the kernel refused to change the packet's headers")       \
	X(CSUM, "checksum", "the checksum could not be updated")                                   \
	X(LOCAL_CLAIMED, "local-address-claimed", "an uplink packet with a local pod's address")   \
	X(BLACKHOLE, "blackhole", "an address of one of our blocks that no pod has")               \
	X(REDIRECT, "redirect-failed", "the kernel refused the hand-over")                         \
	X(ANSWERED, "answered", "consumed: Margay answered it itself (ARP, neighbour discovery)")  \
	X(IPV6_OFF, "ipv6-off", "IPv6 from or to a pod on a node that does not handle it")         \
	X(HOST_INGRESS, "host-ingress", "the host endpoint's policy does not let it in")           \
	X(HOST_EGRESS, "host-egress", "the host endpoint's policy does not let it out")            \
	X(HOST_CLOSED, "host-closed",                                                              \
	  "pods may not reach their node: defaultEndpointToHostAction")                            \
	X(NO_BACKEND, "no-backend", "the service has no endpoint; the client was told")            \
	X(NO_LOCAL_BACKEND, "no-local-backend",                                                    \
	  "the service's traffic stays on the node, and it has no endpoint here")                  \
	X(SOURCE_RANGE, "source-range",                                                            \
	  "the service's loadBalancerSourceRanges do not hold the client")

#define MG_REASON_ENUM(name, text, help) MG_DROP_##name,
enum mg_reason { MG_REASONS(MG_REASON_ENUM) MG_DROP_MAX };
#undef MG_REASON_ENUM

#endif
