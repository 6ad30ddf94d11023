/* SPDX-License-Identifier: Apache-2.0 */
/* -o: what it may be, and the formats that need no table of columns. */
#ifndef MARGAY_CTL_OUTPUT_H
#define MARGAY_CTL_OUTPUT_H

#include <jansson.h>
#include <stdbool.h>

struct err;

#define OUTPUT_HELP "wide, json, yaml, name, custom-columns=TITLE:.path,... or jsonpath={.path}"

enum output_format {
	OUTPUT_TABLE,
	OUTPUT_WIDE,
	OUTPUT_JSON,
	OUTPUT_YAML,
	OUTPUT_NAME,
	OUTPUT_COLUMNS,
	OUTPUT_JSONPATH
};

struct output {
	enum output_format format;
	const char *argument; /* of custom-columns and jsonpath; borrowed from the command line */
	bool no_headers;
};

/* -EINVAL: no such format. "ps" is calicoctl's name of the table. */
int output_parse(const char *text, struct output *output, struct err *err);

/* Prints tree as JSON, YAML or by jsonpath, rows (array) by custom-columns. */
int output_tree(const struct output *output, const json_t *tree, const json_t *rows,
		struct err *err);

#endif
