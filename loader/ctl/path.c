/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/path.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/json.h"

#define PATH_MAX_LENGTH 4096

/* Every value of the set, one step on. */
static json_t *step_key(const json_t *values, const char *key)
{
	json_t *next = json_array(), *value;
	size_t i;

	json_array_foreach((json_t *)values, i, value) {
		json_t *member = json_object_get(value, key);

		if (member)
			json_array_append(next, member);
	}
	return next;
}

static json_t *step_all(const json_t *values)
{
	json_t *next = json_array(), *value, *element;
	const char *key;
	size_t i, n;

	json_array_foreach((json_t *)values, i, value) {
		json_array_foreach(value, n, element)
			json_array_append(next, element);
		json_object_foreach(value, key, element)
			json_array_append(next, element);
	}
	return next;
}

static json_t *step_index(const json_t *values, long index)
{
	json_t *next = json_array(), *value;
	size_t i;

	json_array_foreach((json_t *)values, i, value) {
		long size = (long)json_array_size(value);
		json_t *element = json_array_get(value, (size_t)(index < 0 ? size + index : index));

		if (element)
			json_array_append(next, element);
	}
	return next;
}

/* ".key": a backslash takes the next character as it is. NULL: no key there. */
static json_t *parse_key(const char **p, const json_t *values)
{
	_cleanup_free_ char *key = xmalloc(strlen(*p) + 1);
	size_t size = 0;

	if (**p == '*') {
		(*p)++;
		return step_all(values);
	}
	for (; **p && !strchr(".[]{}", **p); (*p)++) {
		if (**p == '\\' && (*p)[1])
			(*p)++;
		key[size++] = **p;
	}
	key[size] = 0;
	return size ? step_key(values, key) : NULL;
}

/* "[0]", "[*]", "['key']" after the bracket. */
static json_t *parse_bracket(const char **p, const json_t *values)
{
	const char *close = strchr(*p, ']'), *begin = *p;
	char *end;
	long index;

	if (!close)
		return NULL;
	if (*begin == '\'' || *begin == '"') {
		const char *quote = strchr(begin + 1, *begin);
		_cleanup_free_ char *key = NULL;

		if (!quote || quote[1] != ']')
			return NULL;
		key = strndup(begin + 1, (size_t)(quote - begin - 1));
		*p = quote + 2;
		return key ? step_key(values, key) : NULL;
	}
	*p = close + 1;
	if (*begin == '*')
		return close == begin + 1 ? step_all(values) : NULL;
	index = strtol(begin, &end, 10);
	return end == close && end > begin ? step_index(values, index) : NULL;
}

int path_find(const json_t *root, const char *path, json_t **ret_values, struct err *err)
{
	_cleanup_json_ json_t *values = json_pack("[O]", root);
	const char *p = path;

	if (strlen(path) > PATH_MAX_LENGTH)
		return err_set(err, -EINVAL, "path longer than %d bytes", PATH_MAX_LENGTH);
	p += *p == '{';
	p += *p == '$';
	while (*p && *p != '}') {
		json_t *next = NULL;

		if (*p == '[') {
			p++;
			next = parse_bracket(&p, values);
		} else if (*p == '.' && (p[1] == '[' || !p[1] || p[1] == '}')) {
			p++;
			continue;
		} else {
			p += *p == '.';
			next = parse_key(&p, values);
		}
		if (!next)
			return err_set(err, -EINVAL,
				       "path \"%s\": expected .key, [number], [*] or ['key'] at "
				       "character %zu",
				       path, (size_t)(p - path) + 1);
		json_decref(values);
		values = next;
	}
	*ret_values = TAKE_PTR(values);
	return 0;
}

char *values_text(const json_t *values, const char *separator)
{
	char *text = NULL;
	json_t *value;
	size_t i, size;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		abort();
	json_array_foreach((json_t *)values, i, value) {
		_cleanup_free_ char *dump = NULL;

		if (!json_is_string(value))
			dump = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT | JSON_SORT_KEYS);
		fprintf(out, "%s%s", i ? separator : "",
			json_is_string(value) ? json_string_value(value)
			: dump		      ? dump
					      : "");
	}
	fclose(out);
	return text;
}

static int quoted(FILE *out, const char **p)
{
	char quote = *(*p)++;

	for (; **p && **p != quote; (*p)++) {
		if (**p != '\\' || !(*p)[1]) {
			fputc(**p, out);
			continue;
		}
		(*p)++;
		fputc(**p == 'n' ? '\n' : **p == 't' ? '\t' : **p, out);
	}
	if (**p != quote || (*p)[1] != '}')
		return -EINVAL;
	*p += 2;
	return 0;
}

static int fill(FILE *out, const json_t *root, const char *p, struct err *err)
{
	while (*p) {
		_cleanup_json_ json_t *values = NULL;
		_cleanup_free_ char *path = NULL, *text = NULL;
		const char *close;
		int r;

		if (*p != '{') {
			fputc(*p++, out);
			continue;
		}
		if (*++p == '"' || *p == '\'') {
			if (quoted(out, &p) < 0)
				return err_set(err, -EINVAL, "template: a text without its end");
			continue;
		}
		close = strchr(p, '}');
		if (!close)
			return err_set(err, -EINVAL, "template: '{' without '}'");
		path = strndup(p, (size_t)(close - p));
		if (!strncmp(path, "range", 5) || !strncmp(path, "end", 3))
			return err_set(err, -EINVAL, "template: range is not known; use [*]");
		r = path_find(root, path, &values, err);
		if (r < 0)
			return r;
		text = values_text(values, " ");
		fputs(text, out);
		p = close + 1;
	}
	return 0;
}

int template_fill(const json_t *root, const char *template, char **ret_text, struct err *err)
{
	_cleanup_free_ char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);
	int r;

	if (!out)
		abort();
	r = fill(out, root, template, err);
	fclose(out);
	if (!r)
		*ret_text = TAKE_PTR(text);
	return r;
}
