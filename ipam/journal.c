/* SPDX-License-Identifier: Apache-2.0 */
#include "ipam/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>
#include <zlib.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/file.h"

#define LINES_MIN 512 /* shorter files are never written anew */

struct ipam_journal {
	int dirfd, fd;
	struct journal_ops ops;
	journal_snapshot_fn *snapshot;
	void *arg;
	char *buffer;
	size_t used, room;
	size_t lines;  /* in the file, with those in the buffer */
	size_t live;   /* lines of the last snapshot */
	bool unsynced; /* a durable line is not on disk yet */
	bool broken;   /* the file's tail is not what it should be */
};

/* --- the system ------------------------------------------------------------------------------ */

static ssize_t system_write(void *arg, int fd, const void *data, size_t size)
{
	(void)arg;
	return write(fd, data, size);
}

static int system_fsync(void *arg, int fd)
{
	(void)arg;
	return fdatasync(fd) < 0 ? -errno : 0;
}

static int system_replace(void *arg, int dirfd, const void *data, size_t size)
{
	(void)arg;
	return file_replace(dirfd, JOURNAL_FILE, data, size, 0600);
}

static const struct journal_ops system_ops = {
	.write = system_write,
	.fsync = system_fsync,
	.replace = system_replace,
};

/* --- lines ----------------------------------------------------------------------------------- */

static unsigned long line_crc(const char *text, size_t size)
{
	return crc32(crc32(0, NULL, 0), (const unsigned char *)text, (unsigned int)size);
}

static void buffer_room(struct ipam_journal *journal, size_t size)
{
	if (journal->used + size <= journal->room)
		return;
	journal->room = (journal->used + size) * 2;
	journal->buffer = xrealloc(journal->buffer, journal->room, 1);
}

void ipam_journal_put(struct ipam_journal *journal, const json_t *entry, bool durable)
{
	_cleanup_free_ char *text = json_dumps(entry, JSON_COMPACT);
	size_t size = text ? strlen(text) : 0;

	if (!text || size > JOURNAL_LINE_MAX)
		return;
	buffer_room(journal, size + 16);
	journal->used += (size_t)snprintf(journal->buffer + journal->used, size + 16, "%08lx %s\n",
					  line_crc(text, size), text);
	journal->lines++;
	journal->unsynced |= durable;
}

/* NULL: not a good line. size is without the newline. */
static json_t *line_decode(const char *line, size_t size)
{
	unsigned long crc;
	char *end, head[9] = "";

	if (size < 11 || line[8] != ' ')
		return NULL;
	memcpy(head, line, 8);
	crc = strtoul(head, &end, 16);
	if (*end || crc != line_crc(line + 9, size - 9))
		return NULL;
	return json_loadb(line + 9, size - 9, 0, NULL);
}

struct replay_state {
	size_t good_end; /* bytes up to the end of the last good line */
	size_t lines;
	bool bad;     /* a bad line was seen */
	bool damaged; /* and a good one after it */
};

static void replay_lines(const struct journal_args *args, const char *text, size_t size,
			 struct replay_state *state)
{
	for (size_t at = 0; at < size;) {
		const char *end = memchr(text + at, '\n', size - at);
		size_t length = end ? (size_t)(end - text) - at : size - at;
		json_t *entry = end ? line_decode(text + at, length) : NULL;

		if (entry) {
			state->damaged |= state->bad;
			state->good_end = at + length + 1;
			state->lines++;
			args->replay(args->arg, entry);
			json_decref(entry);
		} else {
			state->bad = true;
		}
		at += length + 1;
	}
}

/* --- opening --------------------------------------------------------------------------------- */

static int lock_folder(struct ipam_journal *journal, const char *dir, struct err *err)
{
	int r = dir_make(dir, 0700, err);

	if (r < 0)
		return r;
	journal->dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (journal->dirfd < 0)
		return err_errno(err, -errno, "%s", dir);
	if (flock(journal->dirfd, LOCK_EX | LOCK_NB) < 0)
		return err_set(err, -EBUSY, "%s: in use by another process", dir);
	return 0;
}

static int replay_file(struct ipam_journal *journal, const struct journal_args *args,
		       enum journal_found *ret_found, struct err *err)
{
	_cleanup_free_ char *text = NULL;
	struct replay_state state = {};
	size_t size = 0;
	int r;

	r = file_read(journal->dirfd, JOURNAL_FILE, JOURNAL_LIMIT, &text, &size);
	if (r == -ENOENT) {
		*ret_found = JOURNAL_NEW;
		return 0;
	}
	if (r < 0)
		return err_errno(err, r, "%s/%s", args->dir, JOURNAL_FILE);
	replay_lines(args, text, size, &state);
	journal->lines = state.lines;
	/* A process that was killed may have written them without fsync, and the store is told of
	 * what they say. */
	journal->unsynced = state.lines;
	/* Cut off by writing anew: appending to a torn line would spoil the next one. */
	journal->broken = state.bad;
	*ret_found = state.damaged ? JOURNAL_DAMAGED : JOURNAL_WHOLE;
	return 0;
}

static int open_file(struct ipam_journal *journal)
{
	int fd = openat(journal->dirfd, JOURNAL_FILE,
			O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd < 0)
		return -errno;
	if (journal->fd >= 0)
		close(journal->fd);
	journal->fd = fd;
	return 0;
}

int ipam_journal_open(const struct journal_args *args, struct ipam_journal **ret_journal,
		      enum journal_found *ret_found, struct err *err)
{
	_cleanup_(ipam_journal_close_p) struct ipam_journal *journal = xcalloc(1, sizeof(*journal));
	enum journal_found found = JOURNAL_NEW;
	int r;

	journal->dirfd = journal->fd = -1;
	journal->ops = args->ops ? *args->ops : system_ops;
	journal->snapshot = args->snapshot;
	journal->arg = args->arg;
	r = lock_folder(journal, args->dir, err);
	if (!r)
		r = replay_file(journal, args, &found, err);
	if (r < 0)
		return r;
	r = open_file(journal);
	/* The file's name must survive a power cut before the first fsync of its content. */
	if (!r && fsync(journal->dirfd) < 0)
		r = -errno;
	if (r < 0)
		return err_errno(err, r, "%s/%s", args->dir, JOURNAL_FILE);
	*ret_found = found;
	*ret_journal = TAKE_PTR(journal);
	return 0;
}

void ipam_journal_close(struct ipam_journal *journal)
{
	if (!journal)
		return;
	if (journal->fd >= 0)
		close(journal->fd);
	if (journal->dirfd >= 0)
		close(journal->dirfd);
	free(journal->buffer);
	free(journal);
}

/* --- writing --------------------------------------------------------------------------------- */

/* The state of now instead of its history. Durable when it returns 0. */
static int write_anew(struct ipam_journal *journal)
{
	int r;

	journal->used = 0;
	journal->lines = 0;
	journal->snapshot(journal->arg, journal);
	r = journal->ops.replace(journal->ops.arg, journal->dirfd, journal->buffer, journal->used);
	journal->used = 0;
	journal->live = journal->lines;
	journal->broken = true;
	if (r < 0)
		return r;
	r = open_file(journal);
	if (r < 0)
		return r;
	journal->broken = journal->unsynced = false;
	return 0;
}

static bool is_outdated(const struct ipam_journal *journal)
{
	return journal->lines > LINES_MIN && journal->lines > 4 * journal->live;
}

static int append(struct ipam_journal *journal)
{
	size_t done = 0;

	while (done < journal->used) {
		ssize_t n = journal->ops.write(journal->ops.arg, journal->fd,
					       journal->buffer + done, journal->used - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			journal->broken = true;
			return n < 0 ? -errno : -EIO;
		}
		done += (size_t)n;
	}
	journal->used = 0;
	return 0;
}

int ipam_journal_write(struct ipam_journal *journal)
{
	if (journal->broken || is_outdated(journal))
		return write_anew(journal);
	return append(journal);
}

bool ipam_journal_needs_sync(const struct ipam_journal *journal)
{
	return journal->unsynced;
}

int ipam_journal_sync(struct ipam_journal *journal)
{
	int r;

	if (!journal->unsynced)
		return 0;
	r = ipam_journal_write(journal);
	if (r < 0 || !journal->unsynced)
		return r;
	r = journal->ops.fsync(journal->ops.arg, journal->fd);
	if (r < 0) {
		journal->broken = true;
		return r;
	}
	journal->unsynced = false;
	return 0;
}

int ipam_journal_dirfd(const struct ipam_journal *journal)
{
	return journal->dirfd;
}
