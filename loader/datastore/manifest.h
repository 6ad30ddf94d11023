/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files of /etc/margay/manifests.d, private to datastore/: objects that people write and this store
 * merges in, read only. manifest.c merges and compares, manifest_file.c reads one file.
 */
#ifndef MARGAY_DATASTORE_MANIFEST_H
#define MARGAY_DATASTORE_MANIFEST_H

#include <sys/stat.h>

#include "datastore/dir.h"

struct manifest_file {
	char *name; /* in the folder */
	char *path;
	struct stat seen;
	struct manifest_object *objects;
	size_t count;
	bool present; /* in the last reading of the folder */
	bool dirty;   /* its copy may have to be written */
	struct manifest_file *next;
};

struct manifests {
	struct dir *dir;
	char *path;
	char *instance;		     /* folder below manifests/ of the store */
	bool keep;		     /* this reader writes the last valid copies */
	struct manifest_file *files; /* by name */
	struct manifest_index *index;
	uint64_t hash;
	char **twice; /* origins with a problem of that sort */
	size_t twice_count;
};

/* Reads the file: its objects, where one is bad its last valid copy; problems are noted. What was
 * held by the file stays held. */
void manifest_file_load(struct manifests *manifests, struct manifest_file *file);
/* Keeps what is in the file now, and what of it is held, for the next start. */
void manifest_file_keep(struct manifests *manifests, struct manifest_file *file);
/* The file is gone: so are its copies and problems. */
void manifest_file_forget(struct manifests *manifests, struct manifest_file *file);
void manifest_file_free(struct manifest_file *file);
void manifest_objects_free(struct manifest_object *objects, size_t count);

#endif
