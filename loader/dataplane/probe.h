/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What this kernel has, tried out and not guessed from its version, for `margayctl node
 * checksystem`. Changes nothing; whatever it makes is gone when it returns.
 */
#ifndef MARGAY_DATAPLANE_PROBE_H
#define MARGAY_DATAPLANE_PROBE_H

#include <stdbool.h>
#include <stddef.h>

enum dp_feature_id {
	DP_FEATURE_KERNEL,
	DP_FEATURE_BTF,
	DP_FEATURE_JIT,
	DP_FEATURE_BPFFS,
	DP_FEATURE_SCHED_CLS,
	DP_FEATURE_RINGBUF,
	DP_FEATURE_REDIRECT_PEER,
	DP_FEATURE_TCX,
	DP_FEATURE_CGROUP,
	DP_FEATURE_BATCH,
	DP_FEATURE_MEMBARRIER,
	DP_FEATURE_MAX
};

struct dp_feature {
	const char *name; /* stable, for -o json */
	const char *lack; /* what its lack costs */
	bool required;	  /* without it Margay does not run */
	bool present;
	char detail[96]; /* version, path or the error */
};

void dp_probe(struct dp_feature ret_features[DP_FEATURE_MAX]);

#endif
