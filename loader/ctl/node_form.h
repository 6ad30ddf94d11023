/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The two forms of a Node: Kubernetes' (v1, Calico's part in annotations), in which the store keeps
 * it, and Calico's (projectcalico.org/v3), in which it is shown. Pure.
 */
#ifndef MARGAY_CTL_NODE_FORM_H
#define MARGAY_CTL_NODE_FORM_H

#include <jansson.h>

/* New trees. What is no Node, or has the form already, is copied. */
json_t *node_to_calico(const json_t *object);
/* base: the stored object, whose parts that Calico's form does not have are kept; NULL: none. */
json_t *node_to_kubernetes(const json_t *object, const json_t *base);

#endif
