/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "base/json.h"
#include "ctl/job.h"
#include "ctl/node_form.h"
#include "ctl/patch.h"
#include "ctl/verb.h"

static int apply_patch(const struct options *options, const json_t *target, const json_t *patch,
		       json_t **ret_result, struct err *err)
{
	switch (options->patch_type) {
	case PATCH_JSON:
		return patch_json(target, patch, ret_result, err);
	case PATCH_MERGE:
		*ret_result = patch_merge(target, patch);
		return 0;
	case PATCH_STRATEGIC:
		*ret_result = patch_strategic(target, patch);
		return 0;
	}
	return -EINVAL;
}

/* A Node is patched in the form in which it is shown. */
static int prepare(struct jobs *jobs, struct job *job, struct err *err)
{
	_cleanup_json_ json_t *shown = NULL, *patched = NULL;
	struct store_key key;
	int r;

	if (!job->current)
		return err_set(err, -ENOENT, "not found");
	shown = node_to_calico(job->current);
	r = apply_patch(jobs->options, shown, jobs->arg, &patched, err);
	if (r < 0)
		return err->code = -EINVAL;
	r = store_key_of(patched, &key, err);
	if (r < 0)
		return r;
	r = check_object(jobs->options->ctl, patched, &job->place);
	if (r < 0)
		return err_set(err, r, "the patched object is refused");
	job->op = STORE_UPDATE;
	job->write = !json_equal(shown, patched);
	job->wanted =
		job->write ? node_to_kubernetes(patched, job->current) : json_incref(job->current);
	job->done = job->write ? "patched" : "patched (no change)";
	return 0;
}

int verb_patch(struct ctl *ctl, int argc, char **argv)
{
	static const struct options_spec spec = {
		.takes = TAKE_NAMESPACE | TAKE_OUTPUT | TAKE_DRY_RUN | TAKE_PATCH | TAKE_VALIDATE |
			 TAKE_NAMES,
		.args = "KIND NAME -p PATCH",
		.doc = "Changes parts of an object by a strategic merge patch, a merge patch (RFC "
		       "7386) or a JSON patch (RFC 6902).",
	};
	_cleanup_(options_done) struct options options = { .ctl = ctl };
	struct jobs jobs = { .options = &options, .doing = "patching", .prepare = prepare };
	_cleanup_json_ json_t *patch = NULL;
	struct err err;

	options_parse(&options, &spec, argc, argv);
	if (input_patch(&options, &patch, &err) < 0) {
		ctl_error(ctl, "%s", err.text);
		return 1;
	}
	jobs.arg = patch;
	return run_on_names(&jobs);
}
