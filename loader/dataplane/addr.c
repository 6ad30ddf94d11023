/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <linux/if_addr.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include "base/err.h"
#include "base/inet.h"
#include "dataplane/nl.h"

static struct nl_msg *addr_msg(int type, int flags, const struct net_addr *addr)
{
	const struct ifaddrmsg info = {
		.ifa_family = (__u8)nl_family(&addr->addr),
		.ifa_prefixlen = addr->bits,
		.ifa_scope = addr->scope,
		.ifa_index = (__u32)addr->ifindex,
	};
	struct nl_msg *msg = nl_new(type, flags, &info, sizeof(info));

	nl_put_addr(msg, IFA_LOCAL, &addr->addr);
	nl_put_addr(msg, IFA_ADDRESS, &addr->addr);
	return msg;
}

static int wrap(const struct net_addr *addr, const char *what, int r, struct err *err)
{
	char text[ADDR_TEXT_MAX];

	return err_wrap(err, r, "address %s/%u, interface %d: %s", addr_format(&addr->addr, text),
			addr->bits, addr->ifindex, what);
}

int net_addr_add(struct net_sock *sock, const struct net_addr *addr, struct err *err)
{
	_cleanup_msg_ struct nl_msg *msg = addr_msg(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, addr);
	__u32 flags = addr->flags | (addr_is4(&addr->addr) ? 0 : IFA_F_NODAD);
	int r;

	nl_put_u32(msg, IFA_FLAGS, flags);
	r = nl_talk(sock, msg, NULL, NULL, err);
	if (r == -EEXIST)
		return err_clear(err);
	return r ? wrap(addr, "add", r, err) : 0;
}

int net_addr_delete(struct net_sock *sock, const struct net_addr *addr, struct err *err)
{
	_cleanup_msg_ struct nl_msg *msg = addr_msg(RTM_DELADDR, 0, addr);
	int r = nl_talk(sock, msg, NULL, NULL, err);

	if (r == -EADDRNOTAVAIL || r == -ENODEV)
		return err_clear(err);
	return r ? wrap(addr, "delete", r, err) : 0;
}

bool nl_read_addr(struct nlmsghdr *answer, struct net_addr *ret_addr)
{
	struct ifaddrmsg *info = nlmsg_data(answer);
	struct nlattr *tb[IFA_MAX + 1];

	if (nlmsg_parse(answer, sizeof(*info), tb, IFA_MAX, NULL) < 0 ||
	    (info->ifa_family != AF_INET && info->ifa_family != AF_INET6))
		return false;
	*ret_addr = (struct net_addr){
		.ifindex = (int)info->ifa_index,
		/* Of a point-to-point link IFA_ADDRESS is the other end. */
		.addr = nl_get_addr(tb[IFA_LOCAL] ? tb[IFA_LOCAL] : tb[IFA_ADDRESS]),
		.flags = tb[IFA_FLAGS] ? nla_get_u32(tb[IFA_FLAGS]) : info->ifa_flags,
		.bits = info->ifa_prefixlen,
		.scope = info->ifa_scope,
	};
	return true;
}

static int on_addr(struct nlmsghdr *answer, void *data)
{
	struct nl_list *list = data;
	const int *ifindex = list->filter;
	struct net_addr addr;

	if (answer->nlmsg_type == RTM_NEWADDR && nl_read_addr(answer, &addr) &&
	    (!*ifindex || addr.ifindex == *ifindex))
		*(struct net_addr *)nl_list_add(list) = addr;
	return 0;
}

int net_addr_list(struct net_sock *sock, int ifindex, struct net_addr **ret_addrs,
		  size_t *ret_count, struct err *err)
{
	const struct ifaddrmsg info = { .ifa_index = (__u32)ifindex };
	_cleanup_msg_ struct nl_msg *msg = nl_new(RTM_GETADDR, 0, &info, sizeof(info));
	struct nl_list list = { .row_size = sizeof(struct net_addr), .filter = &ifindex };
	int r = nl_walk(sock, msg, on_addr, &list, err);

	if (r)
		return err_wrap(err, r, "list of addresses");
	*ret_addrs = list.rows;
	*ret_count = list.count;
	return 0;
}

static struct nl_msg *neigh_msg(int type, int flags, const struct net_neigh *neigh)
{
	const struct ndmsg info = {
		.ndm_family = (__u8)nl_family(&neigh->addr),
		.ndm_ifindex = neigh->ifindex,
		.ndm_state = neigh->state ? neigh->state : NUD_PERMANENT,
	};
	struct nl_msg *msg = nl_new(type, flags, &info, sizeof(info));

	nl_put_addr(msg, NDA_DST, &neigh->addr);
	return msg;
}

static int wrap_neigh(const struct net_neigh *neigh, const char *what, int r, struct err *err)
{
	char text[ADDR_TEXT_MAX];

	return err_wrap(err, r, "neighbour %s, interface %d: %s", addr_format(&neigh->addr, text),
			neigh->ifindex, what);
}

int net_neigh_set(struct net_sock *sock, const struct net_neigh *neigh, struct err *err)
{
	_cleanup_msg_ struct nl_msg *msg =
		neigh_msg(RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, neigh);
	int r;

	nl_put(msg, NDA_LLADDR, neigh->mac, sizeof(neigh->mac));
	r = nl_talk(sock, msg, NULL, NULL, err);
	return r ? wrap_neigh(neigh, "set", r, err) : 0;
}

int net_neigh_delete(struct net_sock *sock, const struct net_neigh *neigh, struct err *err)
{
	_cleanup_msg_ struct nl_msg *msg = neigh_msg(RTM_DELNEIGH, 0, neigh);
	int r = nl_talk(sock, msg, NULL, NULL, err);

	if (r == -ENOENT || r == -ENODEV)
		return err_clear(err);
	return r ? wrap_neigh(neigh, "delete", r, err) : 0;
}

bool nl_read_neigh(struct nlmsghdr *answer, struct net_neigh *ret_neigh)
{
	struct ndmsg *info = nlmsg_data(answer);
	struct nlattr *tb[NDA_MAX + 1];

	if (nlmsg_parse(answer, sizeof(*info), tb, NDA_MAX, NULL) < 0 ||
	    (info->ndm_family != AF_INET && info->ndm_family != AF_INET6) || !tb[NDA_DST])
		return false;
	*ret_neigh = (struct net_neigh){
		.ifindex = info->ndm_ifindex,
		.addr = nl_get_addr(tb[NDA_DST]),
		.state = info->ndm_state,
	};
	if (tb[NDA_LLADDR] && nla_len(tb[NDA_LLADDR]) == 6)
		memcpy(ret_neigh->mac, nla_data(tb[NDA_LLADDR]), 6);
	return true;
}

static int on_neigh(struct nlmsghdr *answer, void *data)
{
	struct nl_list *list = data;
	const int *ifindex = list->filter;
	struct net_neigh neigh;

	if (answer->nlmsg_type == RTM_NEWNEIGH && nl_read_neigh(answer, &neigh) &&
	    (!*ifindex || neigh.ifindex == *ifindex))
		*(struct net_neigh *)nl_list_add(list) = neigh;
	return 0;
}

int net_neigh_list(struct net_sock *sock, int ifindex, struct net_neigh **ret_neighs,
		   size_t *ret_count, struct err *err)
{
	/* A strict dump takes the interface as an attribute, and only so. */
	const struct ndmsg info = { 0 };
	_cleanup_msg_ struct nl_msg *msg = nl_new(RTM_GETNEIGH, 0, &info, sizeof(info));
	struct nl_list list = { .row_size = sizeof(struct net_neigh), .filter = &ifindex };
	int r;

	if (ifindex)
		nl_put_u32(msg, NDA_IFINDEX, (__u32)ifindex);
	r = nl_walk(sock, msg, on_neigh, &list, err);
	if (r)
		return err_wrap(err, r, "list of neighbours");
	*ret_neighs = list.rows;
	*ret_count = list.count;
	return 0;
}
