/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <netinet/in.h>

#include "base/err.h"
#include "dataplane/nl.h"

/* What tells an idle device of ours from another VXLAN device. */
struct found {
	__be16 port;
	bool external;
};

static int on_vxlan(struct nlmsghdr *answer, void *data)
{
	struct nlattr *tb[IFLA_MAX + 1], *info[IFLA_INFO_MAX + 1], *vxlan[IFLA_VXLAN_MAX + 1];
	struct found *found = data;

	if (nlmsg_parse(answer, sizeof(struct ifinfomsg), tb, IFLA_MAX, NULL) < 0 ||
	    !tb[IFLA_LINKINFO] || nla_parse_nested(info, IFLA_INFO_MAX, tb[IFLA_LINKINFO], NULL) ||
	    !info[IFLA_INFO_DATA] ||
	    nla_parse_nested(vxlan, IFLA_VXLAN_MAX, info[IFLA_INFO_DATA], NULL))
		return 0;
	found->port = vxlan[IFLA_VXLAN_PORT] ? nla_get_u16(vxlan[IFLA_VXLAN_PORT]) : 0;
	found->external = vxlan[IFLA_VXLAN_COLLECT_METADATA] &&
			  nla_get_u8(vxlan[IFLA_VXLAN_COLLECT_METADATA]);
	return 0;
}

/* 1: stands and fits; 0: is not there (any more). */
static int keep_or_delete(struct net_sock *sock, const struct net_link *link, __u16 port,
			  struct err *err)
{
	const struct ifinfomsg info = { .ifi_index = link->ifindex };
	_cleanup_msg_ struct nl_msg *msg = nl_new(RTM_GETLINK, 0, &info, sizeof(info));
	struct found found = { 0 };
	int r;

	if (strcmp(link->kind, "vxlan") != 0)
		return err_set(err, -EEXIST, "interface %s is there and is no VXLAN device",
			       link->name);
	r = nl_talk(sock, msg, on_vxlan, &found, err);
	if (r)
		return r;
	if (found.external && ntohs(found.port) == port)
		return 1;
	return net_link_delete(sock, link->ifindex, err);
}

int net_vxlan_remove(struct net_sock *sock, const char *name, struct err *err)
{
	struct net_link link;
	int r = net_link_by_name(sock, name, &link, err);

	if (r == -ENODEV)
		return err_clear(err);
	/* Somebody else's of that name. */
	if (r || strcmp(link.kind, "vxlan") != 0)
		return r;
	return net_link_delete(sock, link.ifindex, err);
}

static void put_u8(struct nl_msg *msg, int type, __u8 value)
{
	nl_put(msg, type, &value, sizeof(value));
}

static int create(struct net_sock *sock, const char *name, const struct net_vxlan *vxlan,
		  struct err *err)
{
	const struct ifinfomsg info = { .ifi_flags = IFF_UP, .ifi_change = IFF_UP };
	_cleanup_msg_ struct nl_msg *msg =
		nl_new(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &info, sizeof(info));
	struct nlattr *link, *data;
	__be16 port = htons(vxlan->port);

	nl_put_text(msg, IFLA_IFNAME, name);
	if (vxlan->mac)
		nl_put(msg, IFLA_ADDRESS, vxlan->mac, 6);
	if (vxlan->mtu)
		nl_put_u32(msg, IFLA_MTU, vxlan->mtu);
	link = nl_nest(msg, IFLA_LINKINFO);
	nl_put_text(msg, IFLA_INFO_KIND, "vxlan");
	data = nl_nest(msg, IFLA_INFO_DATA);
	nl_put(msg, IFLA_VXLAN_PORT, &port, sizeof(port));
	put_u8(msg, IFLA_VXLAN_COLLECT_METADATA, 1);
	put_u8(msg, IFLA_VXLAN_LEARNING, 0);
	/* Our outer packets over IPv6 carry no checksum (RFC 6935), and theirs need none. */
	put_u8(msg, IFLA_VXLAN_UDP_ZERO_CSUM6_TX, 1);
	put_u8(msg, IFLA_VXLAN_UDP_ZERO_CSUM6_RX, 1);
	nla_nest_end(msg, data);
	nla_nest_end(msg, link);
	return nl_talk(sock, msg, NULL, NULL, err);
}

int net_vxlan_ensure(struct net_sock *sock, const struct net_vxlan *vxlan, int *ret_ifindex,
		     struct err *err)
{
	const char *name = vxlan->name ? vxlan->name : DP_VXLAN_NAME;
	struct net_link link;
	int r = net_link_by_name(sock, name, &link, err);

	if (!r)
		r = keep_or_delete(sock, &link, vxlan->port, err);
	else if (r == -ENODEV)
		r = err_clear(err);
	if (!r) {
		r = create(sock, name, vxlan, err);
		if (!r)
			r = net_link_by_name(sock, name, &link, err);
	} else if (r == 1) {
		r = link.flags & IFF_UP ? 0 : net_link_set_up(sock, link.ifindex, true, err);
	}
	if (r)
		return err_wrap(err, r, "VXLAN device %s, port %u", name, vxlan->port);
	*ret_ifindex = link.ifindex;
	return 0;
}
