/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/counted.h"

#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/json.h"
#include "ctl/agent.h"

/* No field of the API is called so. */
#define MARK "margay.dev/counted"

static bool is_policy(enum kind kind)
{
	return kind == KIND_NETWORK_POLICY || kind == KIND_CALICO_POLICY ||
	       kind == KIND_GLOBAL_POLICY || kind == KIND_STAGED_POLICY ||
	       kind == KIND_STAGED_GLOBAL_POLICY || kind == KIND_STAGED_KUBERNETES_POLICY ||
	       kind == KIND_CLUSTER_NETWORK_POLICY || kind == KIND_ADMIN_POLICY ||
	       kind == KIND_BASELINE_ADMIN_POLICY;
}

static json_int_t number(const json_t *row, const char *member)
{
	return json_integer_value(json_object_get(row, member));
}

static void add(json_t *sums, const char *member, json_int_t count)
{
	json_object_set_new(sums, member, json_integer(number(sums, member) + count));
}

/* What a Log rule saw another rule has decided, and counted. */
static void join(json_t *sums, const json_t *row)
{
	const char *action = json_text_or(row, "action", "");

	if (!strcmp(action, "Log"))
		return;
	add(sums, strcmp(action, "Allow") ? "denied" : "allowed", number(row, "connections"));
	add(sums, "packets", number(row, "packets"));
	add(sums, "bytes", number(row, "bytes"));
}

/* "group/kind/namespace/name" */
static char *key_of(const json_t *row)
{
	return xasprintf("%s/%s/%s/%s", json_text_or(row, "group", ""),
			 json_text_or(row, "kind", ""), json_text_or(row, "namespace", ""),
			 json_text_or(row, "name", ""));
}

static json_t *sums_by_key(const json_t *rows)
{
	json_t *table = json_object(), *row, *sums;
	size_t i;

	json_array_foreach((json_t *)rows, i, row) {
		_cleanup_free_ char *key = key_of(row);

		sums = json_object_get(table, key);
		if (!sums) {
			sums = json_pack("{s:i,s:i,s:i,s:i}", "allowed", 0, "denied", 0, "packets",
					 0, "bytes", 0);
			json_object_set_new(table, key, sums);
		}
		join(sums, row);
	}
	return table;
}

static void mark(const json_t *table, json_t *object)
{
	struct store_key key;
	_cleanup_free_ char *text = NULL;

	if (store_key_of(object, &key, NULL) < 0 || !is_policy(key.kind->id))
		return;
	text = xasprintf("%s/%s/%s/%s", key.kind->group, key.kind->kind,
			 key.kind->namespaced ? key.ns : "", key.name);
	if (json_object_get(table, text))
		json_object_set(object, MARK, json_object_get(table, text));
}

void counted_mark(struct ctl *ctl, const struct store_kind *kind, json_t *objects)
{
	_cleanup_json_ json_t *answer = NULL, *table = NULL;
	json_t *object;
	size_t i;

	/* no agent, no figures: the rest of the table is the store's */
	if (!is_policy(kind->id) || agent_call(ctl, "counters", NULL, &answer, NULL) < 0)
		return;
	table = sums_by_key(json_object_get(answer, "counters"));
	json_array_foreach(objects, i, object)
		mark(table, object);
}

static char *cell(const json_t *policy, const char *member)
{
	const json_t *sums = json_object_get(policy, MARK);

	return sums ? xasprintf("%lld", (long long)number(sums, member)) : NULL;
}

char *counted_allowed(const json_t *policy)
{
	return cell(policy, "allowed");
}

char *counted_denied(const json_t *policy)
{
	return cell(policy, "denied");
}

char *counted_packets(const json_t *policy)
{
	return cell(policy, "packets");
}

char *counted_bytes(const json_t *policy)
{
	return cell(policy, "bytes");
}
