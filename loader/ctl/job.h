/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Changes of objects, for every verb that writes: each is prepared from what is stored now, all are
 * committed together, and what lost a race is prepared again. One that fails is printed and left
 * out; the others are made.
 */
#ifndef MARGAY_CTL_JOB_H
#define MARGAY_CTL_JOB_H

#include <jansson.h>

#include "ctl/input.h"
#include "ctl/options.h"
#include "datastore/store.h"

struct job {
	struct store_key key; /* its texts are owned */
	const json_t *input;  /* borrowed; NULL: named on the command line */
	struct check_place place;

	/* Of the last preparation. */
	json_t *current; /* as stored, NULL: not there */
	json_t *wanted;	 /* to be written; NULL with a delete */
	enum store_op op;
	bool write;	  /* false: nothing to do */
	const char *done; /* "created" */

	bool over; /* done or failed */
	bool failed;
	json_t *stored; /* afterwards */
};

struct jobs {
	struct options *options;
	struct job *all;
	size_t count;
	const char *doing; /* "creating": for error messages */
	/* Fills the second part of a job from its first and current. */
	int (*prepare)(struct jobs *jobs, struct job *job, struct err *err);
	bool check;	 /* objects of files are checked whole */
	bool makes;	 /* the store may be made */
	bool missing_ok; /* what is not there is no error */
	void *arg;	 /* prepare's */
	/* Instead of printing what was done: looks at the jobs, in which nothing is written where
	 * options say dry run. NULL: print. */
	void (*report)(struct jobs *jobs);
};

/* From files. Objects that are refused are printed and left out. */
void jobs_from_input(struct jobs *jobs, const struct input *input);
/* From the arguments: names, or a kind with -l, --all, -A. */
int jobs_from_names(struct jobs *jobs, struct err *err);
void jobs_add(struct jobs *jobs, const struct store_key *key, const json_t *input);

/* Prepares, checks, commits and prints. */
void jobs_run(struct jobs *jobs);
void jobs_done(struct jobs *jobs);

/* The frame of a verb: reads, opens the store, runs. Returns the exit status. */
int run_on_files(struct jobs *jobs);
int run_on_names(struct jobs *jobs);

/* "Error from server (NotFound): ..." in kubectl's words. */
void job_error(struct jobs *jobs, const struct job *job, int r, const struct err *err);

#endif
