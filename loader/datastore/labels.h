/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kubernetes label selectors as queries and `-l` write them: "a=b,c!=d,e in (f,g),h notin (i),j,!k"
 * (Kubernetes documentation, "Labels and Selectors"; a comma is a logical AND). A selector that
 * excludes
 * (!=, notin, !) matches objects without the label.
 */
#ifndef MARGAY_DATASTORE_LABELS_H
#define MARGAY_DATASTORE_LABELS_H

#include <jansson.h>
#include <stdbool.h>

struct err;

/* -EINVAL, and err says where. */
int query_labels_check(const char *selector, struct err *err);

/* labels: JSON object or NULL. A selector that query_labels_check() refuses matches nothing; NULL
 * and "" match everything. */
bool query_labels_match(const char *selector, const json_t *labels);

#endif
