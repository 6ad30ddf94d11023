/* SPDX-License-Identifier: Apache-2.0 */
/* Inside of base/: what the readers of YAML and JSON share. Others use yaml.h and json.h. */
#ifndef MARGAY_BASE_DOC_H
#define MARGAY_BASE_DOC_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

struct arena;
struct docs;
struct err;

/* Shape of a document beside its tree: the line of each value, kids in the order of the tree. */
struct doc_lines {
	struct doc_lines *next;
	struct doc_lines *first;
	unsigned int line;
};

/* Adds a document; takes over the reference. -E2BIG beyond DOC_COUNT_MAX (and drops it). */
int docs_add(struct docs *docs, json_t *root, const struct doc_lines *lines, struct err *err);

/* Adds the JSON values of a text. */
int docs_read_json(struct docs *docs, const char *text, size_t size, struct err *err);

/* A plain YAML 1.1 scalar by its look; NULL: a number that JSON cannot hold (.inf, .nan). text
 * has a NUL at length. */
json_t *yaml_resolve(const char *text, size_t length);

/* Whether a plain scalar of this text would read as this string again. */
bool yaml_is_plain_string(const char *text);

#endif
