/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The requests of docs/cni-socket.md as functions. The agent's own refusal (code, msg, details)
 * becomes the plugin's; an agent that does not answer in time is CNI_TRY_AGAIN.
 */
#ifndef MARGAY_CNI_AGENT_H
#define MARGAY_CNI_AGENT_H

#include <jansson.h>
#include <stdbool.h>

struct attachment;
struct cni_config;
struct cni_error;

/* -ENOTCONN: no agent was there at any time, so it knows of nothing.
 * Fills slot, ifindex (wanted), mtu, MACs, addresses and routes of attachment. mac stays zero if
 * nobody asks for one. ret_attach_type: an enum dp_attach_type. */
int agent_allocate(const struct cni_config *config, struct attachment *attachment,
		   long long deadline, int *ret_attach_type, struct cni_error *error);
int agent_commit(const struct cni_config *config, const struct attachment *attachment,
		 long long deadline, struct cni_error *error);

/* The request itself, which a release keeps on disk. Never NULL. */
json_t *agent_del_request(const struct attachment *attachment);
/* Waits for the agent as ADD does. */
int agent_release(const struct cni_config *config, const json_t *request, long long deadline,
		  struct cni_error *error);
/* One try, no longer than some seconds: -errno if the agent did not say ok. ret_link: it deletes
 * the interface that the request names. */
int agent_send_del(const struct cni_config *config, const json_t *request, bool *ret_link);

/* Compares what the agent holds; 0 also if it does not answer. */
int agent_check(const struct cni_config *config, const struct attachment *attachment,
		struct cni_error *error);
/* valid: list of {container, ifname}. 0 also if it does not answer: nothing of it is lost. */
int agent_gc(const struct cni_config *config, const json_t *valid, struct cni_error *error);
int agent_status(const struct cni_config *config, struct cni_error *error);
/* ret_cidrs: the caller's. */
int agent_pod_cidrs(const struct cni_config *config, long long deadline, json_t **ret_cidrs,
		    struct cni_error *error);

#endif
