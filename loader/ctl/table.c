/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/table.h"

#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/json.h"
#include "base/yaml.h"
#include "ctl/path.h"

#define GAP 3

char *table_cell(const struct table_column *column, const json_t *row)
{
	const char *empty = column->empty ? column->empty : "<none>";
	_cleanup_json_ json_t *values = NULL;
	char *text = NULL;

	if (column->text)
		text = column->text(row);
	else if (!path_find(row, column->path, &values, NULL) && json_array_size(values) == 1 &&
		 json_is_array(json_array_get(values, 0)))
		text = values_text(json_array_get(values, 0), ",");
	else if (values &&
		 !(json_array_size(values) == 1 && json_is_null(json_array_get(values, 0))))
		text = values_text(values, ",");
	if (text && *text)
		return text;
	free(text);
	return xstrdup(empty);
}

static bool shown(const struct table *table, size_t column)
{
	switch (table->columns[column].when) {
	case TABLE_ALWAYS:
		return true;
	case TABLE_WIDE:
		return table->wide;
	case TABLE_NARROW:
		return !table->wide;
	}
	return false;
}

/* Characters on a terminal: UTF-8 continuation bytes take none. */
static size_t width_of(const char *text)
{
	size_t width = 0;

	for (; *text; text++)
		width += ((unsigned char)*text & 0xc0) != 0x80;
	return width;
}

static void print_line(FILE *out, char *const *cells, const size_t *widths, size_t count)
{
	size_t last = 0;

	for (size_t i = 0; i < count; i++)
		if (cells[i])
			last = i;
	for (size_t i = 0; i <= last; i++) {
		size_t width = cells[i] ? width_of(cells[i]) : 0;

		if (!cells[i])
			continue;
		fputs(cells[i], out);
		for (size_t n = width; i < last && n < widths[i] + GAP; n++)
			fputc(' ', out);
	}
	fputc('\n', out);
}

void table_print(FILE *out, const struct table *table, const json_t *rows)
{
	size_t count = table->count, lines = json_array_size(rows) + !table->no_headers;
	_cleanup_free_ size_t *widths = xcalloc(count + 1, sizeof(*widths));
	char **cells = xcalloc(lines * count + 1, sizeof(*cells));
	size_t line = 0, i;
	json_t *row;

	for (size_t c = 0; !table->no_headers && c < count; c++)
		if (shown(table, c))
			cells[c] = xstrdup(table->columns[c].title);
	line = !table->no_headers;
	json_array_foreach((json_t *)rows, i, row) {
		for (size_t c = 0; c < count; c++)
			if (shown(table, c))
				cells[(line + i) * count + c] = table_cell(&table->columns[c], row);
	}
	for (size_t n = 0; n < lines * count; n++)
		if (cells[n] && width_of(cells[n]) > widths[n % count])
			widths[n % count] = width_of(cells[n]);
	for (size_t n = 0; n < lines; n++)
		print_line(out, cells + n * count, widths, count);
	for (size_t n = 0; n < lines * count; n++)
		free(cells[n]);
	free(cells);
}

void print_json(FILE *out, const json_t *tree)
{
	json_dumpf(tree, out, JSON_INDENT(4) | JSON_SORT_KEYS | JSON_ENCODE_ANY);
	fputc('\n', out);
}

void print_yaml(FILE *out, const json_t *tree)
{
	_cleanup_free_ char *sorted = json_dumps(tree, JSON_SORT_KEYS | JSON_ENCODE_ANY),
			    *text = NULL;
	_cleanup_json_ json_t *copy = sorted ? json_loads(sorted, JSON_DECODE_ANY, NULL) : NULL;

	if (copy && !yaml_write(copy, &text))
		fputs(text, out);
}
