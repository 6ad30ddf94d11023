/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Documents out of YAML and JSON text, and YAML out of a JSON tree.
 *
 * YAML is read as kubectl's library (sigs.k8s.io/yaml over YAML 1.1) does: plain scalars
 * become null, bool, int, float or string by their look (yes, no, on, off, y and n are bools),
 * quoted ones are strings, keys become strings. A text whose first character is { is JSON, one
 * object or several behind one another. Empty documents are left out.
 *
 * Limits, each -E2BIG: DOC_*_MAX below. -EINVAL: syntax, a duplicate or null key, a merge key,
 * a tag other than YAML's own, a NUL byte, an alias without its anchor. The message begins with
 * "line N: ".
 */
#ifndef MARGAY_BASE_YAML_H
#define MARGAY_BASE_YAML_H

#include <jansson.h>
#include <stddef.h>

#include "base/cleanup.h"

struct err;

#define DOC_BYTES_MAX (4U << 20) /* of a text */
#define DOC_DEPTH_MAX 64
#define DOC_NODES_MAX 400000 /* values of a text, those that aliases repeat included */
#define DOC_COUNT_MAX 10000

/* Where the values of a document stand in the text (private to base/). */
struct doc_lines;

struct doc {
	json_t *root;	   /* owned by the docs; who keeps it takes a reference */
	unsigned int line; /* of its first value, from 1 */
	const struct doc_lines *lines;
};

struct docs {
	size_t count;
	struct doc *v;
	struct arena *arena; /* private */
};

/* The text needs no NUL behind it. The caller frees. */
int docs_read(const char *text, size_t size, struct docs **ret_docs, struct err *err);
void docs_free(struct docs *docs); /* accepts NULL */
DEFINE_CLEANUP(struct docs *, docs_free)
#define _cleanup_docs_ _cleanup_(docs_free_p)

/* Replaces every document that is a list (kind ends with "List", items is an array) by its
 * items, as kubectl does; their lines stay. */
void docs_flatten_lists(struct docs *docs);

/* The line of a value, "spec.ingress[0].ports[1].port" ("" is the root). A path that leads
 * nowhere gives the line of the last value on its way. A key with characters other than
 * letters, digits, _ and - is written in brackets: metadata.labels["a.b/c"]. */
unsigned int doc_line(const struct doc *doc, const char *path);

/* Block style, two spaces, keys in the order of the tree, as `kubectl get -o yaml` prints.
 * NUL-terminated; the caller frees. Strings that would read as something else are quoted.
 * -EINVAL: not a tree that YAML can hold (a NUL in a string). */
int yaml_write(const json_t *root, char **ret_text);

#endif
