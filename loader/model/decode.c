/* SPDX-License-Identifier: Apache-2.0 */
#include "model/decode.h"

#include <errno.h>
#include <string.h>

#include "base/arena.h"
#include "base/yaml.h"
#include "model/decode_kinds.h"
#include "model/names.h"

#define CALICO API_GROUP_CALICO

static const struct decoder *const decoders[KIND_MAX] = {
#define KIND(id, kind, plural, further, group, version, scope, effect, which)                      \
	[KIND_##id] = &decoder_##which,
#define KIND_FORM(...)
#include "model/kinds.def"
#undef KIND
#undef KIND_FORM
};

const struct decoder *decoder_of_kind(enum kind kind)
{
	return decoders[kind];
}

static const struct {
	enum kind kind;
	const char *api;
	const struct decoder *decoder;
} forms[] = {
#define KIND(...)
#define KIND_FORM(id, group, version, which) { KIND_##id, group "/" version, &decoder_##which },
#include "model/kinds.def"
#undef KIND
#undef KIND_FORM
};

static const struct decoder *decoder_of(enum kind kind, const char *api)
{
	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++)
		if (forms[i].kind == kind && !strcmp(forms[i].api, api))
			return forms[i].decoder;
	return decoders[kind];
}

/* --- metadata ------------------------------------------------------------------------------- */

static READER(read_presence)
{
	(void)d;
	(void)path;
	(void)field;
	*(bool *)at = json_is_string(value);
}

static const struct field metadata_fields[] = {
	FIELD("name", struct object, name, read_text, .flags = FIELD_REQUIRED | FIELD_NOT_EMPTY,
	      .is_valid = name_is_dns_subdomain, .what = "a DNS name (RFC 1123)"),
	FIELD("namespace", struct object, ns, read_text, .is_valid = name_is_dns_label,
	      .what = "a DNS label (RFC 1123)"),
	FIELD("uid", struct object, uid, read_text, .max = 128),
	FIELD("resourceVersion", struct object, version, read_text, .max = 128),
	FIELD("labels", struct object, labels, read_labels),
	FIELD("annotations", struct object, annotations, read_annotations),
	FIELD("deletionTimestamp", struct object, deleting, read_presence),
	FIELD_END
};

/* What the API server adds (managedFields, ownerReferences ...) is no news. */
static const struct shape metadata_shape = { .fields = metadata_fields, .open = true };

static void read_metadata(struct decode *d, const json_t *root, struct object *object)
{
	const struct kind_info *info = kind_info(object->kind);
	const json_t *metadata = json_object_get(root, "metadata");
	const struct path path = { .key = "metadata" };
	const struct path ns = { .up = &path, .key = "namespace" };

	if (!metadata) {
		complain(d, &path, "is missing");
		return;
	}
	read_shape(d, &path, metadata, &metadata_shape, object);
	if (info->namespaced && !*object->ns) {
		object->ns = "default";
	} else if (!info->namespaced && *object->ns) {
		warn_of(d, &ns, "%s has no namespace: left out", info->kind);
		object->ns = "";
	}
}

/* --- the object ----------------------------------------------------------------------------- */

/* apiVersion, kind and metadata are read before and apart. */
static void warn_top_level(struct decode *d, const json_t *root, const struct shape *shape)
{
	const char *key;
	json_t *member;

	json_object_foreach((json_t *)(uintptr_t)root, key, member) {
		const struct field *field = shape->fields;
		struct path path = { .key = key };

		while (field->name && strcmp(field->name, key))
			field++;
		if (!field->name && strcmp(key, "apiVersion") && strcmp(key, "kind") &&
		    strcmp(key, "metadata"))
			warn_unknown(d, &path);
	}
}

static int find_kind(struct decode *d, const json_t *root, enum kind *ret_kind)
{
	const char *api = json_string_value(json_object_get(root, "apiVersion"));
	const char *kind = json_string_value(json_object_get(root, "kind"));
	const struct path api_path = { .key = "apiVersion" }, kind_path = { .key = "kind" };

	if (!json_is_object(root)) {
		complain_type(d, NULL, root, "an object");
		return -EINVAL;
	}
	if (!api)
		complain(d, &api_path, "is missing");
	if (!kind)
		complain(d, &kind_path, "is missing");
	if (!api || !kind)
		return -EINVAL;
	if (!kind_find(api, kind, ret_kind))
		return 0;
	complain(d, &kind_path, "%.64s of %.64s is not known", kind, api);
	return -ENOENT;
}

/* The shape as told by the kind, with the object's own top level. */
static void read_body(struct decode *d, const json_t *root, const struct decoder *decoder,
		      struct object *object)
{
	struct shape top = *decoder->shape;

	if (decoder->defaults)
		decoder->defaults(d, object);
	if (!top.open)
		warn_top_level(d, root, &top);
	top.open = true;
	read_shape(d, NULL, root, &top, object);
	if (!kind_info(object->kind)->effect && d->mode == DECODE_STRICT)
		warn_of(d, NULL, "%s has no effect yet", kind_info(object->kind)->kind);
}

/* Reads the whole object into an arena. */
static struct object *read_into(struct decode *d, struct arena *arena, const json_t *root,
				const struct decode_options *options)
{
	const char *api = json_string_value(json_object_get(root, "apiVersion"));
	const struct decoder *decoder = decoder_of(d->kind, api);
	struct object *object = object_new_in(arena, d->kind, decoder->size);

	d->arena = arena;
	if (strcmp(api, object->api))
		object->api = arena_strdup(arena, api);
	object->file = arena_strdup(arena, options->file);
	object->line = options->doc ? options->doc->line : 0;
	read_metadata(d, root, object);
	read_body(d, root, decoder, object);
	return object;
}

/* The same object again, in an arena that fits: what is kept for long wastes nothing. */
static struct object *read_again(const struct object *object, const struct decode_options *options,
				 const json_t *root)
{
	_cleanup_(problems_done) struct problems problems = { 0 };
	struct decode d = { .mode = options->mode,
			    .as = PROBLEM_ERROR,
			    .kind = object->kind,
			    .problems = &problems };

	/* Other places of gaps: one at each former end of a chunk. */
	return read_into(&d, arena_new_sized(arena_used(object->arena) + 64), root, options);
}

int object_decode(const json_t *root, const struct decode_options *options,
		  struct object **ret_object, struct problems *problems)
{
	struct decode d = { .mode = options->mode,
			    .as = PROBLEM_ERROR,
			    .doc = options->doc,
			    .problems = problems };
	_cleanup_object_ struct object *object = NULL;
	int r = find_kind(&d, root, &d.kind);

	if (r)
		return r;
	object = read_into(&d, arena_new(), root, options);
	if (d.bad)
		return -EINVAL;
	*ret_object = read_again(object, options, root);
	return 0;
}
