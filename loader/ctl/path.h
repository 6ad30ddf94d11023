/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The simple part of kubectl's JSONPath: ".a.b", ".a[0]", ".a[-1]", ".a[*].b", ".a['k.x']",
 * ".a\.b" for a key with a dot, with or without "{}" around and "$" before
 * (kubernetes.io/docs/reference/kubectl/jsonpath).
 */
#ifndef MARGAY_CTL_PATH_H
#define MARGAY_CTL_PATH_H

#include <jansson.h>

struct err;

/* All values the path leads to; a new array. -EINVAL: not such a path. */
int path_find(const json_t *root, const char *path, json_t **ret_values, struct err *err);

/* Values as text: strings bare, the rest as JSON, joined by separator. The caller frees. */
char *values_text(const json_t *values, const char *separator);

/* A template with paths in braces and quoted texts: "{.a}{\"\\n\"}". The caller frees. */
int template_fill(const json_t *root, const char *template, char **ret_text, struct err *err);

#endif
