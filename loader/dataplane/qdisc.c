/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <linux/rtnetlink.h>
#include <stdio.h>

#include "base/err.h"
#include "dataplane/nl.h"

bool nl_read_qdisc(struct nlmsghdr *answer, struct net_qdisc *ret_qdisc)
{
	struct tcmsg *info = nlmsg_data(answer);
	struct nlattr *tb[TCA_MAX + 1];

	if (nlmsg_parse(answer, sizeof(*info), tb, TCA_MAX, NULL) < 0)
		return false;
	*ret_qdisc = (struct net_qdisc){
		.ifindex = info->tcm_ifindex,
		.handle = info->tcm_handle,
		.parent = info->tcm_parent,
	};
	if (tb[TCA_KIND])
		snprintf(ret_qdisc->kind, sizeof(ret_qdisc->kind), "%.*s", nla_len(tb[TCA_KIND]),
			 (const char *)nla_data(tb[TCA_KIND]));
	return true;
}

static int on_qdisc(struct nlmsghdr *answer, void *data)
{
	struct nl_list *list = data;
	const int *ifindex = list->filter;
	struct net_qdisc qdisc;

	if (answer->nlmsg_type == RTM_NEWQDISC && nl_read_qdisc(answer, &qdisc) &&
	    (!*ifindex || qdisc.ifindex == *ifindex))
		*(struct net_qdisc *)nl_list_add(list) = qdisc;
	return 0;
}

int net_qdisc_list(struct net_sock *sock, int ifindex, struct net_qdisc **ret_qdiscs,
		   size_t *ret_count, struct err *err)
{
	const struct tcmsg info = { .tcm_ifindex = ifindex };
	_cleanup_msg_ struct nl_msg *msg = nl_new(RTM_GETQDISC, 0, &info, sizeof(info));
	struct nl_list list = { .row_size = sizeof(struct net_qdisc), .filter = &ifindex };
	int r = nl_walk(sock, msg, on_qdisc, &list, err);

	if (r)
		return err_wrap(err, r, "list of queueing disciplines");
	*ret_qdiscs = list.rows;
	*ret_count = list.count;
	return 0;
}
