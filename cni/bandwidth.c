/* SPDX-License-Identifier: Apache-2.0 */
#include "cni/bandwidth.h"

#include <errno.h>
#include <linux/pkt_sched.h>
#include <string.h>

#include "base/err.h"
#include "cni/attachment.h"
#include "cni/error.h"
#include "cni/names.h"
#include "cni/wire.h"
#include "dataplane/shape.h"

#define IFB_PREFIX "mgbw" /* as long as "cali" */

static void ifb_name(const struct attachment *attachment, char ret_name[IFNAMSIZ])
{
	snprintf(ret_name, IFNAMSIZ, IFB_PREFIX "%.11s",
		 attachment->host_ifname + strlen(CNI_HOST_PREFIX));
}

/* A bucket smaller than a packet would let none through. */
static struct net_rate in_bytes(__u64 rate, __u64 burst, __u32 mtu)
{
	__u32 packet = mtu + 18; /* Ethernet header and a VLAN tag */
	__u32 bytes = (__u32)(burst / 8);

	return (struct net_rate){ .rate = rate / 8, .burst = bytes < packet ? packet : bytes };
}

static int set_egress(const struct wire *wire, const struct attachment *attachment, struct err *err)
{
	struct net_rate rate = in_bytes(attachment->bandwidth.egress_rate,
					attachment->bandwidth.egress_burst, attachment->mtu);
	char name[IFNAMSIZ];
	int ifb, r;

	ifb_name(attachment, name);
	r = net_ifb_create(wire->host, name, attachment->mtu, &ifb, err);
	if (!r)
		r = net_tbf_set(wire->host, ifb, &rate, err);
	if (!r)
		r = net_ifb_divert(wire->host, (int)attachment->ifindex, ifb, err);
	return r;
}

int bandwidth_set(const struct wire *wire, const struct attachment *attachment,
		  struct cni_error *error)
{
	const struct bandwidth *bandwidth = &attachment->bandwidth;
	struct err err;
	int r = 0;

	if (bandwidth->ingress_rate) {
		struct net_rate rate = in_bytes(bandwidth->ingress_rate, bandwidth->ingress_burst,
						attachment->mtu);

		r = net_tbf_set(wire->host, (int)attachment->ifindex, &rate, &err);
	}
	if (!r && bandwidth->egress_rate)
		r = set_egress(wire, attachment, &err);
	if (r < 0)
		return cni_fail_err(error, r == -EEXIST ? CNI_NAME_TAKEN : CNI_KERNEL, &err,
				    "bandwidth of %s", attachment->host_ifname);
	return 0;
}

int bandwidth_unset(struct net_sock *host, const struct attachment *attachment,
		    struct cni_error *error)
{
	struct net_link link;
	char name[IFNAMSIZ];
	struct err err;
	int r;

	if (!attachment->bandwidth.egress_rate)
		return 0;
	ifb_name(attachment, name);
	r = net_link_by_name(host, name, &link, &err);
	if (!r && !strcmp(link.kind, "ifb"))
		r = net_link_delete(host, link.ifindex, &err);
	if (r < 0 && r != -ENODEV)
		return cni_fail_err(error, CNI_KERNEL, &err, "cannot delete %s", name);
	return 0;
}

static bool has_bucket(struct net_sock *host, int ifindex)
{
	_cleanup_free_ struct net_qdisc *qdiscs = NULL;
	size_t count;

	if (net_qdisc_list(host, ifindex, &qdiscs, &count, NULL) < 0)
		return false;
	for (size_t i = 0; i < count; i++) {
		if (qdiscs[i].parent == TC_H_ROOT && !strcmp(qdiscs[i].kind, "tbf"))
			return true;
	}
	return false;
}

int bandwidth_check(const struct wire *wire, const struct attachment *attachment,
		    struct cni_error *error)
{
	struct net_link link;
	char name[IFNAMSIZ];

	if (attachment->bandwidth.ingress_rate && !has_bucket(wire->host, (int)attachment->ifindex))
		return cni_fail(error, CNI_CHECK_FAILED, "the rate limit of %s is missing",
				attachment->host_ifname);
	if (!attachment->bandwidth.egress_rate)
		return 0;
	ifb_name(attachment, name);
	if (net_link_by_name(wire->host, name, &link, NULL) < 0 ||
	    !has_bucket(wire->host, link.ifindex))
		return cni_fail(error, CNI_CHECK_FAILED, "the rate limit of %s is missing", name);
	return 0;
}
