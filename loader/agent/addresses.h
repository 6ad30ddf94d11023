/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Between the sockets and ipam/: requests for addresses as the plugins send them, what the node's
 * labels allow, and garbage.
 */
#ifndef MARGAY_AGENT_ADDRESSES_H
#define MARGAY_AGENT_ADDRESSES_H

#include "agent/agent.h"
#include "ipam/ipam.h"

/* Asks as a request of docs/cni-socket.md says (families, pools, ips), with the annotations of
 * the Pod and of the owner's Namespace. Borrowed. done: as ipam_request(). */
struct addresses_wish {
	const json_t *request;
	struct ipam_owner owner;
	const struct object *pod; /* NULL: not known */
};
void addresses_ask(struct agent *agent, const struct addresses_wish *wish, ipam_done_fn *done,
		   void *context);

/* What an endpoint had, with nobody who waits for it. */
void addresses_release(struct agent *agent, const struct endpoint *endpoint);

/* CNI error code of a result's status. */
int addresses_code(int status);

/* Releases what no endpoint of this agent has. network NULL: all networks. */
void addresses_collect(struct agent *agent, const char *network);

/* The own Node's labels, which nodeSelector of pools asks for. */
void addresses_node(struct agent *agent, const json_t *node);

/* The ops of margay-ipam: ipam-allocate, ipam-release, ipam-check, ipam-gc. */
void op_ipam_allocate(struct agent *agent, struct server_call *call, const json_t *request);
void op_ipam_release(struct agent *agent, struct server_call *call, const json_t *request);
void op_ipam_check(struct agent *agent, struct server_call *call, const json_t *request);
void op_ipam_gc(struct agent *agent, struct server_call *call, const json_t *request);

#endif
