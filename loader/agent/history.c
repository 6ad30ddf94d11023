/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/history.h"

#include <string.h>
#include <time.h>

#include "agent/objects.h"
#include "base/arena.h"
#include "base/json.h"
#include "base/packed.h"
#include "base/utc.h"
#include "model/unconfirmed.h"

/* --- contents ------------------------------------------------------------------------------ */

static char *key_of(const struct store_event *event)
{
	return xasprintf("%s.%s %s/%s", event->kind->kind, event->kind->group,
			 json_text_or(event->object, "metadata.namespace", ""),
			 json_text_or(event->object, "metadata.name", ""));
}

struct packed *history_pack(const json_t *object)
{
	_cleanup_json_ json_t *copy = json_deep_copy(object);
	json_t *metadata = json_object_get(copy, "metadata");
	static const char *const assigned[] = { "resourceVersion", "managedFields", "generation" };

	for (size_t i = 0; i < sizeof(assigned) / sizeof(assigned[0]); i++)
		json_object_del(metadata, assigned[i]);
	json_object_del(copy, "status");
	unconfirmed_clear(copy);
	return packed_make(copy);
}

struct past *history_past(struct agent *agent, const char *key, const struct store_kind *kind)
{
	struct past *past;

	HASH_FIND_STR(agent->history->pasts, key, past);
	if (past)
		return past;
	past = xcalloc(1, sizeof(*past));
	past->key = xstrdup(key);
	past->kind = kind;
	HASH_ADD_KEYPTR(hh, agent->history->pasts, past->key, strlen(past->key), past);
	return past;
}

static void past_free(struct history *history, struct past *past)
{
	HASH_DEL(history->pasts, past);
	free(past->told);
	free(past->latest);
	free(past->failed);
	free(past->key);
	free(past);
}

/* The tree that a deletion names its object by. */
static json_t *bare(const struct past *past)
{
	const char *space = strchr(past->key, ' ') + 1, *slash = strchr(space, '/');
	_cleanup_free_ char *ns = xasprintf("%.*s", (int)(slash - space), space);
	char api[80];

	return json_pack("{s:s,s:s,s:{s:s,s:s}}", "apiVersion",
			 store_kind_api_version(past->kind, api), "kind", past->kind->kind,
			 "metadata", "namespace", ns, "name", slash + 1);
}

void past_tell(struct agent *agent, const struct past *past, const struct packed *content)
{
	_cleanup_json_ json_t *object = content ? packed_tree(content) : bare(past);
	const struct store_event event = { .type = content ? STORE_MODIFIED : STORE_DELETED,
					   .kind = past->kind,
					   .object = object };

	objects_apply(agent, &event);
}

/* --- changes ------------------------------------------------------------------------------- */

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void change_clear(struct history_change *change)
{
	for (size_t i = 0; i < change->count; i++) {
		free(change->object[i].key);
		free(change->object[i].former);
		free(change->object[i].content);
	}
	free(change->object);
	*change = (struct history_change){ 0 };
}

static struct history_change *open_change(struct history *history)
{
	struct history_change *change;

	if (history->open)
		return &history->change[history->last % HISTORY_CHANGES];
	history->last++;
	change = &history->change[history->last % HISTORY_CHANGES];
	change_clear(change);
	change->number = history->last;
	change->at = now_ms();
	history->open = true;
	return change;
}

void history_note(struct agent *agent, const struct past *past, struct packed *former)
{
	struct history_change *change = open_change(agent->history);

	if (change->count == HISTORY_OBJECTS) {
		change->cut = true;
		free(former);
		return;
	}
	if (change->count % 16 == 0)
		change->object =
			xrealloc(change->object, change->count + 16, sizeof(*change->object));
	change->object[change->count++] = (struct history_object){
		.key = xstrdup(past->key),
		.former = former,
		.content = packed_copy(past->told),
	};
}

bool history_event(struct agent *agent, const struct store_event *event)
{
	struct history *history = agent->history;
	_cleanup_free_ char *key = NULL;
	struct packed *content = NULL;
	struct past *past;

	if (!unconfirmed_covers(event->kind->id))
		return true;
	key = key_of(event);
	past = history_past(agent, key, event->kind);
	if (event->type != STORE_DELETED)
		content = history_pack(event->object);
	if (history->held) {
		history->mended |=
			history->lost && past->concerned && !packed_equal(past->failed, content);
		free(past->latest);
		past->latest = content;
		return false;
	}
	if (packed_equal(past->told, content) || !agent->synced) {
		free(past->told);
		past->told = content;
	} else {
		struct packed *former = past->told;

		past->told = content;
		history_note(agent, past, former);
	}
	if (!content)
		past_free(history, past);
	return true;
}

void history_settle(struct agent *agent)
{
	agent->history->open = false;
	if (agent->history->mended)
		history_go_on(agent);
}

void history_sweep(struct agent *agent)
{
	struct past *past, *next;

	HASH_ITER(hh, agent->history->pasts, past, next)
		if (!past->told)
			past_free(agent->history, past);
}

/* --- showing ------------------------------------------------------------------------------- */

bool history_held(const struct agent *agent)
{
	return agent->history && agent->history->held;
}

bool past_waits(const struct agent *agent, const struct past *past)
{
	return agent->history->held && !packed_equal(past->told, past->latest);
}

size_t history_waiting(const struct agent *agent)
{
	size_t count = 0;

	for (const struct past *past = agent->history ? agent->history->pasts : NULL; past;
	     past = past->hh.next)
		count += past_waits(agent, past);
	return count;
}

static json_t *object_json(const char *key, const struct packed *former,
			   const struct packed *content)
{
	return json_pack("{s:s,s:s}", "object", key, "change",
			 !former    ? "added"
			 : !content ? "deleted"
				    : "changed");
}

static json_t *change_json(const struct history_change *change)
{
	json_t *objects = json_array();
	char at[UTC_TEXT_MAX];

	for (size_t i = 0; i < change->count; i++)
		json_array_append_new(objects,
				      object_json(change->object[i].key, change->object[i].former,
						  change->object[i].content));
	return json_pack("{s:I,s:s,s:s,s:o,s:b}", "number", (json_int_t)change->number, "time",
			 utc_format(change->at, at), "state",
			 change->back ? "taken-back" : "in-force", "objects", objects, "more",
			 change->cut);
}

static json_t *waiting_json(const struct agent *agent)
{
	json_t *objects = json_array();

	for (const struct past *past = agent->history->pasts; past; past = past->hh.next)
		if (past_waits(agent, past))
			json_array_append_new(objects,
					      object_json(past->key, past->told, past->latest));
	return json_pack("{s:n,s:n,s:s,s:o,s:b}", "number", "time", "state", "waits", "objects",
			 objects, "more", 0);
}

/* Newest first; while held, first of all what waits. */
json_t *history_show(struct agent *agent)
{
	const struct history *history = agent->history;
	json_t *list = json_array();

	if (history->held)
		json_array_append_new(list, waiting_json(agent));
	for (uint64_t i = 0; i < HISTORY_CHANGES && i < history->last; i++)
		json_array_append_new(
			list, change_json(&history->change[(history->last - i) % HISTORY_CHANGES]));
	return list;
}

void history_stop(struct agent *agent)
{
	struct history *history = agent->history;
	struct past *past, *next;

	if (!history)
		return;
	HASH_ITER(hh, history->pasts, past, next)
		past_free(history, past);
	for (size_t i = 0; i < HISTORY_CHANGES; i++)
		change_clear(&history->change[i]);
	free(history);
	agent->history = NULL;
}
