/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Labels that an endpoint has beside its own (policy/rule.h).
 */
#ifndef MARGAY_POLICY_LABELS_H
#define MARGAY_POLICY_LABELS_H

#define TAG_ORCHESTRATOR "projectcalico.org/orchestrator"
#define TAG_SERVICE_ACCOUNT "projectcalico.org/serviceaccount"
#define TAG_NAME "projectcalico.org/name"
#define TAG_METADATA_NAME "kubernetes.io/metadata.name"
#define PREFIX_NAMESPACE "pcns."
#define PREFIX_SERVICE_ACCOUNT "pcsa."

#endif
