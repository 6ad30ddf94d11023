/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the decoder's tables say, for an API server: the CustomResourceDefinition of a kind, with an
 * OpenAPI schema made of its field table and what schema.def adds (rules in CEL, columns, short
 * names). Shape and limits are so in one place; what a check function alone sees is not in it, and
 * nothing here refuses what STRICT decoding takes.
 *
 * Source:
 * kubernetes.io/docs/reference/kubernetes-api/extend-resources/custom-resource-definition-v1
 */
#ifndef MARGAY_MODEL_SCHEMA_H
#define MARGAY_MODEL_SCHEMA_H

#include <jansson.h>
#include <stdbool.h>

#include "model/kind.h"

/* Stored by CRDs of ours: Kubernetes' own kinds are not, nor what is derived (Profile), nor what
 * comes with CRDs of its own (policy.networking.k8s.io). */
bool schema_is_ours(enum kind kind);

/* The caller has the reference. NULL: not schema_is_ours(). */
json_t *schema_crd(enum kind kind);

#endif
