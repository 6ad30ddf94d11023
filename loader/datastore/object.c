/* SPDX-License-Identifier: Apache-2.0 */
/* What the store itself must know of an object: apiVersion, kind and metadata. */
#include <errno.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "base/arena.h"
#include "base/err.h"
#include "datastore/backend.h"

#define NAME_MAX_LENGTH 253
#define LABELS_MAX 1024

const char *object_meta(const json_t *object, const char *field)
{
	return json_string_value(json_object_get(json_object_get(object, "metadata"), field));
}

const json_t *object_labels(const json_t *object)
{
	return json_object_get(json_object_get(object, "metadata"), "labels");
}

/* A name is one segment of a path, in a URL as in a folder (Kubernetes: "Object Names and IDs"). */
static int check_name(const char *what, const char *name, struct err *err)
{
	if (!*name)
		return err_set(err, -EINVAL, "%s: must not be empty", what);
	if (strlen(name) > NAME_MAX_LENGTH)
		return err_set(err, -EINVAL, "%s: longer than %d characters", what,
			       NAME_MAX_LENGTH);
	if (!strcmp(name, ".") || !strcmp(name, ".."))
		return err_set(err, -EINVAL, "%s: must not be \"%s\"", what, name);
	for (const char *p = name; *p; p++)
		if (*p == '/' || *p == '%' || (unsigned char)*p <= ' ' || *p == 127)
			return err_set(err, -EINVAL,
				       "%s: \"%s\": '/', '%%', spaces and control characters are "
				       "not allowed",
				       what, name);
	return 0;
}

static int check_texts(const char *what, const json_t *map, struct err *err)
{
	const char *key;
	json_t *value;

	if (!map || json_is_null(map))
		return 0;
	if (!json_is_object(map))
		return err_set(err, -EINVAL, "metadata.%s: expected a map of texts", what);
	if (json_object_size(map) > LABELS_MAX)
		return err_set(err, -EINVAL, "metadata.%s: more than %d entries", what, LABELS_MAX);
	json_object_foreach((json_t *)map, key, value) {
		if (!json_is_string(value))
			return err_set(err, -EINVAL, "metadata.%s.%.200s: expected a text", what,
				       key);
	}
	return 0;
}

static int check_meta_text(const json_t *metadata, const char *field, struct err *err)
{
	const json_t *value = json_object_get(metadata, field);

	if (value && !json_is_null(value) && !json_is_string(value))
		return err_set(err, -EINVAL, "metadata.%s: expected a text", field);
	return 0;
}

int object_check_shape(const json_t *object, struct err *err)
{
	static const char *const texts[] = { "name", "namespace", "uid", "resourceVersion",
					     "creationTimestamp" };
	const json_t *metadata = json_object_get(object, "metadata");
	int r = 0;

	if (!json_is_object(object))
		return err_set(err, -EINVAL, "expected an object with apiVersion and kind");
	if (!json_is_object(metadata))
		return err_set(err, -EINVAL, "metadata: missing");
	for (size_t i = 0; !r && i < sizeof(texts) / sizeof(texts[0]); i++)
		r = check_meta_text(metadata, texts[i], err);
	if (!r)
		r = check_texts("labels", json_object_get(metadata, "labels"), err);
	if (!r)
		r = check_texts("annotations", json_object_get(metadata, "annotations"), err);
	return r;
}

static int no_name(const json_t *object, struct err *err)
{
	const json_t *name = json_object_get(json_object_get(object, "metadata"), "name");
	_cleanup_free_ char *text = name ? json_dumps(name, JSON_ENCODE_ANY) : NULL;

	if (!text || json_is_null(name))
		return err_set(err, -EINVAL, "metadata.name: missing");
	return err_set(err, -EINVAL, "metadata.name: expected a text, not %.60s (quote it)", text);
}

int store_key_of(const json_t *object, struct store_key *ret_key, struct err *err)
{
	const char *api = json_string_value(json_object_get(object, "apiVersion"));
	const char *kind = json_string_value(json_object_get(object, "kind"));
	const char *name = object_meta(object, "name"), *ns = object_meta(object, "namespace");
	struct store_key key = { .ns = "", .name = name };
	int r;

	if (!json_is_object(object))
		return err_set(err, -EINVAL, "expected an object with apiVersion and kind");
	if (!api)
		return err_set(err, -EINVAL, "apiVersion: missing");
	if (!kind)
		return err_set(err, -EINVAL, "kind: missing");
	key.kind = store_kind_find(api, kind);
	if (!key.kind)
		return err_set(err, -EINVAL, "no kind \"%.60s\" in apiVersion \"%.80s\" is known",
			       kind, api);
	if (!name)
		return no_name(object, err);
	r = check_name("metadata.name", name, err);
	if (!r && key.kind->namespaced) {
		key.ns = ns && *ns ? ns : "default";
		r = check_name("metadata.namespace", key.ns, err);
	}
	if (r < 0)
		return r;
	*ret_key = key;
	return 0;
}

/* FNV-1a, the NUL too, so that texts behind one another do not run together. */
uint64_t text_hash(const char *text, uint64_t seed)
{
	uint64_t hash = 0xcbf29ce484222325 ^ seed;

	do
		hash = (hash ^ (unsigned char)*text) * 0x100000001b3;
	while (*text++);
	return hash;
}

uint32_t key_hash(const struct store_key *key)
{
	uint64_t hash = text_hash(key->name, text_hash(key->ns, key->kind->id));

	/* Neighbouring names differ in its low bits most of all; an index looks at the high ones.
	 */
	hash = (hash ^ hash >> 32) * 0x9fb21c651e98df25ULL;
	return (uint32_t)(hash >> 32);
}

char *key_text(const struct store_key *key)
{
	_cleanup_free_ char *kind = xstrdup(key->kind->kind);

	for (char *p = kind; *p; p++)
		if (*p >= 'A' && *p <= 'Z')
			*p = (char)(*p - 'A' + 'a');
	return xasprintf("%s%s%s %s%s%s", kind, *key->kind->group ? "." : "", key->kind->group,
			 key->ns ? key->ns : "", key->ns && *key->ns ? "/" : "", key->name);
}

void object_name_write(json_t *object, const char *field, const char *text)
{
	json_object_set_new(json_object_get(object, "metadata"), field, json_string(text));
}

void object_stamp(json_t *object)
{
	unsigned char b[16] = { 0 };
	char text[40];
	struct tm tm;
	time_t now = time(NULL);

	(void)!getrandom(b, sizeof(b), 0);
	b[6] = (b[6] & 0x0f) | 0x40; /* RFC 9562, version 4 */
	b[8] = (b[8] & 0x3f) | 0x80;
	snprintf(text, sizeof(text),
		 "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0], b[1],
		 b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14],
		 b[15]);
	object_name_write(object, "uid", text);
	gmtime_r(&now, &tm);
	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm);
	object_name_write(object, "creationTimestamp", text);
}

bool object_same(const json_t *a, const json_t *b)
{
	_cleanup_json_ json_t *x = json_copy((json_t *)a), *y = json_copy((json_t *)b);
	json_t *mx = json_copy(json_object_get(a, "metadata"));
	json_t *my = json_copy(json_object_get(b, "metadata"));

	json_object_del(mx, "resourceVersion");
	json_object_del(my, "resourceVersion");
	json_object_set_new(x, "metadata", mx);
	json_object_set_new(y, "metadata", my);
	return json_equal(x, y);
}

json_t *object_bare(const struct store_key *key)
{
	json_t *metadata = json_object(), *object = json_object();
	char api[80];

	json_object_set_new(metadata, "name", json_string(key->name));
	if (key->kind->namespaced)
		json_object_set_new(metadata, "namespace", json_string(key->ns));
	json_object_set_new(object, "apiVersion",
			    json_string(store_kind_api_version(key->kind, api)));
	json_object_set_new(object, "kind", json_string(key->kind->kind));
	json_object_set_new(object, "metadata", metadata);
	return object;
}
