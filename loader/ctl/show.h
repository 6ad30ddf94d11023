/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `NOUN show`: asks the agent and prints what it answers as a table, or with -o json|yaml exactly
 * as it came, or with -o custom-columns=. A verb is a table of columns and one call.
 */
#ifndef MARGAY_CTL_SHOW_H
#define MARGAY_CTL_SHOW_H

#include "ctl/ctl.h"
#include "ctl/output.h"
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

/* For a verb with options of its own: -o and --no-headers as a child of its argp, whose input is a
 * struct show_arguments, and what prints. op and doc are not used. */
struct show_arguments {
	struct ctl *ctl;
	struct output output;
};
extern const struct argp show_argp;
void show_print(const struct show_arguments *arguments, const struct show *show,
		const json_t *member);

#endif
