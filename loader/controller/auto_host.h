/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Host endpoints that follow from Nodes, as Calico's kube-controllers make them where
 * KubeControllersConfiguration says autoCreate: Enabled: one for all interfaces of each node
 * (NODE-auto-hep), and one a template that selects the node (NODE-GENERATENAME-auto-hep). They have
 * the node's labels and addresses, tunnels' ones too, and the profile projectcalico-default-allow:
 * what no policy decides is allowed.
 *
 * Objects in, writes out: no I/O. Ours are those with the label projectcalico.org/created-by:
 * calico-kube-controllers, whoever made them; all others are left alone. What follows from a node
 * goes with it, and with autoCreate.
 *
 * Source: docs.tigera.io/calico/latest/reference/resources/kubecontrollersconfig,
 * "AutoHostEndpointConfig"; .../reference/host-endpoints/overview.
 */
#ifndef MARGAY_CONTROLLER_AUTO_HOST_H
#define MARGAY_CONTROLLER_AUTO_HOST_H

#include <jansson.h>
#include <stdbool.h>

#include "model/object.h"

#define AUTO_HOST_LABEL "projectcalico.org/created-by"
#define AUTO_HOST_MAKER "calico-kube-controllers"

struct auto_host;

struct auto_host *auto_host_new(void);
void auto_host_free(struct auto_host *hosts); /* accepts NULL */

/* KubeControllersConfiguration `default`, a reference is taken; NULL: there is none. */
void auto_host_config(struct auto_host *hosts, const struct object *config);
/* A Node or a HostEndpoint as the store has it; others' HostEndpoints are no news. */
void auto_host_set(struct auto_host *hosts, enum kind kind, const json_t *object);
void auto_host_del(struct auto_host *hosts, enum kind kind, const char *name);

enum auto_host_op { AUTO_HOST_CREATE, AUTO_HOST_UPDATE, AUTO_HOST_DELETE };

/* object: the whole endpoint, with the resourceVersion that it replaces; borrowed. One to be
 * deleted has metadata alone. */
typedef void auto_host_emit_fn(void *arg, enum auto_host_op op, const json_t *object);

/* The next node that waits: its writes by emit; their results are told as all else. In ret_node its
 * name (valid until the next call of anything here). false: none waits. */
bool auto_host_next(struct auto_host *hosts, auto_host_emit_fn *emit, void *arg,
		    const char **ret_node);
/* Writes of a node failed: it waits again. */
void auto_host_again(struct auto_host *hosts, const char *node);

#endif
