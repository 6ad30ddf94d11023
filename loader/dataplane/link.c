/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <stdio.h>

#include "base/err.h"
#include "dataplane/nl.h"

static void copy_text(char *to, size_t size, const struct nlattr *attr)
{
	if (attr)
		snprintf(to, size, "%.*s", nla_len(attr), (const char *)nla_data(attr));
}

static void read_kind(struct nlattr *info, struct net_link *link)
{
	struct nlattr *tb[IFLA_INFO_MAX + 1];

	if (info && !nla_parse_nested(tb, IFLA_INFO_MAX, info, NULL))
		copy_text(link->kind, sizeof(link->kind), tb[IFLA_INFO_KIND]);
}

static __u32 get_u32(struct nlattr *attr)
{
	return attr ? nla_get_u32(attr) : 0;
}

bool nl_read_link(struct nlmsghdr *answer, struct net_link *ret_link)
{
	struct ifinfomsg *info = nlmsg_data(answer);
	struct nlattr *tb[IFLA_MAX + 1];

	if (nlmsg_parse(answer, sizeof(*info), tb, IFLA_MAX, NULL) < 0 ||
	    info->ifi_family != AF_UNSPEC)
		return false;
	*ret_link = (struct net_link){
		.ifindex = info->ifi_index,
		.flags = info->ifi_flags,
		.type = info->ifi_type,
		.peer = (int)get_u32(tb[IFLA_LINK]),
		.peer_netns = tb[IFLA_LINK_NETNSID] ? (int)get_u32(tb[IFLA_LINK_NETNSID]) : -1,
		.master = (int)get_u32(tb[IFLA_MASTER]),
		.mtu = get_u32(tb[IFLA_MTU]),
		.txqlen = get_u32(tb[IFLA_TXQLEN]),
		.operstate = tb[IFLA_OPERSTATE] ? nla_get_u8(tb[IFLA_OPERSTATE]) : 0,
	};
	if (tb[IFLA_ADDRESS] && nla_len(tb[IFLA_ADDRESS]) == 6) {
		memcpy(ret_link->mac, nla_data(tb[IFLA_ADDRESS]), 6);
		ret_link->has_mac = true;
	}
	copy_text(ret_link->name, sizeof(ret_link->name), tb[IFLA_IFNAME]);
	read_kind(tb[IFLA_LINKINFO], ret_link);
	return true;
}

static int on_list(struct nlmsghdr *answer, void *data)
{
	struct net_link link;

	if (answer->nlmsg_type == RTM_NEWLINK && nl_read_link(answer, &link))
		*(struct net_link *)nl_list_add(data) = link;
	return 0;
}

int net_link_list(struct net_sock *sock, struct net_link **ret_links, size_t *ret_count,
		  struct err *err)
{
	const struct ifinfomsg info = { .ifi_family = AF_UNSPEC };
	_cleanup_msg_ struct nl_msg *msg = nl_new(RTM_GETLINK, 0, &info, sizeof(info));
	struct nl_list list = { .row_size = sizeof(struct net_link) };
	int r = nl_walk(sock, msg, on_list, &list, err);

	if (r)
		return err_wrap(err, r, "list of interfaces");
	*ret_links = list.rows;
	*ret_count = list.count;
	return 0;
}

static int on_link(struct nlmsghdr *answer, void *data)
{
	if (answer->nlmsg_type == RTM_NEWLINK)
		nl_read_link(answer, data);
	return 0;
}

static int get_link(struct net_sock *sock, int ifindex, const char *name, struct net_link *ret_link,
		    struct err *err)
{
	const struct ifinfomsg info = { .ifi_index = ifindex };
	_cleanup_msg_ struct nl_msg *msg = nl_new(RTM_GETLINK, 0, &info, sizeof(info));
	struct net_link link = { 0 };
	int r;

	if (name)
		nl_put_text(msg, IFLA_IFNAME, name);
	r = nl_talk(sock, msg, on_link, &link, err);
	if (!r && !link.ifindex)
		r = err_set(err, -EPROTO, "netlink: no answer");
	if (!r)
		*ret_link = link;
	return r;
}

int net_link_get(struct net_sock *sock, int ifindex, struct net_link *ret_link, struct err *err)
{
	int r = get_link(sock, ifindex, NULL, ret_link, err);

	return r ? err_wrap(err, r, "interface %d", ifindex) : 0;
}

int net_link_by_name(struct net_sock *sock, const char *name, struct net_link *ret_link,
		     struct err *err)
{
	int r;

	if (!name[0] || strlen(name) >= IFNAMSIZ)
		return err_set(err, -EINVAL, "interface name \"%s\": 1 to %d characters", name,
			       IFNAMSIZ - 1);
	r = get_link(sock, 0, name, ret_link, err);
	return r ? err_wrap(err, r, "interface %s", name) : 0;
}

static void put_end(struct nl_msg *msg, const char *name, const __u8 *mac, __u32 mtu)
{
	nl_put_text(msg, IFLA_IFNAME, name);
	if (mac)
		nl_put(msg, IFLA_ADDRESS, mac, 6);
	if (mtu)
		nl_put_u32(msg, IFLA_MTU, mtu);
}

static void put_peer(struct nl_msg *msg, const struct net_veth *veth)
{
	const struct ifinfomsg info = { .ifi_family = AF_UNSPEC };
	struct nlattr *link = nl_nest(msg, IFLA_LINKINFO), *data, *peer;

	nl_put_text(msg, IFLA_INFO_KIND, "veth");
	data = nl_nest(msg, IFLA_INFO_DATA);
	peer = nl_nest(msg, VETH_INFO_PEER);
	if (nlmsg_append(msg, (void *)(uintptr_t)&info, sizeof(info), NLMSG_ALIGNTO))
		abort();
	put_end(msg, veth->peer_name, veth->peer_mac, veth->mtu);
	if (veth->peer_netns >= 0)
		nl_put_u32(msg, IFLA_NET_NS_FD, (__u32)veth->peer_netns);
	nla_nest_end(msg, peer);
	nla_nest_end(msg, data);
	nla_nest_end(msg, link);
}

int net_veth_create(struct net_sock *sock, const struct net_veth *veth, struct err *err)
{
	const struct ifinfomsg info = { .ifi_index = veth->ifindex };
	_cleanup_msg_ struct nl_msg *msg =
		nl_new(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &info, sizeof(info));
	struct net_link other;
	int r;

	if (strlen(veth->name) >= IFNAMSIZ || strlen(veth->peer_name) >= IFNAMSIZ)
		return err_set(err, -EINVAL, "veth %s, %s: names have at most %d characters",
			       veth->name, veth->peer_name, IFNAMSIZ - 1);
	put_end(msg, veth->name, veth->mac, veth->mtu);
	put_peer(msg, veth);
	r = nl_talk(sock, msg, NULL, NULL, err);
	/* A taken index is -EEXIST or -EBUSY by kernel version; a taken name is -EEXIST. */
	if (r == -EEXIST && veth->ifindex && !net_link_get(sock, veth->ifindex, &other, NULL))
		r = err_set(err, -EBUSY, "index %d is that of %s", veth->ifindex, other.name);
	return r ? err_wrap(err, r, "veth %s, %s", veth->name, veth->peer_name) : 0;
}

struct attr {
	int type;
	const void *data;
	size_t size;
	const char *what; /* for the error's text */
};

static int change(struct net_sock *sock, const struct ifinfomsg *info, const struct attr *attr,
		  struct err *err)
{
	_cleanup_msg_ struct nl_msg *msg = nl_new(RTM_NEWLINK, 0, info, sizeof(*info));
	int r;

	if (attr->data)
		nl_put(msg, attr->type, attr->data, attr->size);
	r = nl_talk(sock, msg, NULL, NULL, err);
	return r ? err_wrap(err, r, "interface %d: %s", info->ifi_index, attr->what) : 0;
}

static int change_attr(struct net_sock *sock, int ifindex, const struct attr *attr, struct err *err)
{
	const struct ifinfomsg info = { .ifi_index = ifindex };

	return change(sock, &info, attr, err);
}

int net_link_rename(struct net_sock *sock, int ifindex, const char *name, struct err *err)
{
	const struct attr attr = { IFLA_IFNAME, name, strlen(name) + 1, "rename" };

	return change_attr(sock, ifindex, &attr, err);
}

int net_link_set_mac(struct net_sock *sock, int ifindex, const __u8 mac[6], struct err *err)
{
	const struct attr attr = { IFLA_ADDRESS, mac, 6, "set the MAC address" };

	return change_attr(sock, ifindex, &attr, err);
}

int net_link_set_mtu(struct net_sock *sock, int ifindex, __u32 mtu, struct err *err)
{
	const struct attr attr = { IFLA_MTU, &mtu, sizeof(mtu), "set the MTU" };

	return change_attr(sock, ifindex, &attr, err);
}

int net_link_set_txqlen(struct net_sock *sock, int ifindex, __u32 length, struct err *err)
{
	const struct attr attr = { IFLA_TXQLEN, &length, sizeof(length), "set the queue length" };

	return change_attr(sock, ifindex, &attr, err);
}

int net_link_set_netns(struct net_sock *sock, int ifindex, int netns_fd, struct err *err)
{
	const struct attr attr = { IFLA_NET_NS_FD, &netns_fd, sizeof(netns_fd),
				   "move to a network namespace" };

	return change_attr(sock, ifindex, &attr, err);
}

int net_link_set_alias(struct net_sock *sock, int ifindex, const char *alias, struct err *err)
{
	const struct attr attr = { IFLA_IFALIAS, alias, strlen(alias), "set the alias" };

	return change_attr(sock, ifindex, &attr, err);
}

int net_link_set_up(struct net_sock *sock, int ifindex, bool up, struct err *err)
{
	const struct attr attr = { .what = up ? "set up" : "set down" };
	const struct ifinfomsg info = { .ifi_index = ifindex,
					.ifi_flags = up ? IFF_UP : 0,
					.ifi_change = IFF_UP };

	return change(sock, &info, &attr, err);
}

int net_link_delete(struct net_sock *sock, int ifindex, struct err *err)
{
	const struct ifinfomsg info = { .ifi_index = ifindex };
	_cleanup_msg_ struct nl_msg *msg = nl_new(RTM_DELLINK, 0, &info, sizeof(info));
	int r = nl_talk(sock, msg, NULL, NULL, err);

	return r ? err_wrap(err, r, "interface %d: delete", ifindex) : 0;
}

int net_link_delete_name(struct net_sock *sock, const char *name, struct err *err)
{
	const struct ifinfomsg info = { .ifi_family = AF_UNSPEC };
	_cleanup_msg_ struct nl_msg *msg = nl_new(RTM_DELLINK, 0, &info, sizeof(info));
	int r;

	nl_put_text(msg, IFLA_IFNAME, name);
	r = nl_talk(sock, msg, NULL, NULL, err);
	return r ? err_wrap(err, r, "interface %s: delete", name) : 0;
}
