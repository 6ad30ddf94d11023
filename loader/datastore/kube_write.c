/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes: one request each, after a read where the writer does not say which version it means. They
 * are made one after the other until one fails; the API server has no transactions.
 */
#include <errno.h>
#include <string.h>
#include <utlist.h>

#include "base/arena.h"
#include "base/json.h"
#include "base/rpc.h"
#include "datastore/kube.h"

#define SWAPS_MAX 8    /* attempts of a write that replaces whatever is stored */
#define SETTLE_MS 3000 /* for the answer to what is under way when the store is closed */

struct kube_job {
	struct kube *kube;
	struct store_write *writes;
	size_t count, at;   /* the one under way */
	store_done_fn done; /* NULL: somebody waits for over */
	void *arg;
	struct kube_request request;
	char *path, *body, *what;
	bool reading; /* the request reads what is to be replaced */
	unsigned int tries;
	bool begun;
	bool ending; /* no further write is begun */
	bool over;
	int result;
	struct err err;
	struct kube_job *next, *prev;
};

static void next_write(struct kube_job *job);

static struct store_write *write_of(const struct kube_job *job)
{
	return &job->writes[job->at];
}

static void clear_request(struct kube_job *job)
{
	kube_request_done(&job->request);
	free(TAKE_PTR(job->path));
	free(TAKE_PTR(job->body));
	free(TAKE_PTR(job->what));
}

static void job_over(struct kube_job *job, int result)
{
	struct kube *kube = job->kube;

	clear_request(job);
	job->over = true;
	job->result = result;
	if (!job->done)
		return;
	DL_DELETE(kube->jobs, job);
	job->done(result, job->writes, job->count, &job->err, job->arg);
	free(job);
}

static void write_failed(struct kube_job *job, int r)
{
	write_of(job)->result = r;
	job_over(job, r);
}

/* --- requests --- */

static void on_done(struct kube_request *request);

static void send(struct kube_job *job, const char *method, const char *sub)
{
	struct store_key key = write_of(job)->key;

	if (!strcmp(method, "POST"))
		key.name = NULL;
	job->path = kube_path(&key, sub);
	job->what = key_text(&write_of(job)->key);
	job->request = (struct kube_request){ .method = method,
					      .path = job->path,
					      .body = job->body,
					      .fresh = write_of(job)->fresh,
					      .done = on_done,
					      .arg = job };
	kube_http_start(job->kube->http, &job->request);
}

static void send_read(struct kube_job *job)
{
	job->reading = true;
	send(job, "GET", NULL);
}

/* The object as it is sent: with that version, NULL: none. */
static char *body_of(const struct store_write *write, const char *version)
{
	_cleanup_json_ json_t *object = json_copy((json_t *)write->object);
	json_t *metadata = json_copy(json_object_get(object, "metadata"));

	json_object_set_new(object, "metadata", metadata);
	json_object_del(metadata, "resourceVersion");
	if (version)
		json_object_set_new(metadata, "resourceVersion", json_string(version));
	if (write->key.kind->namespaced)
		json_object_set_new(metadata, "namespace", json_string(write->key.ns));
	else
		json_object_del(metadata, "namespace");
	return json_dumps(object, JSON_COMPACT);
}

static void send_object(struct kube_job *job, const char *version)
{
	const struct store_write *write = write_of(job);

	job->reading = false;
	job->body = body_of(write, version);
	if (!job->body || strlen(job->body) > STORE_OBJECT_MAX) {
		write_failed(job, err_set(&job->err, -EMSGSIZE, "%zu bytes as JSON, at most %d",
					  job->body ? strlen(job->body) : 0, STORE_OBJECT_MAX));
		return;
	}
	if (write->op == STORE_CREATE)
		send(job, "POST", NULL);
	else
		send(job, "PUT", write->op == STORE_UPDATE_STATUS ? "status" : NULL);
}

static void send_delete(struct kube_job *job)
{
	const char *expect = write_of(job)->expect;
	_cleanup_json_ json_t *options =
		json_pack("{s:s, s:s, s:s}", "apiVersion", "v1", "kind", "DeleteOptions",
			  "propagationPolicy", "Background");

	if (expect)
		json_object_set_new(options, "preconditions",
				    json_pack("{s:s}", "resourceVersion", expect));
	job->reading = false;
	job->body = json_dumps(options, JSON_COMPACT);
	send(job, "DELETE", NULL);
}

static int check_object(const struct kube_job *job, struct err *err)
{
	const struct store_write *write = write_of(job);
	_cleanup_free_ char *what = NULL;
	int r;

	if (write->op == STORE_DELETE || !job->kube->check)
		return 0;
	r = job->kube->check(write->object, err);
	if (r < 0) {
		what = key_text(&write->key);
		err_wrap(err, r, "%s", what);
	}
	return r;
}

static void begin_write(struct kube_job *job)
{
	const struct store_write *write = write_of(job);
	const char *version = write->object ? object_meta(write->object, "resourceVersion") : NULL;
	int r = check_object(job, &job->err);

	if (r < 0) {
		write_failed(job, r);
		return;
	}
	switch (write->op) {
	case STORE_CREATE:
		send_object(job, NULL);
		break;
	case STORE_UPDATE:
	case STORE_UPDATE_STATUS:
		if (version)
			send_object(job, version);
		else
			send_read(job);
		break;
	case STORE_DELETE:
		send_delete(job);
		break;
	}
}

static void next_write(struct kube_job *job)
{
	job->tries = 0;
	if (job->at == job->count)
		job_over(job, 0);
	else
		begin_write(job);
}

/* --- answers --- */

/* What a deletion answers is the object that waits for its finalizers, or a Status. */
static int take_stored(struct kube_job *job)
{
	struct store_write *write = write_of(job);
	const struct kube_text *answer = &job->request.answer;
	int r = kube_object_read(answer->v, answer->size, write->key.kind, &write->stored,
				 &job->err);

	if (r == -EBADMSG && write->op == STORE_DELETE) {
		write->stored = object_bare(&write->key);
		r = err_clear(&job->err);
	}
	write->result = r;
	return r;
}

static void was_read(struct kube_job *job)
{
	_cleanup_json_ json_t *stored = NULL;
	int r = kube_object_read(job->request.answer.v, job->request.answer.size,
				 write_of(job)->key.kind, &stored, &job->err);

	clear_request(job);
	if (r < 0)
		write_failed(job, r);
	else
		send_object(job, object_meta(stored, "resourceVersion"));
}

static void was_written(struct kube_job *job)
{
	int r = take_stored(job);

	clear_request(job);
	if (r < 0) {
		write_failed(job, r);
		return;
	}
	job->at++;
	if (job->ending && job->at < job->count)
		job_over(job, err_set(&job->err, -ECANCELED, "the store was closed"));
	else
		next_write(job);
}

/* Somebody wrote between our read and our write, which was to replace whatever there is. */
static bool swap_again(struct kube_job *job, int r)
{
	const struct store_write *write = write_of(job);

	return r == -ESTALE && !job->reading && write->object && write->op != STORE_CREATE &&
	       !object_meta(write->object, "resourceVersion") && ++job->tries < SWAPS_MAX;
}

static void on_done(struct kube_request *request)
{
	struct kube_job *job = request->arg;
	int r = kube_http_check(request, job->what, &job->err);

	if (swap_again(job, r)) {
		clear_request(job);
		send_read(job);
	} else if (r < 0) {
		write_failed(job, r);
	} else if (job->reading) {
		was_read(job);
	} else {
		was_written(job);
	}
}

/* --- what the store asks --- */

int kube_commit(struct store *store, struct store_write *writes, size_t count, struct err *err)
{
	struct kube *kube = to_kube(store);
	struct kube_job job = { .kube = kube, .writes = writes, .count = count };

	next_write(&job);
	while (!job.over)
		kube_http_turn(kube->http, -1, &job.request);
	store_wake(store);
	return job.result < 0 ? err_set(err, job.result, "%s", job.err.text) : 0;
}

int kube_commit_async(struct store *store, struct store_write *writes, size_t count,
		      store_done_fn done, void *arg)
{
	struct kube *kube = to_kube(store);
	struct kube_job *job = xcalloc(1, sizeof(*job));

	*job = (struct kube_job){
		.kube = kube, .writes = writes, .count = count, .done = done, .arg = arg
	};
	DL_APPEND(kube->jobs, job);
	store_wake(store);
	return 0;
}

void kube_jobs_run(struct kube *kube)
{
	while (kube->jobs && !kube->jobs->begun) {
		kube->jobs->begun = true;
		next_write(kube->jobs);
	}
}

/* Of what is under way the end is waited for, a little: it may have been carried out. */
static void finish_first(struct kube *kube)
{
	long long end = rpc_now() + SETTLE_MS;
	struct kube_job *job = kube->jobs;

	job->ending = true;
	while (kube->jobs == job && rpc_now() < end)
		kube_http_turn(kube->http, (int)(end - rpc_now()), &job->request);
	if (kube->jobs == job)
		write_failed(job, err_set(&job->err, -EIO,
					  "the store was closed before the API server answered"));
}

void kube_settle(struct store *store)
{
	struct kube *kube = to_kube(store);

	if (kube->jobs && kube->jobs->begun)
		finish_first(kube);
	while (kube->jobs) {
		struct kube_job *job = kube->jobs;

		job_over(job, err_set(&job->err, -ECANCELED, "the store was closed"));
	}
}
