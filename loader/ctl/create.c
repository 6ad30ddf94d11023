/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "base/json.h"
#include "ctl/job.h"
#include "ctl/node_form.h"
#include "ctl/verb.h"

static int prepare(struct jobs *jobs, struct job *job, struct err *err)
{
	job->op = STORE_CREATE;
	job->done = "created";
	if (job->current && jobs->options->skip_exists) {
		job->write = false;
		job->done = "unchanged";
		return 0;
	}
	if (job->current)
		return err_set(err, -EEXIST, "already exists");
	job->wanted = node_to_kubernetes(job->input, job->current);
	return 0;
}

int verb_create(struct ctl *ctl, int argc, char **argv)
{
	static const struct options_spec spec = {
		.takes = TAKE_FILES | TAKE_VALIDATE | TAKE_NAMESPACE | TAKE_OUTPUT | TAKE_DRY_RUN |
			 TAKE_SKIP_EXISTS,
		.doc = "Creates objects. One that exists is an error; the others are created.",
	};
	_cleanup_(options_done) struct options options = { .ctl = ctl };
	struct jobs jobs = { .options = &options,
			     .doing = "creating",
			     .prepare = prepare,
			     .check = true,
			     .makes = true };

	options_parse(&options, &spec, argc, argv);
	return run_on_files(&jobs);
}
