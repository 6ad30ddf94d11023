/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Services as rules see them: the addresses and ports of all EndpointSlices of a service, ready
 * or not (projectcalico.org/v3 ServiceMatch: "endpoints within the selected service").
 */
#include <string.h>
#include <utlist.h>

#include "model/slice.h"
#include "state/internal.h"

struct state_slice {
	char *key;		       /* "namespace/name" */
	struct engine_member *members; /* all that is kept of the object */
	size_t count;
	struct state_service *service; /* NULL: of none */
	struct state_slice *prev, *next;
	UT_hash_handle hh;
};

struct state_service {
	char *key; /* "namespace/name" */
	struct state_slice *slices;
	UT_hash_handle hh;
};

struct members {
	struct engine_member *v;
	size_t count, room;
};

static void add_member(struct members *members, const struct engine_member *member)
{
	if (members->count == members->room) {
		members->room = members->room ? members->room * 2 : 16;
		members->v = xrealloc(members->v, members->room, sizeof(*members->v));
	}
	members->v[members->count++] = *member;
}

static void add_endpoint(struct members *members, const struct endpoint_slice *slice,
			 const struct slice_endpoint *endpoint)
{
	for (size_t i = 0; i < endpoint->addr_count; i++) {
		for (size_t k = 0; k < slice->port_count; k++)
			add_member(members,
				   &(struct engine_member){ .addr = endpoint->addrs[i],
							    .port = slice->ports[k].port,
							    .proto = slice->ports[k].protocol });
	}
}

static void drop_members(struct state *state, struct state_slice *slice)
{
	slab_free(&state->slab, slice->members, slice->count * sizeof(*slice->members));
	slice->members = NULL;
	slice->count = 0;
}

static void take_members(struct state *state, struct state_slice *slice,
			 const struct endpoint_slice *from)
{
	struct members members = { 0 };

	for (size_t i = 0; i < from->endpoint_count; i++)
		add_endpoint(&members, from, &from->endpoints[i]);
	if (members.count) {
		slice->count = members.count;
		slice->members = slab_alloc(&state->slab, members.count * sizeof(*members.v));
		memcpy(slice->members, members.v, members.count * sizeof(*members.v));
	}
	free(members.v);
}

static void tell(struct state *state, const struct state_service *service)
{
	struct members members = { 0 };
	const struct state_slice *slice;

	DL_FOREACH(service->slices, slice) {
		for (size_t i = 0; i < slice->count; i++)
			add_member(&members, &slice->members[i]);
	}
	engine_service_set(state->engine, service->key, members.v, members.count);
	free(members.v);
}

static struct state_service *service_get(struct state *state, const char *ns, const char *name)
{
	_cleanup_free_ char *key = xasprintf("%s/%s", ns, name);
	struct state_service *service;

	HASH_FIND_STR(state->services, key, service);
	if (service)
		return service;
	service = xcalloc(1, sizeof(*service));
	service->key = xstrdup(key);
	HASH_ADD_KEYPTR(hh, state->services, service->key, strlen(service->key), service);
	return service;
}

static void service_forget(struct state *state, struct state_service *service)
{
	if (service->slices)
		return;
	HASH_DEL(state->services, service);
	free(service->key);
	free(service);
}

/* Puts a slice into its service's list, or takes it out. */
static void enlist(struct state *state, struct state_slice *slice,
		   const struct endpoint_slice *from)
{
	if (!*from->service)
		return;
	take_members(state, slice, from);
	slice->service = service_get(state, from->base.ns, from->service);
	DL_APPEND(slice->service->slices, slice);
	tell(state, slice->service);
}

static void delist(struct state *state, struct state_slice *slice)
{
	if (!slice->service)
		return;
	DL_DELETE(slice->service->slices, slice);
	tell(state, slice->service);
	service_forget(state, slice->service);
	slice->service = NULL;
	drop_members(state, slice);
}

static struct state_slice *slice_find(const struct state *state, const char *ns, const char *name)
{
	_cleanup_free_ char *key = xasprintf("%s/%s", ns, name);
	struct state_slice *slice;

	HASH_FIND_STR(state->slices, key, slice);
	return slice;
}

static void slice_free(struct state *state, struct state_slice *slice)
{
	HASH_DEL(state->slices, slice);
	drop_members(state, slice);
	free(slice->key);
	free(slice);
}

void slice_del(struct state *state, const char *ns, const char *name)
{
	struct state_slice *slice = slice_find(state, ns, name);

	if (!slice)
		return;
	delist(state, slice);
	slice_free(state, slice);
}

void slice_set(struct state *state, const struct object *object)
{
	struct state_slice *slice = slice_find(state, object->ns, object->name);

	if (!slice) {
		slice = xcalloc(1, sizeof(*slice));
		slice->key = xasprintf("%s/%s", object->ns, object->name);
		HASH_ADD_KEYPTR(hh, state->slices, slice->key, strlen(slice->key), slice);
	}
	delist(state, slice);
	enlist(state, slice, endpoint_slice_of(object));
}

void slices_free(struct state *state)
{
	struct state_slice *slice, *next;
	struct state_service *service, *after;

	HASH_ITER(hh, state->slices, slice, next)
		slice_free(state, slice);
	HASH_ITER(hh, state->services, service, after) {
		service->slices = NULL;
		service_forget(state, service);
	}
}
