/* SPDX-License-Identifier: Apache-2.0 */
/* Small readers over jansson trees. None of them fails: what is absent or of another type is
 * the default. All borrow. */
#ifndef MARGAY_BASE_JSON_H
#define MARGAY_BASE_JSON_H

#include <jansson.h>
#include <stdbool.h>

#include "base/cleanup.h"

static inline void json_decref_p(json_t **tree)
{
	json_decref(*tree);
}
#define _cleanup_json_ _cleanup_(json_decref_p)

/* The member at a path of keys, "metadata.name"; NULL where a step is not an object or absent.
 * Keys with a dot cannot be named this way. */
json_t *json_at(const json_t *root, const char *path);

/* Texts at a path; NULL (or the given default) where there is no string. */
const char *json_text_at(const json_t *root, const char *path);
const char *json_text_or(const json_t *root, const char *path, const char *or_else);
bool json_bool_or(const json_t *root, const char *path, bool or_else);

/* Parses one JSON object or array with the limits of base/yaml.h (size, depth); NULL if it is not
 * one. The caller has the reference. */
json_t *json_read(const char *text, size_t size);

#endif
