/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Flows that are over and that nobody looks up again (bpf/sweep.bpf.c). The program is loaded when
 * it is first wanted, and freed with struct dp_sweep; it is attached and pinned nowhere.
 */
#ifndef MARGAY_DATAPLANE_SWEEP_H
#define MARGAY_DATAPLANE_SWEEP_H

#include "abi/flow.h"
#include "dataplane/load.h"

struct dp_sweep;

int dp_sweep_open(const struct dp *dp, struct dp_sweep **ret_sweep, struct err *err);
void dp_sweep_close(struct dp_sweep *sweep); /* accepts NULL */

/* 1: the flow of this row had outlived its time and is gone. 0: it lives, or has no row any more.
 */
int dp_sweep_flow(const struct dp_sweep *sweep, const struct mg_flow_key *key);

#endif
