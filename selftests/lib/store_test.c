/* SPDX-License-Identifier: Apache-2.0 */
#include "selftests/lib/store_test.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/json.h"

void store_test_init(struct store_test *test)
{
	memset(test, 0, sizeof(*test));
	snprintf(test->folder, sizeof(test->folder), "/tmp/margay-store-XXXXXX");
	assert_non_null(mkdtemp(test->folder));
	snprintf(test->path, sizeof(test->path), "%s/store", test->folder);
	snprintf(test->manifests, sizeof(test->manifests), "%s/manifests.d", test->folder);
	snprintf(test->address, sizeof(test->address), "dir:%s", test->path);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

void store_test_done(struct store_test *test)
{
	nftw(test->folder, remove_one, 32, FTW_DEPTH | FTW_PHYS);
}

struct store *store_test_open(const struct store_test *test, const struct store_options *options)
{
	struct store_options with = options ? *options : (struct store_options){ 0 };
	struct store *store = NULL;
	struct err err = { 0 };

	with.create = true;
	if (store_open(test->address, &with, &store, &err) < 0)
		fail_msg("store_open: %s", err.text);
	return store;
}

json_t *test_set(const char *ns, const char *name, const char *net, const char *labels)
{
	json_t *object = json_pack("{s:s, s:s, s:{s:s, s:s}, s:{s:[s]}}", "apiVersion",
				   "projectcalico.org/v3", "kind", "NetworkSet", "metadata", "name",
				   name, "namespace", ns, "spec", "nets", net);
	_cleanup_free_ char *copy = labels ? xstrdup(labels) : NULL;
	json_t *map = json_object();
	char *save = NULL;

	assert_non_null(object);
	for (char *pair = copy ? strtok_r(copy, ",", &save) : NULL; pair;
	     pair = strtok_r(NULL, ",", &save)) {
		char *value = strchr(pair, '=');

		*value++ = 0;
		json_object_set_new(map, pair, json_string(value));
	}
	if (labels)
		json_object_set(json_object_get(object, "metadata"), "labels", map);
	json_decref(map);
	return object;
}

const char *test_version(const json_t *object)
{
	return json_string_value(
		json_object_get(json_object_get(object, "metadata"), "resourceVersion"));
}

const char *test_net(const json_t *object)
{
	return json_string_value(
		json_array_get(json_object_get(json_object_get(object, "spec"), "nets"), 0));
}

struct store_key test_key(const char *ns, const char *name)
{
	return (struct store_key){ store_kind(KIND_NETWORK_SET), ns, name };
}

struct store_query test_query(const char *ns)
{
	return (struct store_query){ .kind = store_kind(KIND_NETWORK_SET), .ns = ns };
}

int store_fixture_setup(void **state)
{
	struct store_fixture *f = xcalloc(1, sizeof(*f));

	store_test_init(&f->test);
	f->store = store_test_open(&f->test, NULL);
	*state = f;
	return 0;
}

int store_fixture_teardown(void **state)
{
	struct store_fixture *f = *state;

	store_close(f->store);
	store_test_done(&f->test);
	free(f);
	return 0;
}

void store_test_put(struct store *store, const char *ns, const char *name, const char *net)
{
	_cleanup_json_ json_t *object = test_set(ns, name, net, NULL);
	struct err err = { 0 };
	int r = store_create(store, object, NULL, &err);

	if (r == -EEXIST)
		r = store_update(store, object, NULL, &err);
	if (r < 0)
		fail_msg("%s", err.text);
}

void watch_log_fn(struct store_watch *watch, const struct store_batch *batch, void *arg)
{
	struct watch_log *log = arg;
	size_t used = strlen(log->text);

	(void)watch;
	if (batch->list_again) {
		log->list_again = true;
		snprintf(log->text + used, sizeof(log->text) - used, "!");
		return;
	}
	for (size_t i = 0; i < batch->count; i++) {
		const struct store_event *event = &batch->events[i];
		const json_t *meta = json_object_get(event->object, "metadata");
		bool deleted = event->type == STORE_DELETED;

		used += (size_t)snprintf(
			log->text + used, sizeof(log->text) - used, "%s%c%s/%s%s%s", i ? " " : "",
			"+~-"[event->type], json_string_value(json_object_get(meta, "namespace")),
			json_string_value(json_object_get(meta, "name")), deleted ? "" : "=",
			deleted ? "" : test_net(event->object));
	}
	snprintf(log->text + used, sizeof(log->text) - used, "|");
	snprintf(log->version, sizeof(log->version), "%s", batch->version);
	log->batches++;
}

struct store_watch *test_watch_from(struct store *store, struct watch_log *log, const char *version)
{
	struct store_query query = test_query(NULL);
	const struct store_watch_args args = { &query, 1, watch_log_fn, log };
	struct store_watch *watch = NULL;
	struct err err = { 0 };

	query.from = version;
	if (store_watch(store, &args, &watch, &err) < 0)
		fail_msg("store_watch: %s", err.text);
	return watch;
}

struct store_watch *test_watch(struct store *store, struct watch_log *log)
{
	struct store_query query = test_query(NULL);
	struct store_list list;
	struct store_watch *watch;

	assert_int_equal(store_list(store, &query, 1, &list, NULL), 0);
	watch = test_watch_from(store, log, list.version);
	store_list_done(&list);
	return watch;
}

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void turn(struct store *store, int limit)
{
	struct pollfd pfd = { .fd = store_fd(store), .events = POLLIN };
	int timeout = store_timeout_ms(store);

	poll(&pfd, 1, timeout < 0 || timeout > limit ? limit : timeout);
	(void)store_dispatch(store, NULL);
}

bool wait_for(struct store *store, bool (*condition)(void *arg), void *arg)
{
	int64_t end = now_ms() + TEST_LIMIT_MS;

	while (!condition(arg)) {
		int64_t left = end - now_ms();

		if (left <= 0)
			return false;
		turn(store, (int)left);
	}
	return true;
}

struct text_wait {
	const struct watch_log *log;
	const char *text;
};

static bool has_text(void *arg)
{
	const struct text_wait *wait = arg;

	return strstr(wait->log->text, wait->text);
}

bool wait_log(struct store *store, const struct watch_log *log, const char *text)
{
	struct text_wait wait = { log, text };

	if (wait_for(store, has_text, &wait))
		return true;
	print_error("expected \"%s\" in \"%s\"\n", text, log->text);
	return false;
}

void settle(struct store *store)
{
	struct pollfd pfd = { .fd = store_fd(store), .events = POLLIN };

	do
		(void)store_dispatch(store, NULL);
	while (poll(&pfd, 1, 0) > 0);
}

char *test_path(const struct store_test *test, const char *path)
{
	return xasprintf("%s/%s", test->folder, path);
}

void test_write(const struct store_test *test, const char *path, const char *text)
{
	_cleanup_free_ char *full = test_path(test, path);
	_cleanup_close_ int fd = open(full, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
}
