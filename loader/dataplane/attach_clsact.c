/* SPDX-License-Identifier: Apache-2.0 */
/*
 * clsact (tc(8)): a filter of preference 1, all protocols, handle 1, replaced in one call. Within
 * one preference the kernel runs bpf filters from the newest to the oldest, and a dump lists
 * them in the order they run (net/sched/cls_bpf.c).
 */
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <netinet/in.h>

#include "base/err.h"
#include "dataplane/attach.h"
#include "dataplane/attach_own.h"
#include "dataplane/nl.h"
#include "dataplane/pins.h"

#define OUR_PREFERENCE 1U
#define OUR_HANDLE 1U
#define GUARD_HANDLE 0xfffeU
#define OUR_NAME "margay"

struct filter {
	__u32 handle;
	__u32 id; /* 0: no bpf filter */
	bool ours;
};

static __u32 parent_of(enum dp_way way)
{
	return TC_H_MAKE(TC_H_CLSACT, way == DP_INGRESS ? TC_H_MIN_INGRESS : TC_H_MIN_EGRESS);
}

static struct tcmsg filter_head(int ifindex, enum dp_way way, __u32 handle)
{
	return (struct tcmsg){
		.tcm_ifindex = ifindex,
		.tcm_parent = parent_of(way),
		.tcm_handle = handle,
		.tcm_info = TC_H_MAKE(OUR_PREFERENCE << 16, htons(ETH_P_ALL)),
	};
}

static int fail(int ifindex, enum dp_way way, int r, struct err *err)
{
	return err_wrap(err, r, "interface %d, clsact %s", ifindex,
			way == DP_INGRESS ? "ingress" : "egress");
}

int nl_clsact_ensure(struct net_sock *sock, int ifindex, struct err *err)
{
	const struct tcmsg info = { .tcm_ifindex = ifindex,
				    .tcm_parent = TC_H_CLSACT,
				    .tcm_handle = TC_H_MAKE(TC_H_CLSACT, 0) };
	_cleanup_msg_ struct nl_msg *msg =
		nl_new(RTM_NEWQDISC, NLM_F_CREATE | NLM_F_EXCL, &info, sizeof(info));
	_cleanup_free_ struct net_qdisc *list = NULL;
	size_t count;
	int r;

	nl_put_text(msg, TCA_KIND, "clsact");
	r = nl_talk(sock, msg, NULL, NULL, err);
	if (r != -EEXIST)
		return r;
	err_clear(err);
	r = net_qdisc_list(sock, ifindex, &list, &count, err);
	for (size_t i = 0; i < count && !r; i++) {
		if (list[i].parent == TC_H_CLSACT && strcmp(list[i].kind, "clsact") != 0)
			r = err_set(err, -EBUSY,
				    "qdisc \"%s\" is in the place of clsact: use Margay's own "
				    "capability \"bandwidth\" instead of the plugin",
				    list[i].kind);
	}
	return r;
}

static int set_filter(struct net_sock *sock, const struct tcmsg *info, int prog_fd, struct err *err)
{
	_cleanup_msg_ struct nl_msg *msg =
		nl_new(RTM_NEWTFILTER, NLM_F_CREATE, info, sizeof(*info));
	struct nlattr *options;

	nl_put_text(msg, TCA_KIND, "bpf");
	options = nl_nest(msg, TCA_OPTIONS);
	nl_put_u32(msg, TCA_BPF_FD, (__u32)prog_fd);
	nl_put_text(msg, TCA_BPF_NAME, OUR_NAME);
	nl_put_u32(msg, TCA_BPF_FLAGS, TCA_BPF_FLAG_ACT_DIRECT);
	nla_nest_end(msg, options);
	return nl_talk(sock, msg, NULL, NULL, err);
}

static int delete_filter(struct net_sock *sock, const struct tcmsg *info, struct err *err)
{
	_cleanup_msg_ struct nl_msg *msg = nl_new(RTM_DELTFILTER, 0, info, sizeof(*info));

	nl_put_text(msg, TCA_KIND, "bpf");
	return nl_talk(sock, msg, NULL, NULL, err);
}

static void read_bpf(struct nlattr *options, const struct tcmsg *info, struct filter *filter)
{
	struct nlattr *tb[TCA_BPF_MAX + 1];

	if (!options || nla_parse_nested(tb, TCA_BPF_MAX, options, NULL))
		return;
	filter->id = tb[TCA_BPF_ID] ? nla_get_u32(tb[TCA_BPF_ID]) : 0;
	filter->ours = TC_H_MAJ(info->tcm_info) >> 16 == OUR_PREFERENCE &&
		       (filter->handle == OUR_HANDLE || filter->handle == GUARD_HANDLE) &&
		       tb[TCA_BPF_NAME] && !strcmp(nla_get_string(tb[TCA_BPF_NAME]), OUR_NAME);
}

static int on_filter(struct nlmsghdr *answer, void *data)
{
	const struct tcmsg *info = nlmsg_data(answer);
	struct nlattr *tb[TCA_MAX + 1];
	struct filter filter = { .handle = info->tcm_handle };

	/* Handle 0 announces a preference; other chains than 0 run only where one jumps to them. */
	if (answer->nlmsg_type != RTM_NEWTFILTER || !info->tcm_handle ||
	    nlmsg_parse(answer, sizeof(*info), tb, TCA_MAX, NULL) < 0 ||
	    (tb[TCA_CHAIN] && nla_get_u32(tb[TCA_CHAIN])))
		return 0;
	if (tb[TCA_KIND] && !strcmp(nla_get_string(tb[TCA_KIND]), "bpf"))
		read_bpf(tb[TCA_OPTIONS], info, &filter);
	*(struct filter *)nl_list_add(data) = filter;
	return 0;
}

/* Filters in the order they run. A device without clsact has none. */
static int list_filters(struct net_sock *sock, int ifindex, enum dp_way way, struct nl_list *list,
			struct err *err)
{
	const struct tcmsg info = { .tcm_ifindex = ifindex, .tcm_parent = parent_of(way) };
	_cleanup_msg_ struct nl_msg *msg = nl_new(RTM_GETTFILTER, 0, &info, sizeof(info));
	int r;

	*list = (struct nl_list){ .row_size = sizeof(struct filter) };
	r = nl_walk(sock, msg, on_filter, list, err);
	return r == -EINVAL || r == -ENOENT ? err_clear(err) : r;
}

/* Index of ours (not the guard), or -1. */
static int find_ours(const struct nl_list *list)
{
	const struct filter *filters = list->rows;

	for (size_t i = 0; i < list->count; i++) {
		if (filters[i].ours && filters[i].handle == OUR_HANDLE)
			return (int)i;
	}
	return -1;
}

/* A new filter goes to the head of its preference: off and on again behind a guard. */
static int move_first(struct net_sock *sock, int ifindex, enum dp_way way, int prog_fd,
		      struct err *err)
{
	const struct tcmsg guard = filter_head(ifindex, way, GUARD_HANDLE);
	const struct tcmsg ours = filter_head(ifindex, way, OUR_HANDLE);
	_cleanup_close_ int guard_fd = -1;
	int r, off;

	r = attach_guard(&guard_fd, err);
	if (!r)
		r = set_filter(sock, &guard, guard_fd, err);
	if (r)
		return r;
	r = delete_filter(sock, &ours, err);
	if (!r)
		r = set_filter(sock, &ours, prog_fd, err);
	off = delete_filter(sock, &guard, r ? NULL : err);
	return r ? r : off;
}

static int drop_guard(struct net_sock *sock, int ifindex, enum dp_way way,
		      const struct nl_list *list, struct err *err)
{
	const struct filter *filters = list->rows;
	const struct tcmsg guard = filter_head(ifindex, way, GUARD_HANDLE);

	for (size_t i = 0; i < list->count; i++) {
		if (filters[i].ours && filters[i].handle == GUARD_HANDLE)
			return delete_filter(sock, &guard, err);
	}
	return 0;
}

static int clsact_attach(int ifindex, enum dp_way way, int prog_fd, struct err *err)
{
	const struct tcmsg info = filter_head(ifindex, way, OUR_HANDLE);
	_cleanup_net_ struct net_sock *sock = NULL;
	struct nl_list list = { 0 };
	__u32 id;
	int r = prog_id_of(prog_fd, &id), ours;

	if (r)
		return err_errno(err, r, "program");
	r = net_open(&sock, err);
	if (!r)
		r = nl_clsact_ensure(sock, ifindex, err);
	if (!r)
		r = list_filters(sock, ifindex, way, &list, err);
	if (r)
		return fail(ifindex, way, r, err);
	ours = find_ours(&list);
	if (ours > 0)
		r = move_first(sock, ifindex, way, prog_fd, err);
	else if (ours < 0 || ((struct filter *)list.rows)[0].id != id)
		r = set_filter(sock, &info, prog_fd, err);
	if (!r)
		r = drop_guard(sock, ifindex, way, &list, err);
	free(list.rows);
	return r ? fail(ifindex, way, r, err) : 0;
}

/* Takes clsact off where nothing hangs on it any more in either direction. */
static int drop_empty(struct net_sock *sock, int ifindex, struct err *err)
{
	const struct tcmsg info = { .tcm_ifindex = ifindex,
				    .tcm_parent = TC_H_CLSACT,
				    .tcm_handle = TC_H_MAKE(TC_H_CLSACT, 0) };
	_cleanup_msg_ struct nl_msg *msg = nl_new(RTM_DELQDISC, 0, &info, sizeof(info));
	struct nl_list in = { 0 }, out = { 0 };
	int r = list_filters(sock, ifindex, DP_INGRESS, &in, err);

	if (!r)
		r = list_filters(sock, ifindex, DP_EGRESS, &out, err);
	free(in.rows);
	free(out.rows);
	if (r || in.count || out.count)
		return r;
	return nl_talk(sock, msg, NULL, NULL, err);
}

static bool gone(int r)
{
	return r == -ENOENT || r == -ENODEV || r == -EINVAL;
}

static int take_off(int ifindex, enum dp_way way, bool tidy, struct err *err)
{
	const struct tcmsg info = filter_head(ifindex, way, OUR_HANDLE);
	_cleanup_net_ struct net_sock *sock = NULL;
	struct nl_list list = { 0 };
	int r = net_open(&sock, err), ours = -1;

	if (!r)
		r = list_filters(sock, ifindex, way, &list, err);
	if (!r) {
		ours = find_ours(&list);
		r = drop_guard(sock, ifindex, way, &list, err);
	}
	if (!r && ours >= 0)
		r = delete_filter(sock, &info, err);
	if (!r && ours >= 0 && tidy)
		r = drop_empty(sock, ifindex, err);
	free(list.rows);
	if (r && !gone(r))
		return fail(ifindex, way, r, err);
	return r ? err_clear(err) : 0;
}

static int clsact_detach(int ifindex, enum dp_way way, struct err *err)
{
	return take_off(ifindex, way, true, err);
}

static int clsact_take_off(int ifindex, enum dp_way way, struct err *err)
{
	return take_off(ifindex, way, false, err);
}

static int clsact_query(int ifindex, enum dp_way way, struct dp_attached *ret_attached,
			struct err *err)
{
	_cleanup_net_ struct net_sock *sock = NULL;
	struct nl_list list = { 0 };
	struct filter *filters;
	int r = net_open(&sock, err), ours;

	if (!r)
		r = list_filters(sock, ifindex, way, &list, err);
	if (r)
		return fail(ifindex, way, r, err);
	filters = list.rows;
	ours = find_ours(&list);
	/* TCX runs before clsact. */
	*ret_attached = (struct dp_attached){
		.count = (unsigned int)list.count,
		.ahead = tcx_head(ifindex, way == DP_EGRESS),
	};
	if (ours >= 0)
		ret_attached->id = filters[ours].id;
	ret_attached->first = ours == 0 && !ret_attached->ahead;
	if (ours != 0 && list.count && !ret_attached->ahead)
		ret_attached->ahead = filters[0].id;
	free(list.rows);
	return 0;
}

const struct dp_attach_ops dp_attach_clsact = {
	.name = "clsact",
	.type = DP_ATTACH_CLSACT,
	.attach = clsact_attach,
	.detach = clsact_detach,
	.take_off = clsact_take_off,
	.query = clsact_query,
};
