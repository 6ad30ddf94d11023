/* SPDX-License-Identifier: Apache-2.0 */
#include "datastore/store.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <utlist.h>

#include "base/arena.h"
#include "base/err.h"
#include "datastore/backend.h"
#include "datastore/labels.h"

#define QUERIES_MAX 256

/* A write that waits for store_dispatch(). */
struct store_pending {
	struct store_write *writes;
	size_t count;
	store_done_fn done;
	void *arg;
	struct store_pending *next;
};

static const struct store_ops *const back_ends[] = { &dir_ops };

int store_open(const char *address, const struct store_options *options, struct store **ret_store,
	       struct err *err)
{
	static const struct store_options defaults;

	for (size_t i = 0; i < sizeof(back_ends) / sizeof(back_ends[0]); i++) {
		size_t size = strlen(back_ends[i]->scheme);

		if (!strncmp(address, back_ends[i]->scheme, size) && address[size] == ':')
			return back_ends[i]->open(address + size + 1, options ? options : &defaults,
						  ret_store, err);
	}
	return err_set(err, -EPROTONOSUPPORT, "datastore \"%s\": expected dir:/absolute/path",
		       address);
}

int store_init(struct store *store, const struct store_ops *ops, struct err *err)
{
	struct epoll_event event = { .events = EPOLLIN };

	store->ops = ops;
	store->epoll = epoll_create1(EPOLL_CLOEXEC);
	store->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	event.data.fd = store->wake;
	if (store->epoll < 0 || store->wake < 0 ||
	    epoll_ctl(store->epoll, EPOLL_CTL_ADD, store->wake, &event) < 0)
		return err_errno(err, -errno, "datastore: epoll");
	return 0;
}

void store_wake(struct store *store)
{
	(void)!write(store->wake, &(uint64_t){ 1 }, sizeof(uint64_t));
}

static void pending_finish(struct store_pending *pending, int r, const struct err *err)
{
	pending->done(r, pending->writes, pending->count, err, pending->arg);
	free(pending);
}

static void watch_free(struct store_watch *watch)
{
	for (size_t i = 0; i < watch->count; i++) {
		free((char *)watch->queries[i].ns);
		free((char *)watch->queries[i].name);
		free((char *)watch->queries[i].labels);
		free((char *)watch->queries[i].from);
	}
	free(watch->queries);
	free(watch);
}

void store_done(struct store *store)
{
	struct store_watch *watch, *next;

	DL_FOREACH_SAFE(store->watches, watch, next)
		watch_free(watch);
	problem_clear_prefix(store, "");
	free(store->problems.all);
	close_p(&store->epoll);
	close_p(&store->wake);
}

void store_close(struct store *store)
{
	struct err err;

	if (!store)
		return;
	err_set(&err, -ECANCELED, "the store was closed");
	if (store->ops->settle)
		store->ops->settle(store);
	while (store->pending) {
		struct store_pending *pending = store->pending;

		store->pending = pending->next;
		pending_finish(pending, -ECANCELED, &err);
	}
	store->ops->close(store);
}

bool store_unreachable(int r)
{
	static const int passing[] = { EIO,	    ETIMEDOUT,	  ECONNREFUSED, ECONNRESET,
				       ENETUNREACH, EHOSTUNREACH, ENOSPC,	EDQUOT,
				       EAGAIN,	    ENOTCONN };

	for (size_t i = 0; i < sizeof(passing) / sizeof(passing[0]); i++)
		if (r == -passing[i])
			return true;
	return false;
}

/* --- reading --- */

/* Namespace as back ends want it: "" for kinds of the cluster. */
static struct store_key normal_key(const struct store_key *key)
{
	struct store_key normal = *key;

	if (!key->kind->namespaced)
		normal.ns = "";
	else if (!key->ns || !*key->ns)
		normal.ns = "default";
	return normal;
}

int store_get(struct store *store, const struct store_key *key, json_t **ret_object,
	      struct err *err)
{
	struct store_key normal = normal_key(key);

	return store->ops->get(store, &normal, ret_object, err);
}

int store_origin(struct store *store, const struct store_key *key, char **ret_file)
{
	struct store_key normal = normal_key(key);

	return store->ops->origin(store, &normal, ret_file);
}

static void filter_labels(json_t *items, const char *labels)
{
	for (size_t i = json_array_size(items); labels && i--;)
		if (!query_labels_match(labels, object_labels(json_array_get(items, i))))
			json_array_remove(items, i);
}

static int check_queries(const struct store_query *queries, size_t count, struct err *err)
{
	if (!count || count > QUERIES_MAX)
		return err_set(err, -EINVAL, "datastore: between 1 and %d queries", QUERIES_MAX);
	for (size_t i = 0; i < count; i++) {
		int r = queries[i].labels ? query_labels_check(queries[i].labels, err) : 0;

		if (r < 0)
			return r;
	}
	return 0;
}

int store_list(struct store *store, const struct store_query *queries, size_t count,
	       struct store_list *ret_lists, struct err *err)
{
	int r = check_queries(queries, count, err);

	if (r < 0)
		return r;
	memset(ret_lists, 0, count * sizeof(*ret_lists));
	r = store->ops->list(store, queries, count, ret_lists, err);
	for (size_t i = 0; i < count; i++) {
		if (r < 0)
			store_list_done(&ret_lists[i]);
		else
			filter_labels(ret_lists[i].items, queries[i].labels);
	}
	return r;
}

void store_list_done(struct store_list *list)
{
	json_decref(list->items);
	list->items = NULL;
}

/* --- writing --- */

/* Shape and key of one write. */
static int check_write(struct store_write *write, struct err *err)
{
	int r;

	write->result = -ECANCELED;
	write->stored = NULL;
	if (write->op == STORE_DELETE) {
		write->key = normal_key(&write->key);
		return 0;
	}
	r = store_key_of(write->object, &write->key, err);
	return r < 0 ? r : object_check_shape(write->object, err);
}

static int check_writes(struct store_write *writes, size_t count, struct err *err)
{
	int r = 0;

	if (count > STORE_WRITES_MAX)
		return err_set(err, -EINVAL, "more than %d objects at once", STORE_WRITES_MAX);
	for (size_t i = 0; i < count; i++) {
		struct err one;
		int failed = check_write(&writes[i], &one);

		if (failed < 0 && !r)
			r = err_set(err, failed, "%s", one.text);
		if (failed < 0)
			writes[i].result = failed;
	}
	return r;
}

int store_commit(struct store *store, struct store_write *writes, size_t count, struct err *err)
{
	int r = check_writes(writes, count, err);

	return r < 0 || !count ? r : store->ops->commit(store, writes, count, err);
}

void store_writes_done(struct store_write *writes, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		json_decref(writes[i].stored);
		writes[i].stored = NULL;
	}
}

bool store_is_atomic(const struct store *store)
{
	return store->ops->atomic;
}

void store_commit_later(struct store *store, struct store_write *writes, size_t count,
			store_done_fn done, void *arg)
{
	struct store_pending *pending = xcalloc(1, sizeof(*pending));

	*pending = (struct store_pending){
		.writes = writes, .count = count, .done = done, .arg = arg
	};
	LL_APPEND(store->pending, pending);
	store_wake(store);
}

int store_commit_async(struct store *store, struct store_write *writes, size_t count,
		       store_done_fn done, void *arg)
{
	/* What is not acceptable fails from store_dispatch(), as the rest does. */
	if (!count || !store->ops->commit_async || check_writes(writes, count, NULL) < 0 ||
	    store->ops->commit_async(store, writes, count, done, arg) < 0)
		store_commit_later(store, writes, count, done, arg);
	return 0;
}

static int commit_one(struct store *store, struct store_write *write, json_t **ret_stored,
		      struct err *err)
{
	int r = store_commit(store, write, 1, err);

	if (!r && ret_stored)
		*ret_stored = TAKE_PTR(write->stored);
	store_writes_done(write, 1);
	return r;
}

int store_create(struct store *store, const json_t *object, json_t **ret_stored, struct err *err)
{
	struct store_write write = { .op = STORE_CREATE, .object = object };

	return commit_one(store, &write, ret_stored, err);
}

int store_update(struct store *store, const json_t *object, json_t **ret_stored, struct err *err)
{
	struct store_write write = { .op = STORE_UPDATE, .object = object };

	return commit_one(store, &write, ret_stored, err);
}

int store_delete(struct store *store, const struct store_key *key, const char *expect,
		 struct err *err)
{
	struct store_write write = { .op = STORE_DELETE, .key = *key, .expect = expect };

	return commit_one(store, &write, NULL, err);
}

/* --- watching --- */

static char *copy_text(const char *text)
{
	return text && *text ? xstrdup(text) : NULL;
}

int store_watch(struct store *store, const struct store_watch_args *args,
		struct store_watch **ret_watch, struct err *err)
{
	struct store_watch *watch;
	int r = check_queries(args->queries, args->count, err);

	if (r < 0)
		return r;
	watch = xcalloc(1, sizeof(*watch));
	watch->store = store;
	watch->fn = args->fn;
	watch->arg = args->arg;
	watch->count = args->count;
	watch->queries = xcalloc(args->count, sizeof(*watch->queries));
	for (size_t i = 0; i < args->count; i++) {
		const struct store_query *query = &args->queries[i];

		watch->queries[i] = (struct store_query){ .kind = query->kind,
							  .ns = copy_text(query->ns),
							  .name = copy_text(query->name),
							  .labels = copy_text(query->labels),
							  .from = copy_text(query->from) };
	}
	r = store->ops->watch(store, watch, err);
	if (r < 0) {
		watch_free(watch);
		return r;
	}
	DL_APPEND(store->watches, watch);
	*ret_watch = watch;
	return 0;
}

void store_unwatch(struct store_watch *watch)
{
	struct store *store;

	if (!watch || watch->gone)
		return;
	store = watch->store;
	if (store->ops->unwatch)
		store->ops->unwatch(store, watch);
	watch->gone = true;
	if (store->dispatching)
		return;
	DL_DELETE(store->watches, watch);
	watch_free(watch);
}

int store_fd(const struct store *store)
{
	return store->epoll;
}

int store_timeout_ms(const struct store *store)
{
	return store->ops->timeout_ms(store);
}

/* Writes that were asked for before this turn. */
static void run_pending(struct store *store)
{
	struct store_pending *list = store->pending;

	store->pending = NULL;
	while (list) {
		struct store_pending *pending = list;
		struct err err = { 0 };

		list = pending->next;
		pending_finish(pending, store_commit(store, pending->writes, pending->count, &err),
			       &err);
	}
}

int store_dispatch(struct store *store, struct err *err)
{
	struct store_watch *watch, *next;
	uint64_t value;
	int r;

	(void)!read(store->wake, &value, sizeof(value));
	store->dispatching = true;
	run_pending(store);
	r = store->ops->dispatch(store, err);
	store->dispatching = false;
	DL_FOREACH_SAFE(store->watches, watch, next) {
		if (!watch->gone)
			continue;
		DL_DELETE(store->watches, watch);
		watch_free(watch);
	}
	return r;
}
