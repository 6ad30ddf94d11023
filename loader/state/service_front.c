/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frontends, and who asks for them. Where two services ask for one address, port and protocol, the
 * one whose name comes first has it, whatever came first in time: a fresh start gives the same; a
 * pod's host port comes before any. One
 * service that asks twice (an address of its externalIPs and of its load balancer) is heard once.
 */
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "base/arena.h"
#include "state/service_own.h"

static void front_dirty(struct services *services, struct front *front)
{
	if (front->dirty)
		return;
	front->dirty = true;
	LL_PREPEND2(services->dirty_fronts, front, next_dirty);
}

static struct front *front_get(struct services *services, const struct mg_front_key *key)
{
	struct front *front;

	HASH_FIND(hh, services->fronts, key, sizeof(*key), front);
	if (front)
		return front;
	front = xcalloc(1, sizeof(*front));
	front->key = *key;
	HASH_ADD(hh, services->fronts, key, sizeof(front->key), front);
	return front;
}

static int claim_cmp(const struct claim *a, const struct claim *b)
{
	if (a->service->pod != b->service->pod)
		return a->service->pod ? -1 : 1;
	return strcmp(a->service->key, b->service->key);
}

static const char *shown(const struct claim *claim)
{
	return claim->service->shown ? claim->service->shown : claim->service->key;
}

static bool has_claim(const struct front *front, const struct proxied *service)
{
	const struct claim *claim;

	DL_FOREACH(front->claims, claim) {
		if (claim->service == service)
			return true;
	}
	return false;
}

void claim_add(struct services *services, struct proxied *service, const struct mg_front_key *key,
	       const struct mg_front *row, const char *port)
{
	struct front *front = front_get(services, key);
	struct claim *claim;

	if (has_claim(front, service))
		return;
	claim = xcalloc(1, sizeof(*claim));
	claim->service = service;
	claim->front = front;
	claim->port = port;
	claim->row = *row;
	DL_INSERT_INORDER(claim->front->claims, claim, claim_cmp);
	vec_push(&service->claims, claim);
	front_dirty(services, claim->front);
}

void claims_drop(struct services *services, struct proxied *service)
{
	for (size_t i = 0; i < service->claims.n; i++) {
		struct claim *claim = service->claims.v[i];

		DL_DELETE(claim->front->claims, claim);
		front_dirty(services, claim->front);
		free(claim);
	}
	service->claims.n = 0;
}

static void front_write(struct services *services, struct front *front)
{
	const struct mg_front *want = front->claims ? &front->claims->row : NULL;

	front->dirty = false;
	if (want && (!front->in_map || memcmp(want, &front->row, sizeof(*want)) != 0)) {
		service_plan_set(&services->plan, RANK_FRONT, &front->key, want);
		front->row = *want;
		front->in_map = true;
	}
	if (want)
		return;
	if (front->in_map)
		service_plan_remove(&services->plan, RANK_FRONT, &front->key);
	HASH_DEL(services->fronts, front);
	free(front);
}

void fronts_write(struct services *services)
{
	struct front *front, *next;

	LL_FOREACH_SAFE2(services->dirty_fronts, front, next, next_dirty)
	front_write(services, front);
	services->dirty_fronts = NULL;
}

void fronts_sweep(struct services *services)
{
	struct front *front, *next;

	HASH_ITER(hh, services->fronts, front, next)
		front_dirty(services, front);
}

void fronts_forget(struct services *services)
{
	struct front *front, *next;

	HASH_ITER(hh, services->fronts, front, next)
		front->in_map = false;
}

void fronts_free(struct services *services)
{
	struct front *front, *next;

	HASH_ITER(hh, services->fronts, front, next) {
		HASH_DEL(services->fronts, front);
		free(front);
	}
}

void services_restore_front(struct services *services, const struct mg_front_key *key,
			    const struct mg_front *row)
{
	struct front *front = front_get(services, key);

	front->row = *row;
	front->in_map = true;
}

void services_each(const struct services *services,
		   void (*each)(void *ctx, const struct service_view *view), void *ctx)
{
	const struct front *front, *next;
	const struct claim *claim;

	HASH_ITER(hh, services->fronts, front, next) {
		DL_FOREACH(front->claims, claim)
			each(ctx,
			     &(struct service_view){ .service = shown(claim),
						     .port = claim->port,
						     .key = front->key,
						     .row = claim->row,
						     .taken_by = claim == front->claims
									 ? NULL
									 : shown(front->claims) });
	}
}
