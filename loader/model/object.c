/* SPDX-License-Identifier: Apache-2.0 */
#include "model/object.h"

#include <stdlib.h>
#include <string.h>

#include "model/pod.h"
#include "model/selector.h"

void *object_new(enum kind kind, size_t size)
{
	return object_new_in(arena_new(), kind, size);
}

void *object_new_in(struct arena *arena, enum kind kind, size_t size)
{
	struct object *object = arena_alloc(arena, size);

	object->kind = kind;
	object->refs = 1;
	object->arena = arena;
	object->api = kind_info(kind)->api;
	object->ns = object->name = object->uid = object->version = "";
	return object;
}

struct object *object_ref(const struct object *object)
{
	/* The count is the one member that changes: the object itself is constant. */
	struct object *counted = (struct object *)(void *)(unsigned long)object;

	counted->refs++;
	return counted;
}

void object_unref(struct object *object)
{
	if (object && !--object->refs)
		arena_free(object->arena);
}

int object_cmp(const struct object *a, const struct object *b)
{
	int order;

	if (a->kind != b->kind)
		return a->kind < b->kind ? -1 : 1;
	order = strcmp(a->ns, b->ns);
	return order ? order : strcmp(a->name, b->name);
}

char *object_title(const struct object *object)
{
	return xasprintf("%s %s%s%s", kind_info(object->kind)->kind, object->ns,
			 *object->ns ? "/" : "", object->name);
}

bool pod_is_named(const struct object *pod, const char *uid)
{
	const char *mirror = labels_get(&pod->annotations, ANNOTATION_MIRROR);

	return !*uid || !*pod->uid || !strcmp(pod->uid, uid) || (mirror && !strcmp(mirror, uid));
}

bool annotation_is_kept(const char *key)
{
	return strstr(key, "projectcalico.org/") ||
	       !strcmp(key, "endpoints.kubernetes.io/last-change-trigger-time") ||
	       !strcmp(key, "kubernetes.io/ingress-bandwidth") ||
	       !strcmp(key, "kubernetes.io/egress-bandwidth") || !strcmp(key, ANNOTATION_MIRROR);
}

static int cmp_label(const void *a, const void *b)
{
	return strcmp(((const struct label *)a)->key, ((const struct label *)b)->key);
}

const char *labels_get(const struct labels *labels, const char *key)
{
	const struct label wanted = { .key = key }, *found;

	if (!labels->count)
		return NULL;
	found = bsearch(&wanted, labels->v, labels->count, sizeof(*labels->v), cmp_label);
	return found ? found->value : NULL;
}

bool labels_equal(const struct labels *a, const struct labels *b)
{
	if (a->count != b->count)
		return false;
	for (size_t i = 0; i < a->count; i++)
		if (strcmp(a->v[i].key, b->v[i].key) || strcmp(a->v[i].value, b->v[i].value))
			return false;
	return true;
}

void labels_sort(struct labels *labels)
{
	if (labels->count)
		qsort(labels->v, labels->count, sizeof(*labels->v), cmp_label);
}

static const char *lookup(void *ctx, const char *key)
{
	return labels_get(ctx, key);
}

bool labels_match(const struct labels *labels, const struct selector *selector)
{
	return selector_eval(selector, lookup, (void *)(unsigned long)labels);
}
