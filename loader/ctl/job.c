/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/job.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <uthash.h>

#include "base/arena.h"
#include "base/json.h"
#include "ctl/name.h"
#include "ctl/node_form.h"
#include "ctl/rules.h"
#include "ctl/table.h"

#define ROUNDS_MAX 16 /* lost races in a row */

void jobs_add(struct jobs *jobs, const struct store_key *key, const json_t *input)
{
	struct job *job;

	if (jobs->count % 64 == 0)
		jobs->all = xrealloc(jobs->all, jobs->count + 64, sizeof(*jobs->all));
	job = &jobs->all[jobs->count++];
	*job = (struct job){ .key = { key->kind, xstrdup(key->ns ? key->ns : ""),
				      xstrdup(key->name) },
			     .input = input };
}

/* Objects of files by their key, to find one that is given twice. */
struct seen {
	char *key;
	UT_hash_handle hh;
};

static bool is_twice(struct seen **all, const struct store_key *key)
{
	struct seen *seen;
	char *text = xasprintf("%d/%s/%s", (int)key->kind->id, key->ns, key->name);

	HASH_FIND_STR(*all, text, seen);
	if (seen) {
		free(text);
		return true;
	}
	seen = xcalloc(1, sizeof(*seen));
	seen->key = text;
	HASH_ADD_KEYPTR(hh, *all, seen->key, strlen(seen->key), seen);
	return false;
}

static void seen_free(struct seen *all)
{
	struct seen *seen, *next;

	HASH_ITER(hh, all, seen, next) {
		HASH_DEL(all, seen);
		free(seen->key);
		free(seen);
	}
}

void jobs_from_input(struct jobs *jobs, const struct input *input)
{
	struct ctl *ctl = jobs->options->ctl;
	struct seen *seen = NULL;

	for (size_t i = 0; i < input->count; i++) {
		const struct input_object *object = &input->objects[i];

		if (jobs->check && check_object(ctl, object->object, &object->place) < 0)
			continue;
		if (is_twice(&seen, &object->key)) {
			_cleanup_free_ char *name = name_object(object->key.kind, object->key.name);

			ctl_error(ctl, "%s:%u: %s: is given twice", object->place.file,
				  object->place.line, name);
			continue;
		}
		jobs_add(jobs, &object->key, object->object);
		jobs->all[jobs->count - 1].place = object->place;
	}
	seen_free(seen);
}

/* --- by name --- */

static int add_listed(struct jobs *jobs, const struct store_kind *kind, struct err *err)
{
	const struct options *options = jobs->options;
	const struct store_query query = { .kind = kind,
					   .ns = options->all_ns ? NULL : options_ns(options),
					   .labels = options->labels };
	struct store_list list;
	json_t *object;
	size_t i;
	int r = store_list(options->ctl->store, &query, 1, &list, err);

	if (r < 0)
		return r;
	json_array_foreach(list.items, i, object) {
		struct store_key key;

		if (!store_key_of(object, &key, NULL))
			jobs_add(jobs, &key, NULL);
	}
	store_list_done(&list);
	return 0;
}

/* A bare name that is used in several groups means the one that exists. */
static int add_named(struct jobs *jobs, const struct target *target, struct err *err)
{
	struct store_key key = { .ns = options_ns(jobs->options), .name = target->name };
	size_t found = 0;

	for (size_t i = 0; target->kind_count > 1 && i < target->kind_count; i++) {
		struct store_key candidate = { target->kinds[i], key.ns, key.name };
		_cleanup_json_ json_t *object = NULL;

		if (store_get(jobs->options->ctl->store, &candidate, &object, NULL) < 0)
			continue;
		key.kind = target->kinds[i];
		found++;
	}
	if (found > 1) {
		_cleanup_free_ char *a = name_object(target->kinds[0], key.name);
		_cleanup_free_ char *b = name_object(target->kinds[1], key.name);

		return err_set(err, -EINVAL, "\"%s\" is both %s and %s: say which", key.name, a, b);
	}
	if (!key.kind)
		key.kind = target->kinds[0];
	if (!key.kind->namespaced)
		key.ns = "";
	jobs_add(jobs, &key, NULL);
	return 0;
}

int jobs_from_names(struct jobs *jobs, struct err *err)
{
	struct options *options = jobs->options;
	_cleanup_free_ struct target *targets = NULL;
	size_t count;
	int r = name_targets(options, &targets, &count, err);

	for (size_t i = 0; !r && i < count; i++) {
		const struct target *target = &targets[i];

		if (target->name && (options->labels || options->all))
			r = err_set(err, -EINVAL,
				    "names and a selector or --all cannot be given together");
		else if (target->name && options->all_ns)
			r = err_set(err, -EINVAL, "a name belongs to one namespace: no -A");
		else if (target->name)
			r = add_named(jobs, target, err);
		else if (!options->labels && !options->all)
			r = err_set(err, -EINVAL, "expected names, -l SELECTOR or --all");
		for (size_t k = 0; !r && !target->name && k < target->kind_count; k++)
			r = add_listed(jobs, target->kinds[k], err);
	}
	return r;
}

/* --- messages --- */

void job_error(struct jobs *jobs, const struct job *job, int r, const struct err *err)
{
	struct ctl *ctl = jobs->options->ctl;
	_cleanup_free_ char *resource = name_resource(job->key.kind, job->key.name);
	_cleanup_free_ char *name = name_object(job->key.kind, job->key.name);
	_cleanup_free_ char *where = NULL;

	ctl->failed = true;
	fflush(stdout);
	if (job->place.file)
		where = xasprintf("error when %s \"%s\": ", jobs->doing, job->place.file);
	if (r == -EEXIST)
		fprintf(stderr, "Error from server (AlreadyExists): %s%s already exists\n",
			where ? where : "", resource);
	else if (r == -ENOENT)
		fprintf(stderr, "Error from server (NotFound): %s%s not found\n",
			where ? where : "", resource);
	else if (r == -ESTALE)
		fprintf(stderr,
			"Error from server (Conflict): %sOperation cannot be fulfilled on %s: the "
			"object has been modified; please apply your changes to the latest version "
			"and try again\n",
			where ? where : "", resource);
	else if (job->place.file && job->place.line)
		ctl_error(ctl, "%s:%u: %s: %s", job->place.file, job->place.line, name, err->text);
	else
		ctl_error(ctl, "%s: %s", name, err->text);
}

static void print_line(const struct jobs *jobs, const struct job *job)
{
	const char *dry = jobs->options->dry_run ? " (dry run)" : "";
	_cleanup_free_ char *name = name_object(job->key.kind, job->key.name);
	char *slash = strrchr(name, '/');

	if (jobs->options->output.format == OUTPUT_NAME) {
		printf("%s\n", name);
	} else if (job->op == STORE_DELETE) {
		*slash = 0;
		printf("%s \"%s\" %s%s\n", name, job->key.name, job->done, dry);
	} else {
		printf("%s %s%s\n", name, job->done, dry);
	}
}

static void print_trees(const struct jobs *jobs)
{
	_cleanup_json_ json_t *items = json_array(), *tree = NULL;
	struct err err;

	for (size_t i = 0; i < jobs->count; i++)
		if (jobs->all[i].stored && !jobs->all[i].failed)
			json_array_append_new(items, node_to_calico(jobs->all[i].stored));
	if (!json_array_size(items))
		return;
	if (json_array_size(items) == 1)
		tree = json_incref(json_array_get(items, 0));
	else
		tree = json_pack("{s:s, s:s, s:O}", "apiVersion", "v1", "kind", "List", "items",
				 items);
	if (output_tree(&jobs->options->output, tree, items, &err) < 0)
		ctl_error(jobs->options->ctl, "%s", err.text);
}

static void print_all(const struct jobs *jobs)
{
	const struct output *output = &jobs->options->output;

	if (jobs->options->has_output && output->format != OUTPUT_NAME &&
	    output->format != OUTPUT_WIDE && output->format != OUTPUT_TABLE) {
		print_trees(jobs);
		return;
	}
	for (size_t i = 0; i < jobs->count; i++)
		if (!jobs->all[i].failed && jobs->all[i].done)
			print_line(jobs, &jobs->all[i]);
}

/* --- running --- */

static void job_fail(struct jobs *jobs, struct job *job, int r, const struct err *err)
{
	job->over = true;
	job->failed = !(r == -ENOENT && jobs->missing_ok);
	job->done = NULL;
	if (job->failed)
		job_error(jobs, job, r, err);
}

/* A dry run finds out too that the object comes from a manifest. */
static int check_origin(struct jobs *jobs, const struct job *job, struct err *err)
{
	_cleanup_free_ char *file = NULL;

	if (store_origin(jobs->options->ctl->store, &job->key, &file) < 0)
		return 0;
	return err_set(err, -EROFS, "comes from the file %s: change it there", file);
}

static int prepare(struct jobs *jobs, struct job *job, struct err *err)
{
	json_t **const trees[] = { &job->current, &job->wanted };
	int r;

	for (size_t i = 0; i < sizeof(trees) / sizeof(trees[0]); i++) {
		json_decref(*trees[i]);
		*trees[i] = NULL;
	}
	r = store_get(jobs->options->ctl->store, &job->key, &job->current, err);
	if (r < 0 && r != -ENOENT)
		return r;
	job->write = true;
	r = jobs->prepare(jobs, job, err);
	if (!r && job->write)
		r = rules_check(jobs, job, err);
	if (!r && job->write && jobs->options->dry_run && !jobs->report)
		r = check_origin(jobs, job, err);
	if (r < 0)
		return r;
	if (!job->write || jobs->options->dry_run) {
		job->over = true;
		job->stored = json_incref(job->wanted ? job->wanted : job->current);
	}
	return 0;
}

static bool may_pass(int r)
{
	return r == -ESTALE || r == -EEXIST || r == -ENOENT;
}

/* What is written in one call of the store, and whose it is. */
struct batch {
	struct store_write *writes;
	struct job **of;
	size_t count;
	struct err err; /* of the first failure */
};

/* The text of each failure, not of the first alone; where writes are made one after the other, the
 * first is the only one. */
static void describe(struct jobs *jobs, const struct batch *batch, size_t i, struct err *err)
{
	if (check_origin(jobs, batch->of[i], err) < 0)
		return;
	if (store_is_atomic(jobs->options->ctl->store))
		err_errno(err, batch->writes[i].result, "cannot be written");
	else
		*err = batch->err;
}

/* The server fills in defaults that the input leaves out: then it was a write that changed nothing.
 */
static void note_unchanged(struct job *job)
{
	const char *before = json_text_at(job->current, "metadata.resourceVersion");
	const char *now = json_text_at(job->stored, "metadata.resourceVersion");

	if (job->op == STORE_UPDATE && before && now && !strcmp(before, now) &&
	    !strcmp(job->done, "configured"))
		job->done = "unchanged";
}

static void take_results(struct jobs *jobs, const struct batch *batch, bool last)
{
	for (size_t i = 0; i < batch->count; i++) {
		struct job *job = batch->of[i];
		struct err err = { .text = "" };
		int r = batch->writes[i].result;

		if (!r) {
			job->over = true;
			job->stored = json_incref(batch->writes[i].stored);
			note_unchanged(job);
		} else if (r != -ECANCELED && (last || !may_pass(r))) {
			describe(jobs, batch, i, &err);
			job_fail(jobs, job, r, &err);
		}
	}
}

static void add_write(struct batch *batch, struct job *job)
{
	batch->of[batch->count] = job;
	batch->writes[batch->count++] = (struct store_write){
		.op = job->op,
		.object = job->wanted,
		.key = job->key,
		.expect = job->op == STORE_DELETE
				  ? json_text_at(job->current, "metadata.resourceVersion")
				  : NULL,
	};
}

static int commit(struct jobs *jobs, bool last)
{
	struct batch batch = { .writes = xcalloc(STORE_WRITES_MAX, sizeof(*batch.writes)),
			       .of = xcalloc(STORE_WRITES_MAX, sizeof(struct job *)) };
	int r;

	for (size_t i = 0; i < jobs->count && batch.count < STORE_WRITES_MAX; i++)
		if (!jobs->all[i].over)
			add_write(&batch, &jobs->all[i]);
	r = store_commit(jobs->options->ctl->store, batch.writes, batch.count, &batch.err);
	if (r < 0 && batch.count == 1 && !may_pass(r)) {
		job_fail(jobs, batch.of[0], r, &batch.err);
	} else if (r < 0 && batch.writes[0].result == r && store_unreachable(r)) {
		ctl_error(jobs->options->ctl, "%s", batch.err.text);
		for (size_t i = 0; i < batch.count; i++)
			batch.of[i]->over = batch.of[i]->failed = true;
	} else {
		take_results(jobs, &batch, last);
	}
	store_writes_done(batch.writes, batch.count);
	free(batch.writes);
	free(batch.of);
	return r;
}

static size_t left(const struct jobs *jobs)
{
	size_t count = 0;

	for (size_t i = 0; i < jobs->count; i++)
		count += !jobs->all[i].over;
	return count;
}

void jobs_run(struct jobs *jobs)
{
	for (int round = 1; left(jobs);) {
		size_t before;

		for (size_t i = 0; i < jobs->count; i++) {
			struct job *job = &jobs->all[i];
			struct err err = { 0 };
			int r = job->over ? 0 : prepare(jobs, job, &err);

			if (r < 0)
				job_fail(jobs, job, r, &err);
		}
		before = left(jobs);
		if (before)
			(void)commit(jobs, round >= ROUNDS_MAX);
		/* Rounds count those in which nothing was decided. */
		round = left(jobs) < before ? 1 : round + 1;
	}
	if (jobs->report)
		jobs->report(jobs);
	else
		print_all(jobs);
}

void jobs_done(struct jobs *jobs)
{
	for (size_t i = 0; i < jobs->count; i++) {
		struct job *job = &jobs->all[i];

		free((char *)job->key.ns);
		free((char *)job->key.name);
		json_decref(job->current);
		json_decref(job->wanted);
		json_decref(job->stored);
	}
	free(jobs->all);
}
