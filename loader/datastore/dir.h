/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The directory back end, private to datastore/. docs/datastore.md explains the layout:
 *
 *	PATH/lock		flock: exclusive to write, shared to list
 *	PATH/version		number of the last transaction that is wholly in the folders
 *	PATH/log/N.json		transaction N; its rename into place is the commit
 *	PATH/served/REL		the objects in force: what is read
 *	PATH/objects/REL	the same for people; an edit is adopted, or refused and named
 *	PATH/manifests/I/F.json	last valid content of reader I's manifest F
 *	PATH/tmp/		files being written
 *
 * REL is GROUP/KIND/NAMESPACE/NAME.json ("core" and "_" where there is no group or namespace).
 * An object was edited by hand when the modification times of its two files differ.
 */
#ifndef MARGAY_DATASTORE_DIR_H
#define MARGAY_DATASTORE_DIR_H

#include <stdint.h>
#include <sys/file.h>
#include <time.h>

#include "datastore/backend.h"

#define DIR_FILE_MAX (4 * STORE_OBJECT_MAX) /* an object with its spaces */
#define DIR_RECORD_MAX (64 * 1024 * 1024)   /* one transaction */

struct manifests;
struct dir_watches;
struct dir_worker;

struct dir {
	struct store store;
	char *path;
	int root; /* folder PATH */
	int lock;
	unsigned int history;
	int scan_ms;
	int64_t next_scan; /* ms, monotonic */
	int (*check)(const json_t *object, struct err *err);
	uint64_t version;	     /* as read under the lock */
	bool unfinished;	     /* a transaction is committed but not wholly in the folders */
	struct dir_watches *watches; /* NULL until the first watch */
	struct manifests *manifests; /* NULL: none configured */
	struct dir_worker *worker;   /* NULL until something is written behind */
	bool stores_only; /* the worker's: an edit by hand is -EBUSY, its owner adopts it */
};

static inline struct dir *to_dir(struct store *store)
{
	return (struct dir *)store; /* first member */
}

/* --- dir.c --- */

/* Opens PATH again: another folder may lie there now. -EIO: it holds no store, and none shall be
 * made; the one that was open stays. */
int dir_reopen(struct dir *dir, bool create, struct err *err);

/* --- dir_path.c: names --- */

char *dir_rel(const struct store_key *key);
char *dir_encode(const char *name); /* one segment of a path */
/* GROUP/KIND of a path below objects/ or served/. NULL: unknown kind. */
const struct store_kind *dir_rel_kind(const char *rel);

/* --- dir_file.c: files --- */

int dir_read_json(struct dir *dir, const char *path, size_t limit, json_t **ret, struct err *err);
int dir_read_served(struct dir *dir, const char *rel, json_t **ret_object);
bool dir_same_time(struct dir *dir, const char *rel); /* objects/REL and served/REL */
int dir_make_parents(struct dir *dir, const char *path);
/* path is below tmp/; mtime may be NULL. */
int dir_write_tmp(struct dir *dir, const char *path, const json_t *tree,
		  const struct timespec *mtime, bool sync);
void dir_clean_tmp(struct dir *dir);
/* A file that is no object's (path below PATH), durable; NULL: no such file. Takes the lock. */
int dir_write_copy(struct dir *dir, const char *path, const json_t *tree);

/* Calls fn for every file below TOP of the kind (NULL: all) and namespace (NULL: all). */
struct dir_walk {
	const char *top; /* "served" */
	const struct store_kind *kind;
	const char *ns;
	void (*fn)(void *arg, const char *rel);
	void (*folder)(void *arg, const char *path); /* may be NULL: TOP and each folder below */
	void *arg;
};
void dir_walk(struct dir *dir, const struct dir_walk *walk);

/* --- dir_log.c: versions and transactions --- */

struct dir_change {
	struct store_change change; /* event.object and was are owned */
	char *rel;
	bool adopted; /* objects/REL stays as it is and has mtime */
	struct timespec mtime;
};
void dir_change_done(struct dir_change *change);

int dir_version(struct dir *dir, uint64_t *ret_version); /* without lock; -EIO: unreadable */
void dir_version_text(struct dir *dir, uint64_t version, char *text); /* STORE_VERSION_MAX */
bool dir_record_exists(struct dir *dir, uint64_t version);
int dir_record_read(struct dir *dir, uint64_t version, struct dir_change **ret_changes,
		    size_t *ret_count);
/* Under the exclusive lock. 0: committed. Gives the objects their version. */
int dir_record_commit(struct dir *dir, struct dir_change *changes, size_t count);
/* Finishes what a killed writer committed. */
int dir_recover(struct dir *dir);

/* --- dir_lock.c --- */

int dir_lock(struct dir *dir, int mode, struct err *err); /* LOCK_SH or LOCK_EX, at most 10 s */
void dir_unlock(struct dir *dir);
static inline void dir_unlock_p(struct dir **dir)
{
	if (*dir)
		dir_unlock(*dir);
}
#define _cleanup_unlock_ _cleanup_(dir_unlock_p)
int64_t dir_now_ms(void);

/* --- dir_scan.c: edits by hand --- */

/* Under the exclusive lock. */
void dir_adopt(struct dir *dir, const char *rel);
/* Takes the lock if something differs. NULL: everything. */
void dir_scan(struct dir *dir, const struct store_kind *kind, const char *ns);
void dir_scan_one(struct dir *dir, const char *rel);
void dir_forget_mended(struct dir *dir);
/* Reads a served object that is damaged; the first under the exclusive lock. */
int dir_mend_locked(struct dir *dir, const char *rel, json_t **ret_object);
int dir_mend(struct dir *dir, const char *rel, json_t **ret_object);

/* --- the rest of the vtable --- */

int dir_get(struct store *store, const struct store_key *key, json_t **ret_object, struct err *err);
int dir_read(struct store *store, const struct store_reading *reading, struct err *err);
int dir_commit(struct store *store, struct store_write *writes, size_t count, struct err *err);
int dir_watch(struct store *store, struct store_watch *watch, struct err *err);
int dir_timeout_ms(const struct store *store);
int dir_dispatch(struct store *store, struct err *err);
void dir_watches_free(struct dir_watches *watches);

/* --- dir_worker.c: a thread for what waits for the disk --- */

int dir_commit_async(struct store *store, struct store_write *writes, size_t count,
		     store_done_fn done, void *arg);
void dir_worker_dispatch(struct dir *dir); /* calls done of what is finished */
void dir_worker_free(struct dir *dir);	   /* ends what was begun, tells of the rest */
/* Writes tree to path, or removes it (NULL), behind the caller. -EAGAIN: there is no thread. */
int dir_copy_async(struct dir *dir, const char *path, json_t *tree);
/* True if such a write still waits: the content that path is going to have. */
bool dir_copy_waits(struct dir *dir, const char *path, json_t **ret_tree);

/* --- manifest.c --- */

/* An object of a manifest; its content is read again where it is asked for (manifest.h). */
struct manifest_object;
int manifests_open(struct dir *dir, const struct store_options *options, struct err *err);
void manifests_free(struct manifests *manifests);
/* The one in force; NULL: none has this key. */
struct manifest_object *manifests_find(struct dir *dir, const struct store_key *key);
json_t *manifests_content(struct dir *dir, const struct manifest_object *object); /* may be NULL */
char *manifests_origin(const struct manifest_object *object); /* "file:line"; the caller frees */
/* Those in force that the query's kind, namespace and name select. */
void manifests_each(struct dir *dir, const struct store_query *query,
		    void (*fn)(void *arg, json_t *object), void *arg);
uint64_t manifests_hash(const struct dir *dir); /* 0: no objects */
bool manifests_are_due(const struct dir *dir);	/* a refresh left files for the next turn */
const char *manifests_path(const struct dir *dir);
/* Reads what changed; tells the watches. */
int manifests_refresh(struct dir *dir, struct err *err);
/* Objects that stand in two places become problems. */
void manifests_find_twice(struct dir *dir);
/* After a change of the store: what it does not hold any more a manifest may. */
void manifests_store_changed(struct dir *dir);
/* The store's own object of this name came, changed or went. */
void manifests_look_stored(struct dir *dir, struct manifest_object *object);

#endif
