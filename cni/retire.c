/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DEL does not wait until the kernel has deleted the pair: both ends go down and get other names,
 * so that nothing passes and the next ADD finds room, and the agent deletes them. The host's end is
 * renamed last: by its name the pair is the attachment's, at every moment in which the plugin may
 * be killed. Moving the pod's end home would take as long as deleting it.
 */
#include <errno.h>
#include <string.h>

#include "base/err.h"
#include "cni/attachment.h"
#include "cni/names.h"
#include "cni/wire.h"
#include "dataplane/netns.h"

static int put_aside(struct net_sock *sock, int ifindex, const char *name, struct err *err)
{
	int r = net_link_set_up(sock, ifindex, false, err);

	return r < 0 ? r : net_link_rename(sock, ifindex, name, err);
}

static int retire_peer(const char *netns, const struct net_link *host, const char *name,
		       struct err *err)
{
	_cleanup_net_ struct net_sock *sock = NULL;
	_cleanup_close_ int pod = -1;
	struct net_link link;
	int r = netns_open(netns, &pod, err);

	if (!r)
		r = net_open_in(pod, &sock, err);
	if (!r)
		r = net_link_get(sock, host->peer, &link, err);
	if (r < 0)
		return r;
	if (strcmp(link.kind, "veth") || link.peer != host->ifindex)
		return err_set(err, -ENODEV, "the other end is not in %s", netns);
	return put_aside(sock, link.ifindex, name, err);
}

int wire_retire(struct net_sock *host, const char *netns, const struct attachment *attachment,
		struct err *err)
{
	char name[IFNAMSIZ], peer[IFNAMSIZ];
	struct net_link link;
	int r = net_link_by_name(host, attachment->host_ifname, &link, err);

	aside_ifnames(attachment->host_ifname, name, peer);
	if (r == -ENODEV)
		return net_link_by_name(host, name, &link, err) ? 0 : 1;
	if (r < 0)
		return r;
	/* Somebody else's by now, or half made; wire_delete() knows what to do. */
	if (strcmp(link.kind, "veth") || !attachment->ready ||
	    attachment->ifindex != (__u32)link.ifindex)
		return err_set(err, -EINVAL, "%s is not as recorded", attachment->host_ifname);
	r = retire_peer(netns, &link, peer, err);
	if (!r)
		r = put_aside(host, link.ifindex, name, err);
	return r < 0 ? r : 1;
}
