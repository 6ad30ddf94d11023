/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/watch.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>

#include "base/json.h"
#include "ctl/columns.h"
#include "ctl/name.h"
#include "ctl/node_form.h"
#include "ctl/table.h"
#include "datastore/follow.h"

struct watching {
	struct options *options;
	struct columns columns;
	bool headed;
};

/* kubectl's form of a change. */
static json_t *with_type(const struct store_event *event, json_t *object)
{
	static const char *const types[] = {
		[STORE_ADDED] = "ADDED", [STORE_MODIFIED] = "MODIFIED", [STORE_DELETED] = "DELETED"
	};

	return json_pack("{s:s, s:O}", "type", types[event->type], "object", object);
}

static void print_event(struct watching *watching, const struct store_event *event)
{
	const struct output *output = &watching->options->output;
	_cleanup_json_ json_t *object = node_to_calico(event->object), *rows = NULL, *tree = NULL;
	struct table table = { watching->columns.list, watching->columns.count,
			       output->format == OUTPUT_WIDE,
			       output->no_headers || watching->headed };
	struct err err;

	rows = json_pack("[O]", object);
	tree = with_type(event, object);
	watching->headed = true;
	if (output->format == OUTPUT_TABLE || output->format == OUTPUT_WIDE)
		table_print(stdout, &table, rows);
	else if (output_tree(output, tree, rows, &err) < 0)
		ctl_error(watching->options->ctl, "%s", err.text);
}

static void on_events(const struct store_event *events, size_t count, bool synced, void *arg)
{
	(void)synced;
	for (size_t i = 0; i < count; i++)
		print_event(arg, &events[i]);
	fflush(stdout);
}

static int run(struct watching *watching, struct follow *follow, struct err *err)
{
	struct store *store = watching->options->ctl->store;

	while (!ferror(stdout)) {
		struct pollfd pfds[] = { { .fd = store_fd(store), .events = POLLIN }, { .fd = 1 } };
		int timeout = store_timeout_ms(store), other = follow_timeout_ms(follow);
		int r;

		if (other >= 0 && (timeout < 0 || other < timeout))
			timeout = other;
		if (poll(pfds, 2, timeout) < 0 && errno != EINTR)
			return err_errno(err, -errno, "poll");
		if (pfds[1].revents & POLLERR)
			break; /* the reader of our output has gone */
		r = store_dispatch(store, err);
		if (!r)
			r = follow_dispatch(follow, err);
		if (r < 0 && !store_unreachable(r))
			return r;
	}
	return 0;
}

int watch_objects(struct options *options, struct err *err)
{
	struct watching watching = { .options = options };
	_cleanup_free_ struct target *targets = NULL;
	struct store_query queries[4];
	const struct follow_args args = { .queries = queries, .fn = on_events, .arg = &watching };
	struct follow_args with = args;
	_cleanup_follow_ struct follow *follow = NULL;
	size_t count;
	int r = name_targets(options, &targets, &count, err);

	if (r < 0)
		return r;
	if (count != 1)
		return err_set(err, -EINVAL, "-w takes one kind, or one object");
	for (size_t k = 0; k < targets[0].kind_count; k++)
		queries[k] =
			(struct store_query){ .kind = targets[0].kinds[k],
					      .ns = options->all_ns ? NULL : options_ns(options),
					      .name = targets[0].name,
					      .labels = options->labels };
	with.count = targets[0].kind_count;
	columns_of(&(struct columns_args){ .kind = targets[0].kinds[0]->id,
					   .ns = options->all_ns,
					   .group = targets[0].kind_count > 1,
					   .labels = options->show_labels },
		   &watching.columns);
	r = follow_open(options->ctl->store, &with, &follow, err);
	return r < 0 ? r : run(&watching, follow, err);
}
