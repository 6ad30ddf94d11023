/* SPDX-License-Identifier: Apache-2.0 */
#include "selftests/lib/loaded.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>

#include "selftests/lib/sandbox.h"

const struct dp_size loaded_sizes[LOADED_SIZES] = { { "mg_flow_t", 8192 }, { "mg_flow_e", 8192 } };

int loaded_setup(void **state)
{
	struct loaded *f = test_calloc(1, sizeof(*f));

	*state = f;
	f->config = dp_config_default();
	OK(f, sandbox_enter(f->root));
	OK(f, sandbox_object("tiny", &f->object, &f->config.object_size));
	f->config.object = f->object;
	f->config.root = f->root;
	f->config.mg.slots = 64;
	f->config.sizes = loaded_sizes;
	f->config.size_count = LOADED_SIZES;
	OK(f, dp_open(&f->config, &f->dp, &f->err));
	return 0;
}

int loaded_teardown(void **state)
{
	struct loaded *f = *state;

	dp_close(f->dp);
	free(f->object);
	test_free(f);
	return 0;
}

void loaded_again(struct loaded *f)
{
	dp_close(f->dp);
	f->dp = NULL;
	OK(f, dp_open(&f->config, &f->dp, &f->err));
}
