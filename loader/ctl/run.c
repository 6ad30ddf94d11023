/* SPDX-License-Identifier: Apache-2.0 */
/* The frame of a verb that writes. */
#include "ctl/job.h"

static int open_store(struct ctl *ctl, bool write)
{
	struct err err = { 0 };

	if (ctl_store(ctl, write, &err) < 0) {
		ctl_error(ctl, "%s", err.text);
		return -1;
	}
	return 0;
}

int run_on_files(struct jobs *jobs)
{
	struct options *options = jobs->options;
	struct ctl *ctl = options->ctl;
	struct input input = { 0 };

	if (options->name_count)
		ctl_error(ctl, "names and -f cannot be given together");
	else if (!options->file_count)
		ctl_error(ctl, "expected -f FILE, -f FOLDER or -f -");
	if (ctl->failed)
		return 1;
	input_read(&input, options);
	if (!open_store(ctl, jobs->makes && !options->dry_run)) {
		jobs_from_input(jobs, &input);
		jobs_run(jobs);
	}
	jobs_done(jobs);
	input_done(&input);
	return ctl->failed;
}

int run_on_names(struct jobs *jobs)
{
	struct ctl *ctl = jobs->options->ctl;
	struct err err = { 0 };

	if (open_store(ctl, false))
		return 1;
	if (jobs_from_names(jobs, &err) < 0) {
		ctl_error(ctl, "%s", err.text);
	} else {
		if (!jobs->count)
			fprintf(stderr, "No resources found\n");
		jobs_run(jobs);
	}
	jobs_done(jobs);
	return ctl->failed;
}
