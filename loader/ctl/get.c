/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "base/json.h"
#include "ctl/columns.h"
#include "ctl/counted.h"
#include "ctl/derived.h"
#include "ctl/input.h"
#include "ctl/name.h"
#include "ctl/node_form.h"
#include "ctl/table.h"
#include "ctl/tier.h"
#include "ctl/verb.h"
#include "ctl/watch.h"

/* Objects that make one table. */
struct group {
	const struct store_kind *kind; /* the first, where there are several */
	bool several;		       /* kinds of one bare name */
	json_t *items;
};

struct getting {
	struct options *options;
	struct group *groups;
	size_t count;
	bool named; /* objects were named: that none is found is an error, printed already */
};

static struct group *group_of(struct getting *getting, const struct target *target)
{
	struct group *group;

	for (size_t i = 0; i < getting->count; i++)
		if (getting->groups[i].kind == target->kinds[0])
			return &getting->groups[i];
	getting->groups = xrealloc(getting->groups, getting->count + 1, sizeof(*getting->groups));
	group = &getting->groups[getting->count++];
	*group = (struct group){ .kind = target->kinds[0],
				 .several = target->kind_count > 1,
				 .items = json_array() };
	return group;
}

static json_t *shown(const struct options *options, const json_t *object)
{
	static const char *const assigned[] = { "uid", "resourceVersion", "creationTimestamp",
						"generation", "managedFields" };
	json_t *tree = node_to_calico(object);

	for (size_t i = 0; options->export && i < sizeof(assigned) / sizeof(assigned[0]); i++)
		json_object_del(json_object_get(tree, "metadata"), assigned[i]);
	return tree;
}

static int get_all(struct getting *getting, const struct target *target, struct err *err)
{
	const struct options *options = getting->options;
	struct group *group = group_of(getting, target);
	struct store_query queries[4];
	struct store_list lists[4];
	json_t *object;
	size_t i;
	int r;

	for (size_t k = 0; k < target->kind_count; k++)
		queries[k] =
			(struct store_query){ .kind = target->kinds[k],
					      .ns = options->all_ns ? NULL : options_ns(options),
					      .labels = options->labels };
	r = store_list(options->ctl->store, queries, target->kind_count, lists, err);
	if (r < 0)
		return r;
	for (size_t k = 0; k < target->kind_count; k++) {
		if (!r && !options->labels)
			r = derived_add(options->ctl->store, target->kinds[k], lists[k].items, err);
		json_array_foreach(lists[k].items, i, object)
			json_array_append_new(group->items, shown(options, object));
		store_list_done(&lists[k]);
	}
	return r;
}

static void say_missing(struct getting *getting, const struct target *target)
{
	_cleanup_free_ char *resource = name_resource(target->kinds[0], target->name);

	if (getting->options->missing_ok)
		return;
	getting->options->ctl->failed = true;
	fprintf(stderr, "Error from server (NotFound): %s not found\n", resource);
}

static int get_named(struct getting *getting, const struct target *target, struct err *err)
{
	struct group *group = group_of(getting, target);
	size_t found = 0;

	for (size_t k = 0; k < target->kind_count; k++) {
		const struct store_key key = { target->kinds[k], options_ns(getting->options),
					       target->name };
		_cleanup_json_ json_t *object = NULL;
		struct store *store = getting->options->ctl->store;
		int r = store_get(store, &key, &object, err);

		if (r == -ENOENT)
			r = derived_get(store, &key, &object, err);
		if (r < 0 && r != -ENOENT)
			return r;
		if (r < 0)
			continue;
		json_array_append_new(group->items, shown(getting->options, object));
		found++;
	}
	if (!found)
		say_missing(getting, target);
	return 0;
}

static int get_targets(struct getting *getting, struct err *err)
{
	_cleanup_free_ struct target *targets = NULL;
	size_t count;
	int r = name_targets(getting->options, &targets, &count, err);

	for (size_t i = 0; !r && i < count; i++) {
		getting->named |= !!targets[i].name;
		if (targets[i].name && (getting->options->all_ns || getting->options->labels))
			r = err_set(err, -EINVAL,
				    "a name cannot be given together with a selector or -A");
		else if (targets[i].name)
			r = get_named(getting, &targets[i], err);
		else
			r = get_all(getting, &targets[i], err);
	}
	return r;
}

static int get_files(struct getting *getting, struct err *err)
{
	struct input input = { 0 };
	int r = 0;

	input_read(&input, getting->options);
	getting->named = true;
	for (size_t i = 0; !r && i < input.count; i++) {
		struct options options = *getting->options;
		const struct target target = { .kinds = { input.objects[i].key.kind },
					       .kind_count = 1,
					       .name = input.objects[i].key.name };
		struct options *own = getting->options;

		options.ns = input.objects[i].key.ns;
		getting->options = &options;
		r = get_named(getting, &target, err);
		getting->options = own;
	}
	input_done(&input);
	return r;
}

/* --- printing --- */

/* calicoctl's custom-columns=NAME,CIDR: titles of the wide table. */
static void print_titles(const struct getting *getting, const struct group *group)
{
	const struct output *output = &getting->options->output;
	_cleanup_free_ char *text = xstrdup(output->argument);
	const struct columns_args args = { .kind = group->kind->id, .ns = true };
	struct columns all, picked = { 0 };
	char *save = NULL;

	columns_of(&args, &all);
	for (char *word = strtok_r(text, ",", &save); word; word = strtok_r(NULL, ",", &save)) {
		size_t i = 0;

		while (i < all.count && strcasecmp(all.list[i].title, word))
			i++;
		if (i == all.count || picked.count == COLUMNS_ALL_MAX) {
			ctl_error(getting->options->ctl,
				  "custom-columns: %s has no column \"%s\" (or write TITLE:.path)",
				  group->kind->kind, word);
			return;
		}
		picked.list[picked.count] = all.list[i];
		picked.list[picked.count++].when = TABLE_ALWAYS;
	}
	table_print(stdout, &(struct table){ picked.list, picked.count, true, output->no_headers },
		    group->items);
}

static void print_table(const struct getting *getting, const struct group *group)
{
	const struct options *options = getting->options;
	const struct columns_args args = { .kind = group->kind->id,
					   .ns = options->all_ns && group->kind->namespaced,
					   .group = group->several,
					   .labels = options->show_labels };
	struct columns columns;

	columns_of(&args, &columns);
	if (options->output.format == OUTPUT_WIDE) {
		tiers_mark(options->ctl->store, group->items);
		counted_mark(options->ctl, group->kind, group->items);
	}
	table_print(stdout,
		    &(struct table){ columns.list, columns.count,
				     options->output.format == OUTPUT_WIDE,
				     options->output.no_headers },
		    group->items);
}

static void print_tables(const struct getting *getting)
{
	const struct output *output = &getting->options->output;
	size_t printed = 0;

	for (size_t i = 0; i < getting->count; i++) {
		const struct group *group = &getting->groups[i];

		if (!json_array_size(group->items))
			continue;
		if (printed++)
			printf("\n");
		if (output->format == OUTPUT_COLUMNS)
			print_titles(getting, group);
		else
			print_table(getting, group);
	}
}

static void print_names(const json_t *items)
{
	json_t *object;
	size_t i;

	json_array_foreach((json_t *)items, i, object) {
		struct store_key key;
		_cleanup_free_ char *name = NULL;

		if (store_key_of(object, &key, NULL) < 0)
			continue;
		name = name_object(key.kind, key.name);
		printf("%s\n", name);
	}
}

/* kubectl prints one object as itself, more as a List. */
static void print_trees(const struct getting *getting, json_t *items)
{
	const struct options *options = getting->options;
	bool one = json_array_size(items) == 1 && getting->named;
	_cleanup_json_ json_t *tree = NULL;
	struct err err;

	if (getting->named && !json_array_size(items))
		return;
	if (one)
		tree = json_incref(json_array_get(items, 0));
	else
		tree = json_pack("{s:s, s:s, s:O, s:{s:s}}", "apiVersion", "v1", "kind", "List",
				 "items", items, "metadata", "resourceVersion", "");
	if (output_tree(&options->output, tree, items, &err) < 0)
		ctl_error(options->ctl, "%s", err.text);
}

static void say_nothing(const struct getting *getting)
{
	const struct options *options = getting->options;
	bool namespaced = false;

	for (size_t i = 0; i < getting->count; i++)
		namespaced |= getting->groups[i].kind->namespaced;
	if (getting->named)
		return;
	if (namespaced && !options->all_ns)
		fprintf(stderr, "No resources found in %s namespace.\n", options_ns(options));
	else
		fprintf(stderr, "No resources found\n");
}

static void print(const struct getting *getting)
{
	const struct output *output = &getting->options->output;
	_cleanup_json_ json_t *items = json_array();
	bool titles = output->format == OUTPUT_COLUMNS && !strchr(output->argument, ':');

	for (size_t i = 0; i < getting->count; i++)
		json_array_extend(items, getting->groups[i].items);
	if (output->format == OUTPUT_NAME)
		print_names(items);
	else if (output->format != OUTPUT_TABLE && output->format != OUTPUT_WIDE && !titles)
		print_trees(getting, items);
	else if (json_array_size(items))
		print_tables(getting);
	else
		say_nothing(getting);
}

int verb_get(struct ctl *ctl, int argc, char **argv)
{
	static const struct options_spec spec = {
		.takes = TAKE_FILES | TAKE_NAMESPACE | TAKE_ALL_NS | TAKE_SELECTOR | TAKE_OUTPUT |
			 TAKE_TABLE | TAKE_MISSING_OK | TAKE_WATCH | TAKE_NAMES,
		.args = "KIND[,KIND] [NAME...] | KIND/NAME... | -f FILE",
		.doc = "Shows objects: a table (-o wide: more columns), or as they are (-o yaml, "
		       "json).",
	};
	_cleanup_(options_done) struct options options = { .ctl = ctl };
	struct getting getting = { .options = &options };
	struct err err = { 0 };
	int r;

	options_parse(&options, &spec, argc, argv);
	r = ctl_store(ctl, false, &err);
	if (!r && options.watch)
		r = watch_objects(&options, &err);
	else if (!r)
		r = options.file_count ? get_files(&getting, &err) : get_targets(&getting, &err);
	if (r < 0)
		ctl_error(ctl, "%s", err.text);
	else if (!options.watch)
		print(&getting);
	for (size_t i = 0; i < getting.count; i++)
		json_decref(getting.groups[i].items);
	free(getting.groups);
	return ctl->failed;
}
