/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The node's own record of its addresses: an append-only file of lines, "<crc32> <json>\n", each a
 * whole entry ("put") or its end ("drop"), so replaying any line twice does no harm. Lines are
 * collected in memory, written by ipam_journal_write() and made durable by ipam_journal_sync(), one
 * fsync for all that was put since. When most lines are outdated the file is written anew.
 *
 * A torn tail (a crash in the middle of a write) is cut off. A damaged line that is followed by a
 * good one means that the file itself was damaged: ipam_journal_open() says so, and its reader must
 * not trust that what is absent was never there.
 *
 * Errors: -errno of the file system; after a failed write or fsync the file is written anew before
 * anything is called durable again (a second fsync after a failed one proves nothing).
 */
#ifndef MARGAY_IPAM_JOURNAL_H
#define MARGAY_IPAM_JOURNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include <jansson.h>

#include "base/cleanup.h"

struct err;
struct ipam_journal;

#define JOURNAL_FILE "journal"
#define JOURNAL_LIMIT (16 * 1024 * 1024) /* bytes */
#define JOURNAL_LINE_MAX 4096

/* The edge to the system, replaced by tests that fail or die at a chosen call. */
struct journal_ops {
	ssize_t (*write)(void *arg, int fd, const void *data, size_t size);
	int (*fsync)(void *arg, int fd);
	int (*replace)(void *arg, int dirfd, const void *data, size_t size);
	void *arg;
};

enum journal_found {
	JOURNAL_NEW,	/* there was no file */
	JOURNAL_WHOLE,	/* possibly with a torn tail, which is cut off */
	JOURNAL_DAMAGED /* lines in the middle cannot be read */
};

/* Called for each good line, in order. */
typedef void journal_replay_fn(void *arg, json_t *entry);
/* Shall put every entry that matters; called when the file is written anew. */
typedef void journal_snapshot_fn(void *arg, struct ipam_journal *journal);

struct journal_args {
	const char *dir;	       /* made if missing */
	const struct journal_ops *ops; /* NULL: the system's; otherwise copied */
	journal_replay_fn *replay;
	journal_snapshot_fn *snapshot;
	void *arg;
};

/* Locks the folder: -EBUSY if another process has it. */
int ipam_journal_open(const struct journal_args *args, struct ipam_journal **ret_journal,
		      enum journal_found *ret_found, struct err *err);
void ipam_journal_close(struct ipam_journal *journal); /* accepts NULL; unwritten lines are lost */
DEFINE_CLEANUP(struct ipam_journal *, ipam_journal_close)

/* entry is borrowed. durable: ipam_journal_sync() has work to do because of it. */
void ipam_journal_put(struct ipam_journal *journal, const json_t *entry, bool durable);
bool ipam_journal_needs_sync(const struct ipam_journal *journal);
/* Writes what is collected, without fsync. */
int ipam_journal_write(struct ipam_journal *journal);
/* Writes and makes durable. Nothing to do without a durable put since the last one; the first makes
 * durable what was found. */
int ipam_journal_sync(struct ipam_journal *journal);
/* Folder, for files beside the journal. */
int ipam_journal_dirfd(const struct ipam_journal *journal);

#endif
