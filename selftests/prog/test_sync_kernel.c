/* SPDX-License-Identifier: Apache-2.0 */
/* loader/sync against the kernel: derived maps of a loaded set, and routes of protocol 80. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <string.h>

#include "abi/endpoint.h"
#include "abi/ident.h"
#include "base/err.h"
#include "base/inet.h"
#include "dataplane/load.h"
#include "selftests/lib/ok.h"
#include "selftests/lib/sandbox.h"
#include "sync/routes.h"
#include "sync/sync.h"

struct fixture {
	struct err err;
	struct dp *dp;
	struct net_sock *sock;
	struct sync *sync;
	struct sync_status status;
	void *object;
	int dev;
};

static struct mg_prefix prefix(const char *text)
{
	struct mg_prefix out;

	assert_int_equal(prefix_parse(text, true, &out), 0);
	return out;
}

static union mg_addr addr(const char *text)
{
	union mg_addr out;

	assert_int_equal(addr_parse(text, &out), 0);
	return out;
}

static int setup(void **state)
{
	struct fixture *f = test_calloc(1, sizeof(*f));
	const struct dp_size sizes[] = { { "mg_addrs", 20000 } };
	struct dp_config config = dp_config_default();
	struct net_veth veth = { .name = "va", .peer_name = "vb", .peer_netns = -1 };
	struct net_link link;
	char root[PATH_MAX];

	*state = f;
	OK(f, sandbox_enter(root));
	OK(f, sandbox_object("tiny", &f->object, &config.object_size));
	config.object = f->object;
	config.root = root;
	config.sizes = sizes;
	config.size_count = 1;
	OK(f, dp_open(&config, &f->dp, &f->err));
	OK(f, net_open(&f->sock, &f->err));
	OK(f, net_veth_create(f->sock, &veth, &f->err));
	OK(f, net_link_by_name(f->sock, "va", &link, &f->err));
	f->dev = link.ifindex;
	OK(f, net_link_set_up(f->sock, f->dev, true, &f->err));
	OK(f, net_link_set_up(f->sock, link.peer, true, &f->err));
	OK(f, net_addr_add(f->sock, &(struct net_addr){ f->dev, addr("192.0.2.1"), .bits = 24 },
			   &f->err));
	OK(f, net_addr_add(f->sock, &(struct net_addr){ f->dev, addr("fd09::1"), .bits = 64 },
			   &f->err));
	f->sync = sync_new_dp(f->dp);
	sync_allow_removal(f->sync);
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	sync_free(f->sync);
	dp_close(f->dp);
	net_close(f->sock);
	free(f->object);
	test_free(f);
	return 0;
}

/* count addresses, from the first on, each with its number as slot */
static void want_addrs(struct fixture *f, unsigned int first, unsigned int count)
{
	struct table table;

	table_init(&table, "mg_addrs", sizeof(union mg_addr), sizeof(struct mg_ident));
	for (unsigned int i = first; i < first + count; i++) {
		union mg_addr key = {
			.b = { 0xfd, [12] = (__u8)(i >> 16), [13] = (__u8)(i >> 8), [14] = (__u8)i }
		};
		struct mg_ident value = { .identity = 7, .slot = (__u16)i };

		table_add(&table, &key, &value);
	}
	assert_int_equal(sync_want(f->sync, &table), 0);
}

static __u64 fill_of(struct fixture *f, const char *map)
{
	__u64 fill = 0;

	OK(f, dp_map_fill(dp_get_map(f->dp, map), &fill));
	return fill;
}

static void thousands_of_rows(void **state)
{
	struct fixture *f = *state;

	want_addrs(f, 0, 15000);
	OK(f, sync_run(f->sync, 0, &f->status));
	assert_int_equal(f->status.written, 15000);
	assert_int_equal(fill_of(f, "mg_addrs"), 15000);
	want_addrs(f, 5, 15000);
	OK(f, sync_run(f->sync, 0, &f->status));
	assert_int_equal(f->status.written, 15005);
	assert_int_equal(f->status.removed, 5);
	sync_free(f->sync); /* another agent finds all as it should be */
	f->sync = sync_new_dp(f->dp);
	sync_allow_removal(f->sync);
	want_addrs(f, 5, 15000);
	OK(f, sync_run(f->sync, 0, &f->status));
	assert_int_equal(f->status.written + f->status.removed, 0);
	want_addrs(f, 0, 0);
	OK(f, sync_run(f->sync, 0, &f->status));
	assert_int_equal(fill_of(f, "mg_addrs"), 0);
}

static void too_many_rows(void **state)
{
	struct fixture *f = *state;
	int r;

	want_addrs(f, 0, 21000);
	r = sync_run(f->sync, 0, &f->status);
	assert_true(r == -E2BIG || r == -ENOSPC);
	assert_string_equal(f->status.map, "mg_addrs");
	assert_true(f->status.waiting >= 1000);
	want_addrs(f, 0, 300);
	OK(f, sync_run(f->sync, f->status.retry_ms, &f->status));
	assert_int_equal(fill_of(f, "mg_addrs"), 300);
}

/* Array maps: removal writes zeroes, and rows of zeroes are no rows. */
static void array_rows(void **state)
{
	struct fixture *f = *state;
	const struct dp_map *map = dp_get_map(f->dp, "mg_ep");
	struct mg_ep row = { .slot = 3 };
	struct table table;
	__u32 key = 3;

	table_init(&table, "mg_ep", sizeof(key), sizeof(row));
	table_add(&table, &key, &row);
	assert_int_equal(sync_want(f->sync, &table), 0);
	OK(f, sync_run(f->sync, 0, &f->status));
	memset(&row, 0, sizeof(row));
	OK(f, dp_map_get(map, &key, &row));
	assert_int_equal(row.slot, 3);
	sync_free(f->sync);
	f->sync = sync_new_dp(f->dp);
	sync_allow_removal(f->sync);
	assert_int_equal(sync_want(f->sync, &table), 0); /* none */
	OK(f, sync_run(f->sync, 0, &f->status));
	assert_int_equal(f->status.removed, 1); /* of 4,096 rows */
	OK(f, dp_map_get(map, &key, &row));
	assert_int_equal(row.slot, 0);
}

static size_t count_routes(struct fixture *f, __u8 protocol)
{
	_cleanup_free_ struct net_route *routes = NULL;
	size_t count;

	OK(f, net_route_list(f->sock, protocol, &routes, &count, &f->err));
	return count;
}

static void sync_routes(struct fixture *f, const struct net_route *wanted, size_t count,
			struct routes_report *report)
{
	OK(f, routes_sync(f->sock, wanted, count, true, report, &f->err));
}

static void routes_follow(void **state)
{
	struct fixture *f = *state;
	struct net_route wanted[] = {
		{ .dst = prefix("10.1.0.0/26"),
		  .gateway = addr("192.0.2.7"),
		  .mtu = 1480,
		  .src = addr("192.0.2.1"),
		  .ifindex = f->dev },
		{ .dst = prefix("10.2.0.0/26"), .type = RTN_BLACKHOLE },
		{ .dst = prefix("10.3.0.0/26"), .ifindex = f->dev },
		{ .dst = prefix("fd10:1::/122"),
		  .gateway = addr("fd09::7"),
		  .mtu = 1430,
		  .ifindex = f->dev },
		{ .dst = prefix("fd10:2::/122"), .type = RTN_BLACKHOLE },
		{ .dst = prefix("fd10:3::/122"), .ifindex = f->dev },
	};
	const size_t count = sizeof(wanted) / sizeof(wanted[0]);
	struct routes_report report;

	sync_routes(f, wanted, count, &report);
	assert_int_equal(report.written, count);
	sync_routes(f, wanted, count, &report); /* as it should be: nothing is written */
	assert_int_equal(report.written + report.removed, 0);
	/* every kind becomes another kind, in both families */
	for (size_t i = 0; i < count; i += 3) {
		struct net_route first = wanted[i];

		wanted[i] = (struct net_route){ .dst = first.dst, .type = RTN_BLACKHOLE };
		wanted[i + 1].type = 0;
		wanted[i + 1].ifindex = f->dev;
		wanted[i + 2].gateway = first.gateway;
	}
	sync_routes(f, wanted, count, &report);
	assert_int_equal(report.written, count);
	assert_int_equal(count_routes(f, NET_PROTOCOL), count); /* none stands twice */
	sync_routes(f, wanted, count, &report);
	assert_int_equal(report.written + report.removed, 0);
	sync_routes(f, NULL, 0, &report);
	assert_int_equal(report.removed, count);
	assert_int_equal(count_routes(f, NET_PROTOCOL), 0);
}

static void routes_of_others_stay(void **state)
{
	struct fixture *f = *state;
	struct net_route theirs = { .dst = prefix("10.1.0.0/26"),
				    .protocol = 4,
				    .ifindex = f->dev };
	const struct net_route wanted[] = {
		{ .dst = prefix("10.1.0.0/26"), .type = RTN_BLACKHOLE },
		{ .dst = prefix("10.2.0.0/26"), .type = RTN_BLACKHOLE },
	};
	struct routes_report report;

	OK(f, net_route_add(f->sock, &theirs, &f->err));
	assert_int_equal(routes_sync(f->sock, wanted, 2, true, &report, &f->err), -EEXIST);
	assert_non_null(strstr(f->err.text, "10.1.0.0/26"));
	assert_int_equal(report.written, 1); /* the other one */
	assert_int_equal(report.failed, 1);
	assert_int_equal(count_routes(f, 4), 1);
	OK(f, routes_sync(f->sock, NULL, 0, false, &report, &f->err));
	assert_int_equal(report.removed, 0); /* not allowed yet */
	sync_routes(f, NULL, 0, &report);
	assert_int_equal(count_routes(f, 4), 1);
}

#define CASE(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(thousands_of_rows), CASE(too_many_rows),	      CASE(array_rows),
		CASE(routes_follow),	 CASE(routes_of_others_stay),
	};

	return cmocka_run_group_tests_name("sync_kernel", tests, NULL, NULL);
}
