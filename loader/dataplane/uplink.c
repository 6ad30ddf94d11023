/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/uplink.h"

#include <errno.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <string.h>

#include "base/err.h"
#include "base/inet.h"

/* Interfaces that carry no address of the node: what Calico's first-found leaves out, and our own
 * device. A name that ends in * is a prefix. */
static const char *const not_uplinks[] = {
	"lo",
	"docker*",
	"cbr*",
	"dummy*",
	"podman*",
	"virbr*",
	"lxcbr*",
	"veth*",
	"br-*",
	"cali*",
	"tunl*",
	"flannel*",
	"kube-ipvs*",
	"cni*",
	"vxlan.calico",
	"vxlan-v6.calico",
	"wireguard.cali",
	"wg-v6.cali",
	"nodelocaldns*",
	"margay.*",
};

bool uplink_matches(const struct net_link *link, const regex_t *pattern)
{
	return !link->master && link->flags & IFF_UP && !regexec(pattern, link->name, 0, NULL, 0);
}

static bool names(const char *pattern, const char *name)
{
	size_t size = strlen(pattern) - 1;

	return pattern[size] == '*' ? !strncmp(name, pattern, size) : !strcmp(name, pattern);
}

static bool may_have_address(const struct net_link *link)
{
	for (size_t i = 0; i < sizeof(not_uplinks) / sizeof(not_uplinks[0]); i++) {
		if (names(not_uplinks[i], link->name))
			return false;
	}
	return link->flags & IFF_UP;
}

static const struct net_link *link_of(const struct net_link *links, size_t count, int ifindex)
{
	for (size_t i = 0; i < count; i++) {
		if (links[i].ifindex == ifindex)
			return &links[i];
	}
	return NULL;
}

int uplink_first_address(struct net_sock *sock, bool v6, struct net_addr *ret_addr, struct err *err)
{
	_cleanup_free_ struct net_link *links = NULL;
	_cleanup_free_ struct net_addr *addrs = NULL;
	const struct net_addr *best = NULL;
	size_t link_count, addr_count;
	int r;

	r = net_link_list(sock, &links, &link_count, err);
	if (!r)
		r = net_addr_list(sock, 0, &addrs, &addr_count, err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < addr_count; i++) {
		const struct net_link *link = link_of(links, link_count, addrs[i].ifindex);

		if (!link || !may_have_address(link) || addrs[i].scope != RT_SCOPE_UNIVERSE ||
		    addr_is4(&addrs[i].addr) == v6 || (v6 && addrs[i].flags & IFA_F_TEMPORARY))
			continue;
		if (!best || best->ifindex > addrs[i].ifindex)
			best = &addrs[i];
	}
	if (!best)
		return err_set(err, -ENOENT, "no interface has a global IPv%d address", v6 ? 6 : 4);
	*ret_addr = *best;
	return 0;
}
