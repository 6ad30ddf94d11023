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

static const struct store_ops *const back_ends[] = { &dir_ops, &kube_ops };

int store_open(const char *address, const struct store_options *options, struct store **ret_store,
	       struct err *err)
{
	static const struct store_options defaults;

	for (size_t i = 0; i < sizeof(back_ends) / sizeof(back_ends[0]); i++) {
		size_t size = strlen(back_ends[i]->scheme);

		if (strncmp(address, back_ends[i]->scheme, size) != 0)
			continue;
		if (address[size] == ':' || !address[size])
			return back_ends[i]->open(address + size + !!address[size],
						  options ? options : &defaults, ret_store, err);
	}
	return err_set(err, -EPROTONOSUPPORT,
		       "datastore \"%s\": expected dir:/absolute/path or kubernetes[:kubeconfig]",
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

/* A list may hold the store's lock while its objects are handed on. */
static int check_idle(const struct store *store, struct err *err)
{
	return store->reading ? err_set(err, -EBUSY, "datastore: asked while it is being read") : 0;
}

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
	int r = check_idle(store, err);

	return r < 0 ? r : store->ops->get(store, &normal, ret_object, err);
}

int store_origin(struct store *store, const struct store_key *key, char **ret_file)
{
	struct store_key normal = normal_key(key);

	return store->ops->origin(store, &normal, ret_file);
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

/* Between a back end and who reads: labels are looked at here. */
static int read_matching(size_t query, json_t *object, void *arg)
{
	const struct store_reading *reading = arg;

	if (!query_labels_match(reading->queries[query].labels, object_labels(object)))
		return 0;
	return reading->fn(query, object, reading->arg);
}

int store_read(struct store *store, const struct store_reading *reading, struct err *err)
{
	_cleanup_free_ char(*versions)[STORE_VERSION_MAX] = NULL;
	struct store_reading filtered = *reading;
	int r = check_idle(store, err);

	if (!r)
		r = check_queries(reading->queries, reading->count, err);
	if (r < 0)
		return r;
	if (!reading->versions)
		filtered.versions = versions = xcalloc(reading->count, sizeof(*versions));
	filtered.fn = read_matching;
	filtered.arg = (void *)reading;
	store->reading = true;
	r = store->ops->read(store, &filtered, err);
	store->reading = false;
	return r;
}

static int collect(size_t query, json_t *object, void *arg)
{
	struct store_list *lists = arg;

	json_array_append(lists[query].items, object);
	return 0;
}

struct item {
	const char *ns, *name;
	json_t *object;
};

static int compare_items(const void *a, const void *b)
{
	const struct item *x = a, *y = b;
	int r = strcmp(x->ns, y->ns);

	return r ? r : strcmp(x->name, y->name);
}

static void sort_items(struct store_list *list)
{
	size_t count = json_array_size(list->items);
	_cleanup_free_ struct item *items = xcalloc(count + 1, sizeof(*items));

	for (size_t i = 0; i < count; i++) {
		json_t *object = json_incref(json_array_get(list->items, i));

		items[i] = (struct item){ .ns = object_meta(object, "namespace") ?: "",
					  .name = object_meta(object, "name") ?: "",
					  .object = object };
	}
	qsort(items, count, sizeof(*items), compare_items);
	for (size_t i = 0; i < count; i++)
		json_array_set_new(list->items, i, items[i].object);
}

int store_list(struct store *store, const struct store_query *queries, size_t count,
	       struct store_list *ret_lists, struct err *err)
{
	_cleanup_free_ char(*versions)[STORE_VERSION_MAX] = xcalloc(count + 1, sizeof(*versions));
	const struct store_reading reading = { .queries = queries,
					       .count = count,
					       .fn = collect,
					       .arg = ret_lists,
					       .versions = versions };
	int r;

	for (size_t i = 0; i < count; i++)
		ret_lists[i] = (struct store_list){ .items = json_array() };
	r = store_read(store, &reading, err);
	for (size_t i = 0; i < count; i++) {
		memcpy(ret_lists[i].version, versions[i], sizeof(versions[i]));
		if (r)
			store_list_done(&ret_lists[i]);
		else
			sort_items(&ret_lists[i]);
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
	int r = check_idle(store, err);

	if (!r)
		r = check_writes(writes, count, err);
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

bool store_is_cluster(const struct store *store)
{
	return store->ops->cluster;
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
