/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of state/service*.c share. Nobody else includes this.
 */
#ifndef MARGAY_STATE_SERVICE_OWN_H
#define MARGAY_STATE_SERVICE_OWN_H

#include <uthash.h>

#include "model/service.h"
#include "model/slice.h"
#include "policy/vec.h"
#include "state/service.h"

enum service_scope { SCOPE_CLUSTER, SCOPE_LOCAL, SCOPES };

struct backend {
	union mg_addr addr;
	__be16 port;
	__u8 pad[6]; /* compared by memcmp */
};

/* Slots 0 to n - 1 as the maps have them, or will have with the plan under way. */
struct back_set {
	struct mg_digest digest;
	uint32_t number;
	bool used;	 /* by a service */
	bool recorded;	 /* its digest is in the map */
	bool by_address; /* mg_members has its backends: of affinity, and of UDP */
	VEC(struct backend) slots;
	VEC(struct mg_prefix) ranges; /* of clients, as mg_ranges has them */
	UT_hash_handle hh;
	UT_hash_handle hn; /* by number */
};

struct front {
	struct mg_front_key key;
	struct mg_front row; /* as the map has it, where in_map */
	bool in_map;
	bool dirty;
	struct claim *claims; /* who asks for it, the one that has it first */
	struct front *next_dirty;
	UT_hash_handle hh;
};

struct claim {
	struct proxied *service;
	struct front *front;
	const char *port;
	struct mg_front row;
	struct claim *prev, *next; /* of the front */
};

enum {
	ENDPOINT_READY = 1U << 0,
	ENDPOINT_SERVING = 1U << 1,
	ENDPOINT_TERMINATING = 1U << 2,
	ENDPOINT_LOCAL = 1U << 3,
	ENDPOINT_ZONES = 1U << 4, /* has zone hints */
	ENDPOINT_ZONE = 1U << 5,  /* one is this node's */
	ENDPOINT_NODES = 1U << 6,
	ENDPOINT_NODE = 1U << 7,
};

struct endpoint_facts {
	union mg_addr addr;
	uint8_t flags;
};

struct slice_facts {
	char *key;
	struct object *hinted; /* its object, where zone hints depend on this node's zone */
	struct proxied *service;
	bool is6;
	VEC(struct slice_port) ports; /* names are copies */
	VEC(struct endpoint_facts) endpoints;
	struct slice_facts *prev, *next; /* of the service */
	UT_hash_handle hh;
};

struct port_facts {
	char *name;
	uint16_t port;
	uint16_t node_port; /* 0: none */
	uint8_t protocol;
};

/* An address by which clients from outside come too. */
struct outside_addr {
	union mg_addr addr;
	bool balancer; /* a load balancer's: source ranges hold; else of externalIPs */
};

/* A Service, the name of one that has slices, or a pod with host ports. */
struct proxied {
	char *key;   /* "namespace/name"; of a pod its attachment's */
	char *shown; /* NULL: the key */
	char *uid;
	bool known;
	enum service_traffic internal;
	uint32_t affinity; /* seconds; 0: none */
	enum service_traffic external;
	bool limits_sources;
	VEC(union mg_addr) addrs;
	VEC(struct outside_addr) outside; /* those of externalIPs first */
	VEC(struct mg_prefix) ranges;
	VEC(struct port_facts) ports;
	VEC(struct back_set *) sets;
	VEC(struct claim *) claims;
	struct slice_facts *slices;
	bool pod;
	VEC(struct host_port) host; /* of a pod; beside its ports */
	union mg_addr ip4, ip6;	    /* of a pod */
	struct proxied *prev_pod, *next_pod;
	bool dirty;
	struct proxied *next_dirty;
	UT_hash_handle hh;
};

struct retired {
	uint32_t number;
	uint64_t build; /* with which it was removed */
};

struct services {
	char *node;
	char *zone; /* "" : not known */
	bool known;
	bool refuse_external_ips;
	struct proxied *services;
	struct slice_facts *slices;
	struct back_set *sets;
	struct back_set *by_number;
	struct front *fronts;
	struct proxied *dirty;
	struct front *dirty_fronts;
	struct proxied *pods;	      /* with host ports */
	VEC(struct mg_member) strays; /* rows of mg_members that were read and belong to no slot */
	VEC(struct mg_range_key) stray_ranges; /* and of mg_ranges */
	VEC(struct retired) retired;
	VEC(uint32_t) free;
	uint32_t next; /* numbers from here on were never given */
	uint64_t build;
	bool swept; /* what was read and nobody uses is gone */
	struct service_plan plan;
};

enum { RANK_DIGEST, RANK_BACK, RANK_MEMBER, RANK_RANGE, RANK_FRONT };

/* --- service_rows.c ------------------------------------------------------------------------ */

void service_plan_init(struct service_plan *plan);
void service_plan_clear(struct service_plan *plan);
void service_plan_done(struct service_plan *plan);
bool service_plan_is_empty(const struct service_plan *plan);
void service_plan_set(struct service_plan *plan, unsigned int rank, const void *key,
		      const void *value);
void service_plan_remove(struct service_plan *plan, unsigned int rank, const void *key);

/* --- service_set.c ------------------------------------------------------------------------- */

/* What one port of a service offers. */
struct set_args {
	const struct proxied *service;
	const struct port_facts *port;
	bool is6;
	enum service_scope scope;
};

/* The set of this content's name, with a number. */
struct back_set *back_set_get(struct services *services, const struct set_args *args);
/* wanted need not be sorted and may have doubles; it is sorted in place. */
void back_set_write(struct services *services, struct back_set *set, struct backend *wanted,
		    size_t count, bool by_address);
/* The clients that frontends of the set with MG_FRONT_SOURCES are for. */
void back_set_ranges(struct services *services, struct back_set *set,
		     const struct mg_prefix *wanted, size_t count);
void ranges_sweep(struct services *services); /* those that were read and are no set's */
void back_set_drop(struct services *services, struct back_set *set);
void back_sets_sweep(struct services *services); /* those that no service uses, and strays */
void back_sets_forget(struct services *services);
void back_sets_free(struct services *services);

/* --- service_choose.c ---------------------------------------------------------------------- */

struct backends {
	VEC(struct backend) v;
};

/* Endpoints of a port in one family that the scope allows. The caller frees. */
void service_choose(const struct proxied *service, const struct port_facts *port, bool is6,
		    enum service_scope scope, struct backends *ret_backends);
/* Somebody in the cluster may serve it. */
bool service_has_endpoints(const struct proxied *service, const struct port_facts *port, bool is6);

/* --- service_write.c ----------------------------------------------------------------------- */

/* All of one service; its sets that are not wanted any more go. */
void service_write(struct services *services, struct proxied *service);

/* --- service_host.c ------------------------------------------------------------------------ */

void pod_take(struct services *services, struct proxied *pod, const struct host_ports *from);
void pod_drop(struct services *services, struct proxied *pod); /* what pod_take() made, if it did */
/* The frontends of the port at this place of pod->host. */
void pod_write(struct services *services, struct proxied *pod, size_t at);

/* --- service_front.c ----------------------------------------------------------------------- */

void claims_drop(struct services *services, struct proxied *service);
void claim_add(struct services *services, struct proxied *service, const struct mg_front_key *key,
	       const struct mg_front *row, const char *port);
void fronts_write(struct services *services);
void fronts_sweep(struct services *services); /* those that nobody asks for */
void fronts_forget(struct services *services);
void fronts_free(struct services *services);

#endif
