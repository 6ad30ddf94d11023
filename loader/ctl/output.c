/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/output.h"

#include <errno.h>
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/json.h"
#include "ctl/path.h"
#include "ctl/table.h"

#define COLUMNS_MAX 64

int output_parse(const char *text, struct output *output, struct err *err)
{
	static const struct {
		const char *name;
		enum output_format format;
		bool argument;
	} formats[] = {
		{ "wide", OUTPUT_WIDE, false },	       { "ps", OUTPUT_TABLE, false },
		{ "json", OUTPUT_JSON, false },	       { "yaml", OUTPUT_YAML, false },
		{ "name", OUTPUT_NAME, false },	       { "custom-columns", OUTPUT_COLUMNS, true },
		{ "jsonpath", OUTPUT_JSONPATH, true },
	};
	size_t size = strcspn(text, "=");

	for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
		if (strlen(formats[i].name) != size || strncmp(text, formats[i].name, size))
			continue;
		if (formats[i].argument != (text[size] == '='))
			return err_set(err, -EINVAL, "--output: %s",
				       formats[i].argument
					       ? "custom-columns and jsonpath need =SOMETHING"
					       : "this format takes no =");
		output->format = formats[i].format;
		output->argument = text[size] ? text + size + 1 : NULL;
		return 0;
	}
	if (!strncmp(text, "go-template", strlen("go-template")))
		return err_set(
			err, -EINVAL,
			"--output: Go's templates are not taken: custom-columns=TITLE:.path or "
			"jsonpath={.path} pick fields, json goes on to jq");
	return err_set(err, -EINVAL, "--output: \"%s\" is none of " OUTPUT_HELP, text);
}

static int parse_columns(char *text, struct table_column *columns, size_t *ret_count,
			 struct err *err)
{
	size_t count = 0;
	char *save = NULL;

	for (char *word = strtok_r(text, ",", &save); word; word = strtok_r(NULL, ",", &save)) {
		char *colon = strchr(word, ':');

		if (count == COLUMNS_MAX)
			return err_set(err, -EINVAL, "custom-columns: at most %d", COLUMNS_MAX);
		if (!colon || colon == word || !colon[1])
			return err_set(err, -EINVAL, "custom-columns: \"%s\": expected TITLE:.path",
				       word);
		*colon = 0;
		columns[count++] = (struct table_column){ .title = word, .path = colon + 1 };
	}
	if (!count)
		return err_set(err, -EINVAL, "custom-columns: expected TITLE:.path,...");
	*ret_count = count;
	return 0;
}

static int print_columns(const struct output *output, const json_t *rows, struct err *err)
{
	_cleanup_free_ char *text = xstrdup(output->argument);
	struct table_column columns[COLUMNS_MAX] = { 0 };
	struct table table = { .columns = columns, .no_headers = output->no_headers };
	int r = parse_columns(text, columns, &table.count, err);

	for (size_t i = 0; !r && i < table.count; i++) {
		_cleanup_json_ json_t *nothing = json_object(), *values = NULL;

		r = path_find(nothing, columns[i].path, &values, err);
	}
	if (!r)
		table_print(stdout, &table, rows);
	return r;
}

int output_tree(const struct output *output, const json_t *tree, const json_t *rows,
		struct err *err)
{
	_cleanup_free_ char *text = NULL;
	int r;

	switch (output->format) {
	case OUTPUT_JSON:
		print_json(stdout, tree);
		return 0;
	case OUTPUT_YAML:
		print_yaml(stdout, tree);
		return 0;
	case OUTPUT_COLUMNS:
		return print_columns(output, rows, err);
	case OUTPUT_JSONPATH:
		r = template_fill(tree, output->argument, &text, err);
		if (!r)
			fputs(text, stdout);
		return r;
	case OUTPUT_TABLE:
	case OUTPUT_WIDE:
	case OUTPUT_NAME:
		break;
	}
	return err_set(err, -EINVAL, "--output: not for this");
}
