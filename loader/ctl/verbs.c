/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/verb.h"

#include <stddef.h>

const struct verb verbs[] = {
#define VERB(verb_name, function, verb_args, verb_help)                                            \
	{ .name = verb_name, .args = verb_args, .help = verb_help, .run = function },
#include "ctl/verbs.def"
#undef VERB
	{ .name = NULL },
};
