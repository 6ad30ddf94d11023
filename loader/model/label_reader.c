/* SPDX-License-Identifier: Apache-2.0 */
/* Readers of label maps and of both kinds of selector. */
#include "model/field.h"

#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "model/names.h"
#include "model/selector.h"

#define ANNOTATIONS_BYTES_MAX (256U << 10)

/* --- maps ----------------------------------------------------------------------------------- */

static bool check_label(struct decode *d, const struct path *path, const char *key,
			const char *value)
{
	if (!name_is_label_key(key))
		complain(d, path, "is not a label name");
	else if (!name_is_label_value(value))
		complain(d, path, "\"%.80s\" is not a label value", value);
	else
		return true;
	return false;
}

enum map_sort { MAP_TEXTS, MAP_LABELS, MAP_ANNOTATIONS };

static size_t kept_count(const json_t *value, enum map_sort sort)
{
	size_t count = 0;
	const char *key;
	json_t *member;

	json_object_foreach((json_t *)(uintptr_t)value, key, member)
		count += sort != MAP_ANNOTATIONS || annotation_is_kept(key);
	return count;
}

/* A map of texts; labels have rules, annotations are kept in part. */
static void read_map(struct decode *d, const struct path *path, const json_t *value,
		     enum map_sort sort, struct labels *labels)
{
	struct label *v;
	size_t count = 0, bytes = 0;
	const char *key;
	json_t *member;

	if (!json_is_object(value)) {
		complain_type(d, path, value, "an object");
		return;
	}
	v = arena_array(d->arena, kept_count(value, sort), sizeof(*v));
	json_object_foreach((json_t *)(uintptr_t)value, key, member) {
		const char *text = json_string_value(member);
		struct path at = { .up = path, .key = key };

		if (!text) {
			complain_type(d, &at, member, "a string");
			continue;
		}
		if (sort == MAP_LABELS && !check_label(d, &at, key, text))
			continue;
		bytes += strlen(key) + strlen(text);
		if (sort == MAP_ANNOTATIONS && !annotation_is_kept(key))
			continue;
		v[count++] =
			(struct label){ arena_strdup(d->arena, key), arena_strdup(d->arena, text) };
	}
	if (bytes > ANNOTATIONS_BYTES_MAX && d->mode == DECODE_STRICT)
		complain(d, path, "is larger than %u bytes", ANNOTATIONS_BYTES_MAX);
	*labels = (struct labels){ .count = count, .v = v };
	labels_sort(labels);
}

READER(read_labels)
{
	(void)field;
	read_map(d, path, value, d->mode == DECODE_STRICT ? MAP_LABELS : MAP_TEXTS, at);
}

READER(read_annotations)
{
	(void)field;
	read_map(d, path, value, MAP_ANNOTATIONS, at);
}

READER(read_texts)
{
	(void)field;
	read_map(d, path, value, MAP_TEXTS, at);
}

/* --- selectors ------------------------------------------------------------------------------ */

READER(read_selector)
{
	const char *text = json_string_value(value);
	const struct selector *selector;
	struct err err = { 0 };

	(void)field;
	if (!text)
		complain_type(d, path, value, "a selector");
	else if (selector_parse(d->arena, text, &selector, &err))
		complain(d, path, "%s", err.text);
	else
		*(const struct selector **)at = selector;
}

struct requirement {
	const char *key;
	int op;
	size_t count;
	const char **values;
};

enum requirement_op { OP_IN, OP_NOT_IN, OP_EXISTS, OP_NOT_EXISTS };

static const struct enum_text requirement_ops[] = { { "In", OP_IN },
						    { "NotIn", OP_NOT_IN },
						    { "Exists", OP_EXISTS },
						    { "DoesNotExist", OP_NOT_EXISTS },
						    { NULL, 0 } };

static const struct field value_field = { .read = read_text,
					  .size = sizeof(const char *),
					  .is_valid = name_is_label_value,
					  .what = "a label value" };

static const struct field requirement_fields[] = {
	FIELD("key", struct requirement, key, read_text, .flags = FIELD_REQUIRED | FIELD_NOT_EMPTY,
	      .is_valid = name_is_label_key, .what = "a label name"),
	FIELD("operator", struct requirement, op, read_enum, .flags = FIELD_REQUIRED,
	      .enums = requirement_ops),
	FIELD_LIST("values", struct requirement, count, values, &value_field, .max = 1000),
	FIELD_END
};

static void check_requirement(struct decode *d, const struct path *path, const json_t *value,
			      void *at)
{
	const struct requirement *requirement = at;
	const bool wants_values = requirement->op == OP_IN || requirement->op == OP_NOT_IN;
	struct path values = { .up = path, .key = "values" };

	(void)value;
	if (wants_values && !requirement->count)
		complain(d, &values, "is missing: In and NotIn need at least one value");
	else if (!wants_values && requirement->count)
		complain(d, &values, "must be empty with Exists and DoesNotExist");
}

static const struct shape requirement_shape = { .fields = requirement_fields,
						.check = check_requirement };

struct label_selector {
	struct labels match;
	size_t count;
	struct requirement *requirements;
};

static READER(read_match_labels)
{
	(void)field;
	read_map(d, path, value, MAP_LABELS, at);
}

static const struct field requirement_field = { .read = read_object,
						.size = sizeof(struct requirement),
						.shape = &requirement_shape };

static const struct field label_selector_fields[] = {
	FIELD("matchLabels", struct label_selector, match, read_match_labels),
	FIELD_LIST("matchExpressions", struct label_selector, count, requirements,
		   &requirement_field, .max = 1000),
	FIELD_END
};

static const struct shape label_selector_shape = { .fields = label_selector_fields };

static const struct selector *requirement_selector(struct arena *arena,
						   const struct requirement *requirement)
{
	const struct selector *selector;

	if (requirement->op == OP_EXISTS || requirement->op == OP_NOT_EXISTS)
		selector = selector_has(arena, requirement->key);
	else
		selector = selector_in(arena, requirement->key, requirement->values,
				       requirement->count);
	if (requirement->op == OP_NOT_IN || requirement->op == OP_NOT_EXISTS)
		return selector_not(arena, selector);
	return selector;
}

READER(read_label_selector)
{
	struct label_selector raw = { 0 };
	const struct selector **kids;
	const size_t bad = d->bad;
	size_t count = 0;

	(void)field;
	read_shape(d, path, value, &label_selector_shape, &raw);
	if (d->bad != bad)
		return;
	kids = arena_array(d->arena, raw.match.count + raw.count, sizeof(*kids));
	for (size_t i = 0; i < raw.match.count; i++)
		kids[count++] = selector_in(d->arena, raw.match.v[i].key, &raw.match.v[i].value, 1);
	for (size_t i = 0; i < raw.count; i++)
		kids[count++] = requirement_selector(d->arena, &raw.requirements[i]);
	*(const struct selector **)at = selector_join(d->arena, SELECTOR_AND, kids, count);
}
