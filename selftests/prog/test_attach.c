/* SPDX-License-Identifier: Apache-2.0 */
/* loader/dataplane/attach.h: both ways of attaching, beside programs and filters of others. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/pkt_cls.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "base/err.h"
#include "dataplane/attach.h"
#include "dataplane/load.h"
#include "dataplane/netlink.h"
#include "dataplane/pins.h"
#include "dataplane/sys.h"
#include "selftests/lib/loaded.h"
#include "selftests/lib/sandbox.h"

struct fixture {
	struct err err;
	struct dp *dp;
	struct net_sock *sock;
	void *object;
	int dev; /* one end of a veth pair */
	int from_pod;
	int to_pod;
	int foreign;			 /* a program that is not ours */
	const struct dp_attach_ops *ops; /* of cases that are there for each way */
};

static int load_foreign(void)
{
	const struct bpf_insn pass[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = TC_ACT_UNSPEC },
		{ .code = BPF_JMP | BPF_EXIT },
	};

	return bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, "foreign", "GPL", pass, 2, NULL);
}

static int setup(void **state)
{
	struct fixture *f = test_calloc(1, sizeof(*f));
	const struct dp_attach_ops *ops = *state;
	struct net_veth veth = { .name = "va", .peer_name = "vb", .peer_netns = -1 };
	struct dp_config config = dp_config_default();
	struct net_link link;
	char root[PATH_MAX];

	*state = f;
	f->ops = ops;
	OK(f, sandbox_enter(root));
	OK(f, sandbox_object("tiny", &f->object, &config.object_size));
	config.object = f->object;
	config.root = root;
	config.mg.slots = 64;
	config.sizes = loaded_sizes;
	config.size_count = LOADED_SIZES;
	OK(f, dp_open(&config, &f->dp, &f->err));
	OK(f, net_open(&f->sock, &f->err));
	OK(f, net_veth_create(f->sock, &veth, &f->err));
	OK(f, net_link_by_name(f->sock, "va", &link, &f->err));
	f->dev = link.ifindex;
	f->from_pod = dp_prog_fd(f->dp, "from_pod");
	f->to_pod = dp_prog_fd(f->dp, "to_pod");
	f->foreign = load_foreign();
	assert_true(f->from_pod >= 0 && f->to_pod >= 0 && f->foreign >= 0);
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	dp_close(f->dp);
	net_close(f->sock);
	close(f->foreign);
	free(f->object);
	test_free(f);
	return 0;
}

static __u32 id_of(int fd)
{
	__u32 id = 0;

	assert_int_equal(prog_id_of(fd, &id), 0);
	return id;
}

static int tcx_raw(enum bpf_cmd command, int ifindex, int fd, __u32 flags)
{
	struct bpf_mprog_attach attach = { .target_ifindex = (__u32)ifindex,
					   .attach_bpf_fd = (__u32)fd,
					   .attach_type = MG_TCX_INGRESS,
					   .attach_flags = flags };

	return sys_bpf(command, &attach, sizeof(attach));
}

/* A filter of another program, by libbpf: preference 1 is the sharpest case. */
static int clsact_foreign(int ifindex, int fd, __u32 preference, __u32 handle)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = ifindex, .attach_point = BPF_TC_INGRESS);
	LIBBPF_OPTS(bpf_tc_opts, opts, .prog_fd = fd, .priority = preference, .handle = handle);
	int r = bpf_tc_hook_create(&hook);

	return r && r != -EEXIST ? r : bpf_tc_attach(&hook, &opts);
}

/* The other program puts itself ahead of ours. */
static void foreign_ahead(struct fixture *f)
{
	if (f->ops == &dp_attach_tcx)
		OK(f, tcx_raw(BPF_PROG_ATTACH, f->dev, f->foreign, MG_F_BEFORE));
	else
		OK(f, clsact_foreign(f->dev, f->foreign, 1, 9));
}

/* Begin of every case that cannot do without TCX. */
static void needs_tcx(const struct dp_attach_ops *ops)
{
	if (ops == &dp_attach_tcx && !sandbox_tcx())
		sandbox_skip(NO_TCX);
}

static void attach_query_detach(void **state)
{
	struct fixture *f = *state;
	struct dp_attached now;

	needs_tcx(f->ops);
	OK(f, f->ops->query(f->dev, DP_INGRESS, &now, &f->err));
	assert_int_equal(now.id, 0);
	assert_false(now.first);
	OK(f, f->ops->attach(f->dev, DP_INGRESS, f->from_pod, &f->err));
	OK(f, f->ops->attach(f->dev, DP_EGRESS, f->to_pod, &f->err));
	OK(f, f->ops->attach(f->dev, DP_INGRESS, f->from_pod, &f->err)); /* twice: harmless */
	OK(f, f->ops->query(f->dev, DP_INGRESS, &now, &f->err));
	assert_int_equal(now.id, id_of(f->from_pod));
	assert_true(now.first);
	assert_int_equal(now.count, 1);
	OK(f, f->ops->query(f->dev, DP_EGRESS, &now, &f->err));
	assert_int_equal(now.id, id_of(f->to_pod));
	OK(f, f->ops->detach(f->dev, DP_INGRESS, &f->err));
	OK(f, f->ops->detach(f->dev, DP_INGRESS, &f->err));
	OK(f, f->ops->detach(f->dev, DP_EGRESS, &f->err));
	OK(f, f->ops->query(f->dev, DP_INGRESS, &now, &f->err));
	assert_int_equal(now.count, 0);
	assert_int_equal(f->ops->attach(4711, DP_INGRESS, f->from_pod, &f->err), -ENODEV);
	OK(f, f->ops->detach(4711, DP_INGRESS, &f->err));
}

/* The other program stands there when ours comes: ours goes before it. */
static void first_beside_foreign_tcx(void **state)
{
	struct fixture *f = *state;
	struct dp_attached now;

	needs_tcx(&dp_attach_tcx);
	OK(f, tcx_raw(BPF_PROG_ATTACH, f->dev, f->foreign, 0));
	OK(f, dp_attach_tcx.attach(f->dev, DP_INGRESS, f->from_pod, &f->err));
	OK(f, dp_attach_tcx.query(f->dev, DP_INGRESS, &now, &f->err));
	assert_true(now.first);
	assert_int_equal(now.count, 2);
	OK(f, dp_attach_tcx.detach(f->dev, DP_INGRESS, &f->err));
	OK(f, tcx_raw(BPF_PROG_DETACH, f->dev, f->foreign, 0)); /* untouched */
}

static void first_beside_foreign_clsact(void **state)
{
	struct fixture *f = *state;
	struct dp_attached now;

	OK(f, clsact_foreign(f->dev, f->foreign, 1, 7));
	OK(f, dp_attach_clsact.attach(f->dev, DP_INGRESS, f->from_pod, &f->err));
	OK(f, dp_attach_clsact.query(f->dev, DP_INGRESS, &now, &f->err));
	assert_true(now.first);
	assert_int_equal(now.count, 2);
	OK(f, dp_attach_clsact.detach(f->dev, DP_INGRESS, &f->err));
	OK(f, dp_attach_clsact.query(f->dev, DP_INGRESS, &now, &f->err));
	assert_int_equal(now.count, 1);
	assert_int_equal(now.ahead, id_of(f->foreign));
}

/* The other program came later and put itself ahead: seen, and mended. */
static void repair_order(void **state)
{
	struct fixture *f = *state;
	struct dp_attached now;

	needs_tcx(f->ops);
	OK(f, f->ops->attach(f->dev, DP_INGRESS, f->from_pod, &f->err));
	foreign_ahead(f);
	OK(f, f->ops->query(f->dev, DP_INGRESS, &now, &f->err));
	assert_false(now.first);
	assert_int_equal(now.id, id_of(f->from_pod));
	assert_int_equal(now.ahead, id_of(f->foreign));
	assert_int_equal(dp_attach_repair(f->ops, f->dev, DP_INGRESS, f->from_pod, &f->err), 1);
	OK(f, f->ops->query(f->dev, DP_INGRESS, &now, &f->err));
	assert_true(now.first);
	assert_int_equal(now.count, 2); /* the guard is gone, the other one stays */
	assert_int_equal(dp_attach_repair(f->ops, f->dev, DP_INGRESS, f->from_pod, &f->err), 0);
	OK(f, dp_detach_all(f->dev, &f->err));
}

/* The agent that dropped CAP_SYS_ADMIN knows its own programs by descriptor. */
static int repair_in_child(struct fixture *f, const struct dp_attach_ops *ops)
{
	int status;
	pid_t pid = fork();

	if (!pid)
		_exit(sandbox_drop()							  ? 2
		      : dp_attach_repair(ops, f->dev, DP_INGRESS, f->from_pod, NULL) == 1 ? 0
											  : 3);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static void repair_without_sys_admin(void **state)
{
	struct fixture *f = *state;
	struct dp_attached now;

	needs_tcx(f->ops);
	OK(f, f->ops->attach(f->dev, DP_INGRESS, f->from_pod, &f->err));
	foreign_ahead(f);
	assert_int_equal(repair_in_child(f, f->ops), 0);
	OK(f, f->ops->query(f->dev, DP_INGRESS, &now, &f->err));
	assert_true(now.first);
	assert_int_equal(now.count, 2);
	OK(f, dp_detach_all(f->dev, &f->err));
}

/* A TCX program of another runs before any clsact filter: that cannot be mended, only told. */
static void tcx_ahead_of_clsact(void **state)
{
	struct fixture *f = *state;

	needs_tcx(&dp_attach_tcx);
	OK(f, tcx_raw(BPF_PROG_ATTACH, f->dev, f->foreign, 0));
	OK(f, dp_attach_clsact.attach(f->dev, DP_INGRESS, f->from_pod, &f->err));
	assert_int_equal(
		dp_attach_repair(&dp_attach_clsact, f->dev, DP_INGRESS, f->from_pod, &f->err),
		-EBUSY);
	assert_non_null(strstr(f->err.text, "ahead"));
}

static void swap_in_place(void **state)
{
	struct fixture *f = *state;
	struct dp_attached now;
	struct dp_config config = dp_config_default();
	_cleanup_free_ void *object = NULL;
	_cleanup_dp_ struct dp *next = NULL;
	char root[PATH_MAX];
	int other;

	needs_tcx(f->ops);
	snprintf(root, sizeof(root), "%s2", dp_root(f->dp));
	OK(f, sandbox_object("tiny2", &object, &config.object_size));
	config.object = object;
	config.root = root;
	config.sizes = loaded_sizes;
	config.size_count = LOADED_SIZES;
	OK(f, dp_open(&config, &next, &f->err));
	other = dp_prog_fd(next, "from_pod");
	OK(f, f->ops->attach(f->dev, DP_INGRESS, f->from_pod, &f->err));
	OK(f, f->ops->attach(f->dev, DP_INGRESS, other, &f->err));
	OK(f, f->ops->query(f->dev, DP_INGRESS, &now, &f->err));
	assert_int_equal(now.id, id_of(other));
	assert_int_equal(now.count, 1);
	assert_true(now.first);
	OK(f, f->ops->detach(f->dev, DP_INGRESS, &f->err));
}

/* bpfAttachType changes: the new way first, then the old one goes. */
static void change_of_way(void **state)
{
	struct fixture *f = *state;
	struct dp_attached now;
	_cleanup_free_ struct net_qdisc *qdiscs = NULL;
	size_t count;

	needs_tcx(&dp_attach_tcx);
	OK(f, dp_attach(&dp_attach_clsact, f->dev, DP_INGRESS, f->from_pod, &f->err));
	OK(f, dp_attach(&dp_attach_tcx, f->dev, DP_INGRESS, f->from_pod, &f->err));
	OK(f, dp_attach_clsact.query(f->dev, DP_INGRESS, &now, &f->err));
	assert_int_equal(now.id, 0);
	OK(f, net_qdisc_list(f->sock, f->dev, &qdiscs, &count, &f->err));
	for (size_t i = 0; i < count; i++)
		assert_string_not_equal(qdiscs[i].kind, "clsact");
	OK(f, dp_attach(&dp_attach_clsact, f->dev, DP_INGRESS, f->from_pod, &f->err));
	OK(f, dp_attach_tcx.query(f->dev, DP_INGRESS, &now, &f->err));
	assert_int_equal(now.count, 0);
}

/* On a device with traffic the qdisc stays, for taking it off loses packets. */
static void change_of_way_softly(void **state)
{
	struct fixture *f = *state;
	struct dp_attached now;
	_cleanup_free_ struct net_qdisc *qdiscs = NULL;
	size_t count, found = 0;

	needs_tcx(&dp_attach_tcx);
	OK(f, dp_attach(&dp_attach_clsact, f->dev, DP_INGRESS, f->from_pod, &f->err));
	OK(f, dp_attach_softly(&dp_attach_tcx, f->dev, DP_INGRESS, f->from_pod, &f->err));
	OK(f, dp_attach_clsact.query(f->dev, DP_INGRESS, &now, &f->err));
	assert_int_equal(now.count, 0);
	OK(f, dp_attach_tcx.query(f->dev, DP_INGRESS, &now, &f->err));
	assert_true(now.first);
	OK(f, net_qdisc_list(f->sock, f->dev, &qdiscs, &count, &f->err));
	for (size_t i = 0; i < count; i++)
		found += !strcmp(qdiscs[i].kind, "clsact");
	assert_int_equal(found, 1);
	OK(f, dp_attach_softly(&dp_attach_clsact, f->dev, DP_INGRESS, f->from_pod, &f->err));
	OK(f, dp_attach_tcx.query(f->dev, DP_INGRESS, &now, &f->err));
	assert_int_equal(now.count, 0);
}

static enum dp_place place_of(struct fixture *f, const struct dp_attach_ops *ops)
{
	enum dp_place place;

	OK(f, dp_attach_place(ops, f->dev, DP_INGRESS, f->from_pod, &place, &f->err));
	return place;
}

/* Which way it is there, and whether it is first: what the agent leaves, moves or repairs. */
static void place(void **state)
{
	struct fixture *f = *state;

	needs_tcx(&dp_attach_tcx);
	assert_int_equal(place_of(f, &dp_attach_tcx), DP_PLACE_WRONG);
	OK(f, dp_attach_clsact.attach(f->dev, DP_INGRESS, f->from_pod, &f->err));
	assert_int_equal(place_of(f, &dp_attach_tcx), DP_PLACE_OTHER);
	assert_int_equal(place_of(f, &dp_attach_clsact), DP_PLACE_RIGHT);
	OK(f, dp_attach_tcx.attach(f->dev, DP_INGRESS, f->from_pod, &f->err));
	assert_int_equal(place_of(f, &dp_attach_tcx), DP_PLACE_OTHER);
	assert_int_equal(place_of(f, &dp_attach_clsact), DP_PLACE_OTHER);
	OK(f, dp_attach_clsact.detach(f->dev, DP_INGRESS, &f->err));
	assert_int_equal(place_of(f, &dp_attach_tcx), DP_PLACE_RIGHT);
	assert_int_equal(place_of(f, &dp_attach_clsact), DP_PLACE_OTHER);
	OK(f, tcx_raw(BPF_PROG_ATTACH, f->dev, f->foreign, MG_F_BEFORE));
	assert_int_equal(place_of(f, &dp_attach_tcx), DP_PLACE_WRONG);
	assert_int_equal(place_of(f, &dp_attach_clsact), DP_PLACE_WRONG);
}

/* A filter of ours behind another's program by TCX runs too late. */
static void place_behind_tcx(void **state)
{
	struct fixture *f = *state;

	needs_tcx(&dp_attach_tcx);
	OK(f, dp_attach_clsact.attach(f->dev, DP_INGRESS, f->from_pod, &f->err));
	OK(f, tcx_raw(BPF_PROG_ATTACH, f->dev, f->foreign, 0));
	assert_int_equal(place_of(f, &dp_attach_tcx), DP_PLACE_WRONG);
}

static void place_without_tcx(void **state)
{
	struct fixture *f = *state;

	OK(f, dp_attach_clsact.attach(f->dev, DP_INGRESS, f->from_pod, &f->err));
	assert_int_equal(place_of(f, &dp_attach_clsact), DP_PLACE_RIGHT);
}

static void pick(void **state)
{
	struct fixture *f = *state;
	const struct dp_attach_ops *ops;

	OK(f, dp_attach_pick(DP_ATTACH_CLSACT, &ops, &f->err));
	assert_string_equal(ops->name, "clsact");
	if (!sandbox_tcx()) {
		assert_int_equal(dp_attach_pick(DP_ATTACH_TCX, &ops, &f->err), -EOPNOTSUPP);
		assert_non_null(strstr(f->err.text, "TCX"));
		OK(f, dp_attach_pick(DP_ATTACH_AUTO, &ops, &f->err));
		assert_string_equal(ops->name, "clsact");
		return;
	}
	OK(f, dp_attach_pick(DP_ATTACH_TCX, &ops, &f->err));
	assert_string_equal(ops->name, "tcx");
	OK(f, dp_attach_pick(DP_ATTACH_AUTO, &ops, &f->err));
	assert_string_equal(ops->name, "tcx");
}

/* The bandwidth plugin's qdisc stands where clsact would: the message names the way out. */
static void ingress_qdisc_in_the_way(void **state)
{
	struct fixture *f = *state;

	OK(f, system("tc qdisc add dev va ingress"));
	assert_int_equal(dp_attach_clsact.attach(f->dev, DP_INGRESS, f->from_pod, &f->err), -EBUSY);
	assert_non_null(strstr(f->err.text, "bandwidth"));
	if (sandbox_tcx())
		OK(f, dp_attach_tcx.attach(f->dev, DP_INGRESS, f->from_pod, &f->err));
}

#define CASE(function) cmocka_unit_test_setup_teardown(function, setup, teardown)
#define CASES(function)                                                                            \
	{ #function " (tcx)", function, setup, teardown, (void *)&dp_attach_tcx },                 \
	{                                                                                          \
		#function " (clsact)", function, setup, teardown, (void *)&dp_attach_clsact        \
	}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASES(attach_query_detach),
		CASE(first_beside_foreign_tcx),
		CASE(first_beside_foreign_clsact),
		CASES(repair_order),
		CASES(repair_without_sys_admin),
		CASE(tcx_ahead_of_clsact),
		CASES(swap_in_place),
		CASE(change_of_way),
		CASE(change_of_way_softly),
		CASE(place),
		CASE(place_behind_tcx),
		CASE(place_without_tcx),
		CASE(pick),
		CASE(ingress_qdisc_in_the_way),
	};

	return cmocka_run_group_tests_name("attach", tests, NULL, NULL);
}
