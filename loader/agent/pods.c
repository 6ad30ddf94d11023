/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/pods.h"

#include <errno.h>
#include <string.h>

#include "agent/endpoint.h"
#include "agent/gone.h"
#include "agent/move.h"
#include "base/log.h"

/* What a veth device has by itself, and the points where filters hang. */
static bool counts(const struct net_qdisc *qdisc)
{
	return strcmp(qdisc->kind, "noqueue") && strcmp(qdisc->kind, "clsact") &&
	       strcmp(qdisc->kind, "ingress");
}

int pods_queues(struct agent *agent, struct err *err)
{
	_cleanup_free_ struct net_qdisc *qdiscs = NULL;
	bool *found = NULL;
	size_t count;
	int r = net_qdisc_list(agent->net, 0, &qdiscs, &count, err);

	if (r < 0)
		return r;
	found = xcalloc(agent->slots, sizeof(*found));
	for (size_t i = 0; i < count; i++) {
		struct endpoint *ep =
			counts(&qdiscs[i]) ? endpoint_of_ifindex(agent, qdiscs[i].ifindex) : NULL;
		if (ep)
			found[ep->slot] = true;
	}
	for (struct endpoint *ep = agent->endpoints; ep; ep = ep->hh.next) {
		if (!ep->committed || ep->has_queue == found[ep->slot])
			continue;
		ep->has_queue = found[ep->slot];
		endpoint_changed(agent, ep);
	}
	free(found);
	return 0;
}

/* What is protected but not as it should be in the end waits for a quiet moment. */
static int look_at(struct agent *agent, struct endpoint *ep, const char *program, enum dp_way way,
		   struct err *err)
{
	int fd = dp_prog_fd(agent->dp, program), r;
	enum dp_place place;

	if (fd < 0)
		return err_errno(err, fd, "program %s", program);
	r = dp_attach_place(agent->attach, (int)ep->ifindex, way, fd, &place, err);
	if (!r && place == DP_PLACE_OTHER)
		move_want(agent, ep);
	if (!r && place == DP_PLACE_WRONG)
		r = dp_attach_repair(agent->attach, (int)ep->ifindex, way, fd, err);
	if (r == 1)
		log_info("attached", "interface", ep->host_ifname, "program", program, NULL);
	return r < 0 ? err_wrap(err, r, "%s", ep->host_ifname) : 0;
}

static int look_at_both(struct agent *agent, struct endpoint *ep, struct err *err)
{
	struct net_link link;
	int r;

	if (!ep->committed)
		return 0;
	r = net_link_get(agent->net, (int)ep->ifindex, &link, NULL);
	/* DEL takes the interface away before it tells us. */
	if (r == -ENODEV)
		gone_note(agent, ep);
	if (r < 0)
		return 0;
	r = look_at(agent, ep, "from_pod", DP_INGRESS, err);
	if (!r)
		r = look_at(agent, ep, "to_pod", DP_EGRESS, err);
	/* An agent that was killed when the one way was gone and the row not yet written. */
	if (!r && ep->twice)
		move_want(agent, ep);
	return r == -ENODEV ? 0 : r;
}

int pods_refresh(struct agent *agent, bool all, struct err *err)
{
	int first = 0;

	for (struct endpoint *ep = agent->endpoints; ep; ep = ep->hh.next) {
		struct err own;
		int r = all || ep->look ? look_at_both(agent, ep, &own) : 0;

		ep->look = false;
		if (r < 0 && !first) {
			first = r;
			*err = own;
		}
	}
	return first;
}
