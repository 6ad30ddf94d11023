/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Objects out of -f: files, folders (*.yaml, *.yml, *.json) and standard input, several documents a
 * file, a List taken apart. What cannot be read is printed and counted; the rest goes on.
 */
#ifndef MARGAY_CTL_INPUT_H
#define MARGAY_CTL_INPUT_H

#include <jansson.h>

#include "ctl/check.h"
#include "ctl/options.h"
#include "datastore/store.h"

#define INPUT_OBJECTS_MAX 20000
#define INPUT_FILES_MAX 10000

struct input_object {
	json_t *object; /* owned; its namespace is set */
	struct store_key key;
	struct check_place place;
};

struct input {
	struct input_object *objects;
	size_t count;
	struct input_file *files; /* private */
	size_t file_count;	  /* that held something */
};

/* Prints what is wrong. Objects of unknown kind or without name are left out (and printed). */
void input_read(struct input *input, const struct options *options);
void input_done(struct input *input);

/* A text as the documents in it: for --patch. -EINVAL: not exactly one. */
int input_patch(const struct options *options, json_t **ret_patch, struct err *err);

#endif
