/* SPDX-License-Identifier: Apache-2.0 */
#include "model/schema.h"

#include <stdint.h>
#include <string.h>

#include "base/arena.h"
#include "model/decode_kinds.h"

#define PRESERVE "x-kubernetes-preserve-unknown-fields"
#define TEXT_LONGEST 4096 /* read_text()'s */

/* --- values --------------------------------------------------------------------------------- */

static json_t *anything(void)
{
	return json_pack("{s:b}", PRESERVE, 1);
}

static json_t *text_schema(const struct field *field)
{
	json_t *schema = json_pack("{s:s, s:I}", "type", "string", "maxLength",
				   field->max ? (json_int_t)field->max : TEXT_LONGEST);

	if (field->flags & FIELD_NOT_EMPTY)
		json_object_set_new(schema, "minLength", json_integer(1));
	return schema;
}

/* An API server compares limits as doubles: what one cannot hold is no limit. */
static json_t *int_schema(const struct field *field)
{
	json_t *schema = json_pack("{s:s, s:s, s:I}", "type", "integer", "format", "int64",
				   "minimum", (json_int_t)field->min);
	long long max = field->max;

	if (!max && !field->min && field->size < 8)
		max = (1LL << (field->size * 8)) - 1;
	if (max)
		json_object_set_new(schema, "maximum", json_integer(max));
	return schema;
}

/* Any case, in RE2's words. */
static json_t *any_case(const struct enum_text *enums)
{
	char *pattern = xstrdup("^(?i:");
	json_t *schema;

	for (const struct enum_text *e = enums; e->text; e++) {
		char *longer = xasprintf("%s%s%s", pattern, e == enums ? "" : "|", e->text);

		free(pattern);
		pattern = longer;
	}
	schema =
		json_pack("{s:s, s:o}", "type", "string", "pattern", json_sprintf("%s)$", pattern));
	free(pattern);
	return schema;
}

static json_t *enum_schema(const struct field *field)
{
	json_t *values;

	if (field->flags & FIELD_ANY_CASE)
		return any_case(field->enums);
	values = json_array();
	for (const struct enum_text *e = field->enums; e->text; e++)
		json_array_append_new(values, json_string(e->text));
	return json_pack("{s:s, s:o}", "type", "string", "enum", values);
}

static json_t *flags_schema(const struct field *field)
{
	json_int_t count = 0;

	while (field->enums[count].text)
		count++;
	return json_pack("{s:s, s:o, s:I}", "type", "array", "items", enum_schema(field),
			 "maxItems", count);
}

static json_t *string_schema(const struct field *field)
{
	(void)field;
	return json_pack("{s:s}", "type", "string");
}

static json_t *bool_schema(const struct field *field)
{
	(void)field;
	return json_pack("{s:s}", "type", "boolean");
}

static json_t *number_schema(const struct field *field)
{
	(void)field;
	return json_pack("{s:s}", "type", "number");
}

static json_t *map_schema(const char *type)
{
	return json_pack("{s:s, s:{s:s}}", "type", "object", "additionalProperties", "type", type);
}

static json_t *texts_schema(const struct field *field)
{
	(void)field;
	return map_schema("string");
}

static json_t *either_schema(const struct field *field)
{
	(void)field;
	return json_pack("{s:b, s:[{s:s}, {s:s}]}", "x-kubernetes-int-or-string", 1, "anyOf",
			 "type", "integer", "type", "string");
}

/* --- fields --------------------------------------------------------------------------------- */

static json_t *shape_schema(const struct shape *shape);
static json_t *field_schema(const struct field *field);

static json_t *object_schema(const struct field *field)
{
	return shape_schema(field->shape);
}

static json_t *list_schema(const struct field *field)
{
	json_t *schema =
		json_pack("{s:s, s:o}", "type", "array", "items", field_schema(field->element));

	if (field->max)
		json_object_set_new(schema, "maxItems", json_integer(field->max));
	return schema;
}

static const struct {
	field_reader read;
	json_t *(*schema)(const struct field *field);
} by_reader[] = {
	{ read_object, object_schema },	   { read_list, list_schema },
	{ read_text, text_schema },	   { read_bool, bool_schema },
	{ read_int, int_schema },	   { read_number, number_schema },
	{ read_enum, enum_schema },	   { read_flags, flags_schema },
	{ read_addr, string_schema },	   { read_prefix, string_schema },
	{ read_mac, string_schema },	   { read_texts, texts_schema },
	{ read_duration, string_schema },  { read_selector, string_schema },
	{ read_as_number, either_schema },
};

/* Of a reader of its own, which says by FIELD's .json what it takes. */
static json_t *own_schema(const struct field *field)
{
	switch (field->json) {
	case FIELD_JSON_ANY:
		break;
	case FIELD_JSON_TEXT:
		return json_pack("{s:s}", "type", "string");
	case FIELD_JSON_INT:
		return json_pack("{s:s}", "type", "integer");
	case FIELD_JSON_EITHER:
		return either_schema(field);
	case FIELD_JSON_OBJECT:
		return shape_schema(field->shape);
	case FIELD_JSON_FLAGS:
		return flags_schema(field);
	case FIELD_JSON_INT_MAP:
		return map_schema("integer");
	case FIELD_JSON_INT_LIST:
		return json_pack("{s:s, s:{s:s, s:b}}", "type", "array", "items", "type", "integer",
				 "nullable", 1);
	}
	return anything();
}

static json_t *field_schema(const struct field *field)
{
	for (size_t i = 0; i < sizeof(by_reader) / sizeof(by_reader[0]); i++)
		if (by_reader[i].read == field->read)
			return by_reader[i].schema(field);
	return own_schema(field);
}

static json_t *shape_schema(const struct shape *shape)
{
	json_t *properties = json_object(), *required = json_array();
	json_t *schema = json_pack("{s:s}", "type", "object");

	for (const struct field *field = shape->fields; field->name; field++) {
		json_object_set_new(properties, field->name, field_schema(field));
		if (field->flags & FIELD_REQUIRED)
			json_array_append_new(required, json_string(field->name));
	}
	if (json_object_size(properties))
		json_object_set(schema, "properties", properties);
	if (json_array_size(required))
		json_object_set(schema, "required", required);
	if (shape->open)
		json_object_set_new(schema, PRESERVE, json_true());
	json_decref(properties);
	json_decref(required);
	return schema;
}

/* --- what schema.def adds ------------------------------------------------------------------- */

struct extra {
	enum kind kind;
	enum { SHORT_NAMES, COLUMN, SELECTABLE, DEFAULT, RULE } what;
	const char *a, *b, *c;
};

static const struct extra extras[] = {
#define SHORT(kind, names) { KIND_##kind, SHORT_NAMES, names, NULL, NULL },
#define COLUMN(kind, title, type, path) { KIND_##kind, COLUMN, title, type, path },
#define SELECTABLE(kind, path) { KIND_##kind, SELECTABLE, path, NULL, NULL },
#define DEFAULT(kind, path, value) { KIND_##kind, DEFAULT, path, value, NULL },
#define RULE(kind, path, cel, message) { KIND_##kind, RULE, path, cel, message },
#include "model/schema.def"
#undef SHORT
#undef COLUMN
#undef SELECTABLE
#undef DEFAULT
#undef RULE
};

/* The member, made if it is not there; borrowed. */
static json_t *list_of(json_t *object, const char *name)
{
	json_t *list = json_object_get(object, name);

	if (!list) {
		list = json_array();
		json_object_set_new(object, name, list);
	}
	return list;
}

/* The schema of a field, "spec.tier"; "" is the whole. Borrowed. */
static json_t *schema_at(json_t *schema, const char *path)
{
	while (*path) {
		size_t size = strcspn(path, ".");
		char *name = xasprintf("%.*s", (int)size, path);

		schema = json_object_get(json_object_get(schema, "properties"), name);
		free(name);
		path += size;
		path += *path == '.';
	}
	return schema;
}

static void add_short(json_t *names, const char *list)
{
	while (*list) {
		size_t size = strcspn(list, " ");

		json_array_append_new(list_of(names, "shortNames"), json_stringn(list, size));
		list += size;
		list += *list == ' ';
	}
}

/* version and names: members of the CRD; schema: of the object. */
static void add_extra(const struct extra *extra, json_t *version, json_t *names, json_t *schema)
{
	switch (extra->what) {
	case SHORT_NAMES:
		add_short(names, extra->a);
		break;
	case COLUMN:
		json_array_append_new(list_of(version, "additionalPrinterColumns"),
				      json_pack("{s:s, s:s, s:s}", "name", extra->a, "type",
						extra->b, "jsonPath", extra->c));
		break;
	case SELECTABLE:
		json_array_append_new(list_of(version, "selectableFields"),
				      json_pack("{s:s}", "jsonPath", extra->a));
		break;
	case DEFAULT:
		json_object_set_new(schema_at(schema, extra->a), "default",
				    json_loads(extra->b, JSON_DECODE_ANY, NULL));
		break;
	case RULE:
		json_array_append_new(
			list_of(schema_at(schema, extra->a), "x-kubernetes-validations"),
			json_pack("{s:s, s:s}", "rule", extra->b, "message", extra->c));
		break;
	}
}

/* --- the definition ------------------------------------------------------------------------- */

bool schema_is_ours(enum kind kind)
{
	const char *group = kind_info(kind)->group;

	return (!strcmp(group, API_GROUP_CALICO) && kind != KIND_PROFILE) ||
	       !strcmp(group, "margay.dev");
}

/* apiVersion, kind and metadata are the API server's; status is whoever's writes it. */
static json_t *root_schema(enum kind kind)
{
	json_t *schema = shape_schema(decoder_of_kind(kind)->shape);
	json_t *properties = json_object_get(schema, "properties");

	if (!properties) {
		properties = json_object();
		json_object_set_new(schema, "properties", properties);
	}
	json_object_del(schema, PRESERVE);
	json_object_set_new(properties, "apiVersion", json_pack("{s:s}", "type", "string"));
	json_object_set_new(properties, "kind", json_pack("{s:s}", "type", "string"));
	json_object_set_new(properties, "metadata", json_pack("{s:s}", "type", "object"));
	if (!json_object_get(properties, "spec"))
		json_object_set_new(properties, "spec",
				    json_pack("{s:s, s:b}", "type", "object", PRESERVE, 1));
	json_object_set_new(properties, "status",
			    json_pack("{s:s, s:b}", "type", "object", PRESERVE, 1));
	return schema;
}

static json_t *names_of(const struct kind_info *info)
{
	char *singular = xstrdup(info->kind);
	json_t *names;

	for (char *p = singular; *p; p++)
		if (*p >= 'A' && *p <= 'Z')
			*p = (char)(*p - 'A' + 'a');
	names = json_pack("{s:s, s:o, s:s, s:s}", "kind", info->kind, "listKind",
			  json_sprintf("%sList", info->kind), "plural", info->plural, "singular",
			  singular);
	free(singular);
	return names;
}

json_t *schema_crd(enum kind kind)
{
	const struct kind_info *info = kind_info(kind);
	json_t *schema, *version, *names;

	if (!schema_is_ours(kind))
		return NULL;
	schema = root_schema(kind);
	names = names_of(info);
	version = json_pack("{s:s, s:b, s:b, s:{s:{}}, s:{s:O}}", "name", info->version, "served",
			    1, "storage", 1, "subresources", "status", "schema", "openAPIV3Schema",
			    schema);
	for (size_t i = 0; i < sizeof(extras) / sizeof(extras[0]); i++)
		if (extras[i].kind == kind)
			add_extra(&extras[i], version, names, schema);
	json_decref(schema);
	return json_pack("{s:s, s:s, s:{s:o}, s:{s:s, s:o, s:s, s:[o]}}", "apiVersion",
			 "apiextensions.k8s.io/v1", "kind", "CustomResourceDefinition", "metadata",
			 "name", json_sprintf("%s.%s", info->plural, info->group), "spec", "group",
			 info->group, "names", names, "scope",
			 info->namespaced ? "Namespaced" : "Cluster", "versions", version);
}
