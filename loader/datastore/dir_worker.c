/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A thread for what waits for the disk: writes of store_commit_async(), and last valid copies of
 * manifests. It works on a struct dir of its own with a lock descriptor of its own, so that
 * flock(2) keeps the two threads apart as it keeps processes apart; its commits reach the owner's
 * watches by the version file, like anybody's. Trees that go in are copies, made by the owner.
 *
 * The thread only stores. What needs the owner's knowledge is decided before a write is queued:
 * whether an object decodes, and whether it comes from a manifest. An edit by hand that was not
 * adopted yet is the owner's, too: the thread gives such a write back (-EBUSY), and it goes the
 * other way, from store_dispatch().
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <utlist.h>

#include "base/arena.h"
#include "datastore/dir.h"

struct job {
	/* A write: the thread's copies, and what the caller gave. */
	struct store_write *copies;
	struct arena *texts; /* of the copies */
	struct store_write *writes;
	size_t count;
	store_done_fn done;
	void *arg;
	/* A last valid copy: path below the store's folder, and its content, NULL: to be removed.
	 * The thread has tree, the owner what it was copied from. path NULL: a write. */
	char *path;
	json_t *tree, *source;

	int result;
	struct err err;
	struct job *next, *prev;
};

struct dir_worker {
	struct dir *own;   /* the thread's */
	struct dir *owner; /* its wake only */
	pthread_t thread;
	pthread_mutex_t mutex;
	pthread_cond_t wanted; /* something is in todo, or the end */
	struct job *todo, *current, *finished;
	bool end;
};

static void job_free(struct job *job)
{
	for (size_t i = 0; i < job->count; i++)
		json_decref((json_t *)job->copies[i].object);
	store_writes_done(job->copies, job->count);
	arena_free(job->texts);
	free(job->copies);
	json_decref(job->tree);
	json_decref(job->source);
	free(job->path);
	free(job);
}

/* --- the thread --- */

/* Another folder may lie at the path by now. */
static int follow_path(struct dir *own, struct err *err)
{
	struct stat there, here;

	if (own->root >= 0 && !stat(own->path, &there) && !fstat(own->root, &here) &&
	    there.st_ino == here.st_ino && there.st_dev == here.st_dev)
		return 0;
	return dir_reopen(own, false, err);
}

static void run_job(struct dir *own, struct job *job)
{
	job->result = follow_path(own, &job->err);
	if (job->result < 0)
		return;
	if (job->path)
		job->result = dir_write_copy(own, job->path, job->tree);
	else
		job->result = store_commit(&own->store, job->copies, job->count, &job->err);
	/* Found again by the owner, which reports them. */
	problem_clear_prefix(&own->store, "");
}

static struct job *take_job(struct dir_worker *worker)
{
	struct job *job;

	pthread_mutex_lock(&worker->mutex);
	while (!worker->todo && !worker->end)
		pthread_cond_wait(&worker->wanted, &worker->mutex);
	job = worker->end ? NULL : worker->todo;
	if (job)
		DL_DELETE(worker->todo, job);
	worker->current = job;
	pthread_mutex_unlock(&worker->mutex);
	return job;
}

static void *run(void *arg)
{
	struct dir_worker *worker = arg;
	struct job *job;

	while ((job = take_job(worker))) {
		run_job(worker->own, job);
		pthread_mutex_lock(&worker->mutex);
		worker->current = NULL;
		DL_APPEND(worker->finished, job);
		pthread_mutex_unlock(&worker->mutex);
		store_wake(&worker->owner->store);
	}
	return NULL;
}

/* --- the owner --- */

static struct dir *twin_of(const struct dir *dir)
{
	struct dir *own = xcalloc(1, sizeof(*own));

	own->store.ops = &dir_ops;
	own->store.epoll = own->store.wake = -1;
	own->path = xstrdup(dir->path);
	own->root = own->lock = -1;
	own->history = dir->history;
	own->scan_ms = dir->scan_ms;
	own->stores_only = true;
	return own;
}

/* Signals are the owner's. */
static int start_thread(struct dir_worker *worker)
{
	sigset_t all, before;
	int r;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	r = pthread_create(&worker->thread, NULL, run, worker);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return -r;
}

/* Made with the first job, so that the thread has the rights its owner has by then. */
static int start(struct dir *dir)
{
	struct dir_worker *worker;
	int r;

	if (dir->worker)
		return 0;
	worker = xcalloc(1, sizeof(*worker));
	worker->owner = dir;
	worker->own = twin_of(dir);
	pthread_mutex_init(&worker->mutex, NULL);
	pthread_cond_init(&worker->wanted, NULL);
	r = start_thread(worker);
	if (r < 0) {
		dir_ops.close(&worker->own->store);
		free(worker);
		return r;
	}
	dir->worker = worker;
	return 0;
}

static void queue(struct dir_worker *worker, struct job *job)
{
	pthread_mutex_lock(&worker->mutex);
	DL_APPEND(worker->todo, job);
	pthread_cond_signal(&worker->wanted);
	pthread_mutex_unlock(&worker->mutex);
}

/* True if nothing about the write needs the owner's knowledge, or all of that was good. */
static bool is_plain(struct dir *dir, const struct store_write *write)
{
	if (write->op == STORE_UPDATE_STATUS || manifests_find(dir, &write->key))
		return false;
	return write->op == STORE_DELETE || !dir->check || !dir->check(write->object, NULL);
}

static void copy_write(struct arena *arena, struct store_write *copy,
		       const struct store_write *write)
{
	*copy = (struct store_write){ .op = write->op };
	if (write->op != STORE_DELETE) {
		copy->object = json_deep_copy(write->object);
		return;
	}
	copy->key.kind = write->key.kind;
	copy->key.ns = arena_strdup(arena, write->key.ns ?: "");
	copy->key.name = arena_strdup(arena, write->key.name);
	copy->expect = write->expect ? arena_strdup(arena, write->expect) : NULL;
}

int dir_commit_async(struct store *store, struct store_write *writes, size_t count,
		     store_done_fn done, void *arg)
{
	struct dir *dir = to_dir(store);
	struct job *job;

	for (size_t i = 0; i < count; i++)
		if (!is_plain(dir, &writes[i]))
			return -EOPNOTSUPP;
	if (start(dir) < 0)
		return -EOPNOTSUPP;
	job = xcalloc(1, sizeof(*job));
	job->writes = writes;
	job->count = count;
	job->done = done;
	job->arg = arg;
	job->copies = xcalloc(count, sizeof(*job->copies));
	job->texts = arena_new();
	for (size_t i = 0; i < count; i++)
		copy_write(job->texts, &job->copies[i], &writes[i]);
	queue(dir->worker, job);
	return 0;
}

int dir_copy_async(struct dir *dir, const char *path, json_t *tree)
{
	struct job *job;

	if (start(dir) < 0)
		return -EAGAIN;
	job = xcalloc(1, sizeof(*job));
	job->path = xstrdup(path);
	job->tree = json_deep_copy(tree);
	job->source = json_incref(tree);
	queue(dir->worker, job);
	return 0;
}

static void find_copy(struct job *jobs, const char *path, struct job **found)
{
	struct job *job;

	DL_FOREACH(jobs, job)
		if (job->path && !strcmp(job->path, path))
			*found = job;
}

bool dir_copy_waits(struct dir *dir, const char *path, json_t **ret_tree)
{
	struct job *found = NULL;

	if (!dir->worker)
		return false;
	pthread_mutex_lock(&dir->worker->mutex);
	find_copy(dir->worker->finished, path, &found);
	if (dir->worker->current && dir->worker->current->path &&
	    !strcmp(dir->worker->current->path, path))
		found = dir->worker->current;
	find_copy(dir->worker->todo, path, &found);
	if (found)
		*ret_tree = json_incref(found->source);
	pthread_mutex_unlock(&dir->worker->mutex);
	return found;
}

/* Results and objects as stored go to the caller's writes. */
static void tell(struct dir *dir, struct job *job)
{
	if (!job->done)
		return;
	if (job->result == -EBUSY) {
		store_commit_later(&dir->store, job->writes, job->count, job->done, job->arg);
		return;
	}
	for (size_t i = 0; i < job->count; i++) {
		job->writes[i].result = job->copies[i].result;
		job->writes[i].stored = TAKE_PTR(job->copies[i].stored);
	}
	job->done(job->result, job->writes, job->count, &job->err, job->arg);
}

void dir_worker_dispatch(struct dir *dir)
{
	struct job *finished, *job, *next;

	if (!dir->worker)
		return;
	pthread_mutex_lock(&dir->worker->mutex);
	finished = TAKE_PTR(dir->worker->finished);
	pthread_mutex_unlock(&dir->worker->mutex);
	DL_FOREACH_SAFE(finished, job, next) {
		DL_DELETE(finished, job);
		tell(dir, job);
		job_free(job);
	}
}

static void cancel(struct dir *dir, struct job *jobs)
{
	struct job *job, *next;

	DL_FOREACH_SAFE(jobs, job, next) {
		DL_DELETE(jobs, job);
		job->result = err_set(&job->err, -ECANCELED, "the store was closed");
		for (size_t i = 0; i < job->count; i++)
			job->copies[i].result = -ECANCELED;
		tell(dir, job);
		job_free(job);
	}
}

/* Copies are written still: nobody else has them. Writes are told as given up. */
static void end_copies(struct dir_worker *worker)
{
	struct job *job, *next;

	DL_FOREACH_SAFE(worker->todo, job, next) {
		if (!job->path)
			continue;
		DL_DELETE(worker->todo, job);
		run_job(worker->own, job);
		job_free(job);
	}
}

void dir_worker_free(struct dir *dir)
{
	struct dir_worker *worker = dir->worker;
	struct job *todo;

	if (!worker)
		return;
	pthread_mutex_lock(&worker->mutex);
	worker->end = true;
	pthread_cond_signal(&worker->wanted);
	pthread_mutex_unlock(&worker->mutex);
	pthread_join(worker->thread, NULL);
	end_copies(worker);
	todo = TAKE_PTR(worker->todo);
	dir_worker_dispatch(dir);
	cancel(dir, todo);
	dir_ops.close(&worker->own->store);
	pthread_cond_destroy(&worker->wanted);
	pthread_mutex_destroy(&worker->mutex);
	free(worker);
	dir->worker = NULL;
}
