/* SPDX-License-Identifier: Apache-2.0 */
/* What policies have counted on this node, for the wide tables of `get`. */
#ifndef MARGAY_CTL_COUNTED_H
#define MARGAY_CTL_COUNTED_H

#include <jansson.h>

#include "ctl/ctl.h"
#include "ctl/job.h"

/* Asks the agent of this node, if there is one, and marks policies for the cells below. Objects of
 * other kinds stay as they are. */
void counted_mark(struct ctl *ctl, const struct store_kind *kind, json_t *objects);

/* Cells: connections that rules allowed and denied, packets and bytes of both. NULL: the policy
 * counts nothing on this node, or no agent says so. The caller frees. */
char *counted_allowed(const json_t *policy);
char *counted_denied(const json_t *policy);
char *counted_packets(const json_t *policy);
char *counted_bytes(const json_t *policy);

#endif
