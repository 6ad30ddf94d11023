/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Watches read the records of log/ one after the other. inotify tells when to look: the version
 * file is renamed into place at the end of each transaction, files below objects/ are edited by
 * hand, manifests change. What inotify does not tell (its queue overflowed, another node wrote to a
 * shared file system, its limit is reached) the slow scan finds.
 */
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uthash.h>
#include <utlist.h>

#include "base/arena.h"
#include "datastore/dir.h"

#define FOLDERS_MAX 8192  /* watched below objects/ */
#define RECORDS_A_TURN 64 /* handed on in one dispatch */
#define READS_A_TURN 64	  /* of up to 64 KiB of inotify events */
#define SCAN_SHARE 100	  /* a scan takes at most a hundredth of the time */
#define ROOT_MASK (IN_MOVED_TO | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR)
#define FOLDER_MASK                                                                                \
	(IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_CREATE | IN_ONLYDIR |       \
	 IN_EXCL_UNLINK)

/* A folder below objects/ and its inotify number. */
struct folder {
	int wd;
	char *path; /* "objects/core" */
	UT_hash_handle hh;
};

struct dir_watches {
	int inotify; /* -1: not to be had; the scan does it all */
	int root_wd, manifests_wd;
	struct folder *folders;
	struct stat root; /* of the folder that is watched */
};

static void add_folder(void *arg, const char *path)
{
	struct dir *dir = arg;
	struct dir_watches *watches = dir->watches;
	_cleanup_free_ char *full = xasprintf("%s/%s", dir->path, path);
	struct folder *folder;
	int wd;

	if (watches->inotify < 0 || HASH_COUNT(watches->folders) >= FOLDERS_MAX)
		return;
	wd = inotify_add_watch(watches->inotify, full, FOLDER_MASK);
	if (wd < 0)
		return;
	HASH_FIND_INT(watches->folders, &wd, folder);
	if (folder) {
		free(folder->path);
	} else {
		folder = xcalloc(1, sizeof(*folder));
		folder->wd = wd;
		HASH_ADD_INT(watches->folders, wd, folder);
	}
	folder->path = xstrdup(path);
}

static void ignore_file(void *arg, const char *rel)
{
	(void)arg;
	(void)rel;
}

static void add_folders(struct dir *dir)
{
	const struct dir_walk walk = {
		.top = "objects", .fn = ignore_file, .folder = add_folder, .arg = dir
	};

	dir_walk(dir, &walk);
}

static void add_manifests(struct dir *dir)
{
	const char *path = manifests_path(dir);

	if (dir->watches->inotify >= 0 && path)
		dir->watches->manifests_wd = inotify_add_watch(
			dir->watches->inotify, path, FOLDER_MASK | IN_DELETE_SELF | IN_MOVE_SELF);
}

static void close_inotify(struct dir_watches *watches)
{
	struct folder *folder, *next;

	HASH_ITER(hh, watches->folders, folder, next) {
		HASH_DEL(watches->folders, folder);
		free(folder->path);
		free(folder);
	}
	close_p(&watches->inotify);
	watches->inotify = -1;
}

static void open_inotify(struct dir *dir)
{
	struct dir_watches *watches = dir->watches;
	struct epoll_event event = { .events = EPOLLIN };

	(void)fstat(dir->root, &watches->root);
	watches->inotify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	watches->root_wd = watches->manifests_wd = -1;
	if (watches->inotify < 0)
		return;
	event.data.fd = watches->inotify;
	(void)epoll_ctl(dir->store.epoll, EPOLL_CTL_ADD, watches->inotify, &event);
	watches->root_wd = inotify_add_watch(watches->inotify, dir->path, ROOT_MASK);
	add_manifests(dir);
	add_folders(dir);
}

void dir_watches_free(struct dir_watches *watches)
{
	if (!watches)
		return;
	close_inotify(watches);
	free(watches);
}

/* --- beginning a watch --- */

/* "VERSION[.HASH]" of a list. The hash tells whether the manifests are still the same. */
static bool parse_from(struct dir *dir, const char *text, uint64_t *ret_version)
{
	uint64_t hash = 0;
	char *end;

	errno = 0;
	*ret_version = strtoull(text, &end, 10);
	if (errno || end == text)
		return false;
	if (*end == '.')
		hash = strtoull(end + 1, &end, 16);
	return !*end && hash == manifests_hash(dir);
}

int dir_watch(struct store *store, struct store_watch *watch, struct err *err)
{
	struct dir *dir = to_dir(store);
	bool known = true;

	watch->at = UINT64_MAX;
	for (size_t i = 0; i < watch->count; i++) {
		uint64_t version;

		if (!watch->queries[i].from)
			return err_set(err, -EINVAL, "watch: a query without version");
		known &= parse_from(dir, watch->queries[i].from, &version);
		if (known && version < watch->at)
			watch->at = version;
	}
	/* Said from the next dispatch on, as everything else. */
	if (!known)
		watch->at = UINT64_MAX;
	if (!dir->watches) {
		dir->watches = xcalloc(1, sizeof(*dir->watches));
		open_inotify(dir);
		/* What came between the list and this. */
		dir->next_scan = dir_now_ms();
	}
	store_wake(store);
	return 0;
}

int dir_timeout_ms(const struct store *store)
{
	const struct dir *dir = (const struct dir *)store;
	int64_t left = dir->next_scan - dir_now_ms();

	if (!dir->watches)
		return -1;
	return left < 0 ? 0 : left > INT_MAX ? INT_MAX : (int)left;
}

/* --- events --- */

struct turn {
	bool scan, manifests;
};

static void on_object_event(struct dir *dir, const struct folder *folder,
			    const struct inotify_event *event, struct turn *turn)
{
	_cleanup_free_ char *path = xasprintf("%s/%s", folder->path, event->name);
	const char *dot = strrchr(event->name, '.');

	if (event->mask & IN_ISDIR) {
		/* Files may lie in it before it is watched. */
		if (event->mask & (IN_CREATE | IN_MOVED_TO))
			add_folders(dir);
		turn->scan = true;
	} else if (!(event->mask & IN_CREATE) && event->name[0] != '.' && dot &&
		   !strcmp(dot, ".json")) {
		dir_scan_one(dir, path + strlen("objects/"));
	}
}

static void on_event(struct dir *dir, const struct inotify_event *event, struct turn *turn)
{
	struct folder *folder;

	HASH_FIND_INT(dir->watches->folders, &event->wd, folder);
	if (event->mask & IN_Q_OVERFLOW) {
		turn->scan = turn->manifests = true;
	} else if (event->wd == dir->watches->manifests_wd) {
		turn->manifests = true;
	} else if (folder && (event->mask & IN_IGNORED)) {
		HASH_DEL(dir->watches->folders, folder);
		free(folder->path);
		free(folder);
	} else if (folder && event->len) {
		on_object_event(dir, folder, event, turn);
	} else if (event->wd == dir->watches->root_wd &&
		   (event->mask & (IN_DELETE_SELF | IN_MOVE_SELF))) {
		turn->scan = true;
	}
}

static void read_events(struct dir *dir, struct turn *turn)
{
	char buffer[65536] __attribute__((aligned(__alignof__(struct inotify_event))));

	for (int i = 0; dir->watches->inotify >= 0 && i < READS_A_TURN; i++) {
		ssize_t size = read(dir->watches->inotify, buffer, sizeof(buffer));

		if (size <= 0)
			return;
		for (char *p = buffer; p < buffer + size;) {
			const struct inotify_event *event = (const struct inotify_event *)p;

			on_event(dir, event, turn);
			p += sizeof(*event) + event->len;
		}
	}
}

/* The folder was replaced by another one: nothing that is known holds any more. */
static void reopen_if_replaced(struct dir *dir)
{
	struct store_watch *watch;
	struct stat now;

	if (stat(dir->path, &now) < 0 ||
	    (now.st_ino == dir->watches->root.st_ino && now.st_dev == dir->watches->root.st_dev))
		return;
	if (dir_reopen(dir, false, NULL) < 0)
		return;
	close_inotify(dir->watches);
	open_inotify(dir);
	DL_FOREACH(dir->store.watches, watch)
		watch_list_again(watch);
}

static void scan(struct dir *dir)
{
	int64_t begin = dir_now_ms(), took;

	reopen_if_replaced(dir);
	/* A writer that was killed between commit and end. */
	if (dir_record_exists(dir, dir->version + 1) && !dir_lock(dir, LOCK_EX, NULL))
		dir_unlock(dir);
	add_folders(dir);
	add_manifests(dir);
	dir_scan(dir, NULL, NULL);
	took = dir_now_ms() - begin;
	dir->next_scan =
		begin + (took * SCAN_SHARE > dir->scan_ms ? took * SCAN_SHARE : dir->scan_ms);
}

/* --- handing on --- */

static uint64_t lowest(struct dir *dir)
{
	uint64_t at = UINT64_MAX;
	struct store_watch *watch;

	DL_FOREACH(dir->store.watches, watch)
		if (!watch->dead && !watch->gone && watch->at < at)
			at = watch->at;
	return at;
}

/* A manifest hides an object of the store that has the same name. */
static size_t visible_changes(struct dir *dir, const struct dir_change *changes, size_t count,
			      struct store_change *out)
{
	size_t used = 0;

	for (size_t i = 0; i < count; i++) {
		struct manifest_object *manifest;
		struct store_key key;

		if (store_key_of(changes[i].change.event.object, &key, NULL) < 0)
			continue;
		manifest = manifests_find(dir, &key);
		if (manifest)
			manifests_look_stored(dir, manifest);
		else
			out[used++] = changes[i].change;
	}
	return used;
}

static int deliver_record(struct dir *dir, uint64_t version)
{
	_cleanup_free_ struct store_change *visible = NULL;
	struct store_watch *watch, *next;
	struct dir_change *changes = NULL;
	char text[STORE_VERSION_MAX];
	size_t count = 0, shown;
	bool deleted = false;
	int r = dir_record_read(dir, version, &changes, &count);

	dir_version_text(dir, version, text);
	visible = xcalloc(count + 1, sizeof(*visible));
	shown = visible_changes(dir, changes, count, visible);
	if (shown < count)
		manifests_find_twice(dir);
	for (size_t i = 0; i < count; i++)
		deleted |= changes[i].change.event.type == STORE_DELETED;
	DL_FOREACH_SAFE(dir->store.watches, watch, next) {
		if (watch->dead || watch->gone || watch->at != version - 1)
			continue;
		watch->at = version;
		if (r < 0)
			watch_list_again(watch);
		else
			watch_deliver(watch, visible, shown, text);
	}
	if (deleted)
		manifests_store_changed(dir);
	for (size_t i = 0; i < count; i++)
		dir_change_done(&changes[i]);
	free(changes);
	return r;
}

/* Those that are ahead of the store (it was made anew) or asked for an unknown version. */
static void check_ahead(struct dir *dir, uint64_t version)
{
	struct store_watch *watch, *next;

	DL_FOREACH_SAFE(dir->store.watches, watch, next)
		if (watch->at > version)
			watch_list_again(watch);
}

static int deliver(struct dir *dir, struct err *err)
{
	uint64_t version, at;
	int r = dir_version(dir, &version);

	if (r == -EIO && !(r = dir_lock(dir, LOCK_EX, err))) {
		version = dir->version;
		dir_unlock(dir);
	}
	if (r < 0)
		return err_errno(err, r, "datastore %s/version", dir->path);
	check_ahead(dir, version);
	for (int i = 0; (at = lowest(dir)) < version; i++) {
		if (i == RECORDS_A_TURN) {
			store_wake(&dir->store);
			break;
		}
		(void)deliver_record(dir, at + 1);
	}
	if (dir->version < version)
		dir->version = version;
	return 0;
}

/* A folder that nobody should trust any more is a problem by itself: what was read of it stays in
 * force, and the store's own changes go on. */
static void refresh_manifests(struct dir *dir)
{
	const char *path = manifests_path(dir);
	struct err err;

	if (!path)
		return;
	if (manifests_refresh(dir, &err) < 0)
		problem_set(&dir->store, &(struct store_problem){ .file = (char *)path,
								  .text = err.text,
								  .served = true });
	else
		problem_clear(&dir->store, path);
}

int dir_dispatch(struct store *store, struct err *err)
{
	struct dir *dir = to_dir(store);
	struct turn turn = { 0 };
	int r;

	dir_worker_dispatch(dir);
	if (!dir->watches)
		return 0;
	read_events(dir, &turn);
	if (turn.scan || dir_now_ms() >= dir->next_scan) {
		scan(dir);
		turn.manifests = true;
	}
	if (turn.manifests || manifests_are_due(dir))
		refresh_manifests(dir);
	r = deliver(dir, err);
	dir_forget_mended(dir);
	return r;
}
