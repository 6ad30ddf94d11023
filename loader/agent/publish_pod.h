/* SPDX-License-Identifier: Apache-2.0 */
/*
 * In a cluster an endpoint is told by its Pod: annotations with container and addresses, which
 * other nodes read long before the kubelet has written the status. Names as Calico's
 * (projectcalico.org/docs, "cni.projectcalico.org/podIP").
 */
#ifndef MARGAY_AGENT_PUBLISH_POD_H
#define MARGAY_AGENT_PUBLISH_POD_H

#include <jansson.h>
#include <stdbool.h>

struct agent;
struct endpoint;
struct err;

/* What the annotations are to say; of one that was removed: no address. The caller has it. */
json_t *publish_pod_says(const struct endpoint *endpoint, bool removed);

struct publish_pod {
	const char *ns;
	const char *name;
	const json_t *says;
};

/* The Pod as it is to be written. 1: *ret_pod, the caller's; 0: nothing is to be written: it says
 * so already, is not there, is another node's, or another container's by now. */
int publish_pod_make(const struct agent *agent, const struct publish_pod *publish, json_t **ret_pod,
		     struct err *err);

#endif
