/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Objects applied until somebody confirms them (`margayctl apply --confirm`): an annotation carries
 * the moment by which that must be and what the object was before. Past that moment, by the clock
 *of whoever reads it, the object is what it was. `margayctl confirm` takes the annotation away.
 *
 *	margay.dev/confirm: {"until":"2026-11-29T00:10:00.000Z","former":{...}}
 *
 * former: the whole object, without resourceVersion; null: there was none.
 */
#ifndef MARGAY_MODEL_UNCONFIRMED_H
#define MARGAY_MODEL_UNCONFIRMED_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "model/object.h"

#define UNCONFIRMED_ANNOTATION "margay.dev/confirm"
#define UNCONFIRMED_MAX (200 * 1024) /* bytes of the annotation: an object has room for 256 KiB */

struct err;

/* Kinds on which policy depends, that people write: only these wait to be confirmed. */
bool unconfirmed_covers(enum kind kind);

struct unconfirmed {
	uint64_t until; /* ms since 1970 */
	json_t *tree;	/* owned: unconfirmed_done() */
};

/* False: it carries no such annotation, or one that is none. */
bool unconfirmed_read(const json_t *object, struct unconfirmed *ret_unconfirmed);
void unconfirmed_done(struct unconfirmed *unconfirmed);
/* What it was; NULL: nothing. New reference. */
json_t *unconfirmed_former(const struct unconfirmed *unconfirmed);

/* Puts the annotation on object, which is the caller's alone. before: as it is stored (NULL: not);
 * where that waits to be confirmed itself, what it was before counts. -E2BIG: too large. */
int unconfirmed_mark(json_t *object, const json_t *before, uint64_t until, struct err *err);
void unconfirmed_clear(json_t *object);

#endif
