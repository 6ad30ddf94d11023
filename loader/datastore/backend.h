/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a back end fills in, private to datastore/. To add one: fill struct store_ops, embed struct
 * store as first member of its own struct, and list it in store.c.
 *
 * The front (store.c) checks arguments, keeps watches and waiting writes, and matches queries; a
 * back end reads, writes and hands changes to watch_deliver(). Keys that a back end gets have a
 * non-NULL ns: "" for kinds of the cluster.
 */
#ifndef MARGAY_DATASTORE_BACKEND_H
#define MARGAY_DATASTORE_BACKEND_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/json.h"
#include "datastore/store.h"

struct store_ops {
	const char *scheme; /* "dir" */
	bool atomic;
	bool cluster;
	int (*open)(const char *address, const struct store_options *options,
		    struct store **ret_store, struct err *err);
	void (*close)(struct store *store); /* frees it too */
	int (*get)(struct store *store, const struct store_key *key, json_t **ret_object,
		   struct err *err);
	/* Calls fn for each object as it comes, with no more of them in memory than one read or one
	 * page brings; they need not be filtered by labels. versions is not NULL. What fn returns
	 * other than 0 ends it and is returned. */
	int (*read)(struct store *store, const struct store_reading *reading, struct err *err);
	int (*commit)(struct store *store, struct store_write *writes, size_t count,
		      struct err *err);
	/* NULL, or a failure: the front calls commit from store_dispatch(). */
	int (*commit_async)(struct store *store, struct store_write *writes, size_t count,
			    store_done_fn done, void *arg);
	/* Before close: calls done for every write of commit_async. NULL with commit_async. */
	void (*settle)(struct store *store);
	int (*origin)(struct store *store, const struct store_key *key, char **ret_file);
	int (*watch)(struct store *store, struct store_watch *watch, struct err *err);
	void (*unwatch)(struct store *store, struct store_watch *watch);
	int (*timeout_ms)(const struct store *store);
	int (*dispatch)(struct store *store, struct err *err);
};

extern const struct store_ops dir_ops, kube_ops;

struct store_watch {
	struct store *store;
	struct store_query *queries; /* texts are owned */
	size_t count;
	store_watch_fn fn;
	void *arg;
	bool dead;   /* told to list again */
	bool gone;   /* unwatched during a dispatch: freed after it */
	uint64_t at; /* back end: delivered up to here */
	struct store_watch *next, *prev;
};

struct store_pending; /* an asynchronous write */

struct store_problem_list {
	struct store_problem *all;
	size_t count, room;
	unsigned long number;
};

struct store {
	const struct store_ops *ops;
	int epoll;
	int wake; /* eventfd in epoll: there is something to do without any file's event */
	bool dispatching;
	bool reading; /* within store_read(): nothing else may be asked */
	struct store_watch *watches;
	struct store_pending *pending;
	struct store_problem_list problems;
};

int store_init(struct store *store, const struct store_ops *ops, struct err *err);
void store_done(struct store *store);
void store_wake(struct store *store); /* from any thread */
/* By commit, from the next store_dispatch(). */
void store_commit_later(struct store *store, struct store_write *writes, size_t count,
			store_done_fn done, void *arg);

/* A change as a back end knows it. was: labels before (MODIFIED), NULL: none. */
struct store_change {
	struct store_event event;
	const json_t *was;
};

/* Calls the watch with the changes that match its queries; with none, not at all. */
void watch_deliver(struct store_watch *watch, const struct store_change *changes, size_t count,
		   const char *version);
void watch_list_again(struct store_watch *watch);

/* Problems are kept by file; text NULL: the file is well. */
void problem_set(struct store *store, const struct store_problem *problem);
void problem_clear(struct store *store, const char *file);
/* Those of files that begin with prefix. */
void problem_clear_prefix(struct store *store, const char *prefix);

/* Shape of metadata: 0, or -EINVAL and err. */
int object_check_shape(const json_t *object, struct err *err);
const char *object_meta(const json_t *object, const char *field); /* NULL: none or no text */
const json_t *object_labels(const json_t *object);
uint64_t text_hash(const char *text, uint64_t seed);
uint32_t key_hash(const struct store_key *key); /* ns is not NULL */
/* "networkpolicy.projectcalico.org default/x" */
char *key_text(const struct store_key *key);
void object_name_write(json_t *object, const char *field, const char *text);
/* uid and creationTimestamp of a new object. */
void object_stamp(json_t *object);
/* Of apiVersion, kind and metadata {namespace, name} alone: a key whose content is not known. */
json_t *object_bare(const struct store_key *key);
/* Equal but for resourceVersion. */
bool object_same(const json_t *a, const json_t *b);

#endif
