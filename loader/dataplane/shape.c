/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/shape.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_link.h>
#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <linux/tc_act/tc_mirred.h>
#include <stdint.h>

#include "base/err.h"
#include "dataplane/nl.h"

#define LATENCY_MS 25 /* as the CNI bandwidth plugin has it */

/* Bytes that may wait: those of the latency, and the burst. */
static __u32 limit_of(const struct net_rate *rate)
{
	__u64 limit = rate->rate * LATENCY_MS / 1000 + rate->burst;

	return limit > UINT32_MAX ? UINT32_MAX : (__u32)limit;
}

int net_tbf_set(struct net_sock *sock, int ifindex, const struct net_rate *rate, struct err *err)
{
	const struct tcmsg info = {
		.tcm_family = AF_UNSPEC,
		.tcm_ifindex = ifindex,
		.tcm_parent = TC_H_ROOT,
	};
	_cleanup_msg_ struct nl_msg *msg =
		nl_new(RTM_NEWQDISC, NLM_F_CREATE | NLM_F_REPLACE, &info, sizeof(info));
	/* The link layer is told, so that no rate table is needed; TCA_TBF_BURST goes first over
	 * buffer, which is in scheduler ticks. */
	struct tc_tbf_qopt options = {
		.rate = { .linklayer = TC_LINKLAYER_ETHERNET,
			  .rate = rate->rate > UINT32_MAX ? UINT32_MAX : (__u32)rate->rate },
		.limit = limit_of(rate),
	};
	struct nlattr *nest;
	int r;

	nl_put_text(msg, TCA_KIND, "tbf");
	nest = nl_nest(msg, TCA_OPTIONS);
	nl_put(msg, TCA_TBF_PARMS, &options, sizeof(options));
	nl_put_u32(msg, TCA_TBF_BURST, rate->burst);
	if (rate->rate > UINT32_MAX)
		nl_put(msg, TCA_TBF_RATE64, &rate->rate, sizeof(rate->rate));
	nla_nest_end(msg, nest);
	r = nl_talk(sock, msg, NULL, NULL, err);
	return r ? err_wrap(err, r, "token bucket") : 0;
}

int net_ifb_create(struct net_sock *sock, const char *name, __u32 mtu, int *ret_ifindex,
		   struct err *err)
{
	const struct ifinfomsg info = { .ifi_flags = IFF_UP, .ifi_change = IFF_UP };
	_cleanup_msg_ struct nl_msg *msg =
		nl_new(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &info, sizeof(info));
	struct net_link made;
	struct nlattr *link;
	int r;

	nl_put_text(msg, IFLA_IFNAME, name);
	nl_put_u32(msg, IFLA_MTU, mtu);
	link = nl_nest(msg, IFLA_LINKINFO);
	nl_put_text(msg, IFLA_INFO_KIND, "ifb");
	nla_nest_end(msg, link);
	r = nl_talk(sock, msg, NULL, NULL, err);
	if (!r)
		r = net_link_by_name(sock, name, &made, err);
	if (r)
		return err_wrap(err, r, "ifb device %s", name);
	*ret_ifindex = made.ifindex;
	return 0;
}

/* options { actions { 1 { kind "mirred", options { redirect to the egress of ifb } } }, selector }
 */
static void put_redirect(struct nl_msg *msg, int ifb)
{
	const struct tc_mirred redirect = {
		.action = TC_ACT_STOLEN,
		.eaction = TCA_EGRESS_REDIR,
		.ifindex = (__u32)ifb,
	};
	/* One key that compares no bit: every packet. */
	const struct {
		struct tc_u32_sel head;
		struct tc_u32_key key;
	} all = { .head = { .flags = TC_U32_TERMINAL, .nkeys = 1 } };
	struct nlattr *options = nl_nest(msg, TCA_OPTIONS);
	struct nlattr *actions = nl_nest(msg, TCA_U32_ACT);
	struct nlattr *first = nl_nest(msg, 1);
	struct nlattr *own;

	nl_put_text(msg, TCA_ACT_KIND, "mirred");
	own = nl_nest(msg, TCA_ACT_OPTIONS);
	nl_put(msg, TCA_MIRRED_PARMS, &redirect, sizeof(redirect));
	nla_nest_end(msg, own);
	nla_nest_end(msg, first);
	nla_nest_end(msg, actions);
	nl_put(msg, TCA_U32_SEL, &all, sizeof(all));
	nla_nest_end(msg, options);
}

int net_ifb_divert(struct net_sock *sock, int ifindex, int ifb, struct err *err)
{
	const struct tcmsg info = {
		.tcm_family = AF_UNSPEC,
		.tcm_ifindex = ifindex,
		.tcm_parent = TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_INGRESS),
		.tcm_info = TC_H_MAKE(NET_IFB_PRIORITY << 16, htons(ETH_P_ALL)),
	};
	_cleanup_msg_ struct nl_msg *msg =
		nl_new(RTM_NEWTFILTER, NLM_F_CREATE | NLM_F_EXCL, &info, sizeof(info));
	int r;

	r = nl_clsact_ensure(sock, ifindex, err);
	if (!r) {
		/* Not matchall, which slim kernels leave out. */
		nl_put_text(msg, TCA_KIND, "u32");
		put_redirect(msg, ifb);
		r = nl_talk(sock, msg, NULL, NULL, err);
	}
	return r ? err_wrap(err, r, "filter to the ifb device") : 0;
}
