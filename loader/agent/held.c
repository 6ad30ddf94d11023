/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Back to a former policy, and forth again. While policy is held, <stateDir>/policy-held has all
 * objects in force, as a list: what the next agent tells instead of the store's.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "agent/history.h"
#include "agent/reconcile.h"
#include "agent/server.h"
#include "base/arena.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/packed.h"

#define FILE_MAX (256U * 1024 * 1024)
#define CODE_BAD_REQUEST 7
#define CODE_TRY_AGAIN 11

/* --- the file ------------------------------------------------------------------------------ */

static char *file_of(const struct agent *agent)
{
	return xasprintf("%s/policy-held", agent->config.state_dir);
}

static int save(const struct agent *agent, struct err *err)
{
	_cleanup_free_ char *path = file_of(agent), *text = NULL;
	_cleanup_json_ json_t *list = json_array();
	int r;

	for (const struct past *past = agent->history->pasts; past; past = past->hh.next)
		if (past->told)
			json_array_append_new(list, packed_tree(past->told));
	text = json_dumps(list, JSON_COMPACT);
	r = file_replace(AT_FDCWD, path, text, strlen(text), 0600);
	return r < 0 ? err_errno(err, r, "%s", path) : 0;
}

static int take_saved(struct agent *agent, const json_t *object)
{
	_cleanup_free_ char *key = NULL;
	struct store_key named;
	struct past *past;

	if (store_key_of(object, &named, NULL) < 0)
		return -EBADMSG;
	key = xasprintf("%s.%s %s/%s", named.kind->kind, named.kind->group,
			json_text_or(object, "metadata.namespace", ""), named.name);
	past = history_past(agent, key, named.kind);
	free(past->told);
	past->told = history_pack(object);
	past_tell(agent, past, past->told);
	return 0;
}

int history_start(struct agent *agent, struct err *err)
{
	_cleanup_free_ char *path = file_of(agent), *text = NULL;
	_cleanup_json_ json_t *list = NULL;
	json_t *object;
	size_t size, i;
	int r;

	agent->history = xcalloc(1, sizeof(*agent->history));
	r = file_read(AT_FDCWD, path, FILE_MAX, &text, &size);
	if (r == -ENOENT)
		return 0;
	if (!r)
		list = json_loadb(text, size, 0, NULL);
	if (!r && !json_is_array(list))
		r = -EBADMSG;
	json_array_foreach(list, i, object)
		r = r ? r : take_saved(agent, object);
	if (r < 0)
		return err_errno(err, r,
				 "%s: policy is held and cannot be read; without the file the "
				 "store's is in force",
				 path);
	agent->history->held = true;
	log_warning("policy is held: changes wait for \"margayctl policy resume\"", NULL);
	return 0;
}

/* --- back ---------------------------------------------------------------------------------- */

static void hold(struct agent *agent)
{
	if (agent->history->held)
		return;
	for (struct past *past = agent->history->pasts; past; past = past->hh.next)
		past->latest = packed_copy(past->told);
	agent->history->held = true;
}

static const struct store_kind *kind_of_key(const char *key)
{
	size_t count;
	const struct store_kind *kinds = store_kinds(&count);

	for (size_t i = 0; i < count; i++) {
		_cleanup_free_ char *name = xasprintf("%s.%s ", kinds[i].kind, kinds[i].group);

		if (!strncmp(name, key, strlen(name)))
			return &kinds[i];
	}
	return NULL;
}

static void take_back(struct agent *agent, struct history_change *change)
{
	for (size_t i = change->count; i-- > 0;) {
		const struct history_object *object = &change->object[i];
		struct past *past = history_past(agent, object->key, kind_of_key(object->key));

		free(past->told);
		past->told = packed_copy(object->former);
		past_tell(agent, past, past->told);
	}
	change->back = true;
}

/* What it has become is not to come again. */
static void concern(struct agent *agent, const char *key)
{
	struct past *past = history_past(agent, key, kind_of_key(key));

	if (past->concerned)
		return;
	past->concerned = true;
	past->failed = packed_copy(past->told);
}

/* The newest changes that are in force. */
static size_t find(const struct history *history, size_t count, struct history_change *ret[])
{
	size_t found = 0;

	for (uint64_t i = 0; i < HISTORY_CHANGES && i < history->last && found < count; i++) {
		const struct history_change *change =
			&history->change[(history->last - i) % HISTORY_CHANGES];

		if (change->cut)
			break;
		if (!change->back)
			ret[found++] = (struct history_change *)change;
	}
	return found;
}

static void answer(struct agent *agent, struct server_call *call, const struct err *err)
{
	reconcile(agent);
	if (agent->degraded)
		server_fail(call, CODE_TRY_AGAIN, "not yet in force: %s", agent->problem.text);
	else if (*err->text)
		server_fail(call, CODE_TRY_AGAIN,
			    "in force, and not kept over a restart of the agent: %s", err->text);
	else
		server_answer(call, json_pack("{s:b}", "ok", 1));
}

void history_rollback_handle(struct agent *agent, struct server_call *call, const json_t *request)
{
	json_int_t wanted = json_integer_value(json_object_get(request, "changes"));
	struct history_change *changes[HISTORY_CHANGES];
	struct err err = { 0 };
	size_t found;

	if (wanted < 1 || wanted > HISTORY_CHANGES) {
		server_fail(call, CODE_BAD_REQUEST, "changes: 1 to %d", HISTORY_CHANGES);
		return;
	}
	found = find(agent->history, (size_t)wanted, changes);
	if (found < (size_t)wanted) {
		server_fail(call, CODE_BAD_REQUEST,
			    "%zu changes can be taken back (those since the agent started)", found);
		return;
	}
	hold(agent);
	for (size_t i = 0; i < found; i++)
		take_back(agent, changes[i]);
	if (save(agent, &err) < 0)
		log_error("policy is held, and not over a restart", "why", err.text, NULL);
	log_warning("policy is taken back and held: changes wait for \"margayctl policy resume\"",
		    NULL);
	answer(agent, call, &err);
}

size_t history_take_back(struct agent *agent, uint64_t good, struct err *err)
{
	struct history *history = agent->history;
	struct history_change *changes[HISTORY_CHANGES];
	size_t found = find(history, HISTORY_CHANGES, changes), count = 0;

	while (count < found && changes[count]->number > good)
		count++;
	if (!count || history->held)
		return 0;
	hold(agent);
	history->lost = true;
	for (size_t i = 0; i < count; i++) {
		for (size_t k = 0; k < changes[i]->count; k++)
			concern(agent, changes[i]->object[k].key);
		take_back(agent, changes[i]);
	}
	save(agent, err);
	return count;
}

/* --- forth --------------------------------------------------------------------------------- */

static void take_latest(struct agent *agent, struct past *past)
{
	struct packed *latest = past->latest, *former;
	bool waits = past_waits(agent, past);

	past->latest = NULL;
	free(past->failed);
	past->failed = NULL;
	past->concerned = false;
	if (!waits) {
		free(latest);
		return;
	}
	former = past->told;
	past->told = latest;
	history_note(agent, past, former);
	past_tell(agent, past, latest);
}

/* One more change: it can be taken back as any other. */
void history_go_on(struct agent *agent)
{
	struct history *history = agent->history;
	_cleanup_free_ char *path = file_of(agent);

	if (unlink(path) < 0 && errno != ENOENT)
		log_error("policy would be held by the next agent", "file", path, "why",
			  strerror(errno), NULL);
	for (struct past *past = history->pasts; past; past = past->hh.next)
		take_latest(agent, past);
	history->held = history->lost = history->mended = false;
	history_settle(agent);
	history_sweep(agent);
	log_info("policy goes on", NULL);
}

void history_resume_handle(struct agent *agent, struct server_call *call)
{
	struct err err = { 0 };

	if (!agent->history->held) {
		server_fail(call, CODE_BAD_REQUEST, "policy is not held on this node");
		return;
	}
	if (!agent->synced) {
		server_fail(call, CODE_TRY_AGAIN, "the datastore has not been read whole yet");
		return;
	}
	history_go_on(agent);
	answer(agent, call, &err);
}
