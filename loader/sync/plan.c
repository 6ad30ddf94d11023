/* SPDX-License-Identifier: Apache-2.0 */
#include "sync/plan.h"

#include <errno.h>
#include <string.h>

#include "abi/epoch.h"
#include "base/arena.h"
#include "base/err.h"
#include "base/inet.h"

static const char *const map_names[PLAN_MAPS] = {
	[PLAN_SET] = "mg_sets",		  [PLAN_CLASS] = "mg_classes",
	[PLAN_VERDICT] = "mg_verdicts",	  [PLAN_SLOT] = "mg_slots",
	[PLAN_COMMIT_ROW] = "mg_commits", [PLAN_IDENT_DIG] = "mg_ident_dig",
	[PLAN_SET_DIG] = "mg_set_dig",	  [PLAN_RULE_DIG] = "mg_rule_dig",
};

/* One run: what it writes to, and what happened. */
struct run {
	const struct plan_target *target;
	const struct dp_map *map[PLAN_MAPS];
	const struct dp_map *addrs, *nets, *counters;
	struct plan_report report;
	bool nets_changed;
	struct err *err;
	int result; /* first failure of a callback */
};

static int find_maps(struct run *run)
{
	for (unsigned int i = 0; i < PLAN_MAPS; i++) {
		if (!map_names[i])
			continue;
		run->map[i] = dp_get_map(run->target->dp, map_names[i]);
		if (!run->map[i])
			return err_set(run->err, -ENOENT, "map %s", map_names[i]);
	}
	run->addrs = dp_get_map(run->target->dp, "mg_addrs");
	run->nets = dp_get_map(run->target->dp, "mg_nets");
	run->counters = dp_get_map(run->target->dp, "mg_rule_stats");
	if (!run->addrs || !run->nets || !run->counters)
		return err_set(run->err, -ENOENT, "map mg_addrs, mg_nets or mg_rule_stats");
	return 0;
}

/* A number that is given anew counts from zero. Rules beyond the map are not counted. */
static int clear_counters(struct run *run, __u32 rule)
{
	_cleanup_free_ void *zero = NULL;

	if (rule >= run->counters->entries)
		return 0;
	zero = xcalloc(1, run->counters->row_size);
	return dp_map_set(run->counters, &rule, zero);
}

static int write_row(struct run *run, const struct plan_row *row)
{
	const char *name = row->map == PLAN_PAGE ? "mg_pages" : map_names[row->map];
	struct mg_page scratch;
	const void *value;
	size_t size;
	int r;

	if (row->del) {
		r = dp_map_delete(run->map[row->map], &row->key);
		return r == -ENOENT ? 0 : r;
	}
	value = plan_value(run->target->engine, row, &scratch, &size);
	if (row->map == PLAN_PAGE)
		r = dp_pages_write(run->target->pages, row->key, value);
	else if (size != run->map[row->map]->value_size)
		r = -EINVAL;
	else
		r = dp_map_set(run->map[row->map], &row->key, value);
	if (!r && row->map == PLAN_RULE_DIG)
		r = clear_counters(run, row->key);
	run->report.rows++;
	return r < 0 ? err_errno(run->err, r, "%s row %u", name, row->key) : 0;
}

static int write_rows(struct run *run, const struct plan *plan, enum plan_phase phase)
{
	int r = 0;

	for (size_t i = 0; i < plan->row_count[phase] && !r; i++)
		r = write_row(run, &plan->row[phase][i]);
	return r;
}

/* --- rows of addresses and nets ------------------------------------------------------------ */

static int drop(struct run *run, const struct dp_map *map, const void *key, bool *ret_changed)
{
	int r = run->target->removal ? dp_map_delete(map, key) : -ENOENT;

	*ret_changed = !r;
	if (r < 0 && r != -ENOENT)
		return err_errno(run->err, r, "remove from %s", map->name);
	return 0;
}

/* Writes what differs; true in ret_changed if it did. row NULL: there shall be none. A trie's
 * lookup finds the row around where there is no row of key: that one has another slot. */
static int put(struct run *run, const struct dp_map *map, const void *key,
	       const struct mg_ident *row, bool *ret_changed)
{
	struct mg_ident before;
	int r;

	*ret_changed = false;
	if (!row) {
		r = drop(run, map, key, ret_changed);
		run->report.moved += *ret_changed;
		return r;
	}
	r = dp_map_get(map, key, &before);
	if (r < 0 && r != -ENOENT)
		return err_errno(run->err, r, "read %s", map->name);
	if (!r && !memcmp(&before, row, sizeof(before)))
		return 0;
	r = dp_map_set(map, key, row);
	if (r < 0)
		return err_errno(run->err, r, "write %s", map->name);
	*ret_changed = true;
	run->report.moved++;
	return 0;
}

static int put_addr(struct run *run, const union mg_addr *addr, uint16_t identity)
{
	struct mg_ident row;
	bool wanted = !state_addr_row(run->target->state, addr, identity, &row), changed;
	int r = put(run, run->addrs, addr, wanted ? &row : NULL, &changed);

	if (changed)
		dp_control_raise(&run->target->control->epoch[mg_epoch_hash(addr)]);
	return r;
}

static int put_net(struct run *run, const struct mg_prefix *prefix, uint16_t identity, bool gone)
{
	struct mg_ident row;
	bool wanted, changed;
	int r;

	state_net_row(run->target->state, prefix, identity, &row, &wanted);
	/* A prefix of /0 of IPv4 or IPv6 is a row like any other. */
	r = put(run, run->nets, prefix, wanted || !gone ? &row : NULL, &changed);
	run->nets_changed |= changed;
	return r;
}

static int write_moves(struct run *run, const struct plan *plan)
{
	int r = 0;

	for (size_t i = 0; i < plan->move_count && !r; i++) {
		const struct plan_move *move = &plan->move[i];
		union mg_addr addr = move->prefix.addr;

		r = move->net ? put_net(run, &move->prefix, move->identity, move->gone)
			      : put_addr(run, &addr, move->identity);
	}
	return r;
}

static void write_touched(void *context, const struct mg_prefix *prefix, bool net)
{
	struct run *run = context;
	union mg_addr addr = prefix->addr;
	uint16_t identity = 0;
	int known;

	if (run->result < 0)
		return;
	if (net) {
		known = engine_net_identity(run->target->engine, prefix, &identity);
		run->result = put_net(run, prefix, identity, known < 0);
	} else {
		known = engine_addr_identity(run->target->engine, &addr, &identity);
		/* A node's own address may be unknown to the engine: identity of its region. */
		if (known < 0)
			identity = engine_region_identity(run->target->engine, prefix);
		run->result = put_addr(run, &addr, identity);
	}
}

static void commit(struct run *run, const struct plan *plan)
{
	struct mg_control *control = run->target->control;

	if (run->nets_changed)
		dp_control_raise(&control->net_epoch);
	if (plan->commits) {
		dp_control_store(&control->commit, plan->commit);
		run->report.committed = true;
	}
	if (plan->hosts)
		dp_control_raise(&control->host_epoch);
}

int plan_write(const struct plan_target *target, const struct plan *plan,
	       struct plan_report *ret_report, struct err *err)
{
	struct run run = { .target = target, .err = err };
	int r = find_maps(&run);

	if (!r)
		r = write_rows(&run, plan, PLAN_FILL);
	if (!r)
		r = write_rows(&run, plan, PLAN_MOVE);
	if (!r)
		r = write_moves(&run, plan);
	if (!r) {
		state_touched(target->state, write_touched, &run);
		r = run.result;
	}
	if (!r)
		r = write_rows(&run, plan, PLAN_PREPARE);
	if (!r)
		r = write_rows(&run, plan, PLAN_COMMIT);
	if (!r) {
		commit(&run, plan);
		r = write_rows(&run, plan, PLAN_AFTER);
	}
	/* Also after a failure: what was written must reach live flows. */
	if (plan->changes || run.report.moved)
		dp_control_raise(&target->control->change);
	if (r < 0)
		return r;
	*ret_report = run.report;
	return 0;
}
