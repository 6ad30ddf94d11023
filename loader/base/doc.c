/* SPDX-License-Identifier: Apache-2.0 */
/* The list of documents and the way from a path to a line. */
#include "base/doc.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/yaml.h"

int docs_add(struct docs *docs, json_t *root, const struct doc_lines *lines, struct err *err)
{
	if (docs->count >= DOC_COUNT_MAX) {
		json_decref(root);
		return err_set(err, -E2BIG, "line %u: more than %d documents", lines->line,
			       DOC_COUNT_MAX);
	}
	docs->v = xrealloc(docs->v, docs->count + 1, sizeof(*docs->v));
	docs->v[docs->count++] = (struct doc){ .root = root, .line = lines->line, .lines = lines };
	return 0;
}

void docs_free(struct docs *docs)
{
	if (!docs)
		return;
	for (size_t i = 0; i < docs->count; i++)
		json_decref(docs->v[i].root);
	free(docs->v);
	arena_free(docs->arena);
	free(docs);
}

/* --- lists ---------------------------------------------------------------------------------- */

static const struct doc_lines *kid_at(const struct doc_lines *lines, size_t index)
{
	const struct doc_lines *kid = lines->first;

	while (kid && index--)
		kid = kid->next;
	return kid;
}

/* Place of a key in the order of the object; jansson iterates as keys were set. */
static bool key_index(json_t *object, const char *key, size_t *ret_index)
{
	const char *name;
	json_t *value;
	size_t index = 0;

	json_object_foreach(object, name, value) {
		if (!strcmp(name, key)) {
			*ret_index = index;
			return true;
		}
		index++;
	}
	return false;
}

static json_t *list_items(json_t *root)
{
	const char *kind = json_string_value(json_object_get(root, "kind"));
	json_t *items = json_object_get(root, "items");
	size_t length = kind ? strlen(kind) : 0;

	if (length < 4 || strcmp(kind + length - 4, "List") || !json_is_array(items))
		return NULL;
	return items;
}

static void add_items(struct docs *docs, const struct doc *list, json_t *items)
{
	const struct doc_lines *lines = NULL;
	size_t index;
	json_t *item;

	if (key_index(list->root, "items", &index))
		lines = kid_at(list->lines, index);
	lines = lines ? lines->first : NULL;
	docs->v = xrealloc(docs->v, docs->count + json_array_size(items), sizeof(*docs->v));
	json_array_foreach(items, index, item) {
		const struct doc_lines *own = lines ? lines : list->lines;

		docs->v[docs->count++] =
			(struct doc){ .root = json_incref(item), .line = own->line, .lines = own };
		lines = lines ? lines->next : NULL;
	}
}

void docs_flatten_lists(struct docs *docs)
{
	struct docs flat = { 0 };

	for (size_t i = 0; i < docs->count; i++) {
		json_t *items = list_items(docs->v[i].root);

		if (items) {
			add_items(&flat, &docs->v[i], items);
			json_decref(docs->v[i].root);
			continue;
		}
		flat.v = xrealloc(flat.v, flat.count + 1, sizeof(*flat.v));
		flat.v[flat.count++] = docs->v[i];
	}
	free(docs->v);
	docs->v = flat.v;
	docs->count = flat.count;
}

/* --- lines ---------------------------------------------------------------------------------- */

/* Takes one step of a path: a key, ["key"] or [index]. Returns what is behind it. */
static const char *take_step(const char *path, char *key, size_t room, bool *ret_is_index)
{
	size_t length;

	*ret_is_index = false;
	if (path[0] == '[' && path[1] == '"') {
		const char *end = strstr(path, "\"]");

		length = end ? (size_t)(end - path - 2) : strlen(path + 2);
		snprintf(key, room, "%.*s", (int)length, path + 2);
		path = end ? end + 2 : path + 2 + length;
	} else if (path[0] == '[') {
		length = strcspn(path + 1, "]");
		snprintf(key, room, "%.*s", (int)length, path + 1);
		path += 1 + length + (path[1 + length] == ']');
		*ret_is_index = true;
	} else {
		length = strcspn(path, ".[");
		snprintf(key, room, "%.*s", (int)length, path);
		path += length;
	}
	return *path == '.' ? path + 1 : path;
}

unsigned int doc_line(const struct doc *doc, const char *path)
{
	const struct doc_lines *lines = doc->lines;
	json_t *value = doc->root;

	while (*path) {
		const struct doc_lines *kid = NULL;
		bool is_index;
		char key[512];
		size_t index;

		path = take_step(path, key, sizeof(key), &is_index);
		if (is_index) {
			index = strtoul(key, NULL, 10);
			value = json_array_get(value, index);
		} else if (json_is_object(value) && key_index(value, key, &index)) {
			value = json_object_get(value, key);
		} else {
			break;
		}
		kid = value ? kid_at(lines, index) : NULL;
		if (!kid)
			break;
		lines = kid;
	}
	return lines->line;
}
