/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json.h"

#include <errno.h>
#include <string.h>

#include "base/arena.h"
#include "base/doc.h"
#include "base/err.h"
#include "base/yaml.h"

json_t *json_at(const json_t *root, const char *path)
{
	json_t *value = (json_t *)(unsigned long)root;
	char key[256];

	while (value && *path) {
		size_t length = strcspn(path, ".");

		if (length >= sizeof(key))
			return NULL;
		memcpy(key, path, length);
		key[length] = 0;
		value = json_object_get(value, key);
		path += length + (path[length] == '.');
	}
	return value;
}

const char *json_text_at(const json_t *root, const char *path)
{
	return json_string_value(json_at(root, path));
}

const char *json_text_or(const json_t *root, const char *path, const char *or_else)
{
	const char *text = json_text_at(root, path);

	return text ? text : or_else;
}

bool json_bool_or(const json_t *root, const char *path, bool or_else)
{
	const json_t *value = json_at(root, path);

	return json_is_boolean(value) ? json_is_true(value) : or_else;
}

/* --- lines and limits ----------------------------------------------------------------------- */

/* Walks a text that jansson has found right, to learn lines, depth and the number of values. */
struct scanner {
	const char *at;
	const char *end;
	unsigned int line;
	size_t nodes;
	size_t depth;
	struct arena *arena;
	struct err *err;
};

static void skip_space(struct scanner *s)
{
	for (; s->at < s->end && memchr(" \t\r\n", *s->at, 4); s->at++)
		s->line += *s->at == '\n';
}

static void skip_string(struct scanner *s)
{
	for (s->at++; s->at < s->end && *s->at != '"'; s->at++)
		if (*s->at == '\\')
			s->at++;
	s->at++;
}

static int scan_value(struct scanner *s, struct doc_lines **ret_lines);

static int scan_container(struct scanner *s, struct doc_lines *lines)
{
	char close = *s->at++ == '{' ? '}' : ']';
	struct doc_lines **end = &lines->first;
	int r;

	if (++s->depth > DOC_DEPTH_MAX)
		return err_set(s->err, -E2BIG, "line %u: deeper than %d levels", s->line,
			       DOC_DEPTH_MAX);
	for (skip_space(s); s->at < s->end && *s->at != close; skip_space(s)) {
		if (*s->at == ',') {
			s->at++;
			continue;
		}
		if (close == '}') {
			skip_string(s);
			skip_space(s);
			s->at++; /* : */
		}
		r = scan_value(s, end);
		if (r)
			return r;
		end = &(*end)->next;
	}
	s->at++;
	s->depth--;
	return 0;
}

static int scan_value(struct scanner *s, struct doc_lines **ret_lines)
{
	struct doc_lines *lines = arena_alloc(s->arena, sizeof(*lines));

	skip_space(s);
	lines->line = s->line;
	*ret_lines = lines;
	if (++s->nodes > DOC_NODES_MAX)
		return err_set(s->err, -E2BIG, "line %u: more than %d values", s->line,
			       DOC_NODES_MAX);
	if (s->at < s->end && (*s->at == '{' || *s->at == '['))
		return scan_container(s, lines);
	if (s->at < s->end && *s->at == '"')
		skip_string(s);
	else
		while (s->at < s->end && !memchr(" \t\r\n,]}", *s->at, 7))
			s->at++;
	return 0;
}

static int read_one(struct scanner *s, json_t **ret_root, struct doc_lines **ret_lines)
{
	json_error_t error;
	json_t *root;
	int r;

	root = json_loadb(s->at, (size_t)(s->end - s->at),
			  JSON_REJECT_DUPLICATES | JSON_DISABLE_EOF_CHECK, &error);
	if (!root)
		return err_set(s->err, -EINVAL, "line %u: %s",
			       s->line + (error.line > 0 ? (unsigned int)error.line - 1 : 0),
			       error.text);
	r = scan_value(s, ret_lines);
	if (r) {
		json_decref(root);
		return r;
	}
	*ret_root = root;
	return 0;
}

int docs_read_json(struct docs *docs, const char *text, size_t size, struct err *err)
{
	struct scanner s = {
		.at = text, .end = text + size, .line = 1, .arena = docs->arena, .err = err
	};
	struct doc_lines *lines;
	json_t *root;
	int r;

	for (skip_space(&s); s.at < s.end; skip_space(&s)) {
		r = read_one(&s, &root, &lines);
		if (r)
			return r;
		r = docs_add(docs, root, lines, err);
		if (r)
			return r;
	}
	return 0;
}

json_t *json_read(const char *text, size_t size)
{
	_cleanup_arena_ struct arena *arena = arena_new();
	struct scanner s = { .at = text, .end = text + size, .line = 1, .arena = arena };
	struct doc_lines *lines;
	json_t *root;

	if (size > DOC_BYTES_MAX)
		return NULL;
	skip_space(&s);
	if (read_one(&s, &root, &lines))
		return NULL;
	skip_space(&s);
	if (s.at == s.end)
		return root;
	json_decref(root);
	return NULL;
}
