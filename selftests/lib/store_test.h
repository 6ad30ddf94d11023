/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For tests of the datastore: a store in a folder of its own, objects from text, and a recorder of
 * what a watch is told.
 */
#ifndef MARGAY_SELFTESTS_STORE_TEST_H
#define MARGAY_SELFTESTS_STORE_TEST_H

#include <jansson.h>
#include <stdbool.h>

#include "base/err.h"
#include "datastore/store.h"

#define TEST_LIMIT_MS 60000

struct store_test {
	char folder[64]; /* removed by store_test_done() */
	char path[80];	 /* of the store in it */
	char manifests[80];
	char address[96];
};

void store_test_init(struct store_test *test); /* fails the test when it cannot */
void store_test_done(struct store_test *test);
struct store *store_test_open(const struct store_test *test, const struct store_options *options);

/* Set-up and teardown of a cmocka test, whose state becomes a struct store_fixture. */
struct store_fixture {
	struct store_test test;
	struct store *store;
};
int store_fixture_setup(void **state);
int store_fixture_teardown(void **state);
/* Creates or updates a NetworkSet. */
void store_test_put(struct store *store, const char *ns, const char *name, const char *net);

/* ConfigMap-like: a NetworkSet NS/NAME with one net and the labels "k=v,k=v" (NULL: none). */
json_t *test_set(const char *ns, const char *name, const char *net, const char *labels);
const char *test_version(const json_t *object); /* metadata.resourceVersion */
const char *test_net(const json_t *object);	/* spec.nets[0] */

struct store_key test_key(const char *ns, const char *name);
struct store_query test_query(const char *ns);

/* What a watch was told, as text: "+a/x=net ~a/x=net -a/x" and "|" after each batch, "!" for
 * list again. */
struct watch_log {
	char text[8192];
	char version[STORE_VERSION_MAX];
	unsigned int batches;
	bool list_again;
};
void watch_log_fn(struct store_watch *watch, const struct store_batch *batch, void *arg);

/* Lists networksets and watches from there. */
struct store_watch *test_watch(struct store *store, struct watch_log *log);
struct store_watch *test_watch_from(struct store *store, struct watch_log *log,
				    const char *version);

/* Dispatches until the text is there; false after TEST_LIMIT_MS. */
bool wait_log(struct store *store, const struct watch_log *log, const char *text);
/* Dispatches until the condition holds. */
bool wait_for(struct store *store, bool (*condition)(void *arg), void *arg);
/* Dispatches as long as there is something to do at once. */
void settle(struct store *store);

/* Replaces a file's content in place, as an editor without rename does; path below the folder. */
void test_write(const struct store_test *test, const char *path, const char *text);
char *test_path(const struct store_test *test, const char *path); /* the caller frees */

#endif
