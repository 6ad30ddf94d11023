/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pods and containers: which addresses they have, and what selectors can ask of them. An owner
 * gathers all that is known of one (namespace, name): the Pod object, WorkloadEndpoints that
 * agents wrote, and endpoints of this node.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <utlist.h>

#include "base/inet.h"
#include "state/internal.h"

#define OWNER_ADDRS_MAX 64

struct space *space_get(struct state *state, const char *name)
{
	struct space *space;

	HASH_FIND_STR(state->spaces, name, space);
	if (space)
		return space;
	space = xcalloc(1, sizeof(*space));
	space->name = xstrdup(name);
	HASH_ADD_KEYPTR(hh, state->spaces, space->name, strlen(space->name), space);
	return space;
}

static struct owner *owner_find(const struct state *state, const char *ns, const char *name)
{
	_cleanup_free_ char *key = xasprintf("%s/%s", ns, name);
	struct owner *owner;

	HASH_FIND_STR(state->owners, key, owner);
	return owner;
}

struct owner *owner_get(struct state *state, const char *ns, const char *name)
{
	struct owner *owner = owner_find(state, ns, name);

	if (owner)
		return owner;
	owner = xcalloc(1, sizeof(*owner));
	owner->key = xasprintf("%s/%s", ns, name);
	owner->space = space_get(state, ns);
	HASH_ADD_KEYPTR(hh, state->owners, owner->key, strlen(owner->key), owner);
	DL_APPEND(owner->space->owners, owner);
	return owner;
}

/* --- facts --------------------------------------------------------------------------------- */

static const struct pod *owner_pod(const struct owner *owner)
{
	return pod_of(owner->pod);
}

static const struct labels *owner_labels(const struct owner *owner)
{
	static const struct labels none;

	if (owner->pod)
		return &owner->pod->labels;
	if (owner->wep_count)
		return &owner->weps[0]->labels;
	return owner->endpoints ? &owner->endpoints->e.labels : &none;
}

static const char *owner_service_account(const struct owner *owner)
{
	if (owner->pod)
		return owner_pod(owner)->service_account;
	return owner->wep_count ? workload_endpoint_of(owner->weps[0])->service_account : NULL;
}

struct facts {
	struct engine_facts facts;
	struct engine_port *ports;
	struct space_labels space;
};

static void facts_ports(const struct owner *owner, struct facts *facts)
{
	const struct pod *pod = owner_pod(owner);
	const struct workload_endpoint *wep =
		owner->wep_count ? workload_endpoint_of(owner->weps[0]) : NULL;
	const struct pod_port *ports = pod ? pod->ports : wep ? wep->ports : NULL;
	size_t count = pod ? pod->port_count : wep ? wep->port_count : 0;
	size_t used = 0;

	facts->ports = xcalloc(count, sizeof(*facts->ports));
	for (size_t i = 0; i < count; i++) {
		if (ports[i].name)
			facts->ports[used++] = (struct engine_port){ .name = ports[i].name,
								     .number = ports[i].port,
								     .proto = ports[i].protocol };
	}
	facts->facts.ports = facts->ports;
	facts->facts.port_count = used;
}

/* A namespace without an object exists: with its name as the one label the API promises. */
struct engine_labels space_labels(const struct space *space, struct space_labels *of)
{
	if (space->object)
		return to_engine_labels(&space->object->labels);
	of->name = (struct label){ .key = LABEL_METADATA_NAME, .value = space->name };
	of->labels = (struct labels){ .count = 1, .v = &of->name };
	return to_engine_labels(&of->labels);
}

static void facts_make(struct state *state, const struct owner *owner, struct facts *facts)
{
	const char *account = owner_service_account(owner);
	const struct object *object =
		account ? account_find(state, owner->space->name, account) : NULL;

	memset(facts, 0, sizeof(*facts));
	facts->facts.kind = ENGINE_POD;
	facts->facts.namespace = owner->space->name;
	facts->facts.service_account = account;
	facts->facts.labels = to_engine_labels(owner_labels(owner));
	if (object)
		facts->facts.service_account_labels = to_engine_labels(&object->labels);
	facts->facts.namespace_labels = space_labels(owner->space, &facts->space);
	facts_ports(owner, facts);
}

/* --- addresses ----------------------------------------------------------------------------- */

struct wanted {
	union mg_addr addr[OWNER_ADDRS_MAX];
	struct claim claim[OWNER_ADDRS_MAX];
	size_t count;
};

static void want(struct wanted *wanted, const union mg_addr *addr, const struct claim *claim)
{
	if (addr_is_zero(addr) || wanted->count == OWNER_ADDRS_MAX)
		return;
	for (size_t i = 0; i < wanted->count; i++) {
		if (!addr_cmp(&wanted->addr[i], addr))
			return;
	}
	wanted->addr[wanted->count] = *addr;
	wanted->claim[wanted->count++] = *claim;
}

static void want_endpoints(struct state *state, const struct owner *owner, struct wanted *wanted)
{
	struct claim claim = { .owner = (struct owner *)owner,
			       .node = peer_number(state, state->node),
			       .flags = MG_ADDR_POD | MG_ADDR_LOCAL };

	for (const struct local_endpoint *ep = owner->endpoints; ep; ep = ep->next) {
		claim.slot = ep->e.slot;
		want(wanted, &ep->e.ip4, &claim);
		want(wanted, &ep->e.ip6, &claim);
	}
}

/* What other nodes' agents wrote. One of this node without an endpoint is a leftover. */
static void want_weps(struct state *state, const struct owner *owner, struct wanted *wanted)
{
	for (size_t i = 0; i < owner->wep_count; i++) {
		const struct workload_endpoint *wep = workload_endpoint_of(owner->weps[i]);
		struct claim claim = { .owner = (struct owner *)owner,
				       .node = peer_number(state, wep->node),
				       .flags = MG_ADDR_POD };

		if (!strcmp(wep->node, state->node))
			continue;
		for (size_t j = 0; j < wep->ip_count; j++)
			want(wanted, &wep->ips[j], &claim);
	}
}

static void want_pod(struct state *state, const struct owner *owner, struct wanted *wanted)
{
	const struct pod *pod = owner_pod(owner);
	struct claim claim = { .owner = (struct owner *)owner, .flags = MG_ADDR_POD };

	if (!pod || owner->wep_count || !strcmp(pod->node, state->node))
		return;
	claim.node = peer_number(state, pod->node);
	for (size_t i = 0; i < pod->ip_count; i++)
		want(wanted, &pod->ips[i], &claim);
}

static void collect(struct state *state, const struct owner *owner, struct wanted *wanted)
{
	const struct pod *pod = owner_pod(owner);

	wanted->count = 0;
	/* The API: completed pods are no peers; a host-network pod is its node's address. */
	if (pod && (pod_is_done(pod) || pod->host_network))
		return;
	want_endpoints(state, owner, wanted);
	want_weps(state, owner, wanted);
	want_pod(state, owner, wanted);
}

static bool wants(const struct wanted *wanted, const union mg_addr *addr)
{
	for (size_t i = 0; i < wanted->count; i++) {
		if (!addr_cmp(&wanted->addr[i], addr))
			return true;
	}
	return false;
}

/* The engine's facts of an address are those of its best claim. */
static void publish(struct state *state, const union mg_addr *addr, const struct owner *owner,
		    const struct facts *facts)
{
	const struct address *address = address_find(state, addr);
	const struct claim *best = address ? claim_best(address) : NULL;
	struct facts other;

	if (!best || !best->owner) {
		if (!best)
			engine_addr_del(state->engine, addr);
		return;
	}
	if (best->owner == owner) {
		engine_addr_set(state->engine, addr, &facts->facts);
		return;
	}
	facts_make(state, best->owner, &other);
	engine_addr_set(state->engine, addr, &other.facts);
	free(other.ports);
}

static void publish_endpoints(struct state *state, const struct owner *owner,
			      const struct facts *facts)
{
	for (const struct local_endpoint *ep = owner->endpoints; ep; ep = ep->next) {
		struct engine_endpoint endpoint = { .facts = facts->facts,
						    .ip4 = ep->e.ip4,
						    .ip6 = ep->e.ip6 };

		engine_endpoint_set(state->engine, ep->e.slot, &endpoint);
	}
}

static void owner_forget(struct state *state, struct owner *owner)
{
	if (owner->pod || owner->wep_count || owner->endpoints || owner->addr_count)
		return;
	HASH_DEL(state->owners, owner);
	DL_DELETE(owner->space->owners, owner);
	free(owner->key);
	free(owner->weps);
	free(owner->addrs);
	free(owner);
}

void owner_refresh(struct state *state, struct owner *owner)
{
	const struct claim own = { .owner = owner };
	union mg_addr *before = owner->addrs;
	size_t before_count = owner->addr_count;
	struct wanted wanted;
	struct facts facts;

	collect(state, owner, &wanted);
	facts_make(state, owner, &facts);
	owner->addrs = xcalloc(wanted.count, sizeof(*owner->addrs));
	owner->addr_count = wanted.count;
	memcpy(owner->addrs, wanted.addr, wanted.count * sizeof(*owner->addrs));
	for (size_t i = 0; i < wanted.count; i++) {
		claim_set(state, &wanted.addr[i], &wanted.claim[i]);
		publish(state, &wanted.addr[i], owner, &facts);
	}
	for (size_t i = 0; i < before_count; i++) {
		if (wants(&wanted, &before[i]))
			continue;
		claim_del(state, &before[i], &own);
		publish(state, &before[i], owner, &facts);
	}
	free(before);
	publish_endpoints(state, owner, &facts);
	free(facts.ports);
	owner_forget(state, owner);
}

void space_refresh(struct state *state, struct space *space)
{
	struct owner *owner, *next;

	DL_FOREACH_SAFE(space->owners, owner, next)
		owner_refresh(state, owner);
}

int state_pod_addr(const struct state *state, const char *ns, const char *name, bool want6,
		   union mg_addr *ret_addr)
{
	const struct owner *owner = owner_find(state, ns, name);

	for (size_t i = 0; owner && i < owner->addr_count; i++) {
		if (addr_is4(&owner->addrs[i]) == want6)
			continue;
		*ret_addr = owner->addrs[i];
		return 0;
	}
	return -ENOENT;
}

/* --- WorkloadEndpoints --------------------------------------------------------------------- */

static const char *wep_owner_name(const struct workload_endpoint *wep)
{
	if (*wep->pod)
		return wep->pod;
	return *wep->workload ? wep->workload : wep->base.name;
}

static void wep_unlink(struct owner *owner, size_t index)
{
	object_unref((struct object *)owner->weps[index]);
	owner->wep_count--;
	memmove(&owner->weps[index], &owner->weps[index + 1],
		(owner->wep_count - index) * sizeof(*owner->weps));
}

void wep_set(struct state *state, const struct object *object)
{
	const struct workload_endpoint *wep = workload_endpoint_of(object);
	struct owner *owner = owner_get(state, object->ns, wep_owner_name(wep));

	for (size_t i = 0; i < owner->wep_count; i++) {
		if (!strcmp(owner->weps[i]->name, object->name)) {
			wep_unlink(owner, i);
			break;
		}
	}
	owner->weps = xrealloc(owner->weps, owner->wep_count + 1, sizeof(*owner->weps));
	owner->weps[owner->wep_count++] = object_ref(object);
	owner_refresh(state, owner);
}

void wep_del(struct state *state, const char *ns, const char *name)
{
	struct space *space = space_get(state, ns);
	struct owner *owner, *next;

	DL_FOREACH_SAFE(space->owners, owner, next) {
		for (size_t i = 0; i < owner->wep_count; i++) {
			if (strcmp(owner->weps[i]->name, name))
				continue;
			wep_unlink(owner, i);
			owner_refresh(state, owner);
			return;
		}
	}
}

/* --- endpoints of this node ---------------------------------------------------------------- */

static void endpoint_copy(struct state_endpoint *to, const struct state_endpoint *from)
{
	*to = *from;
	to->ns = xstrdup(from->ns);
	to->pod = xstrdup(from->pod);
	to->labels.v = xcalloc(from->labels.count, sizeof(*to->labels.v));
	for (size_t i = 0; i < from->labels.count; i++)
		to->labels.v[i] = (struct label){ .key = xstrdup(from->labels.v[i].key),
						  .value = xstrdup(from->labels.v[i].value) };
}

static void endpoint_free(struct local_endpoint *ep)
{
	for (size_t i = 0; i < ep->e.labels.count; i++) {
		free((char *)ep->e.labels.v[i].key);
		free((char *)ep->e.labels.v[i].value);
	}
	free(ep->e.labels.v);
	free((char *)ep->e.ns);
	free((char *)ep->e.pod);
	free(ep);
}

static struct local_endpoint *endpoint_find(const struct state *state, uint16_t slot)
{
	struct local_endpoint *ep;

	HASH_FIND(hh, state->endpoints, &slot, sizeof(slot), ep);
	return ep;
}

void state_endpoint_set(struct state *state, const struct state_endpoint *endpoint)
{
	struct local_endpoint *ep;

	state_endpoint_del(state, endpoint->slot);
	ep = xcalloc(1, sizeof(*ep));
	endpoint_copy(&ep->e, endpoint);
	HASH_ADD(hh, state->endpoints, e.slot, sizeof(ep->e.slot), ep);
	ep->owner = owner_get(state, endpoint->ns, endpoint->pod);
	LL_APPEND(ep->owner->endpoints, ep);
	owner_refresh(state, ep->owner);
}

void state_endpoint_del(struct state *state, uint16_t slot)
{
	struct local_endpoint *ep = endpoint_find(state, slot);

	if (!ep)
		return;
	HASH_DEL(state->endpoints, ep);
	LL_DELETE(ep->owner->endpoints, ep);
	engine_endpoint_del(state->engine, slot);
	owner_refresh(state, ep->owner);
	endpoint_free(ep);
}

int state_endpoint_row(const struct state *state, uint16_t slot, bool ready, struct mg_ep *ret_row)
{
	const struct local_endpoint *ep = endpoint_find(state, slot);

	if (!ep)
		return -ENOENT;
	memset(ret_row, 0, sizeof(*ret_row));
	ret_row->ip4 = ep->e.ip4;
	ret_row->ip6 = ep->e.ip6;
	ret_row->netns_cookie = ep->e.netns_cookie;
	ret_row->ifindex = ep->e.ifindex;
	ret_row->flags = ep->e.flags | (ready ? MG_EP_READY : 0);
	ret_row->mtu = ep->e.mtu;
	ret_row->slot = slot;
	memcpy(ret_row->mac, ep->e.mac, sizeof(ret_row->mac));
	memcpy(ret_row->host_mac, ep->e.host_mac, sizeof(ret_row->host_mac));
	return 0;
}

void owners_free(struct state *state)
{
	struct local_endpoint *ep, *ep_next;
	struct owner *owner, *next;
	struct space *space, *space_next;

	HASH_ITER(hh, state->endpoints, ep, ep_next) {
		HASH_DEL(state->endpoints, ep);
		endpoint_free(ep);
	}
	HASH_ITER(hh, state->owners, owner, next) {
		while (owner->wep_count)
			wep_unlink(owner, 0);
		object_unref((struct object *)owner->pod);
		owner->pod = NULL;
		owner->endpoints = NULL;
		owner->addr_count = 0;
		owner_forget(state, owner);
	}
	HASH_ITER(hh, state->spaces, space, space_next) {
		HASH_DEL(state->spaces, space);
		object_unref((struct object *)space->object);
		free(space->name);
		free(space);
	}
}
