/* SPDX-License-Identifier: Apache-2.0 */
/* The decoder's engine: objects, lists, and what happens to bad parts. */
#include "model/field.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/yaml.h"

#define LIST_MAX 100000

/* --- reporting ------------------------------------------------------------------------------ */

static bool is_plain_key(const char *key)
{
	return *key && !key[strspn(key, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
					"0123456789_-")];
}

static void put_path(FILE *out, const struct path *path)
{
	if (!path)
		return;
	put_path(out, path->up);
	if (!path->key)
		fprintf(out, "[%zu]", path->index);
	else if (is_plain_key(path->key))
		fprintf(out, "%s%s", path->up ? "." : "", path->key);
	else
		fprintf(out, "[\"%.256s\"]", path->key);
}

static void report(struct decode *d, enum severity severity, const struct path *path,
		   const char *text)
{
	struct problems *problems = d->problems;
	_cleanup_free_ char *path_text = NULL;
	struct problem *problem;
	size_t size;
	FILE *out;

	if (problems->count == PROBLEMS_MAX) {
		problems->more++;
		return;
	}
	out = open_memstream(&path_text, &size);
	if (!out)
		abort();
	put_path(out, path);
	if (fclose(out))
		abort();
	if (!problems->arena)
		problems->arena = arena_new();
	problems->v = xrealloc(problems->v, problems->count + 1, sizeof(*problems->v));
	problem = &problems->v[problems->count++];
	*problem = (struct problem){ .severity = severity,
				     .path = arena_strdup(problems->arena, path_text),
				     .text = arena_strdup(problems->arena, text),
				     .line = d->doc ? doc_line(d->doc, path_text) : 0 };
}

__attribute__((format(printf, 4, 0))) static void tell(struct decode *d, enum severity severity,
						       const struct path *path, const char *format,
						       va_list args)
{
	_cleanup_free_ char *text = xvasprintf(format, args);

	report(d, severity, path, text);
}

__attribute__((format(printf, 3, 0))) static void reject(struct decode *d, const struct path *path,
							 const char *format, va_list args)
{
	d->bad++;
	tell(d, d->as, path, format, args);
}

void complain(struct decode *d, const struct path *path, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	reject(d, path, format, args);
	va_end(args);
}

void complain_drop(struct decode *d, const struct path *path, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	if (d->mode == DECODE_LENIENT)
		tell(d, PROBLEM_DROPPED, path, format, args);
	else
		reject(d, path, format, args);
	va_end(args);
}

void warn_of(struct decode *d, const struct path *path, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	tell(d, PROBLEM_WARNING, path, format, args);
	va_end(args);
}

void warn_unknown(struct decode *d, const struct path *path)
{
	struct problems *problems = d->problems;
	const size_t count = problems->count;

	if (d->exact && d->mode == DECODE_LENIENT) {
		complain(d, path, "unknown field");
		return;
	}
	report(d, PROBLEM_WARNING, path, "unknown field");
	if (problems->count > count)
		problems->v[count].unknown = true;
}

void complain_type(struct decode *d, const struct path *path, const json_t *value,
		   const char *wanted)
{
	static const char *const names[] = {
		[JSON_OBJECT] = "an object", [JSON_ARRAY] = "a list",  [JSON_STRING] = "a string",
		[JSON_INTEGER] = "a number", [JSON_REAL] = "a number", [JSON_TRUE] = "a boolean",
		[JSON_FALSE] = "a boolean",  [JSON_NULL] = "null",
	};

	complain(d, path, "is %s, not %s", names[json_typeof(value)], wanted);
}

void problems_done(struct problems *problems)
{
	free(problems->v);
	arena_free(problems->arena);
	*problems = (struct problems){ 0 };
}

enum severity problems_worst(const struct problems *problems)
{
	enum severity worst = PROBLEM_WARNING;

	for (size_t i = 0; i < problems->count; i++)
		if (problems->v[i].severity > worst)
			worst = problems->v[i].severity;
	return worst;
}

char *problem_text(const struct problem *problem)
{
	const char *colon = *problem->path ? ": " : "";

	if (problem->line)
		return xasprintf("line %u: %s%s%s", problem->line, problem->path, colon,
				 problem->text);
	return xasprintf("%s%s%s", problem->path, colon, problem->text);
}

/* --- objects and lists ---------------------------------------------------------------------- */

bool read_field(struct decode *d, const struct path *path, const json_t *value,
		const struct field *field, void *base)
{
	const bool alone = (field->flags & FIELD_DROP_ALONE) == FIELD_DROP_ALONE;
	const enum severity as = d->as;
	const bool exact = d->exact;
	const size_t bad = d->bad;
	bool right;

	if (field->flags & FIELD_DROP && d->mode == DECODE_LENIENT)
		d->as = PROBLEM_DROPPED;
	d->exact |= field->flags & FIELD_EXACT;
	field->read(d, path, value, field, (char *)base + field->offset);
	d->exact = exact;
	right = d->bad == bad;
	if (d->as != as || (alone && d->mode == DECODE_LENIENT))
		d->bad = bad;
	d->as = as;
	if (right && field->has) {
		uint64_t *has = (uint64_t *)(void *)((char *)base + field->has_offset);

		*has |= 1ULL << (field->has - 1);
	}
	return right;
}

static bool is_known(const struct shape *shape, const char *key)
{
	for (const struct field *field = shape->fields; field->name; field++)
		if (!strcmp(field->name, key))
			return true;
	return false;
}

static void find_unknown(struct decode *d, const struct path *path, const json_t *value,
			 const struct shape *shape)
{
	const char *key;
	json_t *member;

	json_object_foreach((json_t *)(uintptr_t)value, key, member) {
		struct path at = { .up = path, .key = key };

		if (!is_known(shape, key))
			warn_unknown(d, &at);
	}
}

void read_shape(struct decode *d, const struct path *path, const json_t *value,
		const struct shape *shape, void *base)
{
	const size_t bad = d->bad;

	if (!json_is_object(value)) {
		complain_type(d, path, value, "an object");
		return;
	}
	if (shape->defaults)
		shape->defaults(base);
	for (const struct field *field = shape->fields; field->name; field++) {
		const json_t *member = json_object_get(value, field->name);
		struct path at = { .up = path, .key = field->name };

		if (member && !json_is_null(member))
			read_field(d, &at, member, field, base);
		else if (field->flags & FIELD_REQUIRED)
			complain(d, &at, "is missing");
	}
	if (!shape->open)
		find_unknown(d, path, value, shape);
	if (shape->check && d->bad == bad)
		shape->check(d, path, value, base);
}

READER(read_nothing)
{
	(void)d;
	(void)path;
	(void)value;
	(void)field;
	(void)at;
}

READER(read_object)
{
	read_shape(d, path, value, field->shape, at);
}

/* Whether the element stays: it was right, or its shape has made it safe. */
static bool read_element(struct decode *d, const struct path *path, const json_t *value,
			 const struct field *list, void *at)
{
	const struct field *element = list->element;
	const struct shape *shape = element->read == read_object ? element->shape : NULL;

	if (read_field(d, path, value, element, at))
		return true;
	memset(at, 0, list->size);
	return element->flags & FIELD_DROP && d->mode == DECODE_LENIENT && shape &&
	       shape->salvage && shape->salvage(path, value, at);
}

static bool is_list_within(struct decode *d, const struct path *path, const json_t *value,
			   size_t max)
{
	if (!json_is_array(value))
		complain_type(d, path, value, "a list");
	else if (json_array_size(value) > max)
		complain(d, path, "has %zu elements, more than %zu", json_array_size(value), max);
	else
		return true;
	return false;
}

void read_rows(struct decode *d, const struct path *path, const json_t *list, size_t max,
	       const struct field *row, void *at)
{
	const json_t *item;
	size_t index;

	if (!is_list_within(d, path, list, max))
		return;
	json_array_foreach(list, index, item) {
		struct path place = { .up = path, .index = index };

		read_field(d, &place, item, row, at);
	}
}

READER(read_list)
{
	size_t index, count = 0;
	const json_t *item;
	char *v;

	if (!is_list_within(d, path, value, field->max ? (size_t)field->max : LIST_MAX))
		return;
	v = arena_array(d->arena, json_array_size(value), field->size);
	json_array_foreach(value, index, item) {
		struct path place = { .up = path, .index = index };

		if (read_element(d, &place, item, field, v + count * field->size))
			count++;
	}
	memcpy(at, &count, sizeof(count));
	memcpy((char *)at + sizeof(count), &v, sizeof(v));
}
