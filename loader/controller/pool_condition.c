/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/pool_condition.h"

#include <string.h>

#include "base/json.h"
#include "base/utc.h"

#define TYPE "Allocatable"
#define OVERLAP "CIDROverlap"

static json_t *find(const json_t *conditions, size_t *ret_at)
{
	json_t *condition;
	size_t i;

	json_array_foreach((json_t *)conditions, i, condition) {
		if (strcmp(json_text_or(condition, "type", ""), TYPE))
			continue;
		*ret_at = i;
		return condition;
	}
	return NULL;
}

static bool has(const json_t *condition, const char *key, const char *text)
{
	return !strcmp(json_text_or(condition, key, ""), text);
}

static bool is_right(const json_t *condition, const char *behind)
{
	if (behind)
		return has(condition, "status", "False") && has(condition, "reason", OVERLAP) &&
		       has(condition, "message", behind);
	return !has(condition, "status", "False") || !has(condition, "reason", OVERLAP);
}

static json_t *make(const json_t *former, const char *behind, uint64_t now)
{
	const char *status = behind ? "False" : "True";
	const char *since = json_text_at(former, "lastTransitionTime");
	char text[UTC_TEXT_MAX];

	if (!since || !has(former, "status", status))
		since = utc_format(now / 1000 * 1000, text);
	return json_pack("{s:s, s:s, s:s, s:s, s:s}", "type", TYPE, "status", status, "reason",
			 behind ? OVERLAP : "OK", "message",
			 behind ? behind : "no older pool overlaps with it any more",
			 "lastTransitionTime", since);
}

json_t *pool_condition(const json_t *pool, const char *behind, uint64_t now)
{
	const json_t *status = json_object_get(pool, "status");
	size_t at = json_array_size(json_object_get(status, "conditions"));
	const json_t *former = find(json_object_get(status, "conditions"), &at);
	json_t *changed, *list;

	if (is_right(former, behind))
		return NULL;
	changed = json_deep_copy(pool);
	if (!json_is_object(json_object_get(changed, "status")))
		json_object_set_new(changed, "status", json_object());
	list = json_object_get(json_object_get(changed, "status"), "conditions");
	if (!json_is_array(list)) {
		list = json_array();
		at = 0;
		json_object_set_new(json_object_get(changed, "status"), "conditions", list);
	}
	if (at < json_array_size(list))
		json_array_set_new(list, at, make(former, behind, now));
	else
		json_array_append_new(list, make(former, behind, now));
	return changed;
}
