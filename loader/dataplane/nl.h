/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside dataplane/: requests and answers on a netlink socket (netlink(7)). libnl builds messages
 * and reads attributes; sending and receiving is done here, because the kernel's extended
 * acknowledgement and interrupted dumps matter to us.
 */
#ifndef MARGAY_DATAPLANE_NL_H
#define MARGAY_DATAPLANE_NL_H

#include <netlink/attr.h>
#include <netlink/msg.h>
#include <stdlib.h>
#include <string.h>

#include "abi/addr.h"
#include "base/cleanup.h"
#include "dataplane/netlink.h"

struct err;

#define NL_BUFFER 65536

struct net_sock {
	int fd;
	__u32 seq;
	unsigned char *buffer; /* NL_BUFFER bytes */
};

DEFINE_CLEANUP(struct nl_msg *, nlmsg_free)
#define _cleanup_msg_ _cleanup_(nlmsg_free_p)

/* A request with its fixed header; aborts when out of memory. */
struct nl_msg *nl_new(int type, int flags, const void *header, size_t size);

/* One attribute; messages have room for far more than any of ours needs, so this cannot fail but
 * by a defect, which aborts. */
static inline void nl_put(struct nl_msg *msg, int type, const void *data, size_t size)
{
	if (nla_put(msg, type, (int)size, data) < 0)
		abort();
}

static inline void nl_put_u32(struct nl_msg *msg, int type, __u32 value)
{
	nl_put(msg, type, &value, sizeof(value));
}

static inline void nl_put_text(struct nl_msg *msg, int type, const char *text)
{
	nl_put(msg, type, text, strlen(text) + 1);
}

static inline struct nlattr *nl_nest(struct nl_msg *msg, int type)
{
	struct nlattr *nest = nla_nest_start(msg, type);

	if (!nest)
		abort();
	return nest;
}

/* Each answer; other than 0 ends the reading and is returned. */
typedef int (*nl_answer_fn)(struct nlmsghdr *answer, void *data);

/* Sends and waits for the end of the answer. what (with "cannot" before it) opens err's text. */
int nl_talk(struct net_sock *sock, struct nl_msg *msg, nl_answer_fn function, void *data,
	    struct err *err);

/* A list that grows while a dump is read; an interrupted dump starts again. */
struct nl_list {
	void *rows;
	size_t count;
	size_t room;
	size_t row_size;
	const void *filter; /* for the function that reads an answer */
};
void *nl_list_add(struct nl_list *list); /* zeroed */
int nl_walk(struct net_sock *sock, struct nl_msg *msg, nl_answer_fn function, struct nl_list *list,
	    struct err *err);

/* Addresses on the wire are 4 or 16 bytes by family. */
int nl_family(const union mg_addr *addr);
void nl_put_addr(struct nl_msg *msg, int type, const union mg_addr *addr);
union mg_addr nl_get_addr(const struct nlattr *attr); /* zero where attr is NULL */

/* The qdisc clsact on a device; -EBUSY: "ingress" is in its place. */
int nl_clsact_ensure(struct net_sock *sock, int ifindex, struct err *err);

/* Answers to structures; false: not of interest (another family). */
bool nl_read_link(struct nlmsghdr *answer, struct net_link *ret_link);
bool nl_read_addr(struct nlmsghdr *answer, struct net_addr *ret_addr);
bool nl_read_route(struct nlmsghdr *answer, struct net_route *ret_route);
bool nl_read_neigh(struct nlmsghdr *answer, struct net_neigh *ret_neigh);
bool nl_read_qdisc(struct nlmsghdr *answer, struct net_qdisc *ret_qdisc);

#endif
