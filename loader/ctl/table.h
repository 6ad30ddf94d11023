/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tables of JSON objects, one a row, and the same rows as JSON and YAML. Columns are named once and
 * picked by a path, so that a verb writes a table of constants and no printing.
 */
#ifndef MARGAY_CTL_TABLE_H
#define MARGAY_CTL_TABLE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

enum table_when {
	TABLE_ALWAYS = 0,
	TABLE_WIDE,  /* with -o wide alone */
	TABLE_NARROW /* not with -o wide */
};

struct table_column {
	const char *title;
	const char *path; /* of path.h; several values are joined by commas */
	enum table_when when;
	const char *empty; /* shown where there is no value; NULL: "<none>" */
	/* Instead of path: the cell's text; the caller frees. NULL: empty. */
	char *(*text)(const json_t *row);
};

struct table {
	const struct table_column *columns;
	size_t count;
	bool wide;
	bool no_headers;
};

/* rows: array. Columns are as wide as their widest cell, three spaces apart. */
void table_print(FILE *out, const struct table *table, const json_t *rows);

/* Cell of one row; the caller frees. */
char *table_cell(const struct table_column *column, const json_t *row);

/* As JSON (indented by 4 as kubectl's) or YAML, keys sorted; with a newline. */
void print_json(FILE *out, const json_t *tree);
void print_yaml(FILE *out, const json_t *tree);

#endif
