/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The datastore: Kubernetes-shaped objects by kind, namespace and name, with list, get, write
 * (compare-and-swap) and watch. One interface for every back end: a directory ("dir:/path"),
 * the Kubernetes API, etcd (design sections 2 and 7).
 *
 * Objects are jansson trees: apiVersion, kind, metadata {name, namespace, uid, resourceVersion,
 * creationTimestamp, labels, annotations}, spec, status. What a function takes is borrowed and not
 * changed; what it returns in ret_x is a new reference that the caller releases; what a callback
 * gets is valid until it returns (json_incref to keep; never change it).
 *
 * Versions are opaque texts, as in Kubernetes (API conventions, "resourceVersion"): compare them
 *for equality only. The version of an object stands in its metadata.resourceVersion; the version of
 *a list is what a watch goes on from.
 *
 * Errors: -EEXIST  create: it exists		-ENOENT     no such object
 *	   -ESTALE  expected version differs	-EINVAL     the object is not acceptable
 *	   -EROFS   comes from a manifest	-EMSGSIZE   larger than the store takes
 *	   -EPERM, -EACCES  not allowed		-ENOSPC     store is full
 *	   -EIO, -ETIMEDOUT, -ECONNREFUSED ...	store is out of reach: try again
 *	   -ECANCELED  a write of a transaction of which another one failed
 * store_unreachable() tells the last group from the rest.
 *
 * A store belongs to one thread. Calls without "async" in their name may block: not at all worth
 * mentioning with a directory, up to a few seconds with a server.
 */
#ifndef MARGAY_DATASTORE_STORE_H
#define MARGAY_DATASTORE_STORE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/cleanup.h"
#include "model/kind.h"

struct err;
struct store;
struct store_watch;

#define STORE_VERSION_MAX 64	       /* text of a version, with its NUL */
#define STORE_OBJECT_MAX (1536 * 1024) /* bytes of one object as JSON: etcd's limit */
#define STORE_WRITES_MAX 4096	       /* writes of one transaction */

/* What a kind of object is called; static life. From model/kinds.def. */
struct store_kind {
	enum kind id;
	const char *group;   /* "" for the core group */
	const char *version; /* "v1", "v3" */
	const char *kind;    /* "NetworkPolicy" */
	const char *plural;  /* "networkpolicies" */
	bool namespaced;
};

const struct store_kind *store_kind(enum kind kind); /* never NULL */
/* NULL: no such kind. api_version is "v1" or "group/version", in any form that kinds.def has. */
const struct store_kind *store_kind_find(const char *api_version, const char *kind);
const struct store_kind *store_kinds(size_t *ret_count); /* all, by enum kind */
const char *store_kind_api_version(const struct store_kind *kind, char *text); /* [80]; text */
bool store_kind_equal(const struct store_kind *a, const struct store_kind *b);

/* One object. ns is NULL (or "") for kinds of the cluster. */
struct store_key {
	const struct store_kind *kind;
	const char *ns;
	const char *name;
};

/* The key of an object: borrows its texts. -EINVAL: kind unknown, name missing. A namespaced object
 * without namespace belongs to "default". */
int store_key_of(const json_t *object, struct store_key *ret_key, struct err *err);

/* --- opening ------------------------------------------------------------------------------- */

struct store_options {
	/* Make the store if it is not there yet. Otherwise -ENOENT. */
	bool create;
	/* Folder of manifests to merge in, read only (dir: only). NULL or not there: none. */
	const char *manifests;
	/* Name of this reader: last valid copies of its manifests are kept under it. NULL:
	 * hostname. */
	const char *instance;
	/* Seconds between looks at what nobody reported (dir:), at least 1. 0: 10. That a watch may
	 * be silent before it is made anew (kubernetes). 0: 150. */
	unsigned int scan;
	/* Changes kept for watches to go on from (dir:). 0: 1024. */
	unsigned int history;
	/* Says whether an object can be decoded (design section 7, case 3): 0 or -errno and err. An
	 * object that cannot is not served; its last valid copy is. NULL: shape of metadata only.
	 */
	int (*check)(const json_t *object, struct err *err);
	/* A program that a kubeconfig names for its credentials may be run (kubernetes). */
	bool programs;
};

/* address: "dir:/absolute/path", "kubernetes" or "kubernetes:KUBECONFIG". options may be NULL.
 * -EPROTONOSUPPORT: no such back end. */
int store_open(const char *address, const struct store_options *options, struct store **ret_store,
	       struct err *err);
void store_close(struct store *store); /* accepts NULL; ends its watches without a call */
DEFINE_CLEANUP(struct store *, store_close)
#define _cleanup_store_ _cleanup_(store_close_p)

bool store_unreachable(int r); /* r is an error that may pass by itself */

/* --- reading ------------------------------------------------------------------------------- */

int store_get(struct store *store, const struct store_key *key, json_t **ret_object,
	      struct err *err);

struct store_query {
	const struct store_kind *kind;
	const char *ns;	    /* NULL: all namespaces */
	const char *name;   /* NULL: all names */
	const char *labels; /* Kubernetes label selector, "a=b,c!=d,e in (f,g),h,!i"; NULL: all */
	const char *from;   /* store_watch() only: the list's version */
};

/* Gets one object of a list as it is read, of the query of that number; valid until it returns
 * (json_incref to keep). Not 0 ends the reading with that value. The store is being read: of it
 * only store_commit_async(), store_origin() and store_problems() may be called, the rest answers
 * -EBUSY. */
typedef int (*store_object_fn)(size_t query, json_t *object, void *arg);

struct store_reading {
	const struct store_query *queries;
	size_t count;
	store_object_fn fn;
	void *arg;
	/* Filled, one a query: what a watch goes on from. NULL: not wanted. */
	char (*versions)[STORE_VERSION_MAX];
};

/* Lists object by object: of 50,000 a few are in memory at a time. In no order within a query.
 * Where the back end can (dir:), all are of one moment. A failure may come after objects were
 * handed on: the list is then to be made anew. */
int store_read(struct store *store, const struct store_reading *reading, struct err *err);

struct store_list {
	json_t *items; /* array, ordered by namespace and name */
	char version[STORE_VERSION_MAX];
};

/* The same as trees, all at once; one list a query. The caller releases each with
 * store_list_done(); on failure there is nothing to release. */
int store_list(struct store *store, const struct store_query *queries, size_t count,
	       struct store_list *ret_lists, struct err *err);
void store_list_done(struct store_list *list);

/* --- writing ------------------------------------------------------------------------------- */

enum store_op {
	STORE_CREATE,
	STORE_UPDATE,	     /* all but status, if the kind has one apart; replaces as given */
	STORE_UPDATE_STATUS, /* status only */
	STORE_DELETE
};

struct store_write {
	enum store_op op;
	/* Create, update: borrowed. An update expects metadata.resourceVersion to be the stored one
	 * (-ESTALE); without resourceVersion whatever is stored is replaced. The store assigns uid,
	 * creationTimestamp and resourceVersion. */
	const json_t *object;
	struct store_key key; /* delete only */
	const char *expect;   /* delete only: version, NULL for any */
	bool fresh; /* delete only: asked by a connection that was not there before (kubernetes) */

	/* Results. */
	int result;
	json_t *stored; /* as stored now (delete: as it was last); new reference; NULL on failure */
};

/*
 * All of them or none, and watchers see them as one batch, where store_is_atomic(); elsewhere one
 * after the other until one fails. Returns 0, or the first failure (err names the object).
 * An update that changes nothing is no write: the version stays. The caller releases the results
 * with store_writes_done(), also after a failure.
 */
int store_commit(struct store *store, struct store_write *writes, size_t count, struct err *err);
void store_writes_done(struct store_write *writes, size_t count);
bool store_is_atomic(const struct store *store);
/* Pods and Nodes in it are Kubernetes' own: kubelets write them too, and pods' WorkloadEndpoints
 * are derived from them instead of stored. */
bool store_is_cluster(const struct store *store);

/* The same without waiting: done is called from store_dispatch(), never from within. writes stays
 * the caller's and must live until then. store_close() calls done for all that are left: those that
 * were carried out by then have their own result, the others -ECANCELED, and nothing of them was
 * written. */
typedef void (*store_done_fn)(int result, struct store_write *writes, size_t count,
			      const struct err *err, void *arg);
int store_commit_async(struct store *store, struct store_write *writes, size_t count,
		       store_done_fn done, void *arg);

/* One write each. ret_stored may be NULL. */
int store_create(struct store *store, const json_t *object, json_t **ret_stored, struct err *err);
int store_update(struct store *store, const json_t *object, json_t **ret_stored, struct err *err);
int store_delete(struct store *store, const struct store_key *key, const char *expect,
		 struct err *err);

/* The file that a read-only object comes from ("/etc/margay/manifests.d/a.yaml:12"); the caller
 * frees. -ENOENT: it does not come from a manifest. */
int store_origin(struct store *store, const struct store_key *key, char **ret_file);

/* --- watching ------------------------------------------------------------------------------ */

enum store_event_type { STORE_ADDED, STORE_MODIFIED, STORE_DELETED };

struct store_event {
	enum store_event_type type;
	const struct store_kind *kind;
	json_t *object; /* deleted: its last content, with the version of the deletion */
};

/* What came into force together. */
struct store_batch {
	/* The changes since are not known any more: list and watch anew. No events; the watch is
	 * dead and gets no further call (end it with store_unwatch()). */
	bool list_again;
	const struct store_event *events;
	size_t count;
	const char *version; /* go on from here, for every query of the watch */
};

typedef void (*store_watch_fn)(struct store_watch *watch, const struct store_batch *batch,
			       void *arg);

/* Queries with their from versions, copied. Calls come from store_dispatch() only. An object that
 * begins (ends) to match a query by its labels is added (deleted). In a callback everything is
 * allowed but store_close() and store_dispatch(). */
struct store_watch_args {
	const struct store_query *queries;
	size_t count;
	store_watch_fn fn;
	void *arg;
};
int store_watch(struct store *store, const struct store_watch_args *args,
		struct store_watch **ret_watch, struct err *err);
void store_unwatch(struct store_watch *watch); /* accepts NULL */

/* For the caller's loop: call store_dispatch() when the fd (constant, an epoll) is readable or
 * the time is over. store_dispatch() does a bounded amount of work; -errno: the store is out of
 * reach, watches go on when it is back. */
int store_fd(const struct store *store);
int store_timeout_ms(const struct store *store); /* -1: none */
int store_dispatch(struct store *store, struct err *err);

/* --- what is wrong ------------------------------------------------------------------------- */

/* An object that is not in force as its file says. */
struct store_problem {
	char *file;   /* with the line where known: "/path/x.yaml:12" */
	char *object; /* "networkpolicy.projectcalico.org default/x", NULL: not known */
	char *text;   /* what was expected */
	bool served;  /* a last valid copy is in force */
	bool twice;   /* it is well, but stands in two places: text says which one is in force */
};

/* The list belongs to the store, until the next call with it. The number changes with the list.
 * Either may be NULL. */
size_t store_problems(struct store *store, const struct store_problem **ret_list,
		      unsigned long *ret_number);

#endif
