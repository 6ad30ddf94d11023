/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of state/ share. Nobody else includes this.
 */
#ifndef MARGAY_STATE_INTERNAL_H
#define MARGAY_STATE_INTERNAL_H

#include <uthash.h>

#include "base/index.h"
#include "base/slab.h"
#include "model/ipam.h"
#include "model/ippool.h"
#include "model/netpol.h"
#include "model/node.h"
#include "model/pod.h"
#include "model/workload.h"
#include "policy/engine.h"
#include "policy/vec.h"
#include "state/named.h"
#include "state/state.h"

/* A namespace: its object if there is one, and how many items live in it. */
struct space {
	char *name;
	const struct object *object;
	uint32_t items;
	UT_hash_handle hh;
};

/* What selectors and rules can ask of a pod itself, known by its content and shared: the pods of
 * one deployment have one. Texts and lists lie in the same piece of memory. */
struct profile {
	uint32_t refs;
	uint32_t size; /* bytes, all in all */
	const char *service_account;
	struct labels labels; /* sorted by key */
	size_t port_count;
	struct engine_port *ports; /* those with a name */
};

enum item_flag {
	ITEM_POD = 1U << 0,	 /* a Pod object */
	ITEM_WEP = 1U << 1,	 /* a WorkloadEndpoint object */
	ITEM_ENDPOINT = 1U << 2, /* an endpoint of this node */
	ITEM_NODE = 1U << 3,	 /* a node's own address; belongs to nobody else */
	ITEM_MORE = 1U << 4,	 /* further addresses of the WorkloadEndpoint */
	ITEM_GONE = 1U << 5,	 /* the pod is done, or its addresses are its node's */
	ITEM_HERE = 1U << 6,	 /* names this node */
};

/* Words of the index of addresses carry the place of the address in their low bits. */
#define ITEM_ADDRS_MAX 8

/*
 * One thing that tells of a pod or container, or has an address. All that is kept of a remote pod
 * is one of these, so it is small (docs/decisions/memory.md). Items of one (namespace, name), the
 * owner, are a ring.
 */
struct item {
	struct space *space;	 /* NULL: a node's */
	struct profile *profile; /* NULL: nothing can be asked */
	struct item *ring;
	uint32_t seq;	/* later ones were told later */
	uint16_t place; /* node, by its place in state->places; of an endpoint: its slot */
	uint8_t flags;
	uint8_t addr_count;
	union mg_addr addr[]; /* then the owner's name and, of a WEP, its own, each with its NUL */
};

static inline const char *item_name(const struct item *item)
{
	return (const char *)&item->addr[item->addr_count];
}

struct local_endpoint {
	struct state_endpoint e; /* texts and labels are not kept here */
	struct item *item;
	UT_hash_handle hh; /* by slot */
};

/* The object of a Pod that names this node or none: its ADD asks for its annotations. */
struct kept_pod {
	struct named named; /* owns the key */
	const struct object *object;
};

/* A node that has an object, or that something names. */
struct peer {
	char *name;
	uint16_t place;
	uint16_t number;	     /* 0: no object yet */
	uint32_t uses;		     /* items and nets that name it */
	bool known;		     /* there is an object */
	const struct object *object; /* of this node alone */
	struct mg_prefix v4, v6;
	uint8_t mac4[6], mac6[6]; /* of its VTEPs */
	VEC(struct item *) items; /* an address each */
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
	char *block; /* name of an IPAMBlock, or of a Node where it is a podCIDR; NULL: none */
	bool pod_cidr;
	uint16_t place; /* of the block's node; 0: none */
	UT_hash_handle hh;
};

struct account {
	struct space *space;
	struct profile *profile; /* labels alone */
	char name[];
};

struct touch {
	struct mg_prefix prefix;
	bool net;
};

/* Labels of a namespace; one without an object has its name's label. */
struct space_labels {
	struct label name;
	struct labels labels;
};

struct state {
	char *node;
	struct engine *engine;
	struct slab slab; /* items, profiles, accounts */
	struct space *spaces;
	struct index owners;   /* by (namespace, name): one item of each ring */
	struct index weps;     /* by (namespace, name of the object) */
	struct index addrs;    /* items by address, ITEM_ADDRS_MAX to a pointer */
	struct index profiles; /* by content */
	struct index accounts;
	uint32_t seq;
	struct local_endpoint *endpoints;
	struct index kept; /* struct kept_pod, by name */
	struct peer *peers;
	VEC(struct peer *) places; /* place 0 is nobody's */
	struct peer *by_number[UINT16_MAX + 1];
	struct former_peer *former;
	struct net *nets;
	struct index netsets;  /* struct state_netset, by name */
	struct index slices;   /* struct state_slice, by name */
	struct index services; /* struct state_service, by name */
	struct state_host *hosts;
	unsigned int lengths[MG_ADDR_BITS + 1]; /* how many nets of each length */
	VEC(struct touch) touched;
	const struct object *felix_default, *felix_node, *felix_environment;
	struct felix_params params;
};

struct space *space_get(struct state *state, const char *name);
void space_set(struct state *state, const char *name, const struct object *object);
/* Facts of all that lives in it anew. */
void space_refresh(struct state *state, const struct space *space);
void spaces_free(struct state *state);
/* Valid as long as *of and the namespace's object. */
struct engine_labels space_labels(const struct space *space, struct space_labels *of);

/* One reference. An account's labels have neither service account nor ports. */
struct profile *profile_get(struct state *state, const struct profile *like);
void profile_unref(struct state *state, struct profile *profile); /* accepts NULL */

void accounts_init(struct state *state);
void account_set(struct state *state, const char *ns, const char *name,
		 const struct object *object);
/* Its labels; NULL: there is no such account. */
const struct labels *account_labels(const struct state *state, const struct space *space,
				    const char *name);
void accounts_free(struct state *state);

/* --- item.c: life of items, and the ways to them --- */

struct item_args {
	struct space *space;
	const struct profile *profile; /* NULL: none */
	unsigned int flags;
	uint16_t place;
	const char *owner; /* NULL: a node's */
	const char *wep;   /* NULL: none */
	const union mg_addr *addrs;
	size_t addr_count; /* at most ITEM_ADDRS_MAX */
};

void items_init(struct state *state);
struct item *item_add(struct state *state, const struct item_args *args);
void item_del(struct state *state, struct item *item);
struct item *item_owner(const struct state *state, const struct space *space, const char *name);
struct item *item_wep(const struct state *state, const struct space *space, const char *name);
const struct item *item_of_flag(const struct item *ring, unsigned int flag); /* the oldest */
void items_free(struct state *state);

#define ring_for_each(first, at)                                                                   \
	for (const struct item *_first = (first), *_end = NULL, *at = _first; at && at != _end;    \
	     _end = _first, at = at->ring)

/* --- owner.c: what pods, WorkloadEndpoints and endpoints say --- */

void pod_set(struct state *state, const struct object *object);
void pod_del(struct state *state, const char *ns, const char *name);
void wep_set(struct state *state, const struct object *object);
void wep_del(struct state *state, const char *ns, const char *name);
void owners_free(struct state *state);

void netset_set(struct state *state, const struct object *object);
void netset_del(struct state *state, const char *ns, const char *name);
void netsets_refresh(struct state *state, const char *ns); /* the namespace's labels changed */
void netsets_free(struct state *state);

void host_set(struct state *state, const struct object *object);
void host_del(struct state *state, const char *name);
void hosts_free(struct state *state);

void slice_set(struct state *state, const struct object *object);
void slice_del(struct state *state, const char *ns, const char *name);
/* What the engine asks: struct engine_services, of a state. */
void service_members(void *ctx, const char *name,
		     void (*each)(void *arg, const struct engine_member *member), void *arg);
void slices_free(struct state *state);

/* --- address.c --- */

/* The item that has the address: local before remote, then the newest. NULL: nobody. */
const struct item *address_best(const struct state *state, const union mg_addr *addr);
/* Whether its addresses are its own: pods that are done have none, what a WorkloadEndpoint says
 * comes before what the Pod does, and what is said of this node without an endpoint is a leftover.
 */
bool item_counts(const struct item *item);
/* --- tell.c: the engine's facts anew --- */

void address_tell(struct state *state, const union mg_addr *addr);
void endpoints_tell(struct state *state, const struct item *ring); /* of this node */
void owner_tell(struct state *state, const struct item *ring);	   /* both */

void touch(struct state *state, const struct mg_prefix *prefix, bool net);
void touch_addr(struct state *state, const union mg_addr *addr);

void peer_set(struct state *state, const struct node *node);
void peer_del(struct state *state, const char *name);
/* The place of a name; 0: "", or there are too many. Who keeps it holds it. */
uint16_t place_of(struct state *state, const char *name);
void place_hold(struct state *state, uint16_t place);
void place_drop(struct state *state, uint16_t place);
/* 0: no such node (yet). */
uint16_t place_number(const struct state *state, uint16_t place);
/* Do node ports hold at this address of the node at a place? (nodePortAddresses) */
bool peer_has_ports(const struct state *state, uint16_t place, const union mg_addr *addr);
void peers_touch(struct state *state); /* rows of nodes' addresses are to be looked at */
const struct peer *peer_self(const struct state *state); /* NULL: no object yet */
void peers_leave(struct state *state);			 /* before items_free() */
void peers_free(struct state *state);

void pool_set(struct state *state, const struct object *object);
void pool_del(struct state *state, const char *name);
void block_set(struct state *state, const struct object *object);
void block_del(struct state *state, const char *name);
void pod_cidrs_set(struct state *state, const struct node *node);
void pod_cidrs_del(struct state *state, const char *node);
/* The node at this place has another number. */
void nets_renumbered(struct state *state, uint16_t place);
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
