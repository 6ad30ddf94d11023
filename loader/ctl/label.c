/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "base/arena.h"
#include "base/json.h"
#include "ctl/job.h"
#include "ctl/verb.h"

/* Changes: text to set, null to remove. */
static int add_label(json_t *changes, const char *key, json_t *value, struct err *err)
{
	if (!*key) {
		json_decref(value);
		return err_set(err, -EINVAL, "expected KEY=VALUE or KEY-, not an empty key");
	}
	if (json_object_get(changes, key)) {
		json_decref(value);
		return err_set(err, -EINVAL, "label \"%s\" is given twice", key);
	}
	return json_object_set_new(changes, key, value);
}

/* Takes "a=b", "a-" and, with --remove, "a" out of the arguments behind the name. */
static int take_labels(struct options *options, json_t *changes, struct err *err)
{
	size_t kept = 0, first = options->name_count && strchr(options->names[0], '/') ? 1 : 2;
	int r = 0;

	if (options->labels || options->all)
		first = 1;
	for (size_t i = 0; !r && i < options->name_count; i++) {
		char *text = options->names[i], *equals = strchr(text, '=');
		size_t size = strlen(text);

		if (equals) {
			*equals = 0;
			r = add_label(changes, text, json_string(equals + 1), err);
		} else if (i >= first && size && text[size - 1] == '-') {
			text[size - 1] = 0;
			r = add_label(changes, text, json_null(), err);
		} else if (i >= first && options->remove) {
			r = add_label(changes, text, json_null(), err);
		} else {
			options->names[kept++] = text;
		}
	}
	options->name_count = kept;
	if (!r && !json_object_size(changes))
		r = err_set(err, -EINVAL, "expected labels: KEY=VALUE, or KEY- to remove one");
	return r;
}

static int change_labels(const struct options *options, const json_t *changes, json_t *labels,
			 struct err *err)
{
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)changes, key, value) {
		const char *old = json_string_value(json_object_get(labels, key));

		if (json_is_null(value)) {
			json_object_del(labels, key);
			continue;
		}
		if (old && strcmp(old, json_string_value(value)) && !options->overwrite)
			return err_set(err, -EINVAL,
				       "'%s' already has a value (%s), and --overwrite is false",
				       key, old);
		json_object_set(labels, key, value);
	}
	return 0;
}

static bool only_removes(const json_t *changes)
{
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)changes, key, value)
		if (!json_is_null(value))
			return false;
	return true;
}

static int prepare(struct jobs *jobs, struct job *job, struct err *err)
{
	json_t *metadata, *labels;
	int r;

	if (!job->current)
		return err_set(err, -ENOENT, "not found");
	job->op = STORE_UPDATE;
	job->wanted = json_deep_copy(job->current);
	metadata = json_object_get(job->wanted, "metadata");
	labels = json_object_get(metadata, "labels");
	if (!json_is_object(labels)) {
		labels = json_object();
		json_object_set_new(metadata, "labels", labels);
	}
	r = change_labels(jobs->options, jobs->arg, labels, err);
	if (!json_object_size(labels))
		json_object_del(metadata, "labels");
	if (r < 0)
		return r;
	r = check_object(jobs->options->ctl, job->wanted, &job->place);
	if (r < 0)
		return err_set(err, r, "the labelled object is refused");
	job->write = !json_equal(job->wanted, job->current);
	job->done = !job->write ? "not labeled" : only_removes(jobs->arg) ? "unlabeled" : "labeled";
	return 0;
}

int verb_label(struct ctl *ctl, int argc, char **argv)
{
	static const struct options_spec spec = {
		.takes = TAKE_NAMESPACE | TAKE_ALL_NS | TAKE_SELECTOR | TAKE_OUTPUT | TAKE_DRY_RUN |
			 TAKE_ALL | TAKE_LABEL | TAKE_NAMES,
		.args = "KIND NAME... KEY=VALUE... KEY-...",
		.doc = "Sets labels (KEY=VALUE) and removes them (KEY-, or KEY with --remove).",
	};
	_cleanup_(options_done) struct options options = { .ctl = ctl };
	struct jobs jobs = { .options = &options, .doing = "labeling", .prepare = prepare };
	_cleanup_json_ json_t *changes = json_object();
	struct err err;

	options_parse(&options, &spec, argc, argv);
	if (take_labels(&options, changes, &err) < 0) {
		ctl_error(ctl, "%s", err.text);
		return 1;
	}
	jobs.arg = changes;
	return run_on_names(&jobs);
}
