/* SPDX-License-Identifier: Apache-2.0 */
/*
 * List, then watch, then list again when told to: what every lasting reader of a store needs.
 * The handler sees only additions, changes and deletions; after a second list these are the
 * differences to what it was told before. The caller owns the follow; it keeps no objects, only
 * their keys and hashes of their versions.
 */
#ifndef MARGAY_DATASTORE_FOLLOW_H
#define MARGAY_DATASTORE_FOLLOW_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "datastore/store.h"

struct follow;

/* Events that came into force together, or a part of a list: those come one behind the other within
 * one call of follow_open() or follow_dispatch(). synced: the handler has seen everything that the
 * store held when it was listed, which the last part of a list says (it may be empty). While a list
 * is told, the store may not be asked (store_read() in store.h); with synced it may.
 * A deletion found by a second list carries an object of apiVersion, kind and metadata
 * {namespace, name} alone. */
typedef void (*follow_fn)(const struct store_event *events, size_t count, bool synced, void *arg);

struct follow_args {
	const struct store_query *queries; /* copied; from is not used */
	size_t count;
	follow_fn fn;
	void *arg;
};

/* The first list is made at once; when the store is out of reach, it is made later from
 * follow_dispatch(). */
int follow_open(struct store *store, const struct follow_args *args, struct follow **ret_follow,
		struct err *err);
void follow_close(struct follow *follow); /* accepts NULL; before store_close() */
DEFINE_CLEANUP(struct follow *, follow_close)
#define _cleanup_follow_ _cleanup_(follow_close_p)

/* Call after each store_dispatch(): makes the lists that are due. -errno: out of reach, is tried
 * again with the next call after follow_timeout_ms(). */
int follow_dispatch(struct follow *follow, struct err *err);
int follow_timeout_ms(const struct follow *follow); /* -1: nothing due */
bool follow_is_synced(const struct follow *follow);

#endif
