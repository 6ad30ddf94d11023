/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/inet.h"
#include "dataplane/netns.h"
#include "dataplane/nl.h"

#define ANSWER_SECONDS 10
#define DUMP_TRIES 8

int net_open(struct net_sock **ret_sock, struct err *err)
{
	const struct timeval limit = { .tv_sec = ANSWER_SECONDS };
	const struct sockaddr_nl any = { .nl_family = AF_NETLINK };
	_cleanup_close_ int fd = -1;
	struct net_sock *sock;
	int one = 1;

	fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	if (fd < 0)
		return err_errno(err, -errno, "netlink socket");
	if (bind(fd, (const struct sockaddr *)&any, sizeof(any)) ||
	    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)))
		return err_errno(err, -errno, "netlink socket");
	/* Comfort, from 4.12 and 4.20: words instead of numbers, and dumps filtered early. */
	(void)setsockopt(fd, SOL_NETLINK, NETLINK_EXT_ACK, &one, sizeof(one));
	(void)setsockopt(fd, SOL_NETLINK, NETLINK_CAP_ACK, &one, sizeof(one));
	(void)setsockopt(fd, SOL_NETLINK, NETLINK_GET_STRICT_CHK, &one, sizeof(one));
	sock = xcalloc(1, sizeof(*sock));
	sock->fd = TAKE_FD(fd);
	sock->buffer = xmalloc(NL_BUFFER);
	*ret_sock = sock;
	return 0;
}

int net_open_in(int netns_fd, struct net_sock **ret_sock, struct err *err)
{
	_cleanup_(netns_leave) struct netns_token token = NETNS_NONE;
	int r = netns_enter(netns_fd, &token, err);

	return r ? r : net_open(ret_sock, err);
}

void net_close(struct net_sock *sock)
{
	if (!sock)
		return;
	close(sock->fd);
	free(sock->buffer);
	free(sock);
}

struct nl_msg *nl_new(int type, int flags, const void *header, size_t size)
{
	struct nl_msg *msg = nlmsg_alloc_simple(type, NLM_F_REQUEST | flags);

	if (!msg || nlmsg_append(msg, (void *)(uintptr_t)header, size, NLMSG_ALIGNTO))
		abort();
	return msg;
}

/* The kernel's words behind an error, or NULL. */
static const char *extack_text(struct nlmsghdr *answer)
{
	struct nlmsgerr *error = nlmsg_data(answer);
	size_t skip = sizeof(*error);
	struct nlattr *text;

	if (!(answer->nlmsg_flags & NLM_F_ACK_TLVS))
		return NULL;
	if (!(answer->nlmsg_flags & NLM_F_CAPPED))
		skip += NLMSG_ALIGN(error->msg.nlmsg_len) - sizeof(error->msg);
	if (NLMSG_HDRLEN + skip >= answer->nlmsg_len)
		return NULL;
	text = nla_find((struct nlattr *)((char *)error + skip),
			(int)(answer->nlmsg_len - NLMSG_HDRLEN - skip), NLMSGERR_ATTR_MSG);
	return text && nla_len(text) > 0 ? nla_get_string(text) : NULL;
}

static int on_error(struct nlmsghdr *answer, struct err *err)
{
	struct nlmsgerr *error = nlmsg_data(answer);
	const char *text = extack_text(answer);

	if (answer->nlmsg_len < NLMSG_LENGTH(sizeof(*error)))
		return err_set(err, -EPROTO, "netlink: short answer");
	if (!error->error)
		return 0;
	if (text)
		return err_set(err, error->error, "netlink: %s (%s)", strerror(-error->error),
			       text);
	return err_errno(err, error->error, "netlink");
}

/* 1: the answer is complete; 0: more follows; -errno. */
static int on_answer(struct nlmsghdr *answer, nl_answer_fn function, void *data, struct err *err)
{
	int r;

	if (answer->nlmsg_flags & NLM_F_DUMP_INTR)
		return err_set(err, -EINTR, "netlink: the list changed while it was read");
	if (answer->nlmsg_type == NLMSG_ERROR) {
		r = on_error(answer, err);
		return r ? r : 1;
	}
	if (answer->nlmsg_type == NLMSG_DONE) {
		r = answer->nlmsg_len >= NLMSG_LENGTH(sizeof(int)) ? *(int *)nlmsg_data(answer) : 0;
		return r < 0 ? err_errno(err, r, "netlink") : 1;
	}
	if (answer->nlmsg_type == NLMSG_NOOP || !function)
		return 0;
	return function(answer, data);
}

static int receive(struct net_sock *sock, int *ret_size, struct err *err)
{
	ssize_t size;

	do {
		size = recv(sock->fd, sock->buffer, NL_BUFFER, MSG_TRUNC);
	} while (size < 0 && errno == EINTR);
	if (size < 0)
		return err_errno(err, -errno, "netlink: receive");
	if (size > NL_BUFFER)
		return err_set(err, -EMSGSIZE, "netlink: answer of %zd bytes", size);
	*ret_size = (int)size;
	return 0;
}

static int send_whole(struct net_sock *sock, struct nlmsghdr *request, struct err *err)
{
	const struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };

	request->nlmsg_seq = ++sock->seq;
	request->nlmsg_pid = 0;
	/* NLM_F_DUMP shares its bits with NLM_F_REPLACE and NLM_F_EXCL, of which we use one at
	 * most. */
	if ((request->nlmsg_flags & NLM_F_DUMP) != NLM_F_DUMP)
		request->nlmsg_flags |= NLM_F_ACK;
	if (sendto(sock->fd, request, request->nlmsg_len, 0, (const struct sockaddr *)&kernel,
		   sizeof(kernel)) < 0)
		return err_errno(err, -errno, "netlink: send");
	return 0;
}

int nl_talk(struct net_sock *sock, struct nl_msg *msg, nl_answer_fn function, void *data,
	    struct err *err)
{
	struct nlmsghdr *answer;
	int size, r;

	r = send_whole(sock, nlmsg_hdr(msg), err);
	if (r)
		return r;
	for (;;) {
		r = receive(sock, &size, err);
		if (r)
			return r;
		for (answer = (void *)sock->buffer; nlmsg_ok(answer, size);
		     answer = nlmsg_next(answer, &size)) {
			/* What an earlier, failed request left behind carries its own number. */
			if (answer->nlmsg_seq != sock->seq)
				continue;
			r = on_answer(answer, function, data, err);
			if (r)
				return r < 0 ? r : 0;
		}
	}
}

void *nl_list_add(struct nl_list *list)
{
	void *row;

	if (list->count == list->room) {
		list->room = list->room ? 2 * list->room : 16;
		list->rows = xrealloc(list->rows, list->room, list->row_size);
	}
	row = (char *)list->rows + list->count++ * list->row_size;
	memset(row, 0, list->row_size);
	return row;
}

int nl_walk(struct net_sock *sock, struct nl_msg *msg, nl_answer_fn function, struct nl_list *list,
	    struct err *err)
{
	int r = -EINTR;

	nlmsg_hdr(msg)->nlmsg_flags |= NLM_F_DUMP;
	for (int i = 0; i < DUMP_TRIES && r == -EINTR; i++) {
		list->count = 0;
		r = nl_talk(sock, msg, function, list, err);
	}
	if (r) {
		free(list->rows);
		list->rows = NULL;
		list->count = 0;
	}
	return r;
}

int nl_family(const union mg_addr *addr)
{
	return addr_is4(addr) ? AF_INET : AF_INET6;
}

void nl_put_addr(struct nl_msg *msg, int type, const union mg_addr *addr)
{
	if (addr_is4(addr))
		nl_put(msg, type, &addr->w[3], 4);
	else
		nl_put(msg, type, addr, 16);
}

union mg_addr nl_get_addr(const struct nlattr *attr)
{
	union mg_addr addr = { 0 };
	__be32 v4;

	if (attr && nla_len(attr) == 16) {
		memcpy(&addr, nla_data(attr), 16);
	} else if (attr && nla_len(attr) == 4) {
		memcpy(&v4, nla_data(attr), 4);
		addr = addr_from4(v4);
	}
	return addr;
}
