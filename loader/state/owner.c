/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pods and containers: which addresses they have, and what selectors can ask of them. All that is
 * known of one (namespace, name), the owner, is a ring of items: of its Pod object, of
 * WorkloadEndpoints that agents wrote, of endpoints of this node.
 *
 * A change puts new items in the place of former ones, and then tells the engine of every address
 * that the former or the new ones name.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/inet.h"
#include "state/internal.h"

typedef VEC(union mg_addr) addr_vec;

/* --- changes ------------------------------------------------------------------------------- */

static void gather(addr_vec *addrs, const struct item *ring)
{
	ring_for_each(ring, item)
	{
		for (unsigned int i = 0; i < item->addr_count; i++)
			vec_push(addrs, item->addr[i]);
	}
}

/* Addresses may stand here more than once; that costs a look, no more. */
static void tell_all(struct state *state, addr_vec *addrs)
{
	for (size_t i = 0; i < addrs->n; i++) {
		touch_addr(state, &addrs->v[i]);
		address_tell(state, &addrs->v[i]);
	}
	vec_done(addrs);
}

/* Items of one object: it, and what has the rest of its addresses. */
static struct item *more_of(struct item *item)
{
	const char *wep = item_name(item) + strlen(item_name(item)) + 1;

	for (struct item *other = item->ring; other != item; other = other->ring) {
		const char *name = item_name(other) + strlen(item_name(other)) + 1;

		if (other->flags & ITEM_MORE &&
		    (item->flags & ITEM_POD ? other->flags & ITEM_POD
					    : other->flags & ITEM_WEP && !strcmp(name, wep)))
			return other;
	}
	return NULL;
}

static void object_del(struct state *state, struct item *item)
{
	struct item *more;

	while ((more = more_of(item)))
		item_del(state, more);
	item_del(state, item);
}

static size_t unique_addrs(const union mg_addr *from, size_t count, addr_vec *addrs)
{
	for (size_t i = 0; i < count; i++) {
		bool known = addr_is_zero(&from[i]);

		for (size_t k = 0; k < addrs->n; k++)
			known |= !addr_cmp(&addrs->v[k], &from[i]);
		if (!known)
			vec_push(addrs, from[i]);
	}
	return addrs->n;
}

/* Adds the items of an object; args has what does not differ between them. */
static struct item *object_add(struct state *state, struct item_args *args, addr_vec *addrs)
{
	struct item *first = NULL;
	size_t done = 0;

	do {
		struct item *item;

		args->addrs = addrs->v + done;
		args->addr_count =
			addrs->n - done < ITEM_ADDRS_MAX ? addrs->n - done : ITEM_ADDRS_MAX;
		done += args->addr_count;
		item = item_add(state, args);
		if (!first)
			first = item;
		args->flags |= ITEM_MORE;
	} while (done < addrs->n);
	return first;
}

/* Nothing but what selectors can ask changes: no row is touched. */
static bool only_profile(struct item *old, const struct item_args *args, const addr_vec *addrs)
{
	return old->space == args->space && !strcmp(item_name(old), args->owner) &&
	       old->flags == args->flags && old->place == args->place &&
	       old->addr_count == addrs->n && !more_of(old) &&
	       (!addrs->n || !memcmp(old->addr, addrs->v, addrs->n * sizeof(*addrs->v)));
}

static bool shares_addr(const struct item *item, const addr_vec *addrs)
{
	for (size_t i = 0; i < addrs->n; i++) {
		for (unsigned int k = 0; k < item->addr_count; k++) {
			if (!addr_cmp(&item->addr[k], &addrs->v[i]))
				return true;
		}
	}
	return false;
}

/* Takes addrs over. old: the items that the same object had; NULL: there are none. */
static void object_replace(struct state *state, struct item *old, struct item_args *args,
			   addr_vec *addrs)
{
	bool same = old && only_profile(old, args, addrs);
	/* The newest counts where two say an address is theirs; what is told again is no newer. */
	bool again = old && shares_addr(old, addrs);
	uint32_t seq = old ? old->seq : 0;
	addr_vec told = {};
	struct item *item;

	place_hold(state, args->place);
	if (old) {
		gather(&told, old);
		object_del(state, old);
	}
	item = object_add(state, args, addrs);
	place_drop(state, args->place);
	if (again)
		item->seq = seq;
	gather(&told, item);
	if (same)
		vec_done(&told);
	else
		tell_all(state, &told);
	if (same)
		owner_tell(state, item);
	else
		endpoints_tell(state, item);
	vec_done(addrs);
}

/* What is left of an owner after one of its items went. */
static void object_remove(struct state *state, struct item *item)
{
	_cleanup_free_ char *name = xstrdup(item_name(item));
	struct space *space = item->space;
	const struct item *rest;
	addr_vec told = {};

	gather(&told, item);
	object_del(state, item);
	tell_all(state, &told);
	rest = item_owner(state, space, name);
	if (rest)
		endpoints_tell(state, rest);
}

/* Borrows the object's texts; the ports are the caller's to free. */
static struct profile profile_of(const struct object *object, const char *service_account,
				 const struct pod_port *ports, size_t count)
{
	struct profile profile = { .service_account = service_account,
				   .labels = object->labels,
				   .ports = xcalloc(count, sizeof(*profile.ports)) };

	for (size_t i = 0; i < count; i++) {
		if (ports[i].name)
			profile.ports[profile.port_count++] =
				(struct engine_port){ .name = ports[i].name,
						      .number = ports[i].port,
						      .proto = ports[i].protocol };
	}
	return profile;
}

static unsigned int here(const struct state *state, const char *node)
{
	return strcmp(node, state->node) ? 0 : ITEM_HERE;
}

/* --- Pods ---------------------------------------------------------------------------------- */

static struct kept_pod *kept_find(const struct state *state, const char *ns, const char *name)
{
	return (struct kept_pod *)named_find(&state->kept, ns, name);
}

static void kept_free(struct kept_pod *kept)
{
	object_unref((struct object *)kept->object);
	free((char *)kept->named.key);
	free(kept);
}

static void kept_del(struct state *state, const char *ns, const char *name)
{
	struct kept_pod *kept = kept_find(state, ns, name);

	if (!kept)
		return;
	named_del(&state->kept, &kept->named);
	kept_free(kept);
}

/* Of Pods that run elsewhere no ADD is to be expected; the agent reads the object if one comes. */
static void keep_pod(struct state *state, const struct object *object)
{
	const char *node = pod_of(object)->node;
	struct kept_pod *kept;

	kept_del(state, object->ns, object->name);
	if (*node && !here(state, node))
		return;
	kept = xcalloc(1, sizeof(*kept));
	kept->named.key = xasprintf("%s/%s", object->ns, object->name);
	kept->object = object_ref(object);
	named_add(&state->kept, &kept->named);
}

const struct object *state_pod(const struct state *state, const char *ns, const char *name)
{
	const struct kept_pod *kept = kept_find(state, ns, name);

	return kept ? kept->object : NULL;
}

static struct item *pod_item(const struct state *state, const struct space *space, const char *name)
{
	return (struct item *)item_of_flag(item_owner(state, space, name), ITEM_POD);
}

void pod_set(struct state *state, const struct object *object)
{
	const struct pod *pod = pod_of(object);
	struct profile profile =
		profile_of(object, pod->service_account, pod->ports, pod->port_count);
	/* The API: completed pods are no peers; a host-network pod is its node's address. */
	bool gone = pod_is_done(pod) || pod->host_network;
	struct item_args args = { .space = space_get(state, object->ns),
				  .profile = &profile,
				  .flags = ITEM_POD | (gone ? ITEM_GONE : 0U) |
					   here(state, pod->node),
				  .place = place_of(state, pod->node),
				  .owner = object->name };
	addr_vec addrs = {};

	keep_pod(state, object);
	unique_addrs(pod->ips, pod->ip_count, &addrs);
	object_replace(state, pod_item(state, args.space, object->name), &args, &addrs);
	free(profile.ports);
}

void pod_del(struct state *state, const char *ns, const char *name)
{
	struct item *item = pod_item(state, space_get(state, ns), name);

	kept_del(state, ns, name);
	if (item)
		object_remove(state, item);
}

int state_pod_addr(const struct state *state, const char *ns, const char *name, bool want6,
		   union mg_addr *ret_addr)
{
	struct space *space;

	HASH_FIND_STR(state->spaces, ns, space);
	ring_for_each(space ? item_owner(state, space, name) : NULL, item)
	{
		for (unsigned int i = 0; i < item->addr_count && item_counts(item); i++) {
			if (addr_is4(&item->addr[i]) == want6)
				continue;
			*ret_addr = item->addr[i];
			return 0;
		}
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

void wep_set(struct state *state, const struct object *object)
{
	const struct workload_endpoint *wep = workload_endpoint_of(object);
	struct profile profile =
		profile_of(object, wep->service_account, wep->ports, wep->port_count);
	struct item_args args = { .space = space_get(state, object->ns),
				  .profile = &profile,
				  .flags = ITEM_WEP | here(state, wep->node),
				  .owner = wep_owner_name(wep),
				  .wep = object->name };
	struct item *old = item_wep(state, args.space, object->name);
	addr_vec addrs = {};

	unique_addrs(wep->ips, wep->ip_count, &addrs);
	/* It says it is another pod's now: two owners change. */
	if (old && strcmp(item_name(old), args.owner)) {
		object_remove(state, old);
		old = NULL;
	}
	args.place = place_of(state, wep->node);
	object_replace(state, old, &args, &addrs);
	free(profile.ports);
}

void wep_del(struct state *state, const char *ns, const char *name)
{
	struct item *item = item_wep(state, space_get(state, ns), name);

	if (item)
		object_remove(state, item);
}

/* --- endpoints of this node ---------------------------------------------------------------- */

static struct local_endpoint *endpoint_find(const struct state *state, uint16_t slot)
{
	struct local_endpoint *ep;

	HASH_FIND(hh, state->endpoints, &slot, sizeof(slot), ep);
	return ep;
}

void state_endpoint_set(struct state *state, const struct state_endpoint *endpoint)
{
	const union mg_addr both[] = { endpoint->ip4, endpoint->ip6 };
	struct profile profile = { .labels = endpoint->labels };
	struct item_args args = { .space = space_get(state, endpoint->ns),
				  .profile = &profile,
				  .flags = ITEM_ENDPOINT | ITEM_HERE,
				  .place = endpoint->slot,
				  .owner = endpoint->pod };
	struct local_endpoint *ep;
	addr_vec addrs = {};

	state_endpoint_del(state, endpoint->slot);
	ep = xcalloc(1, sizeof(*ep));
	ep->e = *endpoint;
	ep->e.ns = ep->e.pod = NULL;
	ep->e.labels = (struct labels){ 0 };
	HASH_ADD(hh, state->endpoints, e.slot, sizeof(ep->e.slot), ep);
	unique_addrs(both, 2, &addrs);
	ep->item = object_add(state, &args, &addrs);
	addrs.n = 0;
	gather(&addrs, ep->item);
	tell_all(state, &addrs);
	endpoints_tell(state, ep->item);
}

void state_endpoint_del(struct state *state, uint16_t slot)
{
	struct local_endpoint *ep = endpoint_find(state, slot);

	if (!ep)
		return;
	HASH_DEL(state->endpoints, ep);
	engine_endpoint_del(state->engine, slot);
	object_remove(state, ep->item);
	free(ep);
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

	HASH_ITER(hh, state->endpoints, ep, ep_next) {
		HASH_DEL(state->endpoints, ep);
		free(ep);
	}
	index_for_each(&state->kept, word) kept_free((struct kept_pod *)word);
	index_done(&state->kept);
	items_free(state);
}
