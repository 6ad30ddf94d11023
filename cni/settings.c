/* SPDX-License-Identifier: Apache-2.0 */
/* Per-interface sysctls and offloads; nothing of the host as a whole is touched. */
#include <errno.h>
#include <stdio.h>

#include "base/err.h"
#include "base/inet.h"
#include "cni/attachment.h"
#include "cni/config.h"
#include "cni/error.h"
#include "cni/wire.h"
#include "dataplane/netns.h"

struct setting {
	int family; /* 4 or 6 */
	const char *name;
	const char *value;
};

/* The host hands on what the pod sends. Loose rp_filter: from_pod has checked the source exactly,
 * and allowed further sources need not lead back here. The link-local address is made by us, from
 * a MAC that all host sides share: no duplicate address detection for it. */
static const struct setting host4[] = {
	{ 4, "forwarding", "1" },
	{ 4, "rp_filter", "2" },
};
static const struct setting host6[] = {
	{ 6, "disable_ipv6", "0" }, { 6, "addr_gen_mode", "1" }, { 6, "accept_dad", "0" },
	{ 6, "accept_ra", "0" },    { 6, "forwarding", "1" },
};
/* Runtimes turn IPv6 off in new namespaces. The pod's address is the only one on its link. */
static const struct setting pod6[] = {
	{ 6, "disable_ipv6", "0" },
	{ 6, "accept_dad", "0" },
	{ 6, "accept_ra", "0" },
};
static const struct setting forwarding[] = { { 4, "forwarding", NULL }, { 6, "forwarding", NULL } };

/* optional: a kernel without IPv6 has no such file. */
static int write_setting(const struct setting *setting, const char *ifname, const char *value,
			 bool optional, struct cni_error *error)
{
	char name[64];
	struct err err;
	int r;

	snprintf(name, sizeof(name), "ipv%d/conf/%s/%s", setting->family, ifname, setting->name);
	r = netns_sysctl_set(name, value, &err);
	if (r < 0 && !(optional && r == -ENOENT))
		return cni_fail_err(error, CNI_KERNEL, &err, "setting of interface %s", ifname);
	return 0;
}

static int write_all(const struct setting *settings, size_t count, const char *ifname,
		     bool optional, struct cni_error *error)
{
	int r = 0;

	for (size_t i = 0; !r && i < count; i++)
		r = write_setting(&settings[i], ifname, settings[i].value, optional, error);
	return r;
}

#define WRITE_ALL(settings, ifname, optional, error)                                               \
	write_all(settings, sizeof(settings) / sizeof((settings)[0]), ifname, optional, error)

/* Redirects cannot cut large SCTP packets: the sender does. Not every kernel knows the name. */
static int no_sctp_segmentation(const char *ifname, struct cni_error *error)
{
	struct err err;
	int r;

	r = net_feature_set(ifname, "tx-sctp-segmentation", false, &err);
	if (r < 0 && r != -ENOENT && r != -EOPNOTSUPP)
		return cni_fail_err(error, CNI_KERNEL, &err, "feature of interface %s", ifname);
	return 0;
}

static int pod_settings(const struct wire *wire, const struct cni_config *config,
			const struct attachment *attachment, struct cni_error *error)
{
	_cleanup_(netns_leave) struct netns_token token = NETNS_NONE;
	const char *value = config->allow_forwarding ? "1" : "0";
	const char *ifname = attachment->ifname;
	bool v6 = !addr_is_zero(&attachment->ip6);
	struct err err;
	int r;

	if (netns_enter(wire->netns_fd, &token, &err) < 0)
		return cni_fail_err(error, CNI_KERNEL, &err, "namespace of the pod");
	r = write_setting(&forwarding[0], ifname, value, false, error);
	if (!r)
		r = write_setting(&forwarding[1], ifname, value, true, error);
	if (!r && v6)
		r = WRITE_ALL(pod6, ifname, false, error);
	if (!r)
		r = no_sctp_segmentation(ifname, error);
	return r;
}

int wire_settings(const struct wire *wire, const struct cni_config *config,
		  const struct attachment *attachment, struct cni_error *error)
{
	const char *ifname = attachment->host_ifname;
	int r;

	r = WRITE_ALL(host4, ifname, false, error);
	if (!r)
		r = WRITE_ALL(host6, ifname, addr_is_zero(&attachment->ip6), error);
	if (!r)
		r = no_sctp_segmentation(ifname, error);
	if (!r)
		r = pod_settings(wire, config, attachment, error);
	return r;
}
