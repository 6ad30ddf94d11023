/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The stand-in object (selftests/bpf/tiny.bpf.c) loaded and pinned in a sandbox, as the agent
 * loads its own: set-up and tear-down of a case, *state is the struct loaded.
 */
#ifndef MARGAY_SELFTESTS_LIB_LOADED_H
#define MARGAY_SELFTESTS_LIB_LOADED_H

#include <limits.h>

#include "base/err.h"
#include "dataplane/load.h"
#include "selftests/lib/ok.h"

struct loaded {
	struct err err;
	struct dp *dp;
	struct dp_config config;
	void *object;
	char root[PATH_MAX];
};

/* Flow tables of the product's size are most of what a load of so small an object costs. */
#define LOADED_SIZES 2
extern const struct dp_size loaded_sizes[LOADED_SIZES];

int loaded_setup(void **state);
int loaded_teardown(void **state);
/* As an agent that starts again finds it. */
void loaded_again(struct loaded *f);

#endif
