/* SPDX-License-Identifier: Apache-2.0 */
/* RFC 6902 (JSON patch) over RFC 6901 (JSON pointer). */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/json.h"
#include "ctl/patch.h"

#define OPERATIONS_MAX 10000

/* The parent of what a pointer names, and the last step's name. */
struct place {
	json_t *parent;
	char *last; /* owned */
};

static void unescape(char *text)
{
	char *out = text;

	for (const char *p = text; *p; p++) {
		if (*p == '~' && (p[1] == '0' || p[1] == '1'))
			*out++ = *++p == '0' ? '~' : '/';
		else
			*out++ = *p;
	}
	*out = 0;
}

/* -1: not an index below limit. "-" is the end. */
static long parse_index(const char *text, size_t limit)
{
	char *end;
	long index;

	if (!strcmp(text, "-"))
		return (long)limit - 1;
	if (!isdigit((unsigned char)*text) || (*text == '0' && text[1]))
		return -1;
	index = strtol(text, &end, 10);
	return *end || index < 0 || (size_t)index >= limit ? -1 : index;
}

static json_t *member(const json_t *parent, const char *name)
{
	long index;

	if (json_is_object(parent))
		return json_object_get(parent, name);
	index = strcmp(name, "-") ? parse_index(name, json_array_size(parent)) : -1;
	return index < 0 ? NULL : json_array_get(parent, (size_t)index);
}

static int find(json_t *root, const char *pointer, struct place *ret_place, struct err *err)
{
	_cleanup_free_ char *copy = NULL;
	json_t *at = root;
	char *p, *slash;

	if (!pointer || *pointer != '/')
		return err_set(err, -EINVAL, "path \"%s\": expected /...", pointer ? pointer : "");
	copy = xstrdup(pointer + 1);
	for (p = copy; (slash = strchr(p, '/')); p = slash + 1) {
		*slash = 0;
		unescape(p);
		at = member(at, p);
		if (!at)
			return err_set(err, -ENOENT, "path \"%s\": nothing at \"%s\"", pointer, p);
	}
	unescape(p);
	*ret_place = (struct place){ .parent = at, .last = xstrdup(p) };
	return 0;
}

static int put(struct place *place, json_t *value, bool add)
{
	size_t size = json_array_size(place->parent);
	long index;

	if (json_is_object(place->parent))
		return json_object_set(place->parent, place->last, value);
	if (!json_is_array(place->parent))
		return -ENOENT;
	index = parse_index(place->last, size + add);
	if (index < 0 || (!add && !strcmp(place->last, "-")))
		return -ENOENT;
	return add ? json_array_insert(place->parent, (size_t)index, value)
		   : json_array_set(place->parent, (size_t)index, value);
}

static int take_out(struct place *place)
{
	long index;

	if (json_is_object(place->parent))
		return json_object_del(place->parent, place->last) ? -ENOENT : 0;
	index = strcmp(place->last, "-") ? parse_index(place->last, json_array_size(place->parent))
					 : -1;
	return index < 0 ? -ENOENT : json_array_remove(place->parent, (size_t)index);
}

/* The value for add, replace, test; what lies at "from" for move and copy. */
static int operand(json_t *root, const json_t *step, const char *op, json_t **ret_value,
		   struct err *err)
{
	const json_t *value = json_object_get(step, "value");
	const char *from = json_text_at(step, "from");
	struct place place;
	json_t *found;
	int r;

	if (strcmp(op, "move") && strcmp(op, "copy")) {
		if (!value)
			return err_set(err, -EINVAL, "\"%s\" needs a value", op);
		*ret_value = json_deep_copy(value);
		return 0;
	}
	r = find(root, from, &place, err);
	if (r < 0)
		return r;
	found = member(place.parent, place.last);
	if (found)
		*ret_value = json_deep_copy(found);
	if (found && !strcmp(op, "move"))
		r = take_out(&place);
	free(place.last);
	return found ? r : err_set(err, -ENOENT, "from \"%s\": nothing there", from);
}

static int run(json_t *root, const json_t *step, struct err *err)
{
	const char *op = json_text_or(step, "op", ""), *path = json_text_at(step, "path");
	bool add = !strcmp(op, "add") || !strcmp(op, "move") || !strcmp(op, "copy");
	bool replace = !strcmp(op, "replace"), test = !strcmp(op, "test");
	_cleanup_json_ json_t *value = NULL;
	struct place place = { 0 };
	int r = 0;

	if (!add && !replace && !test && strcmp(op, "remove"))
		return err_set(err, -EINVAL,
			       "op \"%s\" is none of add, remove, replace, move, copy, test", op);
	if (strcmp(op, "remove"))
		r = operand(root, step, op, &value, err);
	if (!r)
		r = find(root, path, &place, err);
	if (r < 0)
		return r;
	if (test && !json_equal(member(place.parent, place.last), value))
		r = err_set(err, -ESTALE, "test of \"%s\" failed", path);
	else if (!add && !member(place.parent, place.last))
		r = err_set(err, -ENOENT, "path \"%s\": nothing there", path);
	else if (add || replace)
		r = put(&place, value, add);
	else if (!test)
		r = take_out(&place);
	free(place.last);
	if (r < 0 && r != -ESTALE)
		return err_set(err, -ENOENT, "path \"%s\": nothing there", path);
	return r;
}

int patch_json(const json_t *target, const json_t *patch, json_t **ret_result, struct err *err)
{
	_cleanup_json_ json_t *result = json_deep_copy(target);
	json_t *step;
	size_t i;

	if (!json_is_array(patch))
		return err_set(err, -EINVAL, "a JSON patch is a list of operations");
	if (json_array_size(patch) > OPERATIONS_MAX)
		return err_set(err, -EINVAL, "a JSON patch has at most %d operations",
			       OPERATIONS_MAX);
	json_array_foreach((json_t *)patch, i, step) {
		int r = run(result, step, err);

		if (r < 0)
			return err_wrap(err, r, "patch[%zu]", i);
	}
	*ret_result = TAKE_PTR(result);
	return 0;
}
