/* SPDX-License-Identifier: Apache-2.0 */
/*
 * In the child: the tables of a settled engine are noted down and live flows judged, the candidate
 * is told, and both are done again.
 */
#include <errno.h>
#include <string.h>

#include "agent/hosts.h"
#include "agent/policy_diff.h"
#include "agent/policy_diff_words.h"
#include "agent/replay.h"
#include "agent/uplink.h"
#include "base/json.h"
#include "model/decode.h"
#include "model/host.h"
#include "policy/compare.h"

#define BUILDS_MAX 8 /* until nothing is pending */

/* Nobody reads this copy's numbers: what is replaced is free at once. */
static int build(struct agent *agent, bool *ret_more, struct err *err)
{
	const struct plan *plan;
	int r = engine_build(agent->engine, &plan, err);

	*ret_more = r == -EAGAIN || (!r && engine_pending(agent->engine));
	return r == -EAGAIN ? 0 : r;
}

static int settle(struct agent *agent, struct err *err)
{
	bool more = true;
	int r = 0;

	engine_applied(agent->engine);
	engine_grace_done(agent->engine, engine_applied_build(agent->engine));
	for (int i = 0; i < BUILDS_MAX && !r && more; i++) {
		r = build(agent, &more, err);
		engine_applied(agent->engine);
		engine_grace_done(agent->engine, engine_applied_build(agent->engine));
	}
	return r;
}

/* --- the candidate ------------------------------------------------------------------------- */

/* Pools are put in force by agent/pools.c, and have no part in policy but by who is unknown. */
static bool is_told(const struct object *object)
{
	return object->kind != KIND_IP_POOL && object->kind != KIND_IPAM_BLOCK &&
	       object->kind != KIND_NODE;
}

static int tell(struct agent *agent, const json_t *tree, struct policy_diff_report *report,
		struct err *err)
{
	_cleanup_problems_ struct problems problems = { 0 };
	_cleanup_object_ struct object *object = NULL;
	int r = object_decode(tree, &(struct decode_options){ .mode = DECODE_LENIENT }, &object,
			      &problems);

	if (r < 0)
		return err_set(err, r, "%s %s does not decode", json_text_or(tree, "kind", "?"),
			       json_text_or(tree, "metadata.name", "?"));
	if (!is_told(object)) {
		policy_diff_ignored(report, object);
		return 0;
	}
	state_object_set(agent->state, object);
	return 0;
}

/* Which endpoint would judge where: by a socket of its own. */
static int look_at_hosts(struct agent *agent, struct err *err)
{
	int r = net_open(&agent->net, err);

	return r < 0 ? r : uplinks_foresee(agent, err);
}

static int tell_all(struct agent *agent, const json_t *objects, struct policy_diff_report *report,
		    struct err *err)
{
	json_t *tree;
	size_t i;
	int r = 0;

	json_array_foreach(objects, i, tree) {
		r = tell(agent, tree, report, err);
		if (r < 0)
			return r;
	}
	return look_at_hosts(agent, err);
}

/* --- all of it ----------------------------------------------------------------------------- */

static int change(struct agent *agent, const json_t *objects, struct policy_diff_report *report,
		  struct err *err)
{
	bool more;
	int r = tell_all(agent, objects, report, err);

	if (!r && engine_pending(agent->engine))
		r = build(agent, &more, err);
	if (r == -ENOSPC)
		return err_wrap(err, r, "it would not come into force");
	if (!r)
		hosts_apply(agent);
	return r;
}

int policy_diff_answer(struct agent *agent, const json_t *objects, json_t **ret_answer,
		       struct err *err)
{
	struct replay *flows = replay_read(agent);
	struct policy_diff_report *report;
	struct compare *before;
	int r = settle(agent, err);

	if (r < 0)
		return err_wrap(err, r, "what is in force");
	report = policy_diff_report(agent);
	before = compare_begin(agent->engine);
	replay_judge(flows, agent, 0);
	r = change(agent, objects, report, err);
	if (r < 0)
		return r;
	compare_run(before, agent->engine, policy_diff_change, report);
	replay_judge(flows, agent, 1);
	policy_diff_flows(report, flows);
	*ret_answer = policy_diff_json(report);
	return 0; /* the process ends: nothing is given back */
}
