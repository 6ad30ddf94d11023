/* SPDX-License-Identifier: Apache-2.0 */
/* A JSON tree as YAML text, with libyaml's emitter and the styles kubectl's writer chooses. */
#include "base/yaml.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "base/arena.h"
#include "base/doc.h"

#define LEVELS_MAX (2 * DOC_DEPTH_MAX)

struct writer {
	yaml_emitter_t emitter;
	FILE *out;
	unsigned int depth;
};

static int put_bytes(void *ctx, unsigned char *buffer, size_t size)
{
	return fwrite(buffer, 1, size, ctx) == size;
}

/* The emitter fails only on a broken sequence of events or without memory. */
static void emit(struct writer *writer, int made, yaml_event_t *event)
{
	if (!made || !yaml_emitter_emit(&writer->emitter, event))
		abort();
}

static void put_scalar(struct writer *writer, const char *text, yaml_scalar_style_t style)
{
	yaml_event_t event;

	emit(writer,
	     yaml_scalar_event_initialize(&event, NULL, NULL, (const yaml_char_t *)text,
					  (int)strlen(text), 1, 1, style),
	     &event);
}

static void put_string(struct writer *writer, const char *text)
{
	if (strchr(text, '\n'))
		put_scalar(writer, text, YAML_LITERAL_SCALAR_STYLE);
	else if (yaml_is_plain_string(text))
		put_scalar(writer, text, YAML_PLAIN_SCALAR_STYLE);
	else
		put_scalar(writer, text, YAML_DOUBLE_QUOTED_SCALAR_STYLE);
}

/* The shortest text that reads back as the same double. */
static void put_real(struct writer *writer, double value)
{
	char text[40];

	for (int digits = 15; digits <= 17; digits++) {
		snprintf(text, sizeof(text), "%.*g", digits, value);
		if (strtod(text, NULL) == value)
			break;
	}
	put_scalar(writer, text, YAML_PLAIN_SCALAR_STYLE);
}

static int put_value(struct writer *writer, const json_t *value);

static int put_object(struct writer *writer, const json_t *value)
{
	yaml_mapping_style_t style =
		json_object_size(value) ? YAML_BLOCK_MAPPING_STYLE : YAML_FLOW_MAPPING_STYLE;
	yaml_event_t event;
	const char *key;
	json_t *kid;
	int r = 0;

	emit(writer, yaml_mapping_start_event_initialize(&event, NULL, NULL, 1, style), &event);
	json_object_foreach((json_t *)value, key, kid) {
		put_string(writer, key);
		r = put_value(writer, kid);
		if (r)
			return r;
	}
	emit(writer, yaml_mapping_end_event_initialize(&event), &event);
	return 0;
}

static int put_array(struct writer *writer, const json_t *value)
{
	yaml_sequence_style_t style =
		json_array_size(value) ? YAML_BLOCK_SEQUENCE_STYLE : YAML_FLOW_SEQUENCE_STYLE;
	yaml_event_t event;
	size_t index;
	json_t *kid;
	int r = 0;

	emit(writer, yaml_sequence_start_event_initialize(&event, NULL, NULL, 1, style), &event);
	json_array_foreach(value, index, kid) {
		r = put_value(writer, kid);
		if (r)
			return r;
	}
	emit(writer, yaml_sequence_end_event_initialize(&event), &event);
	return 0;
}

static int put_value(struct writer *writer, const json_t *value)
{
	char number[24];
	int r = 0;

	if (++writer->depth > LEVELS_MAX)
		return -EINVAL;
	switch (json_typeof(value)) {
	case JSON_OBJECT:
		r = put_object(writer, value);
		break;
	case JSON_ARRAY:
		r = put_array(writer, value);
		break;
	case JSON_STRING:
		if (strlen(json_string_value(value)) != json_string_length(value))
			return -EINVAL;
		put_string(writer, json_string_value(value));
		break;
	case JSON_INTEGER:
		snprintf(number, sizeof(number), "%" JSON_INTEGER_FORMAT,
			 json_integer_value(value));
		put_scalar(writer, number, YAML_PLAIN_SCALAR_STYLE);
		break;
	case JSON_REAL:
		put_real(writer, json_real_value(value));
		break;
	case JSON_TRUE:
	case JSON_FALSE:
		put_scalar(writer, json_is_true(value) ? "true" : "false", YAML_PLAIN_SCALAR_STYLE);
		break;
	case JSON_NULL:
		put_scalar(writer, "null", YAML_PLAIN_SCALAR_STYLE);
		break;
	}
	writer->depth--;
	return r;
}

static int put_document(struct writer *writer, const json_t *root)
{
	yaml_event_t event;
	int r;

	yaml_emitter_set_output(&writer->emitter, put_bytes, writer->out);
	yaml_emitter_set_unicode(&writer->emitter, 1);
	yaml_emitter_set_width(&writer->emitter, -1);
	emit(writer, yaml_stream_start_event_initialize(&event, YAML_UTF8_ENCODING), &event);
	emit(writer, yaml_document_start_event_initialize(&event, NULL, NULL, NULL, 1), &event);
	r = put_value(writer, root);
	if (r)
		return r;
	emit(writer, yaml_document_end_event_initialize(&event, 1), &event);
	emit(writer, yaml_stream_end_event_initialize(&event), &event);
	return 0;
}

int yaml_write(const json_t *root, char **ret_text)
{
	struct writer writer = { 0 };
	char *text = NULL;
	size_t size;
	int r;

	writer.out = open_memstream(&text, &size);
	if (!writer.out || !yaml_emitter_initialize(&writer.emitter))
		abort();
	r = put_document(&writer, root);
	yaml_emitter_delete(&writer.emitter);
	if (fclose(writer.out))
		abort();
	if (r) {
		free(text);
		return r;
	}
	*ret_text = text;
	return 0;
}
