/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/patch.h"

#include <string.h>

#include "base/json.h"

json_t *patch_merge(const json_t *target, const json_t *patch)
{
	const char *key;
	json_t *result, *value;

	if (!json_is_object(patch))
		return json_deep_copy(patch);
	result = json_is_object(target) ? json_deep_copy(target) : json_object();
	json_object_foreach((json_t *)patch, key, value) {
		if (json_is_null(value))
			json_object_del(result, key);
		else
			json_object_set_new(result, key,
					    patch_merge(json_object_get(result, key), value));
	}
	return result;
}

json_t *patch_three_way(const json_t *current, const json_t *last, const json_t *wanted)
{
	const char *key;
	json_t *result, *value;

	if (!json_is_object(wanted))
		return json_deep_copy(wanted);
	result = json_is_object(current) ? json_deep_copy(current) : json_object();
	json_object_foreach((json_t *)last, key, value) {
		json_t *now = json_object_get(wanted, key);

		if (!now || json_is_null(now))
			json_object_del(result, key);
	}
	json_object_foreach((json_t *)wanted, key, value) {
		json_t *merged;

		if (json_is_null(value)) {
			json_object_del(result, key);
			continue;
		}
		merged = patch_three_way(json_object_get(result, key), json_object_get(last, key),
					 value);
		json_object_set_new(result, key, merged);
	}
	return result;
}

/* --- strategic --- */

/* Lists that are merged, and the key of their elements (Kubernetes' API types, patchMergeKey). */
static const struct {
	const char *list, *key;
} merge_keys[] = {
	{ "containers", "name" },
	{ "initContainers", "name" },
	{ "ephemeralContainers", "name" },
	{ "volumes", "name" },
	{ "volumeMounts", "mountPath" },
	{ "env", "name" },
	{ "imagePullSecrets", "name" },
	{ "secrets", "name" },
	{ "hostAliases", "ip" },
	{ "conditions", "type" },
	{ "addresses", "type" },
	{ "ownerReferences", "uid" },
	{ "podIPs", "ip" },
	{ "hostIPs", "ip" },
};

/* Of ports there are two: a Service's and a container's. */
static const char *merge_key(const char *list, const json_t *patch)
{
	const json_t *first = json_array_get(patch, 0);

	for (size_t i = 0; i < sizeof(merge_keys) / sizeof(merge_keys[0]); i++)
		if (!strcmp(merge_keys[i].list, list) && json_object_get(first, merge_keys[i].key))
			return merge_keys[i].key;
	if (strcmp(list, "ports"))
		return NULL;
	return json_object_get(first, "containerPort") ? "containerPort"
	       : json_object_get(first, "port")	       ? "port"
						       : NULL;
}

static bool directive(const json_t *patch, const char *what)
{
	const char *text = json_string_value(json_object_get(patch, "$patch"));

	return text && !strcmp(text, what);
}

static json_t *strategic(const json_t *target, const json_t *patch);

static void merge_element(json_t *list, const json_t *element, const char *key)
{
	const json_t *name = json_object_get(element, key);

	for (size_t i = 0; i < json_array_size(list); i++) {
		json_t *old = json_array_get(list, i);

		if (!name || !json_equal(json_object_get(old, key), name))
			continue;
		if (directive(element, "delete"))
			json_array_remove(list, i);
		else
			json_array_set_new(list, i, strategic(old, element));
		return;
	}
	if (!directive(element, "delete"))
		json_array_append_new(list, strategic(NULL, element));
}

static json_t *merge_list(const json_t *target, const json_t *patch, const char *key)
{
	json_t *list = json_deep_copy(target), *element;
	size_t i;

	json_array_foreach((json_t *)patch, i, element)
		if (directive(element, "replace"))
			json_array_clear(list);
	json_array_foreach((json_t *)patch, i, element)
		if (!directive(element, "replace"))
			merge_element(list, element, key);
	return list;
}

static void delete_primitives(json_t *result, const char *field, const json_t *gone)
{
	json_t *list = json_object_get(result, field), *value;
	size_t i;

	json_array_foreach((json_t *)gone, i, value)
		for (size_t n = json_array_size(list); n--;)
			if (json_equal(json_array_get(list, n), value))
				json_array_remove(list, n);
}

static void retain_keys(json_t *result, const json_t *keys)
{
	const char *key;
	json_t *value;
	void *next;

	json_object_foreach_safe(result, next, key, value)
	{
		bool kept = false;
		json_t *keep;
		size_t i;

		json_array_foreach((json_t *)keys, i, keep)
			kept |= !strcmp(json_string_value(keep) ?: "", key);
		if (!kept)
			json_object_del(result, key);
	}
}

#define PRIMITIVES "$deleteFromPrimitiveList/"

static void merge_member(json_t *result, const char *key, const json_t *value)
{
	const json_t *old = json_object_get(result, key);
	const char *by;

	if (!strncmp(key, PRIMITIVES, strlen(PRIMITIVES))) {
		delete_primitives(result, key + strlen(PRIMITIVES), value);
	} else if (!strcmp(key, "$retainKeys")) {
		retain_keys(result, value);
	} else if (*key == '$') {
		return; /* $patch was seen, $setElementOrder only sorts */
	} else if (json_is_null(value)) {
		json_object_del(result, key);
	} else if (json_is_array(value) && json_is_array(old) && (by = merge_key(key, value))) {
		json_object_set_new(result, key, merge_list(old, value, by));
	} else {
		json_object_set_new(result, key, strategic(old, value));
	}
}

static json_t *strategic(const json_t *target, const json_t *patch)
{
	const char *key;
	json_t *result, *value;

	if (!json_is_object(patch))
		return json_deep_copy(patch);
	if (directive(patch, "delete"))
		return json_object();
	result = json_is_object(target) && !directive(patch, "replace") ? json_deep_copy(target)
									: json_object();
	json_object_foreach((json_t *)patch, key, value)
		merge_member(result, key, value);
	return result;
}

json_t *patch_strategic(const json_t *target, const json_t *patch)
{
	return strategic(target, patch);
}
