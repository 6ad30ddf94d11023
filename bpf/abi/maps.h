/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Every map: one list makes the pins, the tools' names, the metrics of fill and docs/maps.md.
 *
 * X(name, key type, value type, class, "purpose")
 * class: DERIVED  the agent writes it from its model and can rebuild it at any time
 *        RUNTIME  programs write it; it survives restarts and has a layout version
 *        COUNTER  counters, lost when the layout changes
 *        SCRATCH  one packet's memory
 *        WATCH    made when somebody begins to watch, gone with the last one
 */
#ifndef MARGAY_ABI_MAPS_H
#define MARGAY_ABI_MAPS_H

#define MG_MAPS(X)                                                                                 \
	X(mg_local, __u32, struct mg_local, DERIVED, "this node: addresses, flags, lifetimes")     \
	X(mg_peers, __u32, struct mg_peer, DERIVED, "nodes by number: addresses and ways to them") \
	X(mg_uplinks, __u32, struct mg_uplink, DERIVED, "uplinks by ifindex")                      \
	X(mg_failsafe, struct mg_failsafe_key, __u32, DERIVED,                                     \
	  "ports of the node that no host policy closes")                                          \
	X(mg_pmtu, __u32, struct mg_pmtu, RUNTIME, "path MTU to nodes, learnt from routers")       \
	X(mg_ep, __u32, struct mg_ep, DERIVED, "local endpoints by slot")                          \
	X(mg_ep_if, __u32, __u32, DERIVED,                                                         \
	  "slot by ifindex, for interfaces without a chosen index")                                \
	X(mg_netns, __u64, __u32, DERIVED, "namespaces of this node by cookie: slot")              \
	X(mg_source, struct mg_prefix, __u32, DERIVED,                                             \
	  "further sources endpoints may use, by prefix")                                          \
	X(mg_addrs, union mg_addr, struct mg_ident, DERIVED, "what is known of an address, exact") \
	X(mg_nets, struct mg_prefix, struct mg_ident, DERIVED, "nets of rules, pools and blocks")  \
	X(mg_fronts, struct mg_front_key, struct mg_front, DERIVED,                                \
	  "services: address, port and protocol to the backends' set")                             \
	X(mg_backs, struct mg_back_key, struct mg_back, DERIVED, "backends by set and slot")       \
	X(mg_members, struct mg_member, __u32, DERIVED,                                            \
	  "backends of sets with affinity and of UDP, by address: slot")                           \
	X(mg_ranges, struct mg_range_key, __u32, DERIVED,                                          \
	  "clients that a set of backends is for (loadBalancerSourceRanges)")                      \
	X(mg_service_dig, __u32, struct mg_digest, DERIVED, "digest of each set of backends")      \
	X(mg_control, __u32, struct mg_control, DERIVED,                                           \
	  "the commit in force, change counter, epochs")                                           \
	X(mg_commits, __u32, struct mg_commit, DERIVED,                                            \
	  "commit rows: column, fall-back, deadline")                                              \
	X(mg_slots, __u32, struct mg_slot, DERIVED, "policy sets of an endpoint, four columns")    \
	X(mg_sets, __u32, struct mg_set, DERIVED,                                                  \
	  "policy sets: table from peer identity to class")                                        \
	X(mg_classes, __u32, struct mg_class, DERIVED, "classes: verdict by protocol and port")    \
	X(mg_verdicts, __u32, struct mg_verdict, DERIVED, "verdicts: action, deciding rule")       \
	X(mg_pages, __u32, __u32, DERIVED, "table pages, in chunks of 1,024")                      \
	X(mg_ident_dig, __u32, struct mg_digest, DERIVED,                                          \
	  "digest of each identity: stable over restarts")                                         \
	X(mg_set_dig, __u32, struct mg_digest, DERIVED, "digest of each policy set")               \
	X(mg_rule_dig, __u32, struct mg_digest, DERIVED, "digest of each rule number")             \
	X(mg_rule_stats, __u32, struct mg_rule_stats, COUNTER,                                     \
	  "connections, packets, bytes by rule")                                                   \
	X(mg_flow_t, struct mg_flow_key, struct mg_flow, RUNTIME,                                  \
	  "flows that are new, short or closing")                                                  \
	X(mg_flow_e, struct mg_flow_key, struct mg_flow, RUNTIME, "established flows")             \
	X(mg_affinity, struct mg_affinity_key, struct mg_affinity, RUNTIME,                        \
	  "backend a client of a service had last")                                                \
	X(mg_socks, struct mg_sock_key, struct mg_sock, RUNTIME,                                   \
	  "sockets translated when they connected or sent")                                        \
	X(mg_frags, struct mg_frag_key, struct mg_frag, RUNTIME, "ports of fragmented packets")    \
	X(mg_drops, __u32, struct mg_drop_count, COUNTER, "drops by hook and reason")              \
	X(mg_events, void, void, COUNTER, "ring buffer of drops, new flows and logged packets")    \
	X(mg_scratch, __u32, struct mg_scratch, SCRATCH, "one packet's memory")                    \
	X(mg_steps, __u32, struct mg_steps, SCRATCH, "step log of the trace copy")                 \
	X(mg_watched, __u64, __u32, WATCH, "namespaces of this node by cookie: slot")              \
	X(mg_kdrops, void, void, WATCH, "ring buffer of what the kernel dropped")                  \
	X(mg_kdrop_count, __u32, struct mg_kdrop_count, WATCH, "told and missed of these, by CPU")

#endif
