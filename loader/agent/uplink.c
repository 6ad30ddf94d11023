/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/uplink.h"

#include <errno.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <net/if_arp.h>
#include <regex.h>
#include <string.h>

#include "base/inet.h"
#include "base/log.h"
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

static int collect(struct agent *agent, const regex_t *pattern, struct err *err)
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
	agent->uplink_count = 0;
	agent->facts.uplink_mtu = 0;
	for (size_t i = 0; i < link_count && agent->uplink_count < UPLINKS_MAX; i++) {
		struct uplink *uplink = &agent->uplinks[agent->uplink_count];

		if (!uplink_matches(&links[i], pattern))
			continue;
		memset(uplink, 0, sizeof(*uplink));
		uplink->ifindex = links[i].ifindex;
		memcpy(uplink->name, links[i].name, sizeof(uplink->name));
		uplink->row.mtu = links[i].mtu;
		uplink->row.flags = has_ethernet(&links[i]) ? 0 : MG_UPLINK_L3;
		find_sources(addrs, addr_count, uplink);
		if (!agent->facts.uplink_mtu || links[i].mtu < agent->facts.uplink_mtu)
			agent->facts.uplink_mtu = links[i].mtu;
		agent->uplink_count++;
	}
	return 0;
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
		return 0;
	r = net_vxlan_ensure(agent->net, &vxlan, &ifindex, err);
	if (!r)
		r = attach_one(agent, ifindex, DP_VXLAN_NAME, "from_tunnel", DP_INGRESS, err);
	if (!r)
		agent->facts.vxlan_ifindex = (uint32_t)ifindex;
	return r;
}

int uplinks_refresh(struct agent *agent, struct err *err)
{
	const char *text = state_params(agent->state)->data_iface_pattern;
	regex_t pattern;
	int r, vxlan;

	if (regcomp(&pattern, text, REG_EXTENDED | REG_NOSUB))
		return err_set(err, -EINVAL, "bpfDataIfacePattern \"%s\": no regular expression",
			       text);
	r = collect(agent, &pattern, err);
	regfree(&pattern);
	if (r < 0)
		return r;
	r = attach_all(agent, err);
	vxlan = ensure_vxlan(agent, r < 0 ? NULL : err);
	return r < 0 ? r : vxlan;
}
