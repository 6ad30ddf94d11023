/* SPDX-License-Identifier: Apache-2.0 */
/* `ipam show`: how full pools and blocks are, who borrows, who has an address. */
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/inet.h"
#include "base/json.h"
#include "ctl/ipam.h"
#include "ctl/show.h"
#include "ctl/verb.h"

struct arguments {
	struct show_arguments show;
	const char *ip;
	bool blocks, borrowed, configuration;
};

enum { OPT_IP = 256, OPT_BLOCKS, OPT_BORROWED, OPT_CONFIGURATION };

static const struct argp_option options[] = {
	{ "ip", OPT_IP, "IP", 0, "who has this address", 0 },
	{ "show-blocks", OPT_BLOCKS, NULL, 0, "blocks too, not pools alone", 0 },
	{ "show-borrowed", OPT_BORROWED, NULL, 0, "addresses from blocks of other nodes", 0 },
	{ "show-configuration", OPT_CONFIGURATION, NULL, 0, "the IPAM configuration", 0 },
	{ 0 },
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct arguments *arguments = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &arguments->show;
		return 0;
	case OPT_IP:
		arguments->ip = arg;
		return 0;
	case OPT_BLOCKS:
		arguments->blocks = true;
		return 0;
	case OPT_BORROWED:
		arguments->borrowed = true;
		return 0;
	case OPT_CONFIGURATION:
		arguments->configuration = true;
		return 0;
	case ARGP_KEY_ARG:
		argp_error(state, "unexpected argument \"%s\"", arg);
		return 0;
	}
	return ARGP_ERR_UNKNOWN;
}

/* --- tables ---------------------------------------------------------------------------------- */

/* A number of addresses, and its part of the total in percent. */
static char *count_text(const json_t *row, const char *key)
{
	double count = json_number_value(json_object_get(row, key));
	double total = json_number_value(json_object_get(row, "total"));

	if (count >= 1e15)
		return xasprintf("%.4e (%.0f%%)", count, total > 0 ? count * 100 / total : 0);
	return xasprintf("%.0f (%.0f%%)", count, total > 0 ? count * 100 / total : 0);
}

static char *total_text(const json_t *row)
{
	double total = json_number_value(json_object_get(row, "total"));

	return total >= 1e15 ? xasprintf("%.4e", total) : xasprintf("%.0f", total);
}

static char *used_text(const json_t *row)
{
	return count_text(row, "inUse");
}

static char *reserved_text(const json_t *row)
{
	return count_text(row, "reserved");
}

static char *ahead_text(const json_t *row)
{
	return count_text(row, "reserve");
}

static char *resting_text(const json_t *row)
{
	return count_text(row, "resting");
}

static char *free_text(const json_t *row)
{
	return count_text(row, "free");
}

static const struct table_column usage_columns[] = {
	{ .title = "GROUPING", .path = ".grouping" },
	{ .title = "CIDR", .path = ".cidr" },
	{ .title = "IPS TOTAL", .text = total_text },
	{ .title = "IPS IN USE", .text = used_text },
	{ .title = "IPS RESERVED", .text = reserved_text },
	{ .title = "IPS AHEAD", .text = ahead_text },
	{ .title = "IPS RESTING", .text = resting_text, .when = TABLE_WIDE },
	{ .title = "IPS FREE", .text = free_text },
	{ .title = "AFFINITY", .path = ".affinity", .when = TABLE_WIDE, .empty = "" },
};

static const struct table_column borrowed_columns[] = {
	{ .title = "IP", .path = ".ip" },
	{ .title = "BORROWING-NODE", .path = ".node" },
	{ .title = "BLOCK", .path = ".block" },
	{ .title = "BLOCK OWNER", .path = ".owner", .empty = "" },
	{ .title = "TYPE", .path = ".type" },
	{ .title = "ALLOCATED-TO", .path = ".allocatedTo" },
};

static const struct table_column configuration_columns[] = {
	{ .title = "PROPERTY", .path = ".property" },
	{ .title = "VALUE", .path = ".value" },
};

#define COLUMNS(list) .columns = list, .count = sizeof(list) / sizeof((list)[0])

/* --- the questions --------------------------------------------------------------------------- */

static void add_row(json_t *rows, const char *grouping, json_t *record)
{
	json_t *row = json_copy(record);

	json_object_set_new(row, "grouping", json_string(grouping));
	json_array_append_new(rows, row);
}

static json_t *usage_rows(const json_t *usage, bool blocks)
{
	json_t *rows = json_array(), *pool, *block;
	size_t i, j;

	json_array_foreach(json_object_get(usage, "pools"), i, pool) {
		add_row(rows, "IP Pool", pool);
		if (!blocks)
			continue;
		json_array_foreach(json_object_get(pool, "blocks"), j, block)
			add_row(rows, "Block", block);
	}
	return rows;
}

static json_t *pool_rows(const json_t *usage)
{
	return usage_rows(usage, false);
}

static json_t *block_rows(const json_t *usage)
{
	return usage_rows(usage, true);
}

static void put_property(json_t *rows, const char *name, const json_t *value, const char *or_else)
{
	_cleanup_free_ char *text = value ? json_dumps(value, JSON_ENCODE_ANY) : NULL;

	json_array_append_new(
		rows, json_pack("{s:s, s:s}", "property", name, "value", text ? text : or_else));
}

static json_t *property_rows(const json_t *spec)
{
	json_t *rows = json_array();

	put_property(rows, "StrictAffinity", json_object_get(spec, "strictAffinity"), "false");
	put_property(rows, "AutoAllocateBlocks", json_object_get(spec, "autoAllocateBlocks"),
		     "true");
	put_property(rows, "MaxBlocksPerHost", json_object_get(spec, "maxBlocksPerHost"), "0");
	put_property(rows, "IPCooldownSeconds", json_object_get(spec, "ipCooldownSeconds"), "0");
	return rows;
}

/* The spec of IPAMConfiguration "default"; where there is none, nothing is set. New reference. */
static json_t *configuration_of(const json_t *list)
{
	const json_t *object;
	size_t i;

	json_array_foreach(list, i, object)
		if (!strcmp(json_text_or(object, "metadata.name", ""), "default") &&
		    json_object_get(object, "spec"))
			return json_incref(json_object_get(object, "spec"));
	return json_object();
}

static void show_ip(const struct arguments *arguments, const struct ipam_view *view)
{
	_cleanup_json_ json_t *found = NULL;
	union mg_addr addr;
	const char *key;
	json_t *value;

	if (addr_parse(arguments->ip, &addr) < 0) {
		ctl_error(arguments->show.ctl, "--ip: \"%s\" is not an address", arguments->ip);
		return;
	}
	found = ipam_lookup(view->lists[LIST_BLOCKS], &addr);
	if (arguments->show.output.format != OUTPUT_TABLE &&
	    arguments->show.output.format != OUTPUT_WIDE) {
		if (found)
			show_print(&arguments->show, &(struct show){ 0 }, found);
		return;
	}
	if (!json_text_at(found, "handle")) {
		printf("%s is not assigned\n", arguments->ip);
		return;
	}
	printf("IP %s is in use\nHandle: %s\nAttributes:\n", arguments->ip,
	       json_text_at(found, "handle"));
	json_object_foreach(json_object_get(found, "attributes"), key, value)
		printf("  %s: %s\n", key, json_string_value(value));
}

static void answer(const struct arguments *arguments, const struct ipam_view *view)
{
	static const struct show pools = { COLUMNS(usage_columns),
					   .nothing = "There are no IP pools.", .rows = pool_rows };
	static const struct show blocks = { COLUMNS(usage_columns),
					    .nothing = "There are no IP pools.",
					    .rows = block_rows };
	static const struct show borrowed = { COLUMNS(borrowed_columns),
					      .nothing = "No address is borrowed." };
	static const struct show configuration = { COLUMNS(configuration_columns),
						   .rows = property_rows };
	const struct ipam_objects objects = ipam_view_objects(view);
	_cleanup_json_ json_t *usage = ipam_usage(&objects, ipam_now());
	_cleanup_json_ json_t *spec = configuration_of(view->lists[LIST_CONFIGURATIONS]);

	if (arguments->ip)
		show_ip(arguments, view);
	else if (arguments->configuration)
		show_print(&arguments->show, &configuration, spec);
	else if (arguments->borrowed)
		show_print(&arguments->show, &borrowed, json_object_get(usage, "borrowed"));
	else
		show_print(&arguments->show, arguments->blocks ? &blocks : &pools, usage);
}

int verb_ipam_show(struct ctl *ctl, int argc, char **argv)
{
	static const struct argp_child children[] = { { &show_argp, 0, NULL, 0 }, { 0 } };
	const struct argp argp = { .options = options,
				   .parser = parse,
				   .doc = "How full pools and blocks are.",
				   .children = children };
	struct arguments arguments = { .show.ctl = ctl };
	struct ipam_view view;

	argp_parse(&argp, argc, argv, 0, NULL, &arguments);
	if (ipam_view_read(ctl, LIST_AFFINITIES, &view) < 0)
		return 1;
	answer(&arguments, &view);
	ipam_view_done(&view);
	return ctl->failed;
}
