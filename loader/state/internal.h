/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of state/ share. Nobody else includes this.
 */
#ifndef MARGAY_STATE_INTERNAL_H
#define MARGAY_STATE_INTERNAL_H

#include <uthash.h>

#include "model/ipam.h"
#include "model/ippool.h"
#include "model/netpol.h"
#include "model/node.h"
#include "model/pod.h"
#include "model/workload.h"
#include "policy/engine.h"
#include "state/state.h"

struct owner;

/* A namespace: its object if there is one, and who lives in it. */
struct space {
	char *name;
	const struct object *object;
	struct owner *owners;
	UT_hash_handle hh;
};

struct local_endpoint {
	struct state_endpoint e; /* strings and labels are owned */
	struct owner *owner;
	struct local_endpoint *next; /* of the same owner */
	UT_hash_handle hh;	     /* by slot */
};

/* Somebody says an address is its own. */
struct claim {
	struct owner *owner; /* NULL: a node */
	uint16_t node;
	uint16_t slot;
	uint16_t flags; /* without the pool's */
};

#define CLAIMS_MAX 4 /* of one address; more are a defect of the cluster and are not kept */

struct address {
	union mg_addr addr;
	struct claim claim[CLAIMS_MAX]; /* oldest first */
	unsigned int claims;
	UT_hash_handle hh;
};

/* A pod or container by (namespace, name): all that is known of it, wherever it came from. */
struct owner {
	char *key; /* "namespace/name" */
	struct space *space;
	const struct object *pod;
	const struct object **weps;
	size_t wep_count;
	struct local_endpoint *endpoints;
	union mg_addr *addrs; /* claimed now */
	size_t addr_count;
	struct owner *prev, *next; /* of the space */
	UT_hash_handle hh;
};

struct peer {
	char *name;
	uint16_t number;
	const struct object *object;
	union mg_addr *addrs; /* claimed now */
	size_t addr_count;
	struct mg_way way4, way6;
	bool subnet4, subnet6;
	UT_hash_handle hh;
};

struct former_peer {
	uint16_t number;
	union mg_addr ip4, ip6;
	struct former_peer *next;
};

/* A prefix of mg_nets with an owner: a pool, a block, a node's podCIDR. */
struct net {
	struct mg_prefix prefix;
	const struct object *pool;
	const struct object *block; /* IPAMBlock, or Node for a podCIDR */
	uint16_t node;		    /* of a block */
	UT_hash_handle hh;
};

struct account {
	char *key; /* "namespace/name" */
	const struct object *object;
	UT_hash_handle hh;
};

struct touch {
	struct {
		struct mg_prefix prefix;
		bool net;
		uint8_t pad[3];
	} key;
	UT_hash_handle hh;
};

/* Labels of a namespace; one without an object has its name's label. */
struct space_labels {
	struct label name;
	struct labels labels;
};

struct state {
	char *node;
	struct engine *engine;
	struct space *spaces;
	struct owner *owners;
	struct local_endpoint *endpoints;
	struct address *addresses;
	struct peer *peers;
	struct peer *by_number[UINT16_MAX + 1];
	struct former_peer *former;
	struct net *nets;
	struct account *accounts;
	struct state_netset *netsets;
	struct state_slice *slices;
	struct state_service *services;
	unsigned int lengths[MG_ADDR_BITS + 1]; /* how many nets of each length */
	struct touch *touched;
	const struct object *felix_default, *felix_node;
	struct felix_params params;
};

struct space *space_get(struct state *state, const char *name);
struct owner *owner_get(struct state *state, const char *ns, const char *name);
void owner_refresh(struct state *state, struct owner *owner);
void space_refresh(struct state *state, struct space *space);
/* Valid as long as *of and the namespace's object. */
struct engine_labels space_labels(const struct space *space, struct space_labels *of);
void owners_free(struct state *state);

const struct object *account_find(const struct state *state, const char *ns, const char *name);

void wep_set(struct state *state, const struct object *object);
void wep_del(struct state *state, const char *ns, const char *name);

void netset_set(struct state *state, const struct object *object);
void netset_del(struct state *state, const char *ns, const char *name);
void netsets_refresh(struct state *state, const char *ns); /* the namespace's labels changed */
void netsets_free(struct state *state);

void slice_set(struct state *state, const struct object *object);
void slice_del(struct state *state, const char *ns, const char *name);
void slices_free(struct state *state);

void claim_set(struct state *state, const union mg_addr *addr, const struct claim *claim);
void claim_del(struct state *state, const union mg_addr *addr, const struct claim *claim);
/* The claim that counts: local before remote, then the newest. NULL: none. */
const struct claim *claim_best(const struct address *address);
const struct address *address_find(const struct state *state, const union mg_addr *addr);

void touch(struct state *state, const struct mg_prefix *prefix, bool net);
void touch_addr(struct state *state, const union mg_addr *addr);

void peer_set(struct state *state, const struct object *object);
void peer_del(struct state *state, const char *name);
/* 0: no such node. A node that is named before its object is known gets its number then. */
uint16_t peer_number(const struct state *state, const char *name);
const struct peer *peer_self(const struct state *state);
void peers_free(struct state *state);

void pool_set(struct state *state, const struct object *object);
void pool_del(struct state *state, const char *name);
void block_set(struct state *state, const struct object *object);
void block_del(struct state *state, const char *name);
void pod_cidrs_set(struct state *state, const struct object *node);
void pod_cidrs_del(struct state *state, const char *node);
/* Blocks of this node name get their number (again). */
void blocks_renumber(struct state *state);
/* Flags that the pool around an address or prefix gives: MG_ADDR_POOL and the like. */
uint16_t pool_flags(const struct state *state, const struct mg_prefix *prefix);
/* The longest pool or block around prefix that has a node; NULL: none. */
const struct net *block_around(const struct state *state, const struct mg_prefix *prefix);
void nets_free(struct state *state);

/* What an address of this pool costs at most, encapsulated. */
uint32_t encap_overhead(const struct state *state, const struct mg_prefix *prefix);

/* struct label and struct engine_label are the same pair of texts. */
_Static_assert(sizeof(struct label) == sizeof(struct engine_label), "labels");

static inline struct engine_labels to_engine_labels(const struct labels *labels)
{
	return (struct engine_labels){ .label = (const struct engine_label *)labels->v,
				       .count = labels->count };
}

static inline struct mg_prefix host_prefix(const union mg_addr *addr)
{
	return (struct mg_prefix){ .len = MG_ADDR_BITS, .addr = *addr };
}

#endif
