/* SPDX-License-Identifier: Apache-2.0 */
/* YAML text into JSON trees, from libyaml's events. */
#include "base/yaml.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <yaml.h>

#include "base/arena.h"
#include "base/doc.h"
#include "base/err.h"

#define ANCHORS_MAX 256
#define TAG_PREFIX "tag:yaml.org,2002:"

struct anchor {
	const char *name;
	json_t *value; /* borrowed: part of the document being read */
	const struct doc_lines *lines;
};

/* A mapping or sequence that is open. */
struct frame {
	json_t *value; /* borrowed: part of the root */
	struct doc_lines *lines;
	struct doc_lines *last;
	const char *key; /* of a mapping: read, its value not yet */
	unsigned int key_line;
	const char *anchor; /* given when the container is whole */
};

struct reader {
	yaml_parser_t parser;
	struct docs *docs;
	struct err *err;
	json_t *root;
	struct doc_lines *root_lines;
	struct frame frames[DOC_DEPTH_MAX];
	size_t depth;
	struct anchor anchors[ANCHORS_MAX];
	size_t anchor_count;
	size_t nodes;
};

static unsigned int line_of(const yaml_event_t *event)
{
	return (unsigned int)event->start_mark.line + 1;
}

static struct doc_lines *lines_new(struct reader *reader, unsigned int line)
{
	struct doc_lines *lines = arena_alloc(reader->docs->arena, sizeof(*lines));

	lines->line = line;
	return lines;
}

static int count_nodes(struct reader *reader, size_t more, unsigned int line)
{
	reader->nodes += more;
	if (reader->nodes > DOC_NODES_MAX)
		return err_set(reader->err, -E2BIG, "line %u: more than %d values", line,
			       DOC_NODES_MAX);
	return 0;
}

/* Hangs a value into what is open. Takes over the reference. */
static void attach(struct reader *reader, json_t *value, struct doc_lines *lines)
{
	struct frame *top = reader->depth ? &reader->frames[reader->depth - 1] : NULL;

	if (!top) {
		reader->root = value;
		reader->root_lines = lines;
		return;
	}
	if (top->last)
		top->last->next = lines;
	else
		top->lines->first = lines;
	top->last = lines;
	if (json_is_array(top->value))
		json_array_append_new(top->value, value);
	else
		json_object_set_new(top->value, top->key, value);
	top->key = NULL;
}

static bool wants_key(const struct reader *reader)
{
	const struct frame *top = reader->depth ? &reader->frames[reader->depth - 1] : NULL;

	return top && json_is_object(top->value) && !top->key;
}

static int add_anchor(struct reader *reader, const char *name, json_t *value,
		      const struct doc_lines *lines)
{
	if (!name)
		return 0;
	if (reader->anchor_count == ANCHORS_MAX)
		return err_set(reader->err, -E2BIG, "line %u: more than %d anchors", lines->line,
			       ANCHORS_MAX);
	reader->anchors[reader->anchor_count++] = (struct anchor){ name, value, lines };
	return 0;
}

/* --- scalars -------------------------------------------------------------------------------- */

static int bad_tag(struct reader *reader, const yaml_event_t *event, const char *tag)
{
	return err_set(reader->err, -EINVAL, "line %u: tag %.64s does not fit", line_of(event),
		       tag);
}

static bool tag_fits(const char *tag, const json_t *value)
{
	if (!strcmp(tag, "null"))
		return json_is_null(value);
	if (!strcmp(tag, "bool"))
		return json_is_boolean(value);
	if (!strcmp(tag, "int"))
		return json_is_integer(value);
	return !strcmp(tag, "float") && json_is_number(value);
}

static int scalar_value(struct reader *reader, const yaml_event_t *event, json_t **ret_value)
{
	const char *text = (const char *)event->data.scalar.value;
	const char *tag = (const char *)event->data.scalar.tag;
	size_t length = event->data.scalar.length;
	json_t *value;

	if (memchr(text, 0, length))
		return err_set(reader->err, -EINVAL, "line %u: NUL in a string", line_of(event));
	if (tag && !strcmp(tag, "!")) /* "not resolved": a string */
		tag = TAG_PREFIX "str";
	if (tag && strncmp(tag, TAG_PREFIX, strlen(TAG_PREFIX)))
		return bad_tag(reader, event, tag);
	tag = tag ? tag + strlen(TAG_PREFIX) : NULL;
	if (tag ? !strcmp(tag, "str") : !event->data.scalar.plain_implicit)
		value = json_stringn(text, length);
	else
		value = yaml_resolve(text, length);
	if (!value)
		return err_set(reader->err, -EINVAL, "line %u: %.32s has no place in JSON",
			       line_of(event), text);
	if (tag && strcmp(tag, "str") && !tag_fits(tag, value)) {
		json_decref(value);
		return bad_tag(reader, event, (const char *)event->data.scalar.tag);
	}
	*ret_value = value;
	return 0;
}

/* Keys are strings: a bool or a number becomes its JSON text. NULL: null. */
static const char *key_text(struct reader *reader, const json_t *value)
{
	struct arena *arena = reader->docs->arena;

	if (json_is_string(value))
		return arena_strdup(arena, json_string_value(value));
	if (json_is_integer(value))
		return arena_printf(arena, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
	if (json_is_real(value))
		return arena_printf(arena, "%.15g", json_real_value(value));
	if (json_is_boolean(value))
		return json_is_true(value) ? "true" : "false";
	return NULL;
}

static int take_key(struct reader *reader, const yaml_event_t *event, const json_t *value)
{
	struct frame *top = &reader->frames[reader->depth - 1];
	const char *key = key_text(reader, value);

	if (!key)
		return err_set(reader->err, -EINVAL, "line %u: null as a key", line_of(event));
	if (!strcmp(key, "<<") && event->data.scalar.plain_implicit)
		return err_set(reader->err, -EINVAL, "line %u: merge keys (<<) are not supported",
			       line_of(event));
	if (json_object_get(top->value, key))
		return err_set(reader->err, -EINVAL, "line %u: key \"%.64s\" is given twice",
			       line_of(event), key);
	top->key = key;
	top->key_line = line_of(event);
	return 0;
}

static int take_scalar(struct reader *reader, const yaml_event_t *event)
{
	const char *anchor = (const char *)event->data.scalar.anchor;
	json_t *value = NULL;
	struct doc_lines *lines;
	int r = scalar_value(reader, event, &value);

	if (r)
		return r;
	if (wants_key(reader)) {
		r = take_key(reader, event, value);
		json_decref(value);
		return r;
	}
	lines = lines_new(reader, line_of(event));
	attach(reader, value, lines);
	return add_anchor(reader, arena_strdup(reader->docs->arena, anchor), value, lines);
}

/* --- containers and aliases ----------------------------------------------------------------- */

static int open_container(struct reader *reader, const yaml_event_t *event, json_t *value)
{
	bool mapping = json_is_object(value);
	const yaml_char_t *tag =
		mapping ? event->data.mapping_start.tag : event->data.sequence_start.tag;
	const yaml_char_t *anchor =
		mapping ? event->data.mapping_start.anchor : event->data.sequence_start.anchor;
	struct doc_lines *lines = lines_new(reader, line_of(event));
	int r = 0;

	/* People look for a container where its key stands. */
	if (reader->depth && reader->frames[reader->depth - 1].key)
		lines->line = reader->frames[reader->depth - 1].key_line;
	if (wants_key(reader))
		r = err_set(reader->err, -EINVAL, "line %u: a mapping or sequence as a key",
			    lines->line);
	else if (reader->depth == DOC_DEPTH_MAX)
		r = err_set(reader->err, -E2BIG, "line %u: deeper than %d levels", lines->line,
			    DOC_DEPTH_MAX);
	else if (tag && strcmp((const char *)tag, mapping ? TAG_PREFIX "map" : TAG_PREFIX "seq"))
		r = bad_tag(reader, event, (const char *)tag);
	if (r) {
		json_decref(value);
		return r;
	}
	attach(reader, value, lines);
	reader->frames[reader->depth++] =
		(struct frame){ .value = value,
				.lines = lines,
				.anchor = arena_strdup(reader->docs->arena, (const char *)anchor) };
	return 0;
}

static int close_container(struct reader *reader)
{
	const struct frame *top = &reader->frames[--reader->depth];

	return add_anchor(reader, top->anchor, top->value, top->lines);
}

/* Counts the values of a tree; false: more than are left, or deeper than there is room. */
static bool measure(const json_t *value, size_t depth, size_t left, size_t *count)
{
	const char *key;
	size_t index;
	json_t *kid;

	if (++*count > left)
		return false;
	if (!json_is_object(value) && !json_is_array(value))
		return true;
	if (depth == DOC_DEPTH_MAX)
		return false;
	json_object_foreach((json_t *)value, key, kid)
		if (!measure(kid, depth + 1, left, count))
			return false;
	json_array_foreach(value, index, kid)
		if (!measure(kid, depth + 1, left, count))
			return false;
	return true;
}

static const struct anchor *anchor_named(const struct reader *reader, const char *name)
{
	/* The latest of a name holds. */
	for (size_t i = reader->anchor_count; i; i--)
		if (!strcmp(reader->anchors[i - 1].name, name))
			return &reader->anchors[i - 1];
	return NULL;
}

static int take_alias(struct reader *reader, const yaml_event_t *event)
{
	const char *name = (const char *)event->data.alias.anchor;
	const struct anchor *anchor = anchor_named(reader, name);
	struct doc_lines *lines;
	size_t count = 0;

	if (!anchor)
		return err_set(reader->err, -EINVAL, "line %u: no anchor &%.64s before *%.64s",
			       line_of(event), name, name);
	if (wants_key(reader))
		return err_set(reader->err, -EINVAL, "line %u: an alias as a key", line_of(event));
	if (!measure(anchor->value, reader->depth, DOC_NODES_MAX - reader->nodes, &count))
		return err_set(reader->err, -E2BIG,
			       "line %u: *%.64s makes the text larger than %d values or %d levels",
			       line_of(event), name, DOC_NODES_MAX, DOC_DEPTH_MAX);
	lines = lines_new(reader, line_of(event));
	lines->first = anchor->lines->first;
	attach(reader, json_deep_copy(anchor->value), lines);
	return count_nodes(reader, count, line_of(event));
}

/* --- the loop ------------------------------------------------------------------------------- */

static int end_document(struct reader *reader)
{
	json_t *root = reader->root;

	reader->root = NULL;
	reader->anchor_count = 0;
	if (root && !json_is_null(root))
		return docs_add(reader->docs, root, reader->root_lines, reader->err);
	json_decref(root);
	return 0;
}

static int take_event(struct reader *reader, const yaml_event_t *event)
{
	int r = count_nodes(reader, 1, line_of(event));

	if (r)
		return r;
	switch (event->type) {
	case YAML_SCALAR_EVENT:
		return take_scalar(reader, event);
	case YAML_MAPPING_START_EVENT:
		return open_container(reader, event, json_object());
	case YAML_SEQUENCE_START_EVENT:
		return open_container(reader, event, json_array());
	case YAML_MAPPING_END_EVENT:
	case YAML_SEQUENCE_END_EVENT:
		return close_container(reader);
	case YAML_ALIAS_EVENT:
		return take_alias(reader, event);
	case YAML_DOCUMENT_END_EVENT:
		return end_document(reader);
	case YAML_NO_EVENT:
	case YAML_STREAM_START_EVENT:
	case YAML_STREAM_END_EVENT:
	case YAML_DOCUMENT_START_EVENT:
		break;
	}
	return 0;
}

static int syntax_error(const struct reader *reader)
{
	const char *problem = reader->parser.problem ? reader->parser.problem : "not YAML";

	if (reader->parser.error == YAML_MEMORY_ERROR)
		abort();
	return err_set(reader->err, -EINVAL, "line %zu: %s", reader->parser.problem_mark.line + 1,
		       problem);
}

static int read_events(struct reader *reader)
{
	yaml_event_t event;
	bool end = false;
	int r = 0;

	while (!r && !end) {
		if (!yaml_parser_parse(&reader->parser, &event))
			return syntax_error(reader);
		end = event.type == YAML_STREAM_END_EVENT;
		r = take_event(reader, &event);
		yaml_event_delete(&event);
	}
	return r;
}

static int read_yaml(struct docs *docs, const char *text, size_t size, struct err *err)
{
	struct reader *reader = xcalloc(1, sizeof(*reader));
	int r;

	reader->docs = docs;
	reader->err = err;
	if (!yaml_parser_initialize(&reader->parser))
		abort();
	yaml_parser_set_encoding(&reader->parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&reader->parser, (const unsigned char *)text, size);
	r = read_events(reader);
	yaml_parser_delete(&reader->parser);
	json_decref(reader->root);
	free(reader);
	return r;
}

int docs_read(const char *text, size_t size, struct docs **ret_docs, struct err *err)
{
	_cleanup_docs_ struct docs *docs = NULL;
	size_t space = 0;
	int r;

	if (size > DOC_BYTES_MAX)
		return err_set(err, -E2BIG, "larger than %u bytes", DOC_BYTES_MAX);
	docs = xcalloc(1, sizeof(*docs));
	docs->arena = arena_new();
	if (size >= 3 && !memcmp(text, "\xef\xbb\xbf", 3)) {
		text += 3;
		size -= 3;
	}
	while (space < size && memchr(" \t\r\n", text[space], 4))
		space++;
	if (space < size && text[space] == '{')
		r = docs_read_json(docs, text, size, err);
	else
		r = read_yaml(docs, text, size, err);
	if (r)
		return r;
	*ret_docs = TAKE_PTR(docs);
	return 0;
}
