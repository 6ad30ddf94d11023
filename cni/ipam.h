/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Addresses from another IPAM plugin (`host-local`), by delegation (CNI specification, section 4).
 * What it gives is used as ours are: /32 and /128 on the interface, routes through our gateway.
 */
#ifndef MARGAY_CNI_IPAM_H
#define MARGAY_CNI_IPAM_H

#include <stdbool.h>

struct attachment;
struct cni_config;
struct cni_env;
struct cni_error;

/* One run of the plugin of config->ipam_type. */
struct ipam_call {
	const struct cni_config *config;
	const struct cni_env *env;
	long long deadline;
};

/* The configuration the plugin gets, into attachment->config: as it came, but "usePodCidr" of
 * host-local (Calico's word) replaced by the node's. Asks the agent only if that word is there. */
int ipam_prepare(const struct ipam_call *call, struct attachment *attachment,
		 struct cni_error *error);

/* The same for DEL without a record: asks nobody, the nets are stand-ins. */
void ipam_prepare_del(const struct cni_config *config, struct attachment *attachment);

/* Fills addresses, routes and dns of attachment. */
int ipam_add(const struct ipam_call *call, struct attachment *attachment, struct cni_error *error);
int ipam_del(const struct ipam_call *call, const struct attachment *attachment,
	     struct cni_error *error);
int ipam_check(const struct ipam_call *call, const struct attachment *attachment,
	       struct cni_error *error);
/* For the network as a whole; only from CNI 1.1 on. */
int ipam_gc(const struct ipam_call *call, struct cni_error *error);
int ipam_status(const struct ipam_call *call, struct cni_error *error);

#endif
