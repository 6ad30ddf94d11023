/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>
#include <time.h>

#include "base/arena.h"
#include "base/json.h"
#include "ctl/apply.h"
#include "ctl/job.h"
#include "ctl/node_form.h"
#include "ctl/patch.h"
#include "ctl/verb.h"
#include "model/unconfirmed.h"

/* kubectl's: what was applied last, so that what leaves the file leaves the object. */
#define LAST_APPLIED "kubectl.kubernetes.io/last-applied-configuration"

static json_t *annotations(json_t *object)
{
	json_t *metadata = json_object_get(object, "metadata");
	json_t *map = json_object_get(metadata, "annotations");

	if (!json_is_object(map)) {
		map = json_object();
		json_object_set_new(metadata, "annotations", map);
	}
	return map;
}

static json_t *last_applied(const json_t *current)
{
	json_t *map = json_object_get(json_object_get(current, "metadata"), "annotations");
	const char *text = json_string_value(json_object_get(map, LAST_APPLIED));

	return text ? json_loads(text, 0, NULL) : NULL;
}

/* The input with itself as annotation. */
static json_t *annotated(const json_t *input)
{
	json_t *object = json_deep_copy(input);
	_cleanup_free_ char *text = NULL, *line = NULL;

	json_object_del(annotations(object), LAST_APPLIED);
	text = json_dumps(object, JSON_COMPACT | JSON_SORT_KEYS);
	line = xasprintf("%s\n", text);
	json_object_set_new(annotations(object), LAST_APPLIED, json_string(line));
	return object;
}

static uint64_t wall_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* It waits to be confirmed, if that is asked for. */
static int wait_for_word(const struct jobs *jobs, struct job *job, struct err *err)
{
	uint64_t ms = jobs->options->confirm_ms;

	if (!ms || !job->write)
		return 0;
	if (!unconfirmed_covers(job->key.kind->id))
		return err_set(err, -EINVAL,
			       "--confirm is for policies, tiers, network sets and host endpoints");
	if (job->op == STORE_UPDATE) { /* it may share parts with what is stored */
		json_t *copy = json_deep_copy(job->wanted);

		json_decref(job->wanted);
		job->wanted = copy;
	}
	return unconfirmed_mark(job->wanted, job->current, wall_ms() + ms, err);
}

int apply_prepare(struct jobs *jobs, struct job *job, struct err *err)
{
	_cleanup_json_ json_t *input = node_to_kubernetes(job->input, NULL),
			      *wanted = annotated(input);
	_cleanup_json_ json_t *last = last_applied(job->current);
	const char *version = json_text_at(input, "metadata.resourceVersion");

	if (!job->current) {
		job->op = STORE_CREATE;
		job->wanted = TAKE_PTR(wanted);
		job->done = "created";
		return wait_for_word(jobs, job, err);
	}
	if (version && *version &&
	    strcmp(version, json_text_or(job->current, "metadata.resourceVersion", "")))
		return err_set(err, -ESTALE, "has changed");
	job->op = STORE_UPDATE;
	job->wanted = patch_three_way(job->current, last, wanted);
	job->write = !json_equal(job->wanted, job->current);
	job->done = job->write ? "configured" : "unchanged";
	return wait_for_word(jobs, job, err);
}

int verb_apply(struct ctl *ctl, int argc, char **argv)
{
	static const struct options_spec spec = {
		.takes = TAKE_FILES | TAKE_VALIDATE | TAKE_NAMESPACE | TAKE_OUTPUT | TAKE_DRY_RUN |
			 TAKE_CONFIRM,
		.doc = "Creates objects, or brings them to what the files say: what left a file "
		       "since "
		       "the last apply leaves the object, what others set stays. All objects of "
		       "one "
		       "call come into force together.",
	};
	_cleanup_(options_done) struct options options = { .ctl = ctl };
	struct jobs jobs = { .options = &options,
			     .doing = "applying",
			     .prepare = apply_prepare,
			     .check = true,
			     .makes = true };

	options_parse(&options, &spec, argc, argv);
	return run_on_files(&jobs);
}
