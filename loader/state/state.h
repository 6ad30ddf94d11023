/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From objects to desired rows, without a system call. The state is told objects (as the
 * datastore serves them), local endpoints (as ADD and DEL make them) and facts of the node (what
 * netlink said), keeps what it derived, feeds the policy engine, and answers
 *
 *	state_addr_row(), state_net_row()   node, slot and flags of a row of mg_addrs, mg_nets; the
 *					    identity is the engine's
 *	state_touched()			    rows whose node, slot or flags changed, to be written
 *	state_local_row(), state_peer_row() ... rows of the small maps
 *	state_routes()			    kernel routes to remote blocks, blackholes of own ones
 *
 * A change costs work for what it concerns: a pod its addresses, a namespace its pods; only pools
 * and nodes touch all addresses behind them. Of pods elsewhere no object is kept, only what rows
 *are made of (docs/decisions/memory.md).
 */
#ifndef MARGAY_STATE_STATE_H
#define MARGAY_STATE_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "abi/endpoint.h"
#include "abi/failsafe.h"
#include "abi/ident.h"
#include "abi/node.h"
#include "model/felix.h"
#include "model/object.h"

struct engine;
struct state;

/* engine is borrowed and must outlive the state. node: this node's name. */
struct state *state_new(const char *node, struct engine *engine);
void state_free(struct state *state); /* accepts NULL */

/* An object came or changed (a reference is taken), or went. */
void state_object_set(struct state *state, const struct object *object);
void state_object_del(struct state *state, enum kind kind, const char *ns, const char *name);

/* --- local endpoints ----------------------------------------------------------------------- */

struct state_endpoint {
	uint16_t slot; /* 1 and up; what identifies it here */
	uint32_t ifindex;
	uint32_t flags; /* MG_EP_NO_PEER, MG_EP_THROUGH_STACK, MG_EP_TWICE */
	uint32_t mtu;
	uint64_t netns_cookie;
	const char *ns;	 /* namespace */
	const char *pod; /* name of the pod or container */
	union mg_addr ip4;
	union mg_addr ip6;
	uint8_t mac[6];
	uint8_t host_mac[6];
	struct labels labels; /* where there is neither a Pod nor a WorkloadEndpoint object */
};

void state_endpoint_set(struct state *state, const struct state_endpoint *endpoint);
void state_endpoint_del(struct state *state, uint16_t slot);
/* -ENOENT: no such endpoint. ready: its policy is in force. */
int state_endpoint_row(const struct state *state, uint16_t slot, bool ready, struct mg_ep *ret_row);

/* --- host endpoints ------------------------------------------------------------------------ */

struct host_endpoint;

/* Those of this node, in no order. */
void state_each_host(const struct state *state,
		     void (*each)(void *ctx, const struct host_endpoint *host), void *ctx);
/* Its policies are judged at this slot, which no endpoint has; or no more. */
void state_host_judges(struct state *state, const struct host_endpoint *host, uint16_t slot);
void state_host_leaves(struct state *state, uint16_t slot);

/* --- nodes --------------------------------------------------------------------------------- */

/* A number that a former agent gave: the node with one of these addresses gets it again. */
void state_restore_peer(struct state *state, uint16_t number, const struct mg_peer *row);

struct state_peer {
	uint16_t number;
	bool self;
	const char *name;
	union mg_addr ip4; /* zero: none */
	union mg_addr ip6;
};
/* Every node with a number, in no order. */
void state_each_peer(const struct state *state, void (*each)(void *ctx, const struct state_peer *),
		     void *ctx);

/* NULL: no node has the number. Valid until the node's object goes. */
const char *state_peer_name(const struct state *state, uint16_t number);

/* What netlink says of the way to a node; family 4 or 6 of the outer address. */
void state_way_set(struct state *state, uint16_t number, int family, const struct mg_way *way,
		   bool same_subnet);
/* -ENOENT: no node has the number: its row is all zero. */
int state_peer_row(const struct state *state, uint16_t number, struct mg_peer *ret_row);

/* Facts of this node that are not in objects. */
struct state_node_facts {
	uint32_t uplink_mtu;	/* the smallest of the uplinks; 0: none known */
	uint32_t vxlan_ifindex; /* 0: no idle device */
	bool accept_ipip;	/* taken in although no pool asks for it: see agent/pool_switch.h */
	bool accept_vxlan;
	bool flow_events;	  /* somebody reads records of new flows */
	bool host_policy;	  /* a host endpoint judges somewhere */
	uint16_t host_any;	  /* slot of the one for all interfaces; 0: none */
	uint64_t flows_new_until; /* boot time, ns; 0: flow tables were taken over */
};
void state_local_row(const struct state *state, const struct state_node_facts *facts,
		     struct mg_local *ret_row);

/* A FelixConfiguration that goes before those of the store (model/felix_env.h). A reference is
 * taken. */
void state_environment_set(struct state *state, const struct object *object);

/* FelixConfiguration of this node, merged; valid until the next state_object_*(). */
const struct felix_params *state_params(const struct state *state);

/* Rows of mg_failsafe. */
void state_failsafes(const struct state *state,
		     void (*each)(void *ctx, const struct mg_failsafe_key *key), void *ctx);

/* NULL: no such pool. */
const struct object *state_pool(const struct state *state, const char *name);

/* Encapsulation that some pool asks for. */
bool state_uses_vxlan(const struct state *state);
bool state_uses_ipip(const struct state *state);

/* Enabled pools that have this kind of encapsulation, may give tunnel addresses and select this
 * node: where its tunnel address comes from. */
struct state_tunnel {
	bool vxlan;
	bool v6;
};
void state_tunnel_pools(const struct state *state, const struct state_tunnel *tunnel,
			void (*each)(void *ctx, const struct object *pool), void *ctx);

/* MTU of a pod: the uplink's less what the widest encapsulation in use adds. */
uint32_t state_pod_mtu(const struct state *state, uint32_t uplink_mtu);

/* --- rows ---------------------------------------------------------------------------------- */

/* -ENOENT: nobody has this address: there is no row. */
int state_addr_row(const struct state *state, const union mg_addr *addr, uint16_t identity,
		   struct mg_ident *ret_row);
/* Of any prefix: what the pool and block around it say. wanted: it is a pool's or block's own, so
 * the row must be there also where no rule names the prefix. */
void state_net_row(const struct state *state, const struct mg_prefix *prefix, uint16_t identity,
		   struct mg_ident *ret_row, bool *ret_wanted);

/* Rows touched since the last state_touched_done(); net tells the map. */
void state_touched(const struct state *state,
		   void (*each)(void *ctx, const struct mg_prefix *prefix, bool net), void *ctx);
void state_touched_done(struct state *state);
void state_touch_all(struct state *state);

/* --- routes -------------------------------------------------------------------------------- */

struct state_route {
	struct mg_prefix dst;
	bool blackhole; /* an own block: addresses without a pod go nowhere */
	uint32_t ifindex;
	uint32_t mtu;
	union mg_addr gateway; /* zero: on link */
	union mg_addr src;
};
void state_routes(const struct state *state,
		  void (*each)(void *ctx, const struct state_route *route), void *ctx);

/* --- what is known of a pod, for the CNI answer -------------------------------------------- */

/* Of a pod that may be added here: one that names this node or none. Valid until the next call of
 * a state_ function that changes it; NULL: not known. */
const struct object *state_pod(const struct state *state, const char *ns, const char *name);
/* An address of a pod, wherever it lives. -ENOENT: none of that family is known. */
int state_pod_addr(const struct state *state, const char *ns, const char *name, bool want6,
		   union mg_addr *ret_addr);
/* "namespace/name" of the pod that has the address; NULL: none is known. The caller frees. */
char *state_addr_owner(const struct state *state, const union mg_addr *addr);
const struct object *state_namespace(const struct state *state, const char *name);

#endif
