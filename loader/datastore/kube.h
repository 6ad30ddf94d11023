/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The Kubernetes API as a store: "kubernetes" (KUBECONFIG, a pod's service account, or
 * ~/.kube/config), "kubernetes:PATH" (that kubeconfig). Private to datastore/.
 *
 * Everything happens in the thread of the store. What waits for a server (get, read, commit) turns
 * the connections until it has its answer; what comes for watches and for writes of
 * store_commit_async() meanwhile is told from store_dispatch() alone, and as the time-outs are
 * others by then, the owner's loop is woken to ask for them.
 *
 * A watch is a stream a query (kube_watch.c), a write a chain of requests (kube_write.c). An event
 * is a batch of its own. The version of a batch is the lowest that its watch's streams have got to,
 * so that going on from it misses nothing and may repeat something.
 */
#ifndef MARGAY_DATASTORE_KUBE_H
#define MARGAY_DATASTORE_KUBE_H

#include "datastore/backend.h"
#include "datastore/kube_http.h"

struct kube_job;
struct kube_watch;

struct kube {
	struct store store;
	struct kube_http *http;
	struct kube_watch *watches;
	struct kube_job *jobs; /* of commit_async, in order; the first one is under way */
	int silent_ms;	       /* that a watch may be silent: bookmarks come once a minute */
	int (*check)(const json_t *object, struct err *err);
};

static inline struct kube *to_kube(const struct store *store)
{
	return (struct kube *)store; /* the first member */
}

/* A list of a kind that the server does not have and need not have is empty and of this version. */
#define KUBE_ABSENT "absent"

/* What a query asks beside its kind. */
struct kube_ask {
	bool watch;
	const char *version;  /* watch: from there; NULL: not said */
	const char *more;     /* list: the continue token of the page before; NULL: the first */
	unsigned int limit;   /* list: of a page; 0: not said */
	unsigned int seconds; /* watch: when the server is to end it */
};

/* "/apis/GROUP/VERSION[/namespaces/NS]/PLURAL[/NAME][/SUB]"; the caller frees. name, sub may be
 * NULL. */
char *kube_path(const struct store_key *key, const char *sub);
char *kube_path_query(const struct store_query *query, const struct kube_ask *ask);

/* May be missing in a cluster: CRDs that others install. */
bool kube_kind_is_optional(const struct store_kind *kind);
/* "networksets.projectcalico.org"; the caller frees. */
char *kube_kind_text(const struct store_kind *kind);

/* An object as it came: -EBADMSG unless it is one of that kind. Fills in what the items of lists
 * lack and drops what nobody reads (managedFields). */
int kube_object_take(json_t *object, const struct store_kind *kind, struct err *err);
/* The same from its text. The caller has the reference. */
int kube_object_read(const char *text, size_t size, const struct store_kind *kind,
		     json_t **ret_object, struct err *err);

int kube_get(struct store *store, const struct store_key *key, json_t **ret_object,
	     struct err *err);
int kube_read(struct store *store, const struct store_reading *reading, struct err *err);

int kube_commit(struct store *store, struct store_write *writes, size_t count, struct err *err);
int kube_commit_async(struct store *store, struct store_write *writes, size_t count,
		      store_done_fn done, void *arg);
void kube_jobs_run(struct kube *kube); /* begins what kube_commit_async() was given */
void kube_settle(struct store *store);

int kube_watch(struct store *store, struct store_watch *watch, struct err *err);
void kube_unwatch(struct store *store, struct store_watch *watch);
/* Frees what was unwatched in a callback. */
void kube_watches_tidy(struct kube *kube);
/* -errno: a stream is broken, and is tried again. */
int kube_watches_state(const struct kube *kube, struct err *err);
void kube_watches_free(struct kube *kube);

#endif
