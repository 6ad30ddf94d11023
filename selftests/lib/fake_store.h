/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A store in memory behind the back ends' own vtable, for tests that need to choose what fails and
 * who is faster. Several handles may share one content, as several nodes do. Watching is not
 * offered.
 */
#ifndef MARGAY_SELFTESTS_FAKE_STORE_H
#define MARGAY_SELFTESTS_FAKE_STORE_H

#include <jansson.h>
#include <stdbool.h>

#include "datastore/store.h"

struct fake_content {
	json_t *objects; /* "Kind/name": object */
	unsigned long version;
	unsigned long writes; /* that changed something */
};

enum fake_point {
	FAKE_READ,   /* before a get or list */
	FAKE_BEFORE, /* before a commit is looked at */
	FAKE_AFTER   /* after it was applied: an error now is an unknown outcome */
};

/* 0, or the error that the call gives. May use other handles of the same content. */
typedef int (*fake_hook)(void *arg, enum fake_point point);

struct fake_options {
	struct fake_content *content;
	bool atomic;
	fake_hook hook; /* may be NULL */
	void *arg;
};

void fake_content_init(struct fake_content *content);
void fake_content_done(struct fake_content *content);
struct store *fake_store_new(const struct fake_options *options); /* store_close() frees */

/* Straight into the content; text is JSON. */
void fake_put(struct fake_content *content, const char *text);
void fake_remove(struct fake_content *content, const char *kind, const char *name);
/* Borrowed; NULL: not there. */
json_t *fake_get(const struct fake_content *content, const char *kind, const char *name);
size_t fake_count(const struct fake_content *content, const char *kind);

#endif
