/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Links, addresses, routes, neighbours and queueing disciplines by rtnetlink(7), and their events.
 *
 * A socket belongs to the network namespace in which it was opened, whatever namespace the thread
 * enters later. Requests are synchronous; err carries the kernel's own words (extended
 * acknowledgement) where it has some. Addresses are 16 bytes, IPv4 v4-mapped; a zero address
 * means "none". Lists belong to the caller, who frees them.
 *
 * -ENODEV, -ENOENT, -ESRCH: not there. -EEXIST: already there.
 */
#ifndef MARGAY_DATAPLANE_NETLINK_H
#define MARGAY_DATAPLANE_NETLINK_H

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>

#include "abi/addr.h"
#include "base/cleanup.h"

struct err;
struct net_sock;

#define NET_KIND_MAX 16
#define NET_PROTOCOL 80 /* rtm_protocol of our routes */
#define DP_VXLAN_NAME "margay.vxlan"

int net_open(struct net_sock **ret_sock, struct err *err);
/* A socket of another namespace, given by a descriptor of it. */
int net_open_in(int netns_fd, struct net_sock **ret_sock, struct err *err);
void net_close(struct net_sock *sock); /* accepts NULL */
DEFINE_CLEANUP(struct net_sock *, net_close)
#define _cleanup_net_ _cleanup_(net_close_p)

/* --- links --- */
struct net_link {
	int ifindex;
	int peer;	/* IFLA_LINK: other end of a veth, lower device of a VLAN; 0: none */
	int peer_netns; /* IFLA_LINK_NETNSID; -1: this one */
	int master;	/* bridge or bond; 0: none */
	__u32 flags;	/* IFF_* */
	__u32 mtu;
	__u32 txqlen;
	__u16 type; /* ARPHRD_* */
	__u8 operstate;
	bool has_mac;
	__u8 mac[6];
	char name[IFNAMSIZ];
	char kind[NET_KIND_MAX]; /* "veth", "vxlan", ...; "" of hardware */
};

int net_link_list(struct net_sock *sock, struct net_link **ret_links, size_t *ret_count,
		  struct err *err);
int net_link_get(struct net_sock *sock, int ifindex, struct net_link *ret_link, struct err *err);
int net_link_by_name(struct net_sock *sock, const char *name, struct net_link *ret_link,
		     struct err *err);

struct net_veth {
	const char *name; /* this end */
	const char *peer_name;
	int ifindex;	 /* wanted for this end; 0: the kernel's choice */
	int peer_netns;	 /* descriptor the other end is made in; -1: this namespace */
	const __u8 *mac; /* NULL: the kernel's choice */
	const __u8 *peer_mac;
	__u32 mtu; /* both ends; 0: default */
};
/* -EEXIST: a name is taken; -EBUSY: the index is taken (ask again with 0). */
int net_veth_create(struct net_sock *sock, const struct net_veth *veth, struct err *err);

int net_link_rename(struct net_sock *sock, int ifindex, const char *name, struct err *err);
int net_link_set_mac(struct net_sock *sock, int ifindex, const __u8 mac[6], struct err *err);
int net_link_set_mtu(struct net_sock *sock, int ifindex, __u32 mtu, struct err *err);
int net_link_set_txqlen(struct net_sock *sock, int ifindex, __u32 length, struct err *err);
int net_link_set_up(struct net_sock *sock, int ifindex, bool up, struct err *err);
int net_link_set_netns(struct net_sock *sock, int ifindex, int netns_fd, struct err *err);
int net_link_set_alias(struct net_sock *sock, int ifindex, const char *alias, struct err *err);
int net_link_delete(struct net_sock *sock, int ifindex, struct err *err);
/* The one that has the name now, looked up by the kernel. */
int net_link_delete_name(struct net_sock *sock, const char *name, struct err *err);

/* The idle device that switches VXLAN offloads on: `external`, all VNIs, learning off, up. One that
 * stands already with this port is kept; with another port it is made anew. */
struct net_vxlan {
	const char *name; /* NULL: DP_VXLAN_NAME */
	__u16 port;	  /* host order */
	__u32 mtu;	  /* 0: default */
	const __u8 *mac;  /* NULL: the kernel's choice */
};
int net_vxlan_ensure(struct net_sock *sock, const struct net_vxlan *vxlan, int *ret_ifindex,
		     struct err *err);
/* 0 also where there is none, or no VXLAN device of that name. */
int net_vxlan_remove(struct net_sock *sock, const char *name, struct err *err);

/* A feature of the device by ethtool's name, e.g. "tx-sctp-segmentation". In the namespace of the
 * calling thread. -ENOENT: the kernel does not know the name. */
int net_feature_set(const char *ifname, const char *feature, bool on, struct err *err);
int net_feature_get(const char *ifname, const char *feature, bool *ret_on, struct err *err);

/* --- addresses --- */
struct net_addr {
	int ifindex;
	union mg_addr addr;
	__u32 flags; /* IFA_F_* */
	__u8 bits;   /* as written: 0-32 or 0-128 */
	__u8 scope;  /* RT_SCOPE_* */
};

/* Permanent; IPv6 without duplicate address detection. 0 if it stands already. */
int net_addr_add(struct net_sock *sock, const struct net_addr *addr, struct err *err);
int net_addr_delete(struct net_sock *sock, const struct net_addr *addr, struct err *err);
/* ifindex 0: of all links. */
int net_addr_list(struct net_sock *sock, int ifindex, struct net_addr **ret_addrs,
		  size_t *ret_count, struct err *err);

/* --- routes --- */
struct net_route {
	struct mg_prefix dst; /* ::ffff:0:0/96 is IPv4's default route, ::/0 IPv6's */
	union mg_addr gateway;
	union mg_addr src; /* preferred source */
	int ifindex;
	__u32 metric;
	__u32 mtu;
	__u32 table;   /* 0: main (254) */
	__u8 type;     /* RTN_*; 0: unicast */
	__u8 scope;    /* RT_SCOPE_*; universe, but link without a gateway for IPv4 (set by the
			  library) */
	__u8 protocol; /* 0: NET_PROTOCOL */
	bool onlink;
};

int net_route_add(struct net_sock *sock, const struct net_route *route, struct err *err);
int net_route_replace(struct net_sock *sock, const struct net_route *route, struct err *err);
/* 0 if it is gone already. */
int net_route_delete(struct net_sock *sock, const struct net_route *route, struct err *err);
/* Of one protocol (0: all) and one table (0: all); the local table's and cached ones never. */
int net_route_list(struct net_sock *sock, __u8 protocol, struct net_route **ret_routes,
		   size_t *ret_count, struct err *err);
/* What the kernel would do with a packet to dst: ifindex, gateway, src, mtu, type. */
int net_route_lookup(struct net_sock *sock, const union mg_addr *dst, struct net_route *ret_route,
		     struct err *err);

/* --- neighbours --- */
struct net_neigh {
	int ifindex;
	union mg_addr addr;
	__u8 mac[6];
	__u16 state; /* NUD_* */
};

int net_neigh_set(struct net_sock *sock, const struct net_neigh *neigh, struct err *err);
int net_neigh_delete(struct net_sock *sock, const struct net_neigh *neigh, struct err *err);
int net_neigh_list(struct net_sock *sock, int ifindex, struct net_neigh **ret_neighs,
		   size_t *ret_count, struct err *err);

/* --- queueing disciplines --- */
struct net_qdisc {
	int ifindex;
	__u32 handle;
	__u32 parent;
	char kind[NET_KIND_MAX];
};
/* ifindex 0: of all links. */
int net_qdisc_list(struct net_sock *sock, int ifindex, struct net_qdisc **ret_qdiscs,
		   size_t *ret_count, struct err *err);

/* --- events --- */
enum net_event_kind {
	NET_EVENT_LINK,
	NET_EVENT_ADDR,
	NET_EVENT_ROUTE,
	NET_EVENT_NEIGH,
	NET_EVENT_QDISC,
	NET_EVENT_FILTER, /* a tc filter came or went on qdisc.ifindex */
	NET_EVENT_RESYNC, /* events were lost: list everything again */
};

struct net_event {
	enum net_event_kind kind;
	bool removed;
	union {
		struct net_link link;
		struct net_addr addr;
		struct net_route route;
		struct net_neigh neigh;
		struct net_qdisc qdisc;
	};
};

struct net_monitor;
typedef void (*net_event_fn)(const struct net_event *event, void *data);

/* Own socket, in the namespace of the calling thread; the descriptor goes into the event loop. */
int net_monitor_open(net_event_fn function, void *data, struct net_monitor **ret_monitor,
		     struct err *err);
void net_monitor_close(struct net_monitor *monitor); /* accepts NULL */
DEFINE_CLEANUP(struct net_monitor *, net_monitor_close)
int net_monitor_fd(const struct net_monitor *monitor);
/* Hands on what waits, at most max events (0: all); does not block. */
int net_monitor_read(struct net_monitor *monitor, unsigned int max, struct err *err);

#endif
