/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include "base/err.h"
#include "base/inet.h"
#include "dataplane/nl.h"

static bool has_device(__u8 type)
{
	return type == RTN_UNICAST || type == RTN_LOCAL || type == RTN_BROADCAST ||
	       type == RTN_ANYCAST || type == RTN_MULTICAST;
}

static __u8 scope_of(const struct net_route *route)
{
	if (route->scope || !prefix_is4(&route->dst))
		return route->scope;
	return has_device(route->type ? route->type : RTN_UNICAST) && addr_is_zero(&route->gateway)
		       ? RT_SCOPE_LINK
		       : RT_SCOPE_UNIVERSE;
}

static struct nl_msg *route_msg(int type, int flags, const struct net_route *route)
{
	const struct rtmsg info = {
		.rtm_family = prefix_is4(&route->dst) ? AF_INET : AF_INET6,
		.rtm_dst_len = (__u8)prefix_bits(&route->dst),
		.rtm_table = RT_TABLE_UNSPEC,
		.rtm_protocol = route->protocol ? route->protocol : NET_PROTOCOL,
		.rtm_scope = scope_of(route),
		.rtm_type = route->type ? route->type : RTN_UNICAST,
		.rtm_flags = route->onlink ? RTNH_F_ONLINK : 0,
	};
	const union mg_addr dst = route->dst.addr; /* aligned */
	struct nl_msg *msg = nl_new(type, flags, &info, sizeof(info));

	if (info.rtm_dst_len)
		nl_put_addr(msg, RTA_DST, &dst);
	nl_put_u32(msg, RTA_TABLE, route->table ? route->table : RT_TABLE_MAIN);
	if (route->metric)
		nl_put_u32(msg, RTA_PRIORITY, route->metric);
	return msg;
}

static void put_way(struct nl_msg *msg, const struct net_route *route)
{
	struct nlattr *metrics;

	if (!addr_is_zero(&route->gateway))
		nl_put_addr(msg, RTA_GATEWAY, &route->gateway);
	if (!addr_is_zero(&route->src))
		nl_put_addr(msg, RTA_PREFSRC, &route->src);
	if (route->ifindex)
		nl_put_u32(msg, RTA_OIF, (__u32)route->ifindex);
	if (route->mtu) {
		metrics = nl_nest(msg, RTA_METRICS);
		nl_put_u32(msg, RTAX_MTU, route->mtu);
		nla_nest_end(msg, metrics);
	}
}

static int wrap(const struct net_route *route, const char *what, int r, struct err *err)
{
	char text[PREFIX_TEXT_MAX];

	return err_wrap(err, r, "route %s: %s", prefix_format(&route->dst, text), what);
}

static int new_route(struct net_sock *sock, const struct net_route *route, int flags,
		     const char *what, struct err *err)
{
	_cleanup_msg_ struct nl_msg *msg = route_msg(RTM_NEWROUTE, NLM_F_CREATE | flags, route);
	int r;

	put_way(msg, route);
	r = nl_talk(sock, msg, NULL, NULL, err);
	return r ? wrap(route, what, r, err) : 0;
}

int net_route_add(struct net_sock *sock, const struct net_route *route, struct err *err)
{
	return new_route(sock, route, NLM_F_EXCL, "add", err);
}

int net_route_replace(struct net_sock *sock, const struct net_route *route, struct err *err)
{
	return new_route(sock, route, NLM_F_REPLACE, "replace", err);
}

int net_route_delete(struct net_sock *sock, const struct net_route *route, struct err *err)
{
	_cleanup_msg_ struct nl_msg *msg = route_msg(RTM_DELROUTE, 0, route);
	int r = nl_talk(sock, msg, NULL, NULL, err);

	if (r == -ESRCH || r == -ENODEV)
		return err_clear(err);
	return r ? wrap(route, "delete", r, err) : 0;
}

static __u32 read_mtu(struct nlattr *metrics)
{
	struct nlattr *tb[RTAX_MAX + 1];

	if (!metrics || nla_parse_nested(tb, RTAX_MAX, metrics, NULL) || !tb[RTAX_MTU])
		return 0;
	return nla_get_u32(tb[RTAX_MTU]);
}

/* The first hop stands for a route over several. */
static void read_hop(struct nlattr *multipath, struct net_route *route)
{
	const struct rtnexthop *hop = nla_data(multipath);
	struct nlattr *gateway;

	if (nla_len(multipath) < (int)sizeof(*hop) || hop->rtnh_len > nla_len(multipath) ||
	    hop->rtnh_len < sizeof(*hop))
		return;
	route->ifindex = hop->rtnh_ifindex;
	gateway = nla_find((const struct nlattr *)RTNH_DATA(hop),
			   (int)(hop->rtnh_len - sizeof(*hop)), RTA_GATEWAY);
	route->gateway = nl_get_addr(gateway);
}

static struct mg_prefix read_prefix(const struct rtmsg *info, const struct nlattr *dst)
{
	struct mg_prefix prefix = { .len = info->rtm_dst_len };

	if (info->rtm_family == AF_INET) {
		prefix.len += MG_V4_PREFIX_BITS;
		prefix.addr = addr_from4(0);
	}
	if (dst)
		prefix.addr = nl_get_addr(dst);
	return prefix;
}

bool nl_read_route(struct nlmsghdr *answer, struct net_route *ret_route)
{
	struct rtmsg *info = nlmsg_data(answer);
	struct nlattr *tb[RTA_MAX + 1];

	if (nlmsg_parse(answer, sizeof(*info), tb, RTA_MAX, NULL) < 0 ||
	    (info->rtm_family != AF_INET && info->rtm_family != AF_INET6))
		return false;
	*ret_route = (struct net_route){
		.dst = read_prefix(info, tb[RTA_DST]),
		.gateway = nl_get_addr(tb[RTA_GATEWAY]),
		.src = nl_get_addr(tb[RTA_PREFSRC]),
		.metric = tb[RTA_PRIORITY] ? nla_get_u32(tb[RTA_PRIORITY]) : 0,
		.mtu = read_mtu(tb[RTA_METRICS]),
		.table = tb[RTA_TABLE] ? nla_get_u32(tb[RTA_TABLE]) : info->rtm_table,
		.type = info->rtm_type,
		.scope = info->rtm_scope,
		.protocol = info->rtm_protocol,
		.onlink = info->rtm_flags & RTNH_F_ONLINK,
	};
	/* IPv6 puts the loopback device into routes that lead nowhere. */
	if (tb[RTA_OIF] && has_device(info->rtm_type))
		ret_route->ifindex = (int)nla_get_u32(tb[RTA_OIF]);
	else if (tb[RTA_MULTIPATH])
		read_hop(tb[RTA_MULTIPATH], ret_route);
	return true;
}

static int on_list(struct nlmsghdr *answer, void *data)
{
	const struct rtmsg *info = nlmsg_data(answer);
	struct nl_list *list = data;
	const __u8 *protocol = list->filter;
	struct net_route route;

	if (answer->nlmsg_type != RTM_NEWROUTE || (info->rtm_flags & RTM_F_CLONED) ||
	    (*protocol && info->rtm_protocol != *protocol) || !nl_read_route(answer, &route) ||
	    route.table == RT_TABLE_LOCAL)
		return 0;
	*(struct net_route *)nl_list_add(list) = route;
	return 0;
}

static int list_family(struct net_sock *sock, __u8 family, const __u8 *protocol,
		       struct nl_list *list, struct err *err)
{
	const struct rtmsg info = { .rtm_family = family, .rtm_protocol = *protocol };
	_cleanup_msg_ struct nl_msg *msg = nl_new(RTM_GETROUTE, 0, &info, sizeof(info));

	list->filter = protocol;
	return nl_walk(sock, msg, on_list, list, err);
}

int net_route_list(struct net_sock *sock, __u8 protocol, struct net_route **ret_routes,
		   size_t *ret_count, struct err *err)
{
	struct nl_list list = { .row_size = sizeof(struct net_route) };
	struct nl_list list6 = { .row_size = sizeof(struct net_route) };
	int r = list_family(sock, AF_INET, &protocol, &list, err);

	if (!r)
		r = list_family(sock, AF_INET6, &protocol, &list6, err);
	if (r) {
		free(list.rows);
		return err_wrap(err, r, "list of routes");
	}
	for (size_t i = 0; i < list6.count; i++)
		*(struct net_route *)nl_list_add(&list) = ((struct net_route *)list6.rows)[i];
	free(list6.rows);
	*ret_routes = list.rows;
	*ret_count = list.count;
	return 0;
}

static int on_route(struct nlmsghdr *answer, void *data)
{
	if (answer->nlmsg_type == RTM_NEWROUTE)
		nl_read_route(answer, data);
	return 0;
}

int net_route_lookup(struct net_sock *sock, const union mg_addr *dst, struct net_route *ret_route,
		     struct err *err)
{
	const struct rtmsg info = { .rtm_family = (__u8)nl_family(dst),
				    .rtm_dst_len = addr_is4(dst) ? 32 : 128 };
	_cleanup_msg_ struct nl_msg *msg = nl_new(RTM_GETROUTE, 0, &info, sizeof(info));
	struct net_route route = { 0 };
	char text[ADDR_TEXT_MAX];
	struct net_link link;
	int r;

	nl_put_addr(msg, RTA_DST, dst);
	r = nl_talk(sock, msg, on_route, &route, err);
	if (!r && !route.mtu && route.ifindex) {
		r = net_link_get(sock, route.ifindex, &link, err);
		route.mtu = r ? 0 : link.mtu;
	}
	if (r)
		return err_wrap(err, r, "route to %s", addr_format(dst, text));
	*ret_route = route;
	return 0;
}
