/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/restore.h"

#include <errno.h>
#include <string.h>

#include "base/arena.h"
#include "base/inet.h"

#define TURN 512 /* rows read at once */

/* All rows of a map, values (and keys, where wanted) behind one another. */
struct rows {
	unsigned char *keys;
	unsigned char *values;
	size_t count;
	size_t room;
};

static void rows_done(struct rows *rows)
{
	free(rows->keys);
	free(rows->values);
}
#define _cleanup_rows_ _cleanup_(rows_done)

static int rows_read(const struct dp *dp, const char *name, struct rows *rows, struct err *err)
{
	const struct dp_map *map = dp_get_map(dp, name);
	struct dp_cursor cursor = { .started = false };
	size_t got;
	int r;

	if (!map)
		return err_set(err, -ENOENT, "map %s", name);
	while (!cursor.end) {
		if (rows->room < rows->count + TURN) {
			rows->room = rows->room ? rows->room * 2 : TURN;
			rows->keys = xrealloc(rows->keys, rows->room, map->key_size);
			rows->values = xrealloc(rows->values, rows->room, map->row_size);
		}
		r = dp_map_next(map, &cursor, rows->keys + rows->count * map->key_size,
				rows->values + rows->count * map->row_size, TURN, &got);
		if (r < 0)
			return err_errno(err, r, "read %s", name);
		rows->count += got;
	}
	return 0;
}

/* An array map in the order of its keys: batches come in that order already. */
static int array_read(const struct dp *dp, const char *name, struct rows *rows, struct err *err)
{
	int r = rows_read(dp, name, rows, err);

	for (size_t i = 0; !r && i < rows->count; i++) {
		__u32 key;

		memcpy(&key, rows->keys + i * sizeof(key), sizeof(key));
		if (key != i)
			r = err_set(err, -EBADMSG, "map %s: row %zu has key %u", name, i, key);
	}
	return r;
}

struct page_reader {
	struct agent *agent;
	struct mg_page page;
};

static const struct mg_page *read_page(void *context, uint32_t number)
{
	struct page_reader *reader = context;

	if (dp_pages_read(reader->agent->pages, number, &reader->page) < 0)
		return NULL;
	return &reader->page;
}

static int restore_peers(struct agent *agent, struct err *err)
{
	_cleanup_rows_ struct rows rows = { 0 };
	int r = array_read(agent->dp, "mg_peers", &rows, err);

	for (size_t i = 1; !r && i < rows.count; i++) {
		struct mg_peer row;

		memcpy(&row, rows.values + i * sizeof(row), sizeof(row));
		if (row.flags & MG_PEER_KNOWN)
			state_restore_peer(agent->state, (uint16_t)i, &row);
	}
	return r;
}

static struct engine_kernel_addr *kernel_addrs(const struct rows *rows)
{
	struct engine_kernel_addr *addrs = xcalloc(rows->count, sizeof(*addrs));
	const union mg_addr *keys = (const union mg_addr *)rows->keys;
	const struct mg_ident *values = (const struct mg_ident *)rows->values;

	for (size_t i = 0; i < rows->count; i++)
		addrs[i] = (struct engine_kernel_addr){ .addr = keys[i],
							.identity = values[i].identity };
	return addrs;
}

static struct engine_kernel_net *kernel_nets(const struct rows *rows)
{
	struct engine_kernel_net *nets = xcalloc(rows->count, sizeof(*nets));
	const struct mg_prefix *keys = (const struct mg_prefix *)rows->keys;
	const struct mg_ident *values = (const struct mg_ident *)rows->values;

	for (size_t i = 0; i < rows->count; i++)
		nets[i] = (struct engine_kernel_net){ .prefix = keys[i],
						      .identity = values[i].identity };
	return nets;
}

static struct engine_kernel_rule *kernel_rules(const struct rows *rows)
{
	struct engine_kernel_rule *rules = xcalloc(rows->count, sizeof(*rules));

	for (size_t i = 0; i < rows->count; i++) {
		memcpy(&rules[i].number, rows->keys + i * sizeof(__u32), sizeof(__u32));
		memcpy(&rules[i].digest, rows->values + i * sizeof(struct mg_digest),
		       sizeof(struct mg_digest));
	}
	return rules;
}

enum { IDENT_DIG, SET_DIG, SETS, CLASSES, VERDICTS, SLOTS, COMMITS, ARRAYS };

static int restore_engine(struct agent *agent, struct err *err)
{
	static const char *const names[ARRAYS] = { "mg_ident_dig", "mg_set_dig",  "mg_sets",
						   "mg_classes",   "mg_verdicts", "mg_slots",
						   "mg_commits" };
	_cleanup_rows_ struct rows addr_rows = { 0 }, net_rows = { 0 }, rule_rows = { 0 };
	_cleanup_free_ struct engine_kernel_addr *addrs = NULL;
	_cleanup_free_ struct engine_kernel_net *nets = NULL;
	_cleanup_free_ struct engine_kernel_rule *rules = NULL;
	struct page_reader reader = { .agent = agent };
	struct rows array[ARRAYS] = { 0 };
	int r = 0;

	for (unsigned int i = 0; i < ARRAYS && !r; i++)
		r = array_read(agent->dp, names[i], &array[i], err);
	if (!r)
		r = rows_read(agent->dp, "mg_addrs", &addr_rows, err);
	if (!r)
		r = rows_read(agent->dp, "mg_nets", &net_rows, err);
	if (!r)
		r = rows_read(agent->dp, "mg_rule_dig", &rule_rows, err);
	if (!r) {
		addrs = kernel_addrs(&addr_rows);
		nets = kernel_nets(&net_rows);
		rules = kernel_rules(&rule_rows);
		engine_restore(agent->engine, &(struct engine_kernel){
						      .ident_dig = (void *)array[IDENT_DIG].values,
						      .ident_count = array[IDENT_DIG].count,
						      .set_dig = (void *)array[SET_DIG].values,
						      .set_dig_count = array[SET_DIG].count,
						      .sets = (void *)array[SETS].values,
						      .set_count = array[SETS].count,
						      .classes = (void *)array[CLASSES].values,
						      .class_count = array[CLASSES].count,
						      .verdicts = (void *)array[VERDICTS].values,
						      .verdict_count = array[VERDICTS].count,
						      .slots = (void *)array[SLOTS].values,
						      .slot_count = array[SLOTS].count,
						      .commits = (void *)array[COMMITS].values,
						      .commit = agent->control->commit,
						      .page = read_page,
						      .page_count = dp_pages_capacity(agent->pages),
						      .ctx = &reader,
						      .rules = rules,
						      .rule_count = rule_rows.count,
						      .addrs = addrs,
						      .addr_count = addr_rows.count,
						      .nets = nets,
						      .net_count = net_rows.count,
					      });
	}
	for (unsigned int i = 0; i < ARRAYS; i++)
		rows_done(&array[i]);
	return r;
}

int restore_read(struct agent *agent, struct err *err)
{
	int r;

	/* Fresh maps: nobody has committed anything. */
	if (!agent->control->commit && !agent->control->change)
		return 0;
	r = restore_peers(agent, err);
	return r < 0 ? r : restore_engine(agent, err);
}
