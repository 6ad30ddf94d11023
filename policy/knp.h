/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kubernetes NetworkPolicy (networking.k8s.io/v1) in the engine's neutral form: tier "default",
 * order 1000, one rule a peer and protocol; rules of one API rule share its index.
 */
#ifndef MARGAY_POLICY_KNP_H
#define MARGAY_POLICY_KNP_H

#include "model/netpol.h"
#include "policy/rule.h"

#define KNP_GROUP "networking.k8s.io"
#define KNP_KIND "NetworkPolicy"

/* One reference: for engine_policy_set(). Nothing of the object is kept. Also of Calico's
 * StagedKubernetesNetworkPolicy; NULL: it stages nothing (Learn, Ignore). */
struct policy *knp_policy(const struct network_policy *object);

#endif
