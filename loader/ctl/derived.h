/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is there without an object, and `get` shows all the same: the built-in tiers, and the
 * profiles of namespaces (kns.NS) and service accounts (ksa.NS.NAME), as calicoctl lists them. They
 * are read only; an object of the same name is shown instead.
 */
#ifndef MARGAY_CTL_DERIVED_H
#define MARGAY_CTL_DERIVED_H

#include <jansson.h>

#include "base/err.h"
#include "datastore/store.h"

/* Adds those of the kind that items (an array of its objects) has not, in order of names. */
int derived_add(struct store *store, const struct store_kind *kind, json_t *items, struct err *err);

/* One of them. -ENOENT: there is none of that kind and name. */
int derived_get(struct store *store, const struct store_key *key, json_t **ret_object,
		struct err *err);

#endif
