/* SPDX-License-Identifier: Apache-2.0 */
/* Protocols and ports of cluster-wide policies. Private to model/. */
#ifndef MARGAY_MODEL_DECODE_CNP_H
#define MARGAY_MODEL_DECODE_CNP_H

#include "model/cluster_policy.h"
#include "model/field.h"

/* Elements: struct cluster_port. */
extern const struct field cluster_protocol_field; /* v1alpha2: tcp, udp, sctp ... */
extern const struct field cluster_port_field;	  /* v1alpha1: portNumber, portRange ... */

/* complain() unless value has exactly one member. */
bool has_one_member(struct decode *d, const struct path *path, const json_t *value);

#endif
