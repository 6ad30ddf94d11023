/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "ctl/job.h"
#include "ctl/verb.h"

static int prepare(struct jobs *jobs, struct job *job, struct err *err)
{
	(void)jobs;
	if (!job->current)
		return err_set(err, -ENOENT, "not found");
	job->op = STORE_DELETE;
	job->done = "deleted";
	return 0;
}

int verb_delete(struct ctl *ctl, int argc, char **argv)
{
	static const struct options_spec spec = {
		.takes = TAKE_FILES | TAKE_NAMESPACE | TAKE_ALL_NS | TAKE_SELECTOR | TAKE_OUTPUT |
			 TAKE_DRY_RUN | TAKE_ALL | TAKE_MISSING_OK | TAKE_NAMES,
		.args = "KIND NAME... | KIND/NAME... | KIND -l SELECTOR | KIND --all | -f FILE",
		.doc = "Deletes objects by name, by label or as they stand in files.",
	};
	_cleanup_(options_done) struct options options = { .ctl = ctl };
	struct jobs jobs = { .options = &options, .doing = "deleting", .prepare = prepare };

	options_parse(&options, &spec, argc, argv);
	jobs.missing_ok = options.missing_ok;
	return options.file_count ? run_on_files(&jobs) : run_on_names(&jobs);
}
