/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Services' rows between the state and the kernel: what a former agent left is read once, then
 * only differences are written, in the plan's order (state/service.h). After a failure the maps
 * are read again: what went in is known, and nothing else is assumed.
 */
#ifndef MARGAY_SYNC_SERVICES_H
#define MARGAY_SYNC_SERVICES_H

#include "dataplane/load.h"
#include "state/service.h"

struct err;

/* Brings the maps up to date. ret_rows: how many were written or removed. */
int services_sync(const struct dp *dp, struct services *services, size_t *ret_rows,
		  struct err *err);

#endif
