/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/problems.h"

#include <string.h>

#include "base/arena.h"
#include "base/json.h"
#include "base/log.h"
#include "model/decode.h"

/* Values of the label and of `margayctl status`. */
#define INVALID "invalid"	/* does not decode at all */
#define PARTIAL "partial"	/* a part was left out or replaced */
#define DUPLICATE "duplicate"	/* stands in two places */
#define OVERLAP "overlap"	/* an IPPool over another one */
#define UNKNOWN "unknown-field" /* whole, but for a field that nobody knows */

#define KEY_STORE "store" /* of agent->bad; else an object's title, or "overlap TITLE" */

/* --- one list ------------------------------------------------------------------------------ */

static const char *text_of(const json_t *entry, const char *member)
{
	return json_string_value(json_object_get(entry, member)) ?: "";
}

/* As its place tells: an entry that changes its words ends and begins. */
static bool holds(const json_t *list, const json_t *entry)
{
	const json_t *other;
	size_t i;

	json_array_foreach(list, i, other)
		if (json_equal(other, entry))
			return true;
	return false;
}

static void say(const json_t *entry)
{
	log_warning("bad object", "kind", text_of(entry, "kind"), "object",
		    text_of(entry, "object"), "file", text_of(entry, "file"), "what",
		    text_of(entry, "what"), "in_force", text_of(entry, "in_force"), NULL);
}

static void say_difference(const json_t *before, const json_t *after)
{
	const json_t *entry;
	size_t i;

	json_array_foreach(before, i, entry)
		if (!holds(after, entry))
			log_info("bad object mended", "kind", text_of(entry, "kind"), "object",
				 text_of(entry, "object"), "file", text_of(entry, "file"), "what",
				 text_of(entry, "what"), NULL);
	json_array_foreach(after, i, entry)
		if (!holds(before, entry))
			say(entry);
}

/* Takes list over. */
static void replace(struct agent *agent, const char *key, json_t *list)
{
	const json_t *before = json_object_get(agent->bad, key);

	say_difference(before, list);
	if (json_array_size(list)) {
		if (!agent->bad)
			agent->bad = json_object();
		json_object_set_new(agent->bad, key, list);
		return;
	}
	json_decref(list);
	if (before)
		json_object_del(agent->bad, key);
}

static json_t *new_entry(const char *kind, const char *object, const char *file, const char *what,
			 const char *in_force)
{
	return json_pack("{s:s,s:s,s:s,s:s,s:s}", "kind", kind, "object", object ?: "", "file",
			 file ?: "", "what", what, "in_force", in_force);
}

/* --- objects ------------------------------------------------------------------------------- */

/* "NetworkPolicy shop/web". */
static char *title_of(const struct store_event *event)
{
	struct store_key key;

	if (store_key_of(event->object, &key, NULL) < 0)
		return xstrdup(event->kind->kind);
	return xasprintf("%s %s%s%s", key.kind->kind, key.ns ?: "", key.ns && *key.ns ? "/" : "",
			 key.name);
}

static char *file_of(const struct agent *agent, const struct store_event *event)
{
	char *file = NULL;
	struct store_key key;

	if (store_key_of(event->object, &key, NULL) < 0 ||
	    store_origin(agent->store, &key, &file) < 0)
		return xstrdup("");
	return file;
}

static bool counts(const struct problem *problem, int r)
{
	return r < 0 ? problem->severity == PROBLEM_ERROR
		     : problem->severity == PROBLEM_DROPPED || problem->unknown;
}

static json_t *decode_entry(const struct problem *problem, const char *title, const char *file)
{
	_cleanup_free_ char *what = problem_text(problem);

	switch (problem->severity) {
	case PROBLEM_WARNING:
		return new_entry(UNKNOWN, title, file, what, "the object without this field");
	case PROBLEM_DROPPED:
		return new_entry(PARTIAL, title, file, what, "the object without this part");
	case PROBLEM_ERROR:
		break;
	}
	return new_entry(INVALID, title, file, what, "what was known of it before");
}

void problems_decoded(struct agent *agent, const struct store_event *event, int r,
		      const struct problems *problems)
{
	_cleanup_free_ char *title = NULL, *file = NULL;
	json_t *list;

	/* Nearly all objects are right, and nothing was wrong with them. */
	if (!agent->bad && (!problems || !problems->count))
		return;
	title = title_of(event);
	list = json_array();
	for (size_t i = 0; problems && i < problems->count; i++) {
		if (!counts(&problems->v[i], r))
			continue;
		if (!file)
			file = file_of(agent, event);
		json_array_append_new(list, decode_entry(&problems->v[i], title, file));
	}
	replace(agent, title, list);
}

void problems_overlap(struct agent *agent, const char *name, const char *text)
{
	_cleanup_free_ char *key = xasprintf("overlap %s", name);
	json_t *list = json_array();

	if (text)
		json_array_append_new(list, new_entry(OVERLAP, name, NULL, text, "nothing of it"));
	replace(agent, key, list);
}

/* --- the store ----------------------------------------------------------------------------- */

static json_t *store_entry(const struct store_problem *problem)
{
	if (problem->twice)
		return new_entry(DUPLICATE, problem->object, problem->file, problem->text,
				 "one of the two, as said");
	return new_entry(INVALID, problem->object, problem->file, problem->text,
			 problem->served ? "its last valid copy" : "nothing of it");
}

void problems_look(struct agent *agent)
{
	const struct store_problem *problems;
	unsigned long number;
	size_t count = store_problems(agent->store, &problems, &number);
	json_t *list;

	if (number == agent->store_problems)
		return;
	agent->store_problems = number;
	list = json_array();
	for (size_t i = 0; i < count; i++)
		json_array_append_new(list, store_entry(&problems[i]));
	replace(agent, KEY_STORE, list);
}

/* --- telling ------------------------------------------------------------------------------- */

json_t *problems_show(const struct agent *agent)
{
	json_t *all = json_array(), *list;
	const char *key;

	json_object_foreach(agent->bad, key, list)
		json_array_extend(all, list);
	return all;
}

static unsigned int count_kind(const struct agent *agent, const char *kind)
{
	const json_t *list, *entry;
	unsigned int count = 0;
	const char *key;
	size_t i;

	json_object_foreach(agent->bad, key, list)
		json_array_foreach(list, i, entry)
			count += !strcmp(text_of(entry, "kind"), kind);
	return count;
}

static size_t count_parameters(const struct agent *agent)
{
	const json_t *texts;
	const char *title;
	size_t count = 0;

	json_object_foreach(agent->config_reports, title, texts)
		count += json_array_size(texts);
	return count;
}

void problems_metric(const struct agent *agent, FILE *out)
{
	static const char *const kinds[] = { INVALID, PARTIAL, DUPLICATE, OVERLAP, UNKNOWN };

	fprintf(out, "margay_bad_objects{kind=\"parameter\"} %zu\n", count_parameters(agent));
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		fprintf(out, "margay_bad_objects{kind=\"%s\"} %u\n", kinds[i],
			count_kind(agent, kinds[i]));
}

void problems_stop(struct agent *agent)
{
	json_decref(agent->bad);
}
