/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `NOUN show`: asks the agent and prints what it answers as a table, or with -o json|yaml exactly
 * as it came, or with -o custom-columns=. A verb is a table of columns and one call.
 */
#ifndef MARGAY_CTL_SHOW_H
#define MARGAY_CTL_SHOW_H

#include "ctl/ctl.h"
#include "ctl/table.h"

struct show {
	const char *op;	     /* of the request, and the answer's member with the rows */
	const char *doc;     /* for --help */
	const char *nothing; /* said on stderr where there are no rows */
	const struct table_column *columns;
	size_t count;
	/* Turns the answer's member into rows; NULL: it is the array of rows. New reference. */
	json_t *(*rows)(const json_t *member);
};

/* Returns the exit status. */
int show_agent(struct ctl *ctl, int argc, char **argv, const struct show *show);

/* The same for what margayctl finds out itself; op is not used. NULL from make: err says why. */
typedef json_t *(*show_make_fn)(struct ctl *ctl, struct err *err);
int show_made(struct ctl *ctl, int argc, char **argv, const struct show *show, show_make_fn make);

#endif
