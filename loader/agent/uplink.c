/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/uplink.h"

#include <errno.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <net/if_arp.h>
#include <string.h>

#include "agent/hosts.h"
#include "agent/settings.h"
#include "base/inet.h"
#include "base/log.h"
#include "dataplane/pins.h"
#include "dataplane/uplink.h"

uint32_t uplink_mtu(const struct agent *agent, int ifindex)
{
	for (unsigned int i = 0; i < agent->uplink_count; i++) {
		if (agent->uplinks[i].ifindex == ifindex)
			return agent->uplinks[i].row.mtu;
	}
	return 0;
}

static bool has_ethernet(const struct net_link *link)
{
	return link->type == ARPHRD_ETHER;
}

static void find_sources(const struct net_addr *addrs, size_t count, struct uplink *uplink)
{
	for (size_t i = 0; i < count; i++) {
		bool is4 = addr_is4(&addrs[i].addr);
		union mg_addr *source = is4 ? &uplink->row.ip4 : &uplink->row.ip6;

		if (addrs[i].ifindex == uplink->ifindex && addrs[i].scope == RT_SCOPE_UNIVERSE &&
		    !(addrs[i].flags & (IFA_F_TEMPORARY | IFA_F_DEPRECATED)) &&
		    addr_is_zero(source))
			*source = addrs[i].addr;
	}
}

static void take_mtu(struct agent *agent, __u32 mtu)
{
	if (!agent->facts.uplink_mtu || mtu < agent->facts.uplink_mtu)
		agent->facts.uplink_mtu = mtu;
}

static void add_uplink(struct agent *agent, const struct net_link *link,
		       const struct net_addr *addrs, size_t addr_count)
{
	struct uplink *uplink = &agent->uplinks[agent->uplink_count++];

	memset(uplink, 0, sizeof(*uplink));
	uplink->ifindex = link->ifindex;
	memcpy(uplink->name, link->name, sizeof(uplink->name));
	uplink->row.mtu = link->mtu;
	uplink->row.flags = has_ethernet(link) ? 0 : MG_UPLINK_L3;
	uplink->row.host = hosts_in_force(agent, link->ifindex);
	uplink->host = hosts_slot(agent, link, addrs, addr_count);
	find_sources(addrs, addr_count, uplink);
}

static bool is_uplink(const struct agent *agent, const struct net_link *link)
{
	if (hosts_name(agent, link->name) && !link->master)
		return true;
	return agent->data_pattern && uplink_matches(link, agent->data_pattern);
}

static void collect(struct agent *agent, const struct net_link *links, size_t link_count,
		    const struct net_addr *addrs, size_t addr_count)
{
	agent->uplink_count = 0;
	agent->facts.uplink_mtu = 0;
	for (size_t i = 0; i < link_count; i++) {
		if (!(links[i].flags & IFF_UP))
			continue;
		if (settings_is_mtu_link(agent, links[i].name))
			take_mtu(agent, links[i].mtu);
		if (is_uplink(agent, &links[i]) && agent->uplink_count < UPLINKS_MAX)
			add_uplink(agent, &links[i], addrs, addr_count);
	}
	if (agent->facts.uplink_mtu)
		return;
	for (unsigned int i = 0; i < agent->uplink_count; i++)
		take_mtu(agent, agent->uplinks[i].row.mtu);
}

static int attach_one(struct agent *agent, int ifindex, const char *name, const char *program,
		      enum dp_way way, struct err *err)
{
	int fd = dp_prog_fd(agent->dp, program), r;

	if (fd < 0)
		return err_errno(err, fd, "program %s", program);
	r = dp_attach_repair(agent->attach, ifindex, way, fd, err);
	if (r == 1)
		log_info("attached", "interface", name, "program", program, NULL);
	return r < 0 ? err_wrap(err, r, "%s", name) : 0;
}

static int attach_all(struct agent *agent, struct err *err)
{
	int first = 0, r;

	for (unsigned int i = 0; i < agent->uplink_count; i++) {
		const struct uplink *uplink = &agent->uplinks[i];
		struct err *where = first ? NULL : err;

		r = attach_one(agent, uplink->ifindex, uplink->name, "from_netdev", DP_INGRESS,
			       where);
		if (!r)
			r = attach_one(agent, uplink->ifindex, uplink->name, "to_netdev", DP_EGRESS,
				       where);
		if (r < 0 && !first)
			first = r;
	}
	if (!first && agent->facts.vxlan_ifindex)
		first = attach_one(agent, (int)agent->facts.vxlan_ifindex, DP_VXLAN_NAME,
				   "from_tunnel", DP_INGRESS, err);
	return first;
}

/* The socket of an idle device is what switches receive offloads for VXLAN on. */
static int ensure_vxlan(struct agent *agent, struct err *err)
{
	const struct felix_params *params = state_params(agent->state);
	const struct net_vxlan vxlan = { .port = (__u16)params->vxlan_port,
					 .mac = agent->vtep_mac };
	int ifindex, r;

	agent->facts.vxlan_ifindex = 0;
	if (!state_uses_vxlan(agent->state) && !agent->facts.accept_vxlan)
		return net_vxlan_remove(agent->net, DP_VXLAN_NAME, err);
	r = net_vxlan_ensure(agent->net, &vxlan, &ifindex, err);
	if (!r)
		agent->facts.vxlan_ifindex = (uint32_t)ifindex;
	return r;
}

int uplinks_foresee(struct agent *agent, struct err *err)
{
	_cleanup_free_ struct net_link *links = NULL;
	_cleanup_free_ struct net_addr *addrs = NULL;
	size_t link_count, addr_count;
	int r;

	r = net_link_list(agent->net, &links, &link_count, err);
	if (!r)
		r = net_addr_list(agent->net, 0, &addrs, &addr_count, err);
	if (r < 0)
		return r;
	hosts_look(agent);
	collect(agent, links, link_count, addrs, addr_count);
	return 0;
}

int uplinks_look(struct agent *agent, struct err *err)
{
	int r = uplinks_foresee(agent, err);

	return r < 0 ? r : ensure_vxlan(agent, err);
}

/* --- what is no uplink any more -------------------------------------------------------------- */

bool uplink_is_attached(const struct agent *agent, int ifindex)
{
	for (unsigned int i = 0; i < UPLINKS_MAX; i++) {
		if (agent->attached[i] == ifindex)
			return true;
	}
	return false;
}

static void detach(int ifindex, const char *name)
{
	struct err err;

	if (dp_detach_all(ifindex, &err) < 0)
		log_warning("not detached", "interface", name, "why", err.text, NULL);
	else
		log_info("detached", "interface", name, NULL);
}

static bool carries_uplink(const struct agent *agent, int ifindex)
{
	int fd = dp_prog_fd(agent->dp, "from_netdev");
	struct dp_attached now;
	__u32 id;

	return fd >= 0 && !prog_id_of(fd, &id) &&
	       !agent->attach->query(ifindex, DP_INGRESS, &now, NULL) && now.id == id;
}

/* A former agent may have had another pattern. */
static int sweep(struct agent *agent, struct err *err)
{
	_cleanup_free_ struct net_link *links = NULL;
	size_t count;
	int r;

	if (agent->swept)
		return 0;
	r = net_link_list(agent->net, &links, &count, err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < count; i++) {
		if (!uplink_mtu(agent, links[i].ifindex) && carries_uplink(agent, links[i].ifindex))
			detach(links[i].ifindex, links[i].name);
	}
	agent->swept = true;
	return 0;
}

static void forget_former(struct agent *agent)
{
	for (unsigned int i = 0; i < UPLINKS_MAX; i++) {
		struct net_link link;

		if (agent->attached[i] && !uplink_mtu(agent, agent->attached[i]) &&
		    !net_link_get(agent->net, agent->attached[i], &link, NULL))
			detach(link.ifindex, link.name);
		agent->attached[i] = i < agent->uplink_count ? agent->uplinks[i].ifindex : 0;
	}
}

int uplinks_attach(struct agent *agent, struct err *err)
{
	int r = attach_all(agent, err);
	int swept;

	forget_former(agent);
	swept = sweep(agent, r < 0 ? NULL : err);
	return r < 0 ? r : swept;
}
