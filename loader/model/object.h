/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every object of the API has: kind, key, labels, and where it came from. Typed structs
 * (pod.h, netpol.h ...) begin with it, so `(const struct pod *)object` is right where
 * object->kind is KIND_POD; the *_of() functions of those headers check it.
 *
 * An object and all it points to lie in one arena and never change once decoded. Objects are
 * counted: who keeps one takes a reference. One thread only.
 *
 * Source: Kubernetes meta/v1 ObjectMeta.
 */
#ifndef MARGAY_MODEL_OBJECT_H
#define MARGAY_MODEL_OBJECT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/cleanup.h"
#include "model/kind.h"

struct selector;

struct label {
	const char *key;
	const char *value;
};

struct labels {
	size_t count;
	struct label *v; /* sorted by key, each key once */
};

struct object {
	enum kind kind;
	unsigned int refs;
	struct arena *arena;
	const char *api;     /* as written: "v1", "projectcalico.org/v3" */
	const char *ns;	     /* namespace; "" for kinds without one, never NULL */
	const char *name;    /* never NULL */
	const char *uid;     /* "" where the store has none */
	const char *version; /* resourceVersion, opaque; "" where there is none */
	struct labels labels;
	struct labels annotations; /* those that annotation_is_kept() */
	bool deleting;		   /* metadata.deletionTimestamp is set */
	const char *file;	   /* NULL: not from a file */
	unsigned int line;	   /* in file, from 1; 0: not known */
};

/* A zeroed struct of size bytes that begins with a struct object, in an arena of its own, with
 * one reference. Strings are "" until set. */
void *object_new(enum kind kind, size_t size);
void *object_new_in(struct arena *arena, enum kind kind, size_t size); /* takes over the arena */

struct object *object_ref(const struct object *object);
void object_unref(struct object *object); /* accepts NULL */
DEFINE_CLEANUP(struct object *, object_unref)
#define _cleanup_object_ _cleanup_(object_unref_p)

/* Order by kind, namespace, name. */
int object_cmp(const struct object *a, const struct object *b);

/* "NetworkPolicy shop/deny-all", "Tier default": for messages. */
char *object_title(const struct object *object); /* the caller frees */

/* Of a mirror Pod: the UID that the kubelet runs the static pod by, and tells the plugin. */
#define ANNOTATION_MIRROR "kubernetes.io/config.mirror"

/* Whether Margay may read an annotation: projectcalico.org's own, those of bandwidth, that of
 * mirror Pods and the trigger time of EndpointSlices. The others (kubectl keeps whole objects in
 * one) would be most of an object's memory. */
bool annotation_is_kept(const char *key);

/* The value, NULL where absent. */
const char *labels_get(const struct labels *labels, const char *key);

bool labels_equal(const struct labels *a, const struct labels *b);

/* Sorts by key, in place; keys are unique, since they come from a map. */
void labels_sort(struct labels *labels);

/* Whether a selector holds for these labels alone (no namespace or service account part). */
bool labels_match(const struct labels *labels, const struct selector *selector);

#endif
