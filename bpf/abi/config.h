/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What is fixed for as long as a set of programs is loaded: the verifier sees
 * constants and removes dead branches. What changes later stands in node.h.
 */
#ifndef MARGAY_ABI_CONFIG_H
#define MARGAY_ABI_CONFIG_H

#include <linux/types.h>

/* Layout version of runtime maps (flows, translations, fragments) and marks. */
#define MG_RUNTIME_VERSION 2

/* ADD gives endpoint slot n the interface index MG_IFINDEX_BASE + n if it is free. */
#define MG_IFINDEX_BASE 1000000

struct mg_config {
	__u32 slots;	    /* rows of mg_ep and mg_slot */
	__u32 mark;	    /* the bit that means "finished by Margay" */
	__u8 trace;	    /* 1: this load is the trace copy and writes the step log */
	__u8 old_flows;	    /* 1: on a miss, look into the flow tables of the former layout */
	__u8 redirect_peer; /* 1: hand over with bpf_redirect_peer */
	__u8 pad[5];
};

_Static_assert(sizeof(struct mg_config) == 16, "mg_config");

#endif
