/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/node_condition.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include "agent/node.h"
#include "base/json.h"
#include "base/log.h"
#include "base/utc.h"

#define TYPE "NetworkUnavailable"
#define REASON_UP "MargayIsUp"
#define REASON_DOWN "MargayIsDown"
#define TRIES 100 /* a kubelet writes the same status */

static json_t *find(const json_t *node, size_t *ret_at)
{
	const json_t *list = json_at(node, "status.conditions");
	json_t *condition;
	size_t i;

	json_array_foreach((json_t *)list, i, condition) {
		if (strcmp(json_text_or(condition, "type", ""), TYPE) != 0)
			continue;
		*ret_at = i;
		return condition;
	}
	return NULL;
}

static enum node_condition said(const json_t *node)
{
	size_t at;
	const json_t *condition = find(node, &at);

	if (!condition)
		return NODE_CONDITION_ABSENT;
	if (!strcmp(json_text_or(condition, "status", ""), "False"))
		return NODE_CONDITION_UP;
	return strcmp(json_text_or(condition, "reason", ""), REASON_DOWN) ? NODE_CONDITION_OTHERS
									  : NODE_CONDITION_DOWN;
}

static json_t *make(bool up)
{
	char now[UTC_TEXT_MAX];

	utc_format((uint64_t)time(NULL) * 1000, now);
	return json_pack("{s:s,s:s,s:s,s:s,s:s,s:s}", "type", TYPE, "status", up ? "False" : "True",
			 "reason", up ? REASON_UP : REASON_DOWN, "message",
			 up ? "Margay is running on this node"
			    : "Margay is shutting down on this node",
			 "lastHeartbeatTime", now, "lastTransitionTime", now);
}

static json_t *with_condition(const json_t *node, bool up)
{
	json_t *changed = json_deep_copy(node), *status, *list;
	size_t at = 0;

	status = json_object_get(changed, "status");
	if (!status) {
		status = json_object();
		json_object_set_new(changed, "status", status);
	}
	list = json_object_get(status, "conditions");
	if (!json_is_array(list)) {
		list = json_array();
		json_object_set_new(status, "conditions", list);
	}
	if (find(changed, &at))
		json_array_set_new(list, at, make(up));
	else
		json_array_append_new(list, make(up));
	return changed;
}

/* 1: it stands so already. */
static int try_write(struct agent *agent, bool up, struct err *err)
{
	const struct store_key key = node_key(agent);
	_cleanup_json_ json_t *stored = NULL, *changed = NULL;
	struct store_write write = { .op = STORE_UPDATE_STATUS };
	int r = store_get(agent->store, &key, &stored, err);

	if (r < 0)
		return r;
	if (said(stored) == (up ? NODE_CONDITION_UP : NODE_CONDITION_DOWN))
		return 1;
	changed = with_condition(stored, up);
	write.object = changed;
	r = store_commit(agent->store, &write, 1, err);
	store_writes_done(&write, 1);
	return r;
}

static int put(struct agent *agent, bool up, struct err *err)
{
	int r = -ESTALE;

	for (unsigned int tries = 0; tries < TRIES && r == -ESTALE; tries++)
		r = try_write(agent, up, err);
	return r < 0 ? err_wrap(err, r, "condition " TYPE) : 0;
}

void node_condition_seen(struct agent *agent, const json_t *node)
{
	agent->network_said = said(node);
}

static bool is_wanted(const struct agent *agent)
{
	if (!agent->network_told)
		return true;
	return agent->network_said == NODE_CONDITION_ABSENT ||
	       agent->network_said == NODE_CONDITION_DOWN;
}

void node_condition_look(struct agent *agent)
{
	if (!store_is_cluster(agent->store) || !agent->synced || agent->network_due ||
	    !is_wanted(agent))
		return;
	agent->network_due = true;
	node_changed(agent);
}

/* A Node that is gone comes back by its kubelet, and is seen then. */
int node_condition_write(struct agent *agent, struct err *err)
{
	int r;

	if (!agent->network_due)
		return 0;
	r = put(agent, true, err);
	if (r < 0 && r != -ENOENT)
		return r;
	agent->network_due = false;
	agent->network_told = true;
	agent->network_said = NODE_CONDITION_UP;
	return 0;
}

void node_condition_down(struct agent *agent)
{
	struct err err;
	int r;

	if (!agent->network_told || agent->store_down)
		return;
	r = put(agent, false, &err);
	if (r < 0 && r != -ENOENT)
		log_warning("the Node does not say that the agent ends", "why", err.text, NULL);
}
