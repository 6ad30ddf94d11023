/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Verbs of margayctl. To add one: write loader/ctl/NAME.c with a function verb_NAME(), and give
 * it a row in verbs.def. A verb parses its own arguments (argv[0] is "margayctl NAME"), prints
 *results on stdout and errors on stderr, and returns the exit status: 0, or 1 on any error (`policy
 *diff`: 1 for differences, 2 and above for errors).
 *
 *	static const struct table_column columns[] = {
 *		{ .title = "SOURCE", .path = ".src" }, { .title = "PACKETS", .path = ".packets" },
 *	};
 *	int verb_flows_show(struct ctl *ctl, int argc, char **argv)
 *	{
 *		return show_agent(ctl, argc, argv, &(struct show){ .op = "flows", ... });
 *	}
 */
#ifndef MARGAY_CTL_VERB_H
#define MARGAY_CTL_VERB_H

#include "ctl/ctl.h"

struct verb {
	const char *name; /* "apply", "flows show" */
	const char *args; /* "-f FILE" */
	const char *help; /* one line */
	int (*run)(struct ctl *ctl, int argc, char **argv);
};

#define VERB(name, function, args, help) int function(struct ctl *ctl, int argc, char **argv);
#include "ctl/verbs.def"
#undef VERB

extern const struct verb verbs[]; /* ended by a row without name */

/* For words that mean a verb of calicoctl which is not here: what to do instead. NULL: they mean
 * none. static life. */
const char *verb_instead(int argc, char **argv);

#endif
