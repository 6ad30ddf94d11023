/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <sys/utsname.h>

#include "abi/config.h"
#include "base/json.h"
#include "base/version.h"
#include "ctl/agent.h"
#include "ctl/output.h"
#include "ctl/table.h"
#include "ctl/verb.h"

struct arguments {
	struct ctl *ctl;
	struct output output;
	bool client; /* ask nobody */
};

static const struct argp_option options[] = {
	{ "client", 'C', NULL, 0, "margayctl's own version alone", 0 },
	{ "output", 'o', "FORMAT", 0, "json or yaml", 0 },
	{ "poll", 'P', "DURATION", OPTION_HIDDEN, NULL, 0 },
	{ 0 },
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct arguments *arguments = state->input;
	struct err err;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = arguments->ctl;
		return 0;
	case 'C':
		arguments->client = true;
		return 0;
	case 'P':
		return 0;
	case 'o':
		if (output_parse(arg, &arguments->output, &err) < 0)
			argp_error(state, "%s", err.text);
		return 0;
	case ARGP_KEY_ARG:
		argp_error(state, "unexpected argument \"%s\"", arg);
		return 0;
	}
	return ARGP_ERR_UNKNOWN;
}

/* The agent's own, or why it is not known. */
static void add_agent(struct ctl *ctl, json_t *tree)
{
	_cleanup_json_ json_t *answer = NULL;
	struct err err;

	if (agent_call(ctl, "status", NULL, &answer, &err) < 0) {
		json_object_set_new(tree, "agent", json_null());
		json_object_set_new(tree, "agentError", json_string(err.text));
		return;
	}
	json_object_set_new(tree, "agent",
			    json_string(json_text_or(answer, "status.version", "unknown")));
	json_object_set_new(tree, "node",
			    json_string(json_text_or(answer, "status.node", "unknown")));
}

static void print(const json_t *tree)
{
	static const char *const rows[][2] = {
		{ "client", "Client version" }, { "agent", "Agent version" },
		{ "agentError", "Agent" },	{ "node", "Node" },
		{ "abi", "ABI version" },	{ "kernel", "Kernel" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *text = json_string_value(json_object_get(tree, rows[i][0]));

		if (text)
			printf("%-16s %s\n", rows[i][1], text);
	}
}

int verb_version(struct ctl *ctl, int argc, char **argv)
{
	static const struct argp_child children[] = { { &ctl_argp, 0, NULL, 0 }, { 0 } };
	const struct argp argp = { .options = options,
				   .parser = parse,
				   .doc = "Versions of margayctl, agent, ABI and kernel.",
				   .children = children };
	struct arguments arguments = { .ctl = ctl };
	_cleanup_json_ json_t *tree = json_object();
	struct utsname kernel;
	struct err err;

	if (argp_parse(&argp, argc, argv, 0, NULL, &arguments))
		return 1;
	json_object_set_new(tree, "client", json_string(margay_version));
	if (!arguments.client) {
		add_agent(ctl, tree);
		json_object_set_new(tree, "abi", json_sprintf("%d", MG_RUNTIME_VERSION));
		if (!uname(&kernel))
			json_object_set_new(tree, "kernel", json_string(kernel.release));
	}
	if (arguments.output.format == OUTPUT_TABLE)
		print(tree);
	else if (output_tree(&arguments.output, tree, tree, &err) < 0)
		ctl_error(ctl, "%s", err.text);
	return ctl->failed;
}
