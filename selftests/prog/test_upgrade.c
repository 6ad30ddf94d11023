/* SPDX-License-Identifier: Apache-2.0 */
/* loader/dataplane: from one set of programs to the next under packets and kills, and clean leave.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>

#include "abi/event.h"
#include "abi/flow.h"
#include "base/err.h"
#include "base/inet.h"
#include "dataplane/attach.h"
#include "dataplane/load.h"
#include "dataplane/netlink.h"
#include "dataplane/pins.h"
#include "dataplane/reset.h"
#include "selftests/lib/loaded.h"
#include "selftests/lib/sandbox.h"

#define DEVICES 4 /* even ones by TCX where there is one, odd ones by clsact */

struct fixture {
	struct err err;
	struct dp *dp;
	struct net_sock *sock;
	struct dp_config config;
	void *object[2]; /* tiny, tiny2: counts in column 1, 2 */
	size_t size[2];
	int dev[DEVICES];
	int peer[DEVICES];
	size_t links_before; /* lo, and what tunnel modules put into every namespace */
	char root[PATH_MAX];
};

static const struct dp_attach_ops *ops_of(int device)
{
	return device % 2 || !sandbox_tcx() ? &dp_attach_clsact : &dp_attach_tcx;
}

static void make_device(struct fixture *f, int i)
{
	char name[2][16];
	struct net_veth veth = { .name = name[0], .peer_name = name[1], .peer_netns = -1 };
	struct net_link link;

	snprintf(name[0], sizeof(name[0]), "cali%d", i);
	snprintf(name[1], sizeof(name[1]), "pod%d", i);
	OK(f, net_veth_create(f->sock, &veth, &f->err));
	OK(f, net_link_by_name(f->sock, name[0], &link, &f->err));
	f->dev[i] = link.ifindex;
	f->peer[i] = link.peer;
	OK(f, net_link_set_up(f->sock, f->dev[i], true, &f->err));
	OK(f, net_link_set_up(f->sock, f->peer[i], true, &f->err));
	OK(f, ops_of(i)->attach(f->dev[i], DP_INGRESS, dp_prog_fd(f->dp, "from_pod"), &f->err));
	OK(f, ops_of(i)->attach(f->dev[i], DP_EGRESS, dp_prog_fd(f->dp, "to_pod"), &f->err));
}

static int setup(void **state)
{
	_cleanup_free_ struct net_link *links = NULL;
	struct fixture *f = test_calloc(1, sizeof(*f));

	*state = f;
	f->config = dp_config_default();
	OK(f, sandbox_enter(f->root));
	OK(f, sandbox_object("tiny", &f->object[0], &f->size[0]));
	OK(f, sandbox_object("tiny2", &f->object[1], &f->size[1]));
	f->config.object = f->object[0];
	f->config.object_size = f->size[0];
	f->config.root = f->root;
	f->config.mg.slots = 64;
	f->config.sizes = loaded_sizes;
	f->config.size_count = LOADED_SIZES;
	OK(f, dp_open(&f->config, &f->dp, &f->err));
	OK(f, net_open(&f->sock, &f->err));
	OK(f, net_link_list(f->sock, &links, &f->links_before, &f->err));
	for (int i = 0; i < DEVICES; i++)
		make_device(f, i);
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	dp_close(f->dp);
	net_close(f->sock);
	free(f->object[0]);
	free(f->object[1]);
	test_free(f);
	return 0;
}

static void open_build(struct fixture *f, int build)
{
	dp_close(f->dp);
	f->dp = NULL;
	f->config.object = f->object[build];
	f->config.object_size = f->size[build];
	OK(f, dp_open(&f->config, &f->dp, &f->err));
}

static __u32 prog_id(const struct dp *dp, const char *name)
{
	__u32 id = 0;

	assert_int_equal(prog_id_of(dp_prog_fd(dp, name), &id), 0);
	return id;
}

static void expect_attached(struct fixture *f)
{
	struct dp_attached now;

	for (int i = 0; i < DEVICES; i++) {
		OK(f, ops_of(i)->query(f->dev[i], DP_INGRESS, &now, &f->err));
		assert_int_equal(now.id, prog_id(f->dp, "from_pod"));
		assert_true(now.first);
		assert_int_equal(now.count, 1);
		OK(f, ops_of(i)->query(f->dev[i], DP_EGRESS, &now, &f->err));
		assert_int_equal(now.id, prog_id(f->dp, "to_pod"));
		assert_int_equal(now.count, 1);
	}
}

/* The kernel frees behind a grace period; a minute is for the slowest machine. */
static void expect_gone(__u32 id, int (*open_id)(__u32))
{
	struct timespec pause = { .tv_nsec = 20000000 };

	for (int i = 0; i < 3000; i++) {
		int fd = open_id(id);

		if (fd == -ENOENT)
			return;
		close(fd);
		nanosleep(&pause, NULL);
	}
	fail_msg("id %u is still there", id);
}

static __u64 counted(struct fixture *f, __u32 column)
{
	__u32 index = MG_HOOK_FROM_POD * MG_DROP_SLOTS + column;
	struct mg_drop_count sum;

	OK(f, dp_map_sum(dp_get_map(f->dp, "mg_drops"), index, (__u64 *)&sum));
	return sum.packets;
}

static void swap_on_every_device(void **state)
{
	struct fixture *f = *state;
	__u32 former = prog_id(f->dp, "from_pod");

	expect_attached(f);
	open_build(f, 1);
	OK(f, dp_takeover(f->dp, &f->err));
	expect_attached(f);
	assert_int_not_equal(prog_id(f->dp, "from_pod"), former);
	expect_gone(former, bpf_prog_get_fd_by_id);
	open_build(f, 0); /* and back */
	OK(f, dp_takeover(f->dp, &f->err));
	expect_attached(f);
}

/* A device passes packets only once the kernel's link watch has seen its carrier. */
static void wait_running(struct fixture *f, int ifindex)
{
	const struct timespec pause = { .tv_nsec = 5000000 };
	struct net_link link = { 0 };

	for (int i = 0; i < 2000 && !(link.flags & IFF_RUNNING); i++) {
		nanosleep(&pause, NULL);
		OK(f, net_link_get(f->sock, ifindex, &link, &f->err));
	}
	assert_true(link.flags & IFF_RUNNING);
}

static int packet_socket(int ifindex)
{
	struct sockaddr_ll to = { .sll_family = AF_PACKET, .sll_ifindex = ifindex };
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	return fd;
}

/* A child that sends until it is told to stop; returns how many went out. */
static pid_t start_sender(int ifindex, int stop, int result)
{
	__u8 frame[60] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, [12] = 0x88, 0xb5 };
	struct pollfd fd = { .fd = stop, .events = POLLIN };
	__u64 sent = 0;
	pid_t pid = fork();
	int sock;

	if (pid)
		return pid;
	sock = packet_socket(ifindex);
	while (!poll(&fd, 1, 0))
		sent += send(sock, frame, sizeof(frame), 0) == sizeof(frame);
	_exit(write(result, &sent, sizeof(sent)) != sizeof(sent));
}

/* The programs of this column see packets; the sender never rests, so a second is long. */
static void expect_counting(struct fixture *f, __u32 column)
{
	struct timespec pause = { .tv_nsec = 1000000 };
	__u64 start = counted(f, column);

	for (int i = 0; i < 10000 && counted(f, column) == start; i++)
		nanosleep(&pause, NULL);
	assert_true(counted(f, column) > start);
}

/* Every packet meets the old or the new program, in both kinds of attachment. */
static void no_packet_passes_unseen(void **state)
{
	struct fixture *f = *state;

	for (int i = 0; i < 2; i++) {
		__u64 before = counted(f, 1) + counted(f, 2), sent = 0;
		int stop[2], result[2], status;
		pid_t pid;

		assert_int_equal(pipe(stop) | pipe(result), 0);
		wait_running(f, f->peer[i]);
		pid = start_sender(f->peer[i], stop[0], result[1]);
		for (int turn = 0; turn < 6; turn++) {
			open_build(f, !(turn % 2));
			OK(f, dp_takeover(f->dp, &f->err));
			expect_counting(f, turn % 2 ? 1 : 2);
		}
		assert_int_equal(write(stop[1], "x", 1), 1);
		assert_int_equal(read(result[0], &sent, sizeof(sent)), sizeof(sent));
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(sent > 100);
		/* Frames of the kernel's own (neighbour discovery) may come on top. */
		assert_true(counted(f, 1) + counted(f, 2) - before >= sent);
		close(stop[0]);
		close(stop[1]);
		close(result[0]);
		close(result[1]);
	}
}

static void bigger_maps_keep_flows(void **state)
{
	enum { FLOWS = 5000 };
	struct fixture *f = *state;
	const struct dp_size sizes[] = { { "mg_flow_e", 20000 }, { "mg_flow_t", 4096 } };
	struct mg_flow_key key = { .proto = 6 };
	struct mg_flow flow = { 0 };
	__u32 former = dp_get_map(f->dp, "mg_flow_e")->id;
	__u64 fill;

	for (__u32 i = 0; i < FLOWS; i++) {
		key.a.w[3] = i;
		flow.packets = i;
		OK(f, dp_map_set(dp_get_map(f->dp, "mg_flow_e"), &key, &flow));
		if (i < 100)
			OK(f, dp_map_set(dp_get_map(f->dp, "mg_flow_t"), &key, &flow));
	}
	f->config.sizes = sizes;
	f->config.size_count = 2;
	open_build(f, 0);
	assert_false(dp_flows_are_new(f->dp));
	assert_int_equal(dp_get_map(f->dp, "mg_flow_e")->entries, 20000);
	OK(f, dp_takeover(f->dp, &f->err));
	OK(f, dp_map_fill(dp_get_map(f->dp, "mg_flow_e"), &fill));
	assert_int_equal(fill, FLOWS);
	key.a.w[3] = 4711;
	OK(f, dp_map_get(dp_get_map(f->dp, "mg_flow_e"), &key, &flow));
	assert_int_equal(flow.packets, 4711);
	OK(f, dp_map_fill(dp_get_map(f->dp, "mg_flow_t"), &fill));
	assert_int_equal(fill, 100);
	expect_attached(f);
	expect_gone(former, bpf_map_get_fd_by_id);
	open_build(f, 0);
	assert_true(dp_adopted(f->dp));
}

/* A build whose flow rows are longer, and back: what both have in common stays. */
static void longer_rows_keep_flows(void **state)
{
	struct fixture *f = *state;
	struct mg_flow_key key = { .proto = 6, .port_a = 7 };
	struct mg_flow row[2] = {
		{ .packets = 5,
		  .side = { { .judged = { .rule = 1 } }, { .judged = { .rule = 77 } } } }
	}; /* room for a longer one */

	row[0].back.packets = 9;
	OK(f, dp_map_set(dp_get_map(f->dp, "mg_flow_e"), &key, row));
	free(f->object[1]);
	OK(f, sandbox_object("longer", &f->object[1], &f->size[1]));
	open_build(f, 1);
	assert_int_equal(dp_get_map(f->dp, "mg_flow_e")->value_size, sizeof(row[0]) + 16);
	assert_false(dp_flows_are_new(f->dp));
	OK(f, dp_takeover(f->dp, &f->err));
	memset(row, 0xff, sizeof(row));
	OK(f, dp_map_get(dp_get_map(f->dp, "mg_flow_e"), &key, row));
	assert_int_equal(row[0].packets, 5);
	assert_int_equal(row[0].side[1].judged.rule, 77);
	assert_int_equal(row[0].back.packets, 9);
	assert_int_equal(row[1].bytes, 0); /* the new end: not known */
	row[0].packets = 6;
	OK(f, dp_map_set(dp_get_map(f->dp, "mg_flow_e"), &key, row));
	open_build(f, 0);
	OK(f, dp_takeover(f->dp, &f->err));
	OK(f, dp_map_get(dp_get_map(f->dp, "mg_flow_e"), &key, row));
	assert_int_equal(row[0].packets, 6);
	expect_attached(f);
}

/* A device whose pod side the plugin made with the old pin, after the swap began: found later. */
static void late_attachment_is_found(void **state)
{
	struct fixture *f = *state;
	_cleanup_close_ int former = -1;

	OK(f, pin_open_prog(f->root, "from_pod", &former, &f->err));
	open_build(f, 1);
	OK(f, dp_takeover(f->dp, &f->err));
	OK(f, ops_of(0)->attach(f->dev[0], DP_INGRESS, former, &f->err));
	assert_int_equal(dp_attach_repair(ops_of(0), f->dev[0], DP_INGRESS,
					  dp_prog_fd(f->dp, "from_pod"), &f->err),
			 1);
	expect_attached(f);
}

static __attribute__((noreturn)) void be_killed(struct fixture *f, int turn)
{
	struct dp *dp;

	f->config.object = f->object[turn % 2];
	f->config.object_size = f->size[turn % 2];
	f->config.size_count = LOADED_SIZES + turn % 3;
	if (!dp_open(&f->config, &dp, NULL))
		dp_takeover(dp, NULL);
	_exit(0);
}

static void killed_at_any_moment(void **state)
{
	struct fixture *f = *state;
	static struct dp_size sizes[LOADED_SIZES + 2] = { [LOADED_SIZES] = { "mg_ep", 128 },
							  { "mg_addrs", 1000 } };

	memcpy(sizes, loaded_sizes, sizeof(loaded_sizes));
	f->config.sizes = sizes;
	for (int turn = 0; turn < 24; turn++) {
		struct timespec pause = { .tv_nsec = turn * 2000000L };
		pid_t pid = fork();

		if (!pid)
			be_killed(f, turn);
		nanosleep(&pause, NULL);
		kill(pid, SIGKILL);
		assert_int_equal(waitpid(pid, NULL, 0), pid);
		if (turn % 4 != 3)
			continue;
		f->config.size_count = LOADED_SIZES;
		open_build(f, turn / 4 % 2);
		OK(f, dp_takeover(f->dp, &f->err));
		expect_attached(f);
		open_build(f, turn / 4 % 2);
		assert_true(dp_adopted(f->dp));
	}
}

static void reset_leaves_nothing(void **state)
{
	struct fixture *f = *state;
	struct net_route route = { .ifindex = f->dev[0] };
	struct net_vxlan vxlan = { .port = 4789 };
	struct dp_reset what = { .root = f->root, .link_prefix = "cali" };
	_cleanup_free_ struct net_link *links = NULL;
	_cleanup_free_ struct net_route *routes = NULL;
	struct dp_reset_report report;
	__u32 prog = prog_id(f->dp, "from_pod"), map = dp_get_map(f->dp, "mg_flow_e")->id;
	size_t count;
	int ifindex;

	assert_int_equal(prefix_parse("10.7.0.0/16", false, &route.dst), 0);
	OK(f, net_route_add(f->sock, &route, &f->err));
	route.protocol = 4; /* somebody else's stays */
	assert_int_equal(prefix_parse("10.8.0.0/16", false, &route.dst), 0);
	route.type = 6; /* blackhole: hangs on no device */
	route.ifindex = 0;
	OK(f, net_route_add(f->sock, &route, &f->err));
	OK(f, net_vxlan_ensure(f->sock, &vxlan, &ifindex, &f->err));
	dp_close(f->dp);
	f->dp = NULL;
	OK(f, dp_reset_node(&what, &report, &f->err));
	assert_int_equal(report.detached, 2 * DEVICES);
	assert_int_equal(report.links, DEVICES + 1);
	assert_true(report.pins >= 5);
	assert_int_equal(access(f->root, F_OK), -1);
	expect_gone(prog, bpf_prog_get_fd_by_id);
	expect_gone(map, bpf_map_get_fd_by_id);
	OK(f, net_link_list(f->sock, &links, &count, &f->err));
	assert_int_equal(count, f->links_before);
	OK(f, net_route_list(f->sock, 0, &routes, &count, &f->err));
	assert_int_equal(count, 1);
	OK(f, dp_reset_node(&what, &report, &f->err)); /* again */
	assert_int_equal(report.detached + report.links + report.routes + report.pins, 0);
}

#define CASE(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(swap_on_every_device),	CASE(no_packet_passes_unseen),
		CASE(bigger_maps_keep_flows),	CASE(longer_rows_keep_flows),
		CASE(late_attachment_is_found), CASE(killed_at_any_moment),
		CASE(reset_leaves_nothing),
	};

	return cmocka_run_group_tests_name("upgrade", tests, NULL, NULL);
}
