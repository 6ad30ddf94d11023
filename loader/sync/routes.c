/* SPDX-License-Identifier: Apache-2.0 */
#include "sync/routes.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/inet.h"

#define IP6_METRIC 1024 /* the kernel's own for IPv6 routes that name none */

struct run {
	struct net_sock *sock;
	struct routes_report report;
	struct err first;
};

static __u32 metric_of(const struct net_route *route)
{
	return !route->metric && !prefix_is4(&route->dst) ? IP6_METRIC : route->metric;
}

static __u32 table_of(const struct net_route *route)
{
	return route->table ? route->table : RT_TABLE_MAIN;
}

static __u8 type_of(const struct net_route *route)
{
	return route->type ? route->type : RTN_UNICAST;
}

static int order_u32(__u32 a, __u32 b)
{
	return (a > b) - (a < b);
}

int route_key_cmp(const struct net_route *a, const struct net_route *b)
{
	int order = order_u32(table_of(a), table_of(b));

	if (!order)
		order = memcmp(&a->dst, &b->dst, sizeof(a->dst));
	return order ? order : order_u32(metric_of(a), metric_of(b));
}

bool route_equal(const struct net_route *a, const struct net_route *b)
{
	return !route_key_cmp(a, b) && type_of(a) == type_of(b) && a->ifindex == b->ifindex &&
	       a->mtu == b->mtu && a->onlink == b->onlink && !addr_cmp(&a->gateway, &b->gateway) &&
	       !addr_cmp(&a->src, &b->src);
}

static int by_key(const void *a, const void *b)
{
	return route_key_cmp(a, b);
}

static void note(struct run *run, int r, const struct err *err, unsigned int *count)
{
	if (!r) {
		(*count)++;
		return;
	}
	if (!run->report.failed++)
		run->first = *err;
}

/* IPv6 takes routes with a gateway for paths of one route, and keeps others beside them. */
static bool is_path(const struct net_route *route)
{
	return !prefix_is4(&route->dst) && type_of(route) == RTN_UNICAST &&
	       !addr_is_zero(&route->gateway);
}

/* In one step where the kernel can: not between a path and another kind of IPv6 route. */
static int change(struct net_sock *sock, const struct net_route *want, const struct net_route *have,
		  struct err *err)
{
	int r;

	if (is_path(want) == is_path(have) &&
	    (prefix_is4(&want->dst) || type_of(want) == type_of(have)))
		return net_route_replace(sock, want, err);
	r = net_route_delete(sock, have, err);
	return r ? r : net_route_add(sock, want, err);
}

static void write_route(struct run *run, const struct net_route *want, const struct net_route *have)
{
	struct err err = { 0 };
	int r = have ? change(run->sock, want, have, &err) : net_route_add(run->sock, want, &err);

	note(run, r, &err, &run->report.written);
}

static void remove_route(struct run *run, const struct net_route *have)
{
	struct err err = { 0 };
	int r = net_route_delete(run->sock, have, &err);

	note(run, r, &err, &run->report.removed);
}

static const struct net_route *find(const struct net_route *routes, size_t count,
				    const struct net_route *key)
{
	return count ? bsearch(key, routes, count, sizeof(*key), by_key) : NULL;
}

int routes_sync(struct net_sock *sock, const struct net_route *wanted, size_t count, bool removal,
		struct routes_report *ret_report, struct err *err)
{
	_cleanup_free_ struct net_route *want = xcalloc(count, sizeof(*want));
	_cleanup_free_ struct net_route *have = NULL;
	struct run run = { .sock = sock };
	size_t have_count = 0;
	int r = net_route_list(sock, NET_PROTOCOL, &have, &have_count, err);

	if (r)
		return r;
	if (count)
		memcpy(want, wanted, count * sizeof(*want));
	qsort(want, count, sizeof(*want), by_key);
	if (have_count)
		qsort(have, have_count, sizeof(*have), by_key);
	for (size_t i = 0; i < count; i++) {
		const struct net_route *old = find(have, have_count, &want[i]);

		if (!old || !route_equal(&want[i], old))
			write_route(&run, &want[i], old);
	}
	for (size_t i = 0; i < have_count && removal; i++) {
		if (!find(want, count, &have[i]))
			remove_route(&run, &have[i]);
	}
	*ret_report = run.report;
	return run.report.failed ? err_set(err, run.first.code, "%s", run.first.text) : 0;
}
