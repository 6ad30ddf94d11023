/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cluster-wide policies of Kubernetes (policy.networking.k8s.io) in the engine's neutral form: tier
 * "kube-admin" or "kube-baseline", which both pass at their end, order by priority, one rule a
 * peer and protocol; rules of one API rule share its index. Peers are pods: network sets are not
 * meant.
 */
#ifndef MARGAY_POLICY_CNP_H
#define MARGAY_POLICY_CNP_H

#include "model/cluster_policy.h"
#include "policy/rule.h"

/* One reference: for engine_policy_set(). Nothing of the object is kept. */
struct policy *cnp_policy(const struct cluster_policy *object);

#endif
