/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calico's policies (projectcalico.org/v3 NetworkPolicy, GlobalNetworkPolicy and their staged
 * forms) in the engine's neutral form.
 *
 * What the API leaves to the reader:
 * - in a namespaced policy an end that has a selector, notSelector or serviceAccounts and no
 *   namespaceSelector means endpoints of the policy's own namespace; an end without any of them
 *   means every address;
 * - namespaceSelector means what is in a namespace with such labels, so all() is every namespace,
 *   and "!has(x)" no address outside of namespaces; global() is what is in none;
 * - serviceAccounts means pods that run as one;
 * - a named port without a protocol has the protocol that the endpoint gives it.
 */
#ifndef MARGAY_POLICY_CALICO_H
#define MARGAY_POLICY_CALICO_H

#include "model/calico.h"
#include "policy/rule.h"

/* One reference: for engine_policy_set(). Nothing of the object is kept. NULL: a staged policy
 * that stages nothing (Learn, Ignore). */
struct policy *calico_policy(const struct calico_policy *object);

#endif
