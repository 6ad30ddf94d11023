/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/move.h"

#include <errno.h>

#include "agent/endpoint.h"
#include "agent/quiet.h"
#include "agent/reconcile.h"
#include "base/arena.h"
#include "base/log.h"

#define PAUSE_MS 100 /* between two of them: a pod that starts comes in between */

struct move {
	struct quiet_work work;
	uint16_t slot;
	int ifindex;
	const struct dp_attach_ops *ops;
	int from_pod, to_pod; /* the agent's descriptors */
};

/* Another one may have come to the slot: what it waits for is the same. */
static struct endpoint *endpoint_of(const struct agent *agent, const struct move *move)
{
	struct endpoint *endpoint = agent->by_slot[move->slot];

	return endpoint && endpoint->moves ? endpoint : NULL;
}

/* The worse of both directions. */
static int look(const struct move *move, enum dp_place *ret_place, struct err *err)
{
	enum dp_place in, out;
	int r = dp_attach_place(move->ops, move->ifindex, DP_INGRESS, move->from_pod, &in, err);

	if (!r)
		r = dp_attach_place(move->ops, move->ifindex, DP_EGRESS, move->to_pod, &out, err);
	if (!r)
		*ret_place = in > out ? in : out;
	return r;
}

static void set_twice(struct agent *agent, struct endpoint *endpoint, bool twice)
{
	if (endpoint->twice == twice)
		return;
	endpoint->twice = twice;
	endpoint_changed(agent, endpoint);
}

/* It is as it should be. */
static void settle(struct agent *agent, struct endpoint *endpoint)
{
	endpoint->moves = false;
	set_twice(agent, endpoint, false);
}

/* False: another look, by an event or by the minute, decides. */
static bool is_to_move(struct agent *agent, struct endpoint *endpoint, const struct move *move)
{
	enum dp_place place;

	if (look(move, &place, NULL) || place == DP_PLACE_WRONG) {
		endpoint->moves = false;
		endpoint->look = true;
		agent_dirty(agent, CHANGE_HOOKS);
		return false;
	}
	if (place == DP_PLACE_RIGHT)
		settle(agent, endpoint);
	return place == DP_PLACE_OTHER;
}

static bool begin(struct agent *agent, struct quiet_work *work)
{
	struct move *move = (struct move *)work;
	struct endpoint *endpoint = endpoint_of(agent, move);

	if (!endpoint)
		return false;
	move->ops = agent->attach;
	move->ifindex = (int)endpoint->ifindex;
	move->from_pod = dp_prog_fd(agent->dp, "from_pod");
	move->to_pod = dp_prog_fd(agent->dp, "to_pod");
	/* Before the takeover old programs are at the devices, which know no such flag. */
	if (!agent->took_over || !endpoint->ready) {
		endpoint->moves = false;
		return false;
	}
	if (!is_to_move(agent, endpoint, move))
		return false;
	set_twice(agent, endpoint, true);
	reconcile(agent);
	endpoint->moves = endpoint->ready;
	return endpoint->ready;
}

static int run(struct quiet_work *work, struct err *err)
{
	const struct move *move = (struct move *)work;
	int r = dp_attach_softly(move->ops, move->ifindex, DP_INGRESS, move->from_pod, err);

	return r ? r : dp_attach_softly(move->ops, move->ifindex, DP_EGRESS, move->to_pod, err);
}

static void release(struct quiet_work *work)
{
	free(work);
}

static void done(struct agent *agent, struct quiet_work *work, int result, const struct err *err)
{
	const struct move *move = (struct move *)work;
	struct endpoint *endpoint = endpoint_of(agent, move);
	bool same = endpoint && endpoint->ifindex == (uint32_t)move->ifindex;

	if (same && result < 0 && result != -ENODEV)
		log_warning("programs of a pod", "interface", endpoint->host_ifname, "why",
			    err->text, NULL);
	else if (same)
		settle(agent, endpoint);
	if (endpoint && endpoint->moves)
		quiet_add(agent, work);
	else
		release(work);
}

void move_want(struct agent *agent, struct endpoint *endpoint)
{
	struct move *move;

	if (endpoint->moves)
		return;
	endpoint->moves = true;
	move = xcalloc(1, sizeof(*move));
	move->work = (struct quiet_work){
		.begin = begin, .run = run, .done = done, .release = release, .pause_ms = PAUSE_MS
	};
	move->slot = endpoint->slot;
	quiet_add(agent, &move->work);
}
