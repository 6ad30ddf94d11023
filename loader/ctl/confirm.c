/* SPDX-License-Identifier: Apache-2.0 */
/*
 * margayctl confirm: what was applied with --confirm stays. The word reaches every node with the
 * objects: their annotation goes (model/unconfirmed.h).
 */
#include <errno.h>
#include <time.h>

#include "base/json.h"
#include "ctl/job.h"
#include "ctl/verb.h"
#include "model/unconfirmed.h"

static bool is_over(const struct unconfirmed *unconfirmed)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000 >= unconfirmed->until;
}

static int prepare(struct jobs *jobs, struct job *job, struct err *err)
{
	struct unconfirmed unconfirmed;
	bool over;

	(void)jobs;
	job->op = STORE_UPDATE;
	job->write = job->current && unconfirmed_read(job->current, &unconfirmed);
	if (!job->write) { /* somebody else did, or it is gone */
		job->done = NULL;
		return job->current ? 0 : -ENOENT;
	}
	over = is_over(&unconfirmed);
	unconfirmed_done(&unconfirmed);
	if (over)
		return err_set(err, -ETIMEDOUT,
			       "was not confirmed in time: every node goes back to what it was");
	job->wanted = json_deep_copy(job->current);
	unconfirmed_clear(job->wanted);
	job->done = "confirmed";
	return 0;
}

/* Objects that carry the annotation, whether in time or not. */
static int add_waiting(struct jobs *jobs, struct err *err)
{
	size_t count;
	const struct store_kind *kinds = store_kinds(&count);

	for (size_t i = 0; i < count; i++) {
		const struct store_query query = { .kind = &kinds[i] };
		struct store_list list;
		json_t *object;
		size_t k;
		int r;

		if (!unconfirmed_covers(kinds[i].id))
			continue;
		r = store_list(jobs->options->ctl->store, &query, 1, &list, err);
		if (r == -ENOENT) /* a cluster that lacks the kind */
			continue;
		if (r < 0)
			return r;
		json_array_foreach(list.items, k, object) {
			struct unconfirmed unconfirmed;
			struct store_key key;

			if (store_key_of(object, &key, NULL) < 0 ||
			    !unconfirmed_read(object, &unconfirmed))
				continue;
			unconfirmed_done(&unconfirmed);
			jobs_add(jobs, &key, NULL);
		}
		store_list_done(&list);
	}
	return 0;
}

int verb_confirm(struct ctl *ctl, int argc, char **argv)
{
	static const struct options_spec spec = {
		.takes = TAKE_OUTPUT,
		.doc = "Keeps all that was applied with --confirm and whose time is not over.",
	};
	_cleanup_(options_done) struct options options = { .ctl = ctl };
	struct jobs jobs = {
		.options = &options, .doing = "confirming", .prepare = prepare, .missing_ok = true
	};
	struct err err = { 0 };

	options_parse(&options, &spec, argc, argv);
	if (ctl_store(ctl, false, &err) < 0 || add_waiting(&jobs, &err) < 0) {
		ctl_error(ctl, "%s", err.text);
	} else {
		if (!jobs.count)
			fprintf(stderr, "Nothing waits to be confirmed.\n");
		jobs_run(&jobs);
	}
	jobs_done(&jobs);
	return ctl->failed;
}
