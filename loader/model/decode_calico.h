/* SPDX-License-Identifier: Apache-2.0 */
/* Parts of Calico's policies that more than one file reads. Private to model/. */
#ifndef MARGAY_MODEL_DECODE_CALICO_H
#define MARGAY_MODEL_DECODE_CALICO_H

#include "model/calico.h"
#include "model/field.h"

/* Elements of spec.ingress and spec.egress: struct calico_rule. */
extern const struct field calico_ingress_field;
extern const struct field calico_egress_field;

/* One end of a rule: struct calico_entity. */
extern const struct shape calico_entity_shape;

/* A selector; the empty text is NULL. global() is refused. */
READER(read_calico_selector);

extern const struct enum_text calico_staged_actions[]; /* enum calico_staged */

/* stagedAction Delete: the other fields of spec must be empty. */
void check_staged_delete(struct decode *d, const struct path *path, const json_t *spec);

#endif
