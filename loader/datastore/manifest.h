/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files of /etc/margay/manifests.d, private to datastore/: objects that people write and this store
 * merges in, read only. manifest.c merges and compares, manifest_file.c reads one file,
 * manifest_content.c has their contents,
 * manifest_twice.c names objects that stand in two places.
 *
 * Of an object that was handed on only key, version and place are kept: its content lies in the
 * file's last valid copy, and mostly in the file. A reader that keeps no copies (margayctl) keeps
 * the trees.
 */
#ifndef MARGAY_DATASTORE_MANIFEST_H
#define MARGAY_DATASTORE_MANIFEST_H

#include <sys/stat.h>

#include "base/index.h"
#include "base/slab.h"
#include "datastore/dir.h"

struct manifest_object {
	struct manifest_file *file;
	json_t *object;	  /* NULL: let go */
	uint64_t version; /* a digest of the content: metadata.resourceVersion in bytes */
	uint32_t line;	  /* 0: not in the file any more */
	uint32_t place;	  /* among the file's objects */
	uint8_t kind;	  /* enum kind */
	bool stored;	  /* the store has an object of this name, too */
	bool held;	  /* is the one in force of its name, not the store's or another file's */
	char text[];	  /* namespace, name, each with its NUL */
};

/* Borrows the object's texts. */
struct store_key manifest_key(const struct manifest_object *object);

struct manifest_list {
	struct manifest_object **v;
	size_t count, room;
};

struct manifest_file {
	char *name; /* in the folder */
	char *path;
	struct stat seen;
	struct manifest_list objects;
	/* While a reading of the folder is compared with the one before. */
	struct manifest_list old;
	json_t *former; /* contents of old, as far as they are known */
	bool loaded;
	bool present; /* in the last reading of the folder */
	bool dirty;   /* its copy may have to be written */
	struct manifest_file *next;
};

struct manifests {
	struct dir *dir;
	char *path;
	char *instance; /* folder below manifests/ of the store */
	bool keep;	/* this reader writes the last valid copies */
	struct slab slab;
	struct manifest_file *files; /* by name */
	struct manifest_file *gone;  /* until the difference was told */
	struct index index;	     /* objects in force by key */
	uint64_t hash;
	off_t loaded; /* bytes, in this turn */
	bool more;    /* files wait for the next one */
	char **twice; /* origins with a problem of that sort */
	size_t twice_count;
};

/* Reads the file: its objects, where one is bad its last valid copy; problems are noted. What it
 * had before goes to old and former; what was held by the file stays held. */
void manifest_file_load(struct manifests *manifests, struct manifest_file *file);
/* Keeps what is in the file now, and what of it is held, for the next start. */
void manifest_file_keep(struct manifests *manifests, struct manifest_file *file);
/* The file is gone: so are its copies and problems. */
void manifest_file_forget(struct manifests *manifests, struct manifest_file *file);
/* The contents of all objects of the file, in their order, as valid as they were. */
json_t *manifest_file_contents(struct manifests *manifests, struct manifest_file *file);
void manifest_file_free(struct manifests *manifests, struct manifest_file *file);
void manifest_list_free(struct manifests *manifests, struct manifest_list *list);

/* Of resourceVersion: "m" and 16 digits. */
uint64_t manifest_version(const char *text);
/* Whether it is the content of this object, in this version. */
bool manifest_is(const json_t *content, const struct manifest_object *object);
/* Its content out of the array; NULL: it is not there. Borrowed. */
json_t *manifest_pick(const json_t *contents, const struct manifest_object *object);
/* Content of an object of old: what is known of it, at least its key. New reference. */
json_t *manifest_last(const struct manifest_object *object);
/* The object of the same key in an index; NULL: none. */
struct manifest_object *manifest_same(const struct index *index,
				      const struct manifest_object *object);
void manifests_clear_twice(struct manifests *manifests);

/* Everything was told: trees go, where copies are kept. */
void manifest_let_go(struct manifests *manifests, struct manifest_file *file);

#endif
