/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Services as rows (abi/service.h): told Services, EndpointSlices and this node's Node object, it
 * keeps what rows are made of, no objects, and answers with the rows that have to be written. Pure
 * memory. One endpoint's change costs work for its service alone.
 *
 *	services_set(), services_del()	what the datastore serves
 *	services_restore_...()		rows that a former agent left: numbers and slots stay
 *	services_build()		what is to be written, in order
 *	services_applied()		all of it was; services_forget(): it was not, or not all
 *
 * A set of backends is (Service's UID, port's name, protocol, family, scope). Scopes are all
 * endpoints of the cluster, by readiness and topology hints, and those of this node. Members keep
 * their slots while the count allows.
 *
 * Cluster addresses have frontends for clients of the cluster, by internalTrafficPolicy. Node
 * ports, externalIPs and a load balancer's addresses (not of ipMode Proxy) have two: for clients of
 * the cluster to all endpoints, for others by externalTrafficPolicy.
 *
 * Ports of the node that lead to its pods (services_ports_set()) are frontends too. Where both ask
 * for one the pod has it: it was there first, or its ADD was refused.
 *
 * Sources: Kubernetes API reference, Service v1 and EndpointSlice v1; "Virtual IPs and Service
 * Proxies" (traffic policies, terminating endpoints, session affinity); "Topology Aware Routing".
 */
#ifndef MARGAY_STATE_SERVICE_H
#define MARGAY_STATE_SERVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "abi/digest.h"
#include "abi/service.h"
#include "base/cleanup.h"
#include "model/object.h"

struct services;

/* node: this node's name. */
struct services *services_new(const char *node);
void services_free(struct services *services); /* accepts NULL */
DEFINE_CLEANUP(struct services *, services_free)
#define _cleanup_services_ _cleanup_(services_free_p)

/* Objects of other kinds, and other nodes, do not matter. */
void services_set(struct services *services, const struct object *object);
void services_del(struct services *services, enum kind kind, const char *ns, const char *name);

/* spec.externalIPs are not served: whoever may write a Service could take any address. */
void services_refuse_external_ips(struct services *services, bool refuse);

/* A port of this node for a pod of it (CNI conventions, portMappings). */
struct host_port {
	union mg_addr addr; /* zero: all of the node's */
	uint16_t port;	    /* of the node */
	uint16_t target;    /* of the pod */
	uint8_t proto;	    /* IPPROTO_TCP, UDP or SCTP */
	bool v4, v6;	    /* families it is for */
};

struct host_ports {
	const char *key;	/* of the attachment; has no slash */
	const char *name;	/* "namespace/pod" */
	union mg_addr ip4, ip6; /* of the pod; zero: none */
	const struct host_port *v;
	size_t count;
};

/* In place of what was told for that key; a copy is kept. */
void services_ports_set(struct services *services, const struct host_ports *ports);
void services_ports_del(struct services *services, const char *key);
/* "hostPort 80/TCP belongs to pod a/b": somebody else has one of them; the addresses do not matter.
 * NULL: nobody has. The caller frees. */
char *services_ports_taken(const struct services *services, const struct host_ports *want);

/* What stands in the maps. Numbers before slots; at a start, or after services_forget(). */
void services_restore_number(struct services *services, uint32_t number,
			     const struct mg_digest *digest);
void services_restore_back(struct services *services, const struct mg_back_key *key,
			   const struct mg_back *row);
void services_restore_member(struct services *services, const struct mg_member *key);
void services_restore_range(struct services *services, const struct mg_range_key *key);
void services_restore_front(struct services *services, const struct mg_front_key *key,
			    const struct mg_front *row);

void services_restore_done(struct services *services);

/* Rows of one map, one way: written (values) or removed (none). */
struct service_rows {
	const char *map;
	bool remove;
	size_t key_size, value_size;
	size_t count, room;
	unsigned char *keys;
	unsigned char *values;
};

/* In the order of writing: digests, backends, members, ranges, frontends; then removals the other
 * way round. */
#define SERVICE_RANKS 10
struct service_plan {
	struct service_rows rows[SERVICE_RANKS];
};

/* Valid until the next services_build(). NULL: there is nothing to do. */
const struct service_plan *services_build(struct services *services);
void services_applied(struct services *services);
/* Nothing is known of the maps any more: they are read again before the next build. */
void services_forget(struct services *services);
bool services_known(const struct services *services); /* what stands in the maps was restored */

/* Numbers of sets that are gone may be given again once no program reads them: after a grace
 * (agent/grace.h) that began behind the plan that removed them. */
uint64_t services_builds(const struct services *services); /* how many were applied */
void services_grace_done(struct services *services, uint64_t build);

/* --- for people --------------------------------------------------------------------------- */

struct service_view {
	const char *service; /* "namespace/name"; "pod namespace/name" of a host port */
	const char *port;    /* its name; "" */
	struct mg_front_key key;
	struct mg_front row;
	const char *taken_by; /* another service has the address; NULL: it is in force */
};
/* Every frontend that a service asks for, in no order. */
void services_each(const struct services *services,
		   void (*each)(void *ctx, const struct service_view *view), void *ctx);

#endif
