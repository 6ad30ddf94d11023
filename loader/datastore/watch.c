/* SPDX-License-Identifier: Apache-2.0 */
/* Queries of watches, and the list of problems: what all back ends share. */
#include <string.h>

#include "base/arena.h"
#include "datastore/backend.h"
#include "datastore/labels.h"

static bool query_selects(const struct store_query *query, const struct store_event *event)
{
	const char *name = object_meta(event->object, "name");
	const char *ns = object_meta(event->object, "namespace");

	return store_kind_equal(query->kind, event->kind) &&
	       (!query->name || (name && !strcmp(query->name, name))) &&
	       (!query->ns || !event->kind->namespaced ||
		!strcmp(query->ns, ns && *ns ? ns : "default"));
}

/* What the change is for one query: labels may make a modification an addition or a deletion. */
static bool change_for(const struct store_query *query, const struct store_change *change,
		       struct store_event *ret_event)
{
	struct store_event event = change->event;
	bool now, before;

	if (!query_selects(query, &event))
		return false;
	now = query_labels_match(query->labels, object_labels(event.object));
	before = event.type == STORE_MODIFIED && query_labels_match(query->labels, change->was);
	switch (event.type) {
	case STORE_ADDED:
	case STORE_DELETED:
		if (!now)
			return false;
		break;
	case STORE_MODIFIED:
		if (!now && !before)
			return false;
		event.type = !before ? STORE_ADDED : !now ? STORE_DELETED : STORE_MODIFIED;
		break;
	}
	*ret_event = event;
	return true;
}

void watch_deliver(struct store_watch *watch, const struct store_change *changes, size_t count,
		   const char *version)
{
	struct store_batch batch = { .version = version };
	struct store_event *events;

	if (watch->dead || watch->gone || !count)
		return;
	events = xcalloc(count, sizeof(*events));
	for (size_t i = 0; i < count; i++)
		for (size_t q = 0; q < watch->count; q++)
			if (change_for(&watch->queries[q], &changes[i], &events[batch.count])) {
				batch.count++;
				break;
			}
	batch.events = events;
	if (batch.count)
		watch->fn(watch, &batch, watch->arg);
	free(events);
}

void watch_list_again(struct store_watch *watch)
{
	const struct store_batch batch = { .list_again = true };

	if (watch->dead || watch->gone)
		return;
	watch->dead = true;
	watch->fn(watch, &batch, watch->arg);
}

/* --- problems --- */

static void problem_done(struct store_problem *problem)
{
	free(problem->file);
	free(problem->object);
	free(problem->text);
}

static bool text_equal(const char *a, const char *b)
{
	return a == b || (a && b && !strcmp(a, b));
}

static struct store_problem *problem_find(struct store *store, const char *file)
{
	for (size_t i = 0; i < store->problems.count; i++)
		if (!strcmp(store->problems.all[i].file, file))
			return &store->problems.all[i];
	return NULL;
}

void problem_set(struct store *store, const struct store_problem *problem)
{
	struct store_problem_list *list = &store->problems;
	struct store_problem *old = problem_find(store, problem->file);

	if (old && text_equal(old->object, problem->object) &&
	    text_equal(old->text, problem->text) && old->served == problem->served &&
	    old->twice == problem->twice)
		return;
	if (old) {
		problem_done(old);
	} else {
		if (list->count == list->room) {
			list->room = list->room ? list->room * 2 : 8;
			list->all = xrealloc(list->all, list->room, sizeof(*list->all));
		}
		old = &list->all[list->count++];
	}
	*old = (struct store_problem){ .file = xstrdup(problem->file),
				       .object = problem->object ? xstrdup(problem->object) : NULL,
				       .text = xstrdup(problem->text),
				       .served = problem->served,
				       .twice = problem->twice };
	list->number++;
}

static void problem_remove(struct store_problem_list *list, size_t at)
{
	problem_done(&list->all[at]);
	list->all[at] = list->all[--list->count];
	list->number++;
}

void problem_clear(struct store *store, const char *file)
{
	struct store_problem *old = problem_find(store, file);

	if (old)
		problem_remove(&store->problems, (size_t)(old - store->problems.all));
}

void problem_clear_prefix(struct store *store, const char *prefix)
{
	for (size_t i = store->problems.count; i--;)
		if (!strncmp(store->problems.all[i].file, prefix, strlen(prefix)))
			problem_remove(&store->problems, i);
}

size_t store_problems(struct store *store, const struct store_problem **ret_list,
		      unsigned long *ret_number)
{
	if (ret_list)
		*ret_list = store->problems.all;
	if (ret_number)
		*ret_number = store->problems.number;
	return store->problems.count;
}
