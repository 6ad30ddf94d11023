/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From the slices that are there to those that should be, with few writes.
 *
 * Endpoints stay where they are. New ones go first into slices that are written anyway, then all
 * together into the fullest other slice that has the room, else into new slices. A slice whose
 * ports nobody wants any more becomes one of the new ones; what is empty goes, except one when
 * there is no endpoint at all.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "base/arena.h"
#include "controller/slicer_own.h"

/* One slice as it will be. */
struct draft {
	const struct endpoint_slice *former; /* NULL: new */
	struct endpoint_slice slice;
	size_t room; /* of slice.endpoints */
	bool changed;
	struct draft *next;
};

struct plan {
	const struct slicer *slices;
	const struct known_service *known;
	const struct service *service; /* NULL: gone */
	const struct plan_args *args;
	struct arena *arena;
	struct labels labels;
	struct draft *spare; /* former slices without a use, of the family in hand */
	bool *placed;	     /* of the want in hand */
	unsigned int number; /* tried last for a name */
};

/* --- drafts --------------------------------------------------------------------------------- */

static void draft_add(struct plan *plan, struct draft *draft, const struct slice_endpoint *endpoint)
{
	struct endpoint_slice *slice = &draft->slice;
	struct slice_endpoint *v;

	if (slice->endpoint_count == draft->room) {
		draft->room = draft->room ? draft->room * 2 : 4;
		v = arena_array(plan->arena, draft->room, sizeof(*v));
		if (slice->endpoint_count)
			memcpy(v, slice->endpoints, slice->endpoint_count * sizeof(*v));
		slice->endpoints = v;
	}
	slice->endpoints[slice->endpoint_count++] = *endpoint;
}

static struct draft *draft_new(struct plan *plan, const struct want *want,
			       const struct endpoint_slice *former)
{
	struct draft *draft = arena_alloc(plan->arena, sizeof(*draft));

	draft->former = former;
	draft->slice.base.name = former ? former->base.name : "";
	draft->slice.base.version = former ? former->base.version : "";
	draft->slice.is6 = former && former->is6;
	draft->slice.base.ns = plan->known->space->name;
	draft->slice.base.labels = plan->labels;
	draft->slice.ports = want->ports;
	draft->slice.port_count = want->port_count;
	draft->changed =
		!former || !labels_equal(&former->base.labels, &plan->labels) ||
		!ports_equal(former->ports, former->port_count, want->ports, want->port_count);
	return draft;
}

/* The endpoint in want, not yet placed; NULL: it has to go. */
static const struct slice_endpoint *claim(struct plan *plan, const struct want *want,
					  const struct slice_endpoint *endpoint)
{
	size_t low = 0, high = want->count;

	while (low < high) {
		size_t middle = (low + high) / 2;
		int order = endpoint_cmp(endpoint, &want->endpoints[middle]);

		if (!order) {
			if (plan->placed[middle])
				return NULL;
			plan->placed[middle] = true;
			return &want->endpoints[middle];
		}
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return NULL;
}

/* What stays of a former slice. */
static struct draft *draft_keep(struct plan *plan, const struct want *want,
				const struct endpoint_slice *former)
{
	struct draft *draft = draft_new(plan, want, former);

	for (size_t i = 0; i < former->endpoint_count; i++) {
		const struct slice_endpoint *now = claim(plan, want, &former->endpoints[i]);

		if (now)
			draft_add(plan, draft, now);
		if (!now || !endpoint_equal(now, &former->endpoints[i]))
			draft->changed = true;
	}
	return draft;
}

static size_t room_in(const struct draft *draft)
{
	const size_t count = draft->slice.endpoint_count;

	return count < SLICER_ENDPOINTS_MAX ? SLICER_ENDPOINTS_MAX - count : 0;
}

/* --- new endpoints -------------------------------------------------------------------------- */

static size_t count_left(const struct plan *plan, const struct want *want)
{
	size_t left = 0;

	for (size_t i = 0; i < want->count; i++)
		left += !plan->placed[i];
	return left;
}

static void fill(struct plan *plan, const struct want *want, struct draft *draft)
{
	for (size_t i = 0; i < want->count && room_in(draft); i++) {
		if (plan->placed[i])
			continue;
		plan->placed[i] = true;
		draft_add(plan, draft, &want->endpoints[i]);
		draft->changed = true;
	}
}

static struct draft *fullest_with_room(struct draft *drafts, size_t left)
{
	struct draft *best = NULL, *draft;

	LL_FOREACH(drafts, draft) {
		if (room_in(draft) >= left && (!best || room_in(draft) < room_in(best)))
			best = draft;
	}
	return best;
}

static void name_it(struct plan *plan, struct endpoint_slice *slice)
{
	do {
		slice->base.name = arena_printf(plan->arena, "%s-%s-%u", plan->known->name,
						slice->is6 ? "ipv6" : "ipv4", plan->number++);
	} while (slicer_has_name(plan->slices, slice->base.ns, slice->base.name));
}

static struct draft *draft_fresh(struct plan *plan, const struct want *want, bool is6)
{
	struct draft *draft = draft_new(plan, want, plan->spare ? plan->spare->former : NULL);

	draft->slice.is6 = is6;
	if (plan->spare)
		LL_DELETE(plan->spare, plan->spare);
	else
		name_it(plan, &draft->slice);
	draft->changed = true;
	return draft;
}

static void place_new(struct plan *plan, const struct want *want, bool is6, struct draft **drafts)
{
	struct draft *draft;
	size_t left;

	LL_FOREACH(*drafts, draft) {
		if (draft->changed)
			fill(plan, want, draft);
	}
	left = count_left(plan, want);
	draft = left ? fullest_with_room(*drafts, left) : NULL;
	if (draft)
		fill(plan, want, draft);
	while (count_left(plan, want)) {
		draft = draft_fresh(plan, want, is6);
		LL_APPEND(*drafts, draft);
		fill(plan, want, draft);
	}
}

/* --- one family ----------------------------------------------------------------------------- */

static bool is_wanted(const struct want *wants, const struct endpoint_slice *slice)
{
	const struct want *want;

	LL_FOREACH(wants, want) {
		if (ports_equal(want->ports, want->port_count, slice->ports, slice->port_count))
			return true;
	}
	return false;
}

/* Former slices of the family that no want has a use for. */
static void find_spare(struct plan *plan, const struct want *wants, bool is6)
{
	const struct want nothing = { 0 };
	const struct known_slice *known;

	plan->spare = NULL;
	DL_FOREACH(plan->known->slices, known) {
		const struct endpoint_slice *slice = endpoint_slice_of(known->object);
		struct draft *draft;

		if (slice->is6 != is6 || slice->fqdn || is_wanted(wants, slice))
			continue;
		draft = draft_new(plan, &nothing, slice);
		LL_APPEND(plan->spare, draft);
	}
}

static void emit_drafts(struct plan *plan, struct draft *drafts, bool keep_one)
{
	struct draft *draft;

	LL_FOREACH(drafts, draft) {
		if (!draft->slice.endpoint_count && !keep_one) {
			if (draft->former)
				plan->args->emit(plan->args->arg, SLICER_DELETE,
						 slice_json_key(&draft->former->base));
			continue;
		}
		keep_one = false;
		if (draft->changed)
			plan->args->emit(
				plan->args->arg, draft->former ? SLICER_UPDATE : SLICER_CREATE,
				slice_json(plan->service, &draft->slice, plan->args->now_ms));
	}
}

static struct draft *plan_want(struct plan *plan, const struct want *want, bool is6)
{
	struct draft *drafts = NULL, *draft;
	const struct known_slice *known;

	plan->placed = xcalloc(want->count + 1, sizeof(*plan->placed));
	DL_FOREACH(plan->known->slices, known) {
		const struct endpoint_slice *slice = endpoint_slice_of(known->object);

		if (slice->is6 != is6 || slice->fqdn ||
		    !ports_equal(want->ports, want->port_count, slice->ports, slice->port_count))
			continue;
		draft = draft_keep(plan, want, slice);
		LL_APPEND(drafts, draft);
	}
	place_new(plan, want, is6, &drafts);
	free(plan->placed);
	return drafts;
}

static void plan_family(struct plan *plan, bool is6)
{
	static const struct want nobody;
	const struct want *wants, *want;

	wants = want_of(plan->slices, plan->known, is6, plan->arena);
	if (!wants)
		wants = &nobody;
	plan->number = 0;
	find_spare(plan, wants, is6);
	LL_FOREACH(wants, want) {
		struct draft *drafts = plan_want(plan, want, is6);

		if (wants == &nobody && !drafts)
			drafts = draft_fresh(plan, want, is6);
		emit_drafts(plan, drafts, wants == &nobody);
	}
	emit_drafts(plan, plan->spare, false);
}

static void drop_family(struct plan *plan, bool is6)
{
	find_spare(plan, NULL, is6);
	emit_drafts(plan, plan->spare, false);
}

void slicer_plan(const struct slicer *slices, const struct known_service *known,
		 const struct plan_args *args)
{
	struct plan plan = { .slices = slices, .known = known, .args = args, .arena = arena_new() };

	plan.service = service_of(known->object);
	if (plan.service)
		plan.labels = want_labels(plan.service, plan.arena);
	for (int is6 = 0; is6 < 2; is6++) {
		if (plan.service && want_family(plan.service, is6))
			plan_family(&plan, is6);
		else
			drop_family(&plan, is6);
	}
	arena_free(plan.arena);
}
