/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The CNI capability `portMappings` (CNI conventions; Kubernetes' hostPort): ports of the node that
 * lead to the pod. The agent makes frontends of them (docs/services.md); here they are read,
 * recorded and checked.
 *
 * A list of objects as the capability has it, each key given: hostIP ("": every address of the
 * node; "0.0.0.0", "::": every one of a family), hostPort, containerPort, protocol ("tcp", "udp",
 * "sctp").
 */
#ifndef MARGAY_CNI_PORTS_H
#define MARGAY_CNI_PORTS_H

#include <jansson.h>

struct attachment;
struct cni_error;

#define PORTS_MAX 256 /* of one pod; a request to the agent is one line of 64 KiB */

/* ret_list: the caller's; NULL where there are none. */
int ports_read(const json_t *tree, json_t **ret_list, struct cni_error *error);

/* Does each port lead to the pod? */
int ports_check(const char *pin_dir, const struct attachment *attachment, struct cni_error *error);

#endif
