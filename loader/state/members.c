/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Services as rules see them: the addresses and ports of all EndpointSlices of a service, ready
 * or not (projectcalico.org/v3 ServiceMatch: "endpoints within the selected service"). The engine
 * asks for those that rules name; nothing else of a slice is kept.
 */
#include <string.h>
#include <utlist.h>

#include "model/slice.h"
#include "state/internal.h"

struct state_slice {
	struct named named;	       /* the key lies behind the members */
	struct state_service *service; /* NULL: of none */
	struct state_slice *next;
	uint32_t size; /* bytes, all in all */
	uint32_t count;
	struct engine_member member[];
};

struct state_service {
	struct named named; /* the key lies behind */
	struct state_slice *slices;
	char text[];
};

/* --- services -------------------------------------------------------------------------------- */

static struct state_service *service_get(struct state *state, const char *ns, const char *name)
{
	_cleanup_free_ char *key = xasprintf("%s/%s", ns, name);
	struct state_service *service =
		(struct state_service *)named_find_key(&state->services, key);
	size_t size;

	if (service)
		return service;
	size = strlen(key) + 1;
	service = slab_alloc(&state->slab, sizeof(*service) + size);
	service->named.key = memcpy(service->text, key, size);
	named_add(&state->services, &service->named);
	return service;
}

static void service_free(struct state *state, struct state_service *service)
{
	slab_free(&state->slab, service, sizeof(*service) + strlen(service->text) + 1);
}

/* What its slices say has changed; without any it is forgotten. */
static void service_changed(struct state *state, struct state_service *service)
{
	engine_service_changed(state->engine, service->text);
	if (service->slices)
		return;
	named_del(&state->services, &service->named);
	service_free(state, service);
}

void service_members(void *ctx, const char *name,
		     void (*each)(void *arg, const struct engine_member *member), void *arg)
{
	const struct state *state = ctx;
	const struct state_service *service =
		(const struct state_service *)named_find_key(&state->services, name);
	const struct state_slice *slice;

	if (!service)
		return;
	LL_FOREACH(service->slices, slice) {
		for (uint32_t i = 0; i < slice->count; i++)
			each(arg, &slice->member[i]);
	}
}

/* --- slices ---------------------------------------------------------------------------------- */

/* Members of one address: one without any port still is an endpoint of the service. */
static size_t members_an_address(const struct endpoint_slice *from)
{
	return from->port_count ? from->port_count : 1;
}

static size_t count_members(const struct endpoint_slice *from)
{
	size_t count = 0;

	for (size_t i = 0; i < from->endpoint_count; i++)
		count += from->endpoints[i].addr_count * members_an_address(from);
	return *from->service ? count : 0;
}

static void add_members(struct state_slice *slice, const struct endpoint_slice *from,
			const union mg_addr *addr)
{
	for (size_t i = 0; i < members_an_address(from); i++) {
		struct engine_member *member = &slice->member[slice->count++];

		member->addr = *addr;
		if (i == from->port_count)
			continue;
		member->port = from->ports[i].port;
		member->proto = from->ports[i].protocol;
	}
}

static struct state_slice *slice_make(struct state *state, const struct endpoint_slice *from)
{
	_cleanup_free_ char *key = xasprintf("%s/%s", from->base.ns, from->base.name);
	size_t members = count_members(from) * sizeof(struct engine_member);
	size_t text = strlen(key) + 1, size = sizeof(struct state_slice) + members + text;
	struct state_slice *slice = slab_alloc(&state->slab, size);

	slice->size = (uint32_t)size;
	for (size_t i = 0; members && i < from->endpoint_count; i++)
		for (size_t k = 0; k < from->endpoints[i].addr_count; k++)
			add_members(slice, from, &from->endpoints[i].addrs[k]);
	slice->named.key = memcpy(&slice->member[slice->count], key, text);
	return slice;
}

static void slice_free(struct state *state, struct state_slice *slice)
{
	slab_free(&state->slab, slice, slice->size);
}

/* Out of the index and of its service, which is told by the caller. NULL: of none. */
static struct state_service *slice_remove(struct state *state, struct state_slice *slice)
{
	struct state_service *service = slice->service;

	named_del(&state->slices, &slice->named);
	if (service)
		LL_DELETE(service->slices, slice);
	slice_free(state, slice);
	return service;
}

static struct state_slice *slice_find(const struct state *state, const char *ns, const char *name)
{
	return (struct state_slice *)named_find(&state->slices, ns, name);
}

void slice_del(struct state *state, const char *ns, const char *name)
{
	struct state_slice *slice = slice_find(state, ns, name);
	struct state_service *service = slice ? slice_remove(state, slice) : NULL;

	if (service)
		service_changed(state, service);
}

void slice_set(struct state *state, const struct object *object)
{
	const struct endpoint_slice *from = endpoint_slice_of(object);
	struct state_slice *old = slice_find(state, object->ns, object->name);
	struct state_service *former = old ? slice_remove(state, old) : NULL;
	struct state_slice *slice = slice_make(state, from);

	named_add(&state->slices, &slice->named);
	if (*from->service) {
		slice->service = service_get(state, from->base.ns, from->service);
		LL_PREPEND(slice->service->slices, slice);
		service_changed(state, slice->service);
	}
	if (former && former != slice->service)
		service_changed(state, former);
}

void slices_free(struct state *state)
{
	index_for_each(&state->slices, word) slice_free(state, (struct state_slice *)word);
	index_for_each(&state->services, word) service_free(state, (struct state_service *)word);
	index_done(&state->slices);
	index_done(&state->services);
}
