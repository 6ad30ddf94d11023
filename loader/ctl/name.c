/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/name.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "base/arena.h"

#define KINDS_MAX 4

static char *lower(const char *text)
{
	char *copy = xstrdup(text);

	for (char *p = copy; *p; p++)
		*p = (char)tolower((unsigned char)*p);
	return copy;
}

char *name_object(const struct store_kind *kind, const char *name)
{
	_cleanup_free_ char *text = lower(kind->kind);

	return xasprintf("%s%s%s/%s", text, *kind->group ? "." : "", kind->group, name);
}

char *name_resource(const struct store_kind *kind, const char *name)
{
	return xasprintf("%s%s%s \"%s\"", kind->plural, *kind->group ? "." : "", kind->group, name);
}

static int find_kinds(const char *word, struct target *target, struct err *err)
{
	enum kind kinds[KINDS_MAX];
	size_t count = kinds_named(word, kinds, KINDS_MAX);

	if (!count)
		return err_set(err, -EINVAL, "there is no kind of objects named \"%.100s\"", word);
	for (size_t i = 0; i < count; i++)
		target->kinds[i] = store_kind(kinds[i]);
	target->kind_count = count;
	return 0;
}

struct list {
	struct target *targets;
	size_t count;
};

static int add(struct list *list, const char *kind, const char *name, struct err *err)
{
	struct target target = { .name = name };
	int r = find_kinds(kind, &target, err);

	if (r < 0)
		return r;
	if (list->count == TARGETS_MAX)
		return err_set(err, -E2BIG, "at most %d objects can be named", TARGETS_MAX);
	list->targets[list->count++] = target;
	return 0;
}

/* "KIND/NAME" everywhere. */
static int with_slash(struct options *options, struct list *list, struct err *err)
{
	int r = 0;

	for (size_t i = 0; !r && i < options->name_count; i++) {
		char *slash = strchr(options->names[i], '/');

		if (!slash)
			return err_set(err, -EINVAL,
				       "\"%s\": where one argument is KIND/NAME, all must be",
				       options->names[i]);
		*slash = 0;
		r = add(list, options->names[i], slash + 1, err);
	}
	return r;
}

/* "KIND,KIND NAME...": each name of each kind; without a name all of each kind. */
static int with_kinds(struct options *options, struct list *list, struct err *err)
{
	char *save = NULL;
	int r = 0;

	for (char *kind = strtok_r(options->names[0], ",", &save); !r && kind;
	     kind = strtok_r(NULL, ",", &save)) {
		if (options->name_count == 1)
			r = add(list, kind, NULL, err);
		for (size_t i = 1; !r && i < options->name_count; i++)
			r = add(list, kind, options->names[i], err);
	}
	return r;
}

int name_targets(struct options *options, struct target **ret_targets, size_t *ret_count,
		 struct err *err)
{
	struct list list = { 0 };
	int r;

	if (!options->name_count)
		return err_set(err, -EINVAL, "expected KIND [NAME...], KIND/NAME or -f FILE");
	list.targets = xcalloc(TARGETS_MAX, sizeof(*list.targets));
	if (strchr(options->names[0], '/'))
		r = with_slash(options, &list, err);
	else
		r = with_kinds(options, &list, err);
	if (r < 0) {
		free(list.targets);
		return r;
	}
	*ret_targets = list.targets;
	*ret_count = list.count;
	return 0;
}
