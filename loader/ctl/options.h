/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Options and arguments of the verbs that work on objects: one list for all, from which a verb
 * takes those it has. Named as kubectl's, and calicoctl's where it has others.
 */
#ifndef MARGAY_CTL_OPTIONS_H
#define MARGAY_CTL_OPTIONS_H

#include <stdint.h>

#include "ctl/ctl.h"
#include "ctl/output.h"

enum take {
	TAKE_FILES = 1 << 0,	  /* -f -R */
	TAKE_NAMESPACE = 1 << 1,  /* -n */
	TAKE_ALL_NS = 1 << 2,	  /* -A */
	TAKE_SELECTOR = 1 << 3,	  /* -l */
	TAKE_OUTPUT = 1 << 4,	  /* -o */
	TAKE_DRY_RUN = 1 << 5,	  /* --dry-run */
	TAKE_ALL = 1 << 6,	  /* --all */
	TAKE_MISSING_OK = 1 << 7, /* --ignore-not-found, -s */
	TAKE_SKIP_EXISTS = 1 << 8,
	TAKE_PATCH = 1 << 9,  /* -p -t --patch-file */
	TAKE_LABEL = 1 << 10, /* --overwrite --remove */
	TAKE_TABLE = 1 << 11, /* --no-headers --show-labels --export */
	TAKE_WATCH = 1 << 12, /* -w */
	TAKE_NAMES = 1 << 13, /* arguments */
	TAKE_VALIDATE = 1 << 14,
	TAKE_CONFIRM = 1 << 15 /* --confirm */
};

#define OPTIONS_FILES_MAX 1000

enum patch_type { PATCH_STRATEGIC, PATCH_MERGE, PATCH_JSON };

struct options {
	struct ctl *ctl;
	unsigned int takes;
	char *files[OPTIONS_FILES_MAX];
	size_t file_count;
	bool recursive;
	const char *ns; /* NULL: not given */
	bool all_ns;
	const char *labels;
	struct output output;
	bool has_output;
	bool dry_run;
	bool all;
	bool missing_ok;
	bool skip_exists;
	bool skip_empty;
	const char *patch, *patch_file;
	enum patch_type patch_type;
	bool overwrite, remove;
	bool show_labels, export;
	bool watch;
	uint64_t confirm_ms; /* that an object waits to be confirmed; 0: it does not */
	char **names;	     /* arguments, in order */
	size_t name_count;
};

struct options_spec {
	unsigned int takes;
	const char *args; /* for usage */
	const char *doc;
};

/* Ends the process on --help and on a wrong option, as argp does. */
void options_parse(struct options *options, const struct options_spec *spec, int argc, char **argv);

void options_done(struct options *options);

/* The namespace meant where an object names none. */
const char *options_ns(const struct options *options);

#endif
