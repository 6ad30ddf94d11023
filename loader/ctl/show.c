/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/show.h"

#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "ctl/agent.h"

static const struct argp_option options[] = {
	{ "output", 'o', "FORMAT", 0, OUTPUT_HELP, 0 },
	{ "no-headers", 'H', NULL, 0, "no line of titles", 0 },
	{ 0 },
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct show_arguments *arguments = state->input;
	struct err err;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = arguments->ctl;
		return 0;
	case 'o':
		if (output_parse(arg, &arguments->output, &err) < 0)
			argp_error(state, "%s", err.text);
		return 0;
	case 'H':
		arguments->output.no_headers = true;
		return 0;
	case ARGP_KEY_ARG:
		argp_error(state, "unexpected argument \"%s\"", arg);
		return 0;
	}
	return ARGP_ERR_UNKNOWN;
}

static const struct argp_child children[] = { { &ctl_argp, 0, NULL, 0 }, { 0 } };
const struct argp show_argp = { .options = options, .parser = parse, .children = children };

void show_print(const struct show_arguments *arguments, const struct show *show,
		const json_t *member)
{
	const struct output *output = &arguments->output;
	_cleanup_json_ json_t *rows =
		show->rows ? show->rows(member) : json_incref((json_t *)member);
	const struct table table = { show->columns, show->count, output->format == OUTPUT_WIDE,
				     output->no_headers };
	struct err err;

	if (output->format == OUTPUT_TABLE || output->format == OUTPUT_WIDE) {
		if (!json_array_size(rows))
			fprintf(stderr, "%s\n", show->nothing);
		else
			table_print(stdout, &table, rows);
	} else if (output_tree(output, member, rows, &err) < 0) {
		ctl_error(arguments->ctl, "%s", err.text);
	}
}

static bool read_arguments(struct show_arguments *arguments, int argc, char **argv,
			   const struct show *show)
{
	const struct argp argp = {
		.options = options, .parser = parse, .doc = show->doc, .children = children
	};

	return !argp_parse(&argp, argc, argv, 0, NULL, arguments);
}

int show_agent(struct ctl *ctl, int argc, char **argv, const struct show *show)
{
	struct show_arguments arguments = { .ctl = ctl };
	_cleanup_json_ json_t *answer = NULL;
	const json_t *member;
	struct err err;

	if (!read_arguments(&arguments, argc, argv, show))
		return 1;
	if (agent_call(ctl, show->op, NULL, &answer, &err) < 0) {
		ctl_error(ctl, "%s", err.text);
		return 1;
	}
	member = json_object_get(answer, show->op);
	if (!member)
		ctl_error(ctl, "the agent's answer has no \"%s\": is it of another version?",
			  show->op);
	else
		show_print(&arguments, show, member);
	return ctl->failed;
}

int show_made(struct ctl *ctl, int argc, char **argv, const struct show *show, show_make_fn make)
{
	struct show_arguments arguments = { .ctl = ctl };
	_cleanup_json_ json_t *rows = NULL;
	struct err err = { 0 };

	if (!read_arguments(&arguments, argc, argv, show))
		return 1;
	rows = make(ctl, &err);
	if (rows)
		show_print(&arguments, show, rows);
	else
		ctl_error(ctl, "%s", err.text);
	return ctl->failed;
}
