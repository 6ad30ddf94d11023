/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "base/json.h"
#include "ctl/job.h"
#include "ctl/node_form.h"
#include "ctl/verb.h"

static int prepare(struct jobs *jobs, struct job *job, struct err *err)
{
	const char *version = json_text_at(job->input, "metadata.resourceVersion");

	(void)jobs;
	if (!job->current)
		return err_set(err, -ENOENT, "not found");
	if (version && *version &&
	    strcmp(version, json_text_or(job->current, "metadata.resourceVersion", "")))
		return err_set(err, -ESTALE, "has changed");
	job->op = STORE_UPDATE;
	job->wanted = node_to_kubernetes(job->input, job->current);
	job->done = "replaced";
	return 0;
}

int verb_replace(struct ctl *ctl, int argc, char **argv)
{
	static const struct options_spec spec = {
		.takes = TAKE_FILES | TAKE_VALIDATE | TAKE_NAMESPACE | TAKE_OUTPUT | TAKE_DRY_RUN,
		.doc = "Replaces objects as a whole. They must exist; where a file has a "
		       "resourceVersion, it must be the stored one.",
	};
	_cleanup_(options_done) struct options options = { .ctl = ctl };
	struct jobs jobs = {
		.options = &options, .doing = "replacing", .prepare = prepare, .check = true
	};

	options_parse(&options, &spec, argc, argv);
	return run_on_files(&jobs);
}
