/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/check.h"

#include <errno.h>
#include <string.h>

#include "base/arena.h"
#include "base/json.h"
#include "base/yaml.h"
#include "ctl/name.h"
#include "datastore/store.h"
#include "model/decode.h"

int check_decodes(const json_t *object, struct err *err)
{
	_cleanup_problems_ struct problems problems = { 0 };
	const struct decode_options options = { .mode = DECODE_LENIENT };
	_cleanup_object_ struct object *decoded = NULL;
	int r = object_decode(object, &options, &decoded, &problems);

	if (r >= 0)
		return 0;
	for (size_t i = 0; i < problems.count; i++) {
		_cleanup_free_ char *text = NULL;

		if (problems.v[i].severity != PROBLEM_ERROR)
			continue;
		text = problem_text(&problems.v[i]);
		return err_set(err, -EINVAL, "%s", text);
	}
	return err_set(err, -EINVAL, "cannot be decoded");
}

/* "ippool.projectcalico.org/x", as far as it is known. */
static char *title(const json_t *object)
{
	struct store_key key;

	if (store_key_of(object, &key, NULL) < 0)
		return xstrdup(json_text_or(object, "kind", "object"));
	return name_object(key.kind, key.name);
}

static bool refuses(const struct ctl *ctl, const struct problem *problem)
{
	return problem->severity != PROBLEM_WARNING ||
	       (problem->unknown && ctl->unknown == CTL_UNKNOWN_REFUSE);
}

static void say(struct ctl *ctl, const struct check_place *place, const char *name,
		const struct problem *problem)
{
	unsigned int line = problem->line ? problem->line : place->line;
	_cleanup_free_ char *where = NULL;

	if (place->file && line)
		where = xasprintf("%s:%u: ", place->file, line);
	else
		where = place->file ? xasprintf("%s: ", place->file) : xstrdup("");
	if (!refuses(ctl, problem))
		ctl_warning(ctl, "%s%s: %s%s%s", where, name, problem->path,
			    *problem->path ? ": " : "", problem->text);
	else
		ctl_error(ctl, "%s%s: %s%s%s", where, name, problem->path,
			  *problem->path ? ": " : "", problem->text);
}

int check_object(struct ctl *ctl, const json_t *object, const struct check_place *place)
{
	_cleanup_problems_ struct problems problems = { 0 };
	const struct decode_options options = { .mode = DECODE_STRICT, .doc = place->doc };
	_cleanup_object_ struct object *decoded = NULL;
	int r = object_decode(object, &options, &decoded, &problems);
	_cleanup_free_ char *name = title(object);

	for (size_t i = 0; i < problems.count; i++) {
		if (problems.v[i].unknown && ctl->unknown == CTL_UNKNOWN_IGNORE)
			continue;
		say(ctl, place, name, &problems.v[i]);
		if (refuses(ctl, &problems.v[i]))
			r = -EINVAL;
	}
	if (r < 0 && !problems.count)
		ctl_error(ctl, "%s: %s: cannot be decoded", place->file ? place->file : "object",
			  name);
	return r < 0 ? -EINVAL : 0;
}
