/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sets of backends: their numbers, known by a digest of what they are of, and their slots.
 */
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/inet.h"
#include "base/sha.h"
#include "state/service_own.h"

/* --- numbers ------------------------------------------------------------------------------ */

static struct mg_digest digest_of(const struct set_args *args)
{
	/* a Service without a UID (of a folder of manifests) is known by its name */
	_cleanup_free_ char *text =
		xasprintf("%s|%s|%s|%u|%d|%d", args->service->uid, args->service->key,
			  args->port->name, args->port->protocol, args->is6, args->scope);
	uint8_t sum[SHA256_SIZE];
	struct mg_digest digest;

	sha256(text, strlen(text), sum);
	memcpy(digest.b, sum, sizeof(digest.b));
	return digest;
}

static uint32_t take_number(struct services *services)
{
	if (services->free.n)
		return services->free.v[--services->free.n];
	return services->next++;
}

static struct back_set *back_set_add(struct services *services, const struct mg_digest *digest,
				     uint32_t number)
{
	struct back_set *set = xcalloc(1, sizeof(*set));

	set->digest = *digest;
	set->number = number;
	HASH_ADD(hh, services->sets, digest, sizeof(set->digest), set);
	HASH_ADD(hn, services->by_number, number, sizeof(set->number), set);
	return set;
}

struct back_set *back_set_get(struct services *services, const struct set_args *args)
{
	struct mg_digest digest = digest_of(args);
	struct back_set *set;

	HASH_FIND(hh, services->sets, &digest, sizeof(digest), set);
	if (!set)
		set = back_set_add(services, &digest, take_number(services));
	if (!set->recorded)
		service_plan_set(&services->plan, RANK_DIGEST, &set->number, &set->digest);
	set->recorded = true;
	set->used = true;
	return set;
}

static void back_set_free(struct services *services, struct back_set *set)
{
	HASH_DELETE(hh, services->sets, set);
	HASH_DELETE(hn, services->by_number, set);
	vec_done(&set->slots);
	vec_done(&set->ranges);
	free(set);
}

void back_sets_free(struct services *services)
{
	struct back_set *set, *next;

	HASH_ITER(hh, services->sets, set, next)
		back_set_free(services, set);
}

/* A removal that was not written. */
static void unretire(struct services *services, uint32_t number)
{
	size_t kept = 0;

	for (size_t i = 0; i < services->retired.n; i++) {
		if (services->retired.v[i].number != number)
			services->retired.v[kept++] = services->retired.v[i];
	}
	services->retired.n = kept;
}

void services_restore_number(struct services *services, uint32_t number,
			     const struct mg_digest *digest)
{
	struct back_set *set;

	HASH_FIND(hh, services->sets, digest, sizeof(*digest), set);
	if (!set) {
		HASH_FIND(hn, services->by_number, &number, sizeof(number), set);
		if (set) /* given meanwhile, and not yet written: it will be */
			return;
		set = back_set_add(services, digest, number);
	}
	set->recorded = set->number == number;
	unretire(services, number);
	if (number >= services->next)
		services->next = number + 1;
}

static bool is_retired(const struct services *services, uint32_t number)
{
	for (size_t i = 0; i < services->retired.n; i++) {
		if (services->retired.v[i].number == number)
			return true;
	}
	return false;
}

/* Numbers between those that were read are free, the lowest at hand. */
static void find_gaps(struct services *services)
{
	services->free.n = 0;
	for (uint32_t number = services->next; number-- > 1;) {
		struct back_set *set;

		HASH_FIND(hn, services->by_number, &number, sizeof(number), set);
		if (!set && !is_retired(services, number))
			vec_push(&services->free, number);
	}
}

/* --- slots -------------------------------------------------------------------------------- */

static struct mg_member member_of(const struct back_set *set, const struct backend *backend)
{
	return (struct mg_member){ .addr = backend->addr,
				   .set = set->number,
				   .port = backend->port };
}

static void write_slot(struct services *services, struct back_set *set, uint32_t slot,
		       const struct backend *backend)
{
	const struct mg_back_key key = { .set = set->number, .slot = slot };
	const struct mg_back row = { .addr = backend->addr, .port = backend->port };

	set->slots.v[slot] = *backend;
	service_plan_set(&services->plan, RANK_BACK, &key, &row);
}

static void write_member(struct services *services, const struct back_set *set, uint32_t slot)
{
	struct mg_member key = member_of(set, &set->slots.v[slot]);

	service_plan_set(&services->plan, RANK_MEMBER, &key, &slot);
}

static void remove_member(struct services *services, const struct back_set *set,
			  const struct backend *backend)
{
	struct mg_member key = member_of(set, backend);

	service_plan_remove(&services->plan, RANK_MEMBER, &key);
}

static int backend_cmp(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct backend));
}

static size_t sort_unique(struct backend *v, size_t count)
{
	size_t kept = 0;

	if (!count)
		return 0;
	qsort(v, count, sizeof(*v), backend_cmp);
	for (size_t i = 1; i < count; i++) {
		if (backend_cmp(&v[kept], &v[i]))
			v[++kept] = v[i];
	}
	return kept + 1;
}

/* Which of the sorted wanted ones a slot has; NULL: none. */
static struct backend *find(struct backend *wanted, size_t count, const struct backend *backend)
{
	return count ? bsearch(backend, wanted, count, sizeof(*wanted), backend_cmp) : NULL;
}

/* One that is wanted keeps its slot, unless that is beyond the new count. */
static void mark_kept(const struct back_set *set, struct backend *wanted, size_t count, bool *kept)
{
	for (size_t slot = 0; slot < set->slots.n && slot < count; slot++) {
		struct backend *found = find(wanted, count, &set->slots.v[slot]);

		if (found)
			kept[found - wanted] = true;
	}
}

/* The others fill what is open, in their order. */
static void fill_slots(struct services *services, struct back_set *set, struct backend *wanted,
		       size_t count, const bool *kept, bool by_address)
{
	size_t former = set->slots.n, next = 0;

	vec_reserve(&set->slots, count);
	for (uint32_t slot = 0; slot < count; slot++) {
		struct backend was = { 0 };

		if (slot < former) {
			was = set->slots.v[slot];
			if (find(wanted, count, &was))
				continue;
		}
		while (kept[next])
			next++;
		write_slot(services, set, slot, &wanted[next++]);
		if (by_address)
			write_member(services, set, slot);
		if (slot < former && set->by_address)
			remove_member(services, set, &was);
	}
}

/* Slots beyond the count; who moved down from there has its row by address already. */
static void drop_slots(struct services *services, struct back_set *set, struct backend *wanted,
		       size_t count)
{
	for (uint32_t slot = (uint32_t)count; slot < set->slots.n; slot++) {
		const struct mg_back_key key = { .set = set->number, .slot = slot };

		service_plan_remove(&services->plan, RANK_BACK, &key);
		if (set->by_address && !find(wanted, count, &set->slots.v[slot]))
			remove_member(services, set, &set->slots.v[slot]);
	}
	set->slots.n = count;
}

/* Rows by address begin or end for the whole set. */
static void switch_members(struct services *services, struct back_set *set, bool by_address)
{
	if (set->by_address == by_address)
		return;
	for (uint32_t slot = 0; slot < set->slots.n; slot++) {
		if (by_address)
			write_member(services, set, slot);
		else
			remove_member(services, set, &set->slots.v[slot]);
	}
	set->by_address = by_address;
}

void back_set_write(struct services *services, struct back_set *set, struct backend *wanted,
		    size_t count, bool by_address)
{
	_cleanup_free_ bool *kept = NULL;

	count = sort_unique(wanted, count);
	kept = xcalloc(count + 1, sizeof(*kept));
	switch_members(services, set, by_address);
	mark_kept(set, wanted, count, kept);
	fill_slots(services, set, wanted, count, kept, by_address);
	if (set->slots.n < count)
		set->slots.n = count;
	drop_slots(services, set, wanted, count);
}

void back_set_drop(struct services *services, struct back_set *set)
{
	back_set_write(services, set, NULL, 0, set->by_address);
	back_set_ranges(services, set, NULL, 0);
	if (set->recorded)
		service_plan_remove(&services->plan, RANK_DIGEST, &set->number);
	vec_push(&services->retired,
		 (struct retired){ .number = set->number, .build = services->build + 1 });
	back_set_free(services, set);
}

/* --- what stands in the maps --------------------------------------------------------------- */

void services_restore_back(struct services *services, const struct mg_back_key *key,
			   const struct mg_back *row)
{
	struct back_set *set;
	uint32_t number = key->set;

	HASH_FIND(hn, services->by_number, &number, sizeof(number), set);
	if (!set) { /* a write that was cut off */
		service_plan_remove(&services->plan, RANK_BACK, key);
		return;
	}
	while (set->slots.n <= key->slot)
		vec_push(&set->slots, (struct backend){ 0 });
	set->slots.v[key->slot] = (struct backend){ .addr = row->addr, .port = row->port };
}

/* Of which set it is a member is known when the services are. */
void services_restore_member(struct services *services, const struct mg_member *key)
{
	vec_push(&services->strays, *key);
}

void services_restore_done(struct services *services)
{
	find_gaps(services);
	services->known = true;
	services->swept = false;
}

/* --- leftovers ----------------------------------------------------------------------------- */

static bool is_member(struct services *services, const struct mg_member *key)
{
	const struct backend backend = { .addr = key->addr, .port = key->port };
	uint32_t number = key->set;
	struct back_set *set;

	HASH_FIND(hn, services->by_number, &number, sizeof(number), set);
	for (size_t i = 0; set && set->by_address && i < set->slots.n; i++) {
		if (!backend_cmp(&set->slots.v[i], &backend))
			return true;
	}
	return false;
}

void back_sets_sweep(struct services *services)
{
	struct back_set *set, *next;

	HASH_ITER(hh, services->sets, set, next) {
		if (!set->used)
			back_set_drop(services, set);
	}
	for (size_t i = 0; i < services->strays.n; i++) {
		if (!is_member(services, &services->strays.v[i]))
			service_plan_remove(&services->plan, RANK_MEMBER, &services->strays.v[i]);
	}
	services->strays.n = 0;
	ranges_sweep(services);
}

void back_sets_forget(struct services *services)
{
	struct back_set *set, *next;

	HASH_ITER(hh, services->sets, set, next) {
		set->slots.n = 0;
		set->recorded = false;
		set->by_address = false;
		set->ranges.n = 0;
	}
	services->strays.n = 0;
	services->stray_ranges.n = 0;
}
