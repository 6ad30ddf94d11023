/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include "base/arena.h"
#include "base/err.h"
#include "dataplane/nl.h"

/* Room for some thousand events, so that a burst of pods does not cost a resync. */
#define RECEIVE_BYTES (4 << 20)

struct net_monitor {
	struct net_sock *sock;
	net_event_fn function;
	void *data;
	unsigned int handed; /* events of this turn */
};

static const unsigned int groups[] = {
	RTNLGRP_LINK,	    RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR, RTNLGRP_IPV4_ROUTE,
	RTNLGRP_IPV6_ROUTE, RTNLGRP_NEIGH,	 RTNLGRP_TC,
};

static int join(int fd)
{
	const int bytes = RECEIVE_BYTES;

	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes)))
		(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
	for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]); i++) {
		if (setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &groups[i],
			       sizeof(groups[i])))
			return -errno;
	}
	return 0;
}

int net_monitor_open(net_event_fn function, void *data, struct net_monitor **ret_monitor,
		     struct err *err)
{
	_cleanup_net_ struct net_sock *sock = NULL;
	struct net_monitor *monitor;
	int r = net_open(&sock, err);

	if (!r)
		r = join(sock->fd);
	if (r)
		return err_errno(err, r, "events of netlink");
	monitor = xcalloc(1, sizeof(*monitor));
	monitor->sock = TAKE_PTR(sock);
	monitor->function = function;
	monitor->data = data;
	*ret_monitor = monitor;
	return 0;
}

void net_monitor_close(struct net_monitor *monitor)
{
	if (!monitor)
		return;
	net_close(monitor->sock);
	free(monitor);
}

int net_monitor_fd(const struct net_monitor *monitor)
{
	return monitor->sock->fd;
}

static bool read_event(struct nlmsghdr *message, struct net_event *event)
{
	switch (message->nlmsg_type) {
	case RTM_DELLINK:
		event->removed = true;
		__attribute__((fallthrough));
	case RTM_NEWLINK:
		event->kind = NET_EVENT_LINK;
		return nl_read_link(message, &event->link);
	case RTM_DELADDR:
		event->removed = true;
		__attribute__((fallthrough));
	case RTM_NEWADDR:
		event->kind = NET_EVENT_ADDR;
		return nl_read_addr(message, &event->addr);
	case RTM_DELROUTE:
		event->removed = true;
		__attribute__((fallthrough));
	case RTM_NEWROUTE:
		event->kind = NET_EVENT_ROUTE;
		return nl_read_route(message, &event->route);
	case RTM_DELNEIGH:
		event->removed = true;
		__attribute__((fallthrough));
	case RTM_NEWNEIGH:
		event->kind = NET_EVENT_NEIGH;
		return nl_read_neigh(message, &event->neigh);
	case RTM_DELQDISC:
		event->removed = true;
		__attribute__((fallthrough));
	case RTM_NEWQDISC:
		event->kind = NET_EVENT_QDISC;
		return nl_read_qdisc(message, &event->qdisc);
	case RTM_DELTFILTER:
		event->removed = true;
		__attribute__((fallthrough));
	case RTM_NEWTFILTER:
		event->kind = NET_EVENT_FILTER;
		return nl_read_qdisc(message, &event->qdisc);
	default:
		return false;
	}
}

static void hand_on(struct net_monitor *monitor, int size)
{
	for (struct nlmsghdr *message = (void *)monitor->sock->buffer; nlmsg_ok(message, size);
	     message = nlmsg_next(message, &size)) {
		struct net_event event = { 0 };

		if (!read_event(message, &event))
			continue;
		monitor->handed++;
		monitor->function(&event, monitor->data);
	}
}

int net_monitor_read(struct net_monitor *monitor, unsigned int max, struct err *err)
{
	const struct net_event lost = { .kind = NET_EVENT_RESYNC };
	ssize_t size;

	monitor->handed = 0;
	while (!max || monitor->handed < max) {
		size = recv(monitor->sock->fd, monitor->sock->buffer, NL_BUFFER,
			    MSG_DONTWAIT | MSG_TRUNC);
		if (size < 0 && errno == EAGAIN)
			return 0;
		if (size < 0 && errno == EINTR)
			continue;
		if (size < 0 && errno != ENOBUFS)
			return err_errno(err, -errno, "events of netlink");
		if (size < 0 || size > NL_BUFFER) {
			monitor->handed++;
			monitor->function(&lost, monitor->data);
		} else {
			hand_on(monitor, (int)size);
		}
	}
	return 0;
}
