/* SPDX-License-Identifier: Apache-2.0 */
/*
 * margayctl policy history, rollback and resume: what policy was on this node, and the way back
 * (docs/policy.md). The agent does it; the store's objects stay as they are.
 */
#include <stdlib.h>

#include "base/json.h"
#include "ctl/agent.h"
#include "ctl/show.h"
#include "ctl/verb.h"

static const struct table_column columns[] = {
	{ .title = "CHANGE", .path = ".number", .empty = "-" },
	{ .title = "TIME", .path = ".time", .empty = "-" },
	{ .title = "STATE", .path = ".state" },
	{ .title = "OBJECTS", .path = ".objects[*].object" },
};

int verb_policy_history(struct ctl *ctl, int argc, char **argv)
{
	const struct show show = {
		.op = "history",
		.doc = "Changes of policy on this node since its agent started, the newest first; "
		       "while policy is held, above them what waits.",
		.nothing = "No change since the agent started.",
		.columns = columns,
		.count = sizeof(columns) / sizeof(columns[0])
	};

	return show_agent(ctl, argc, argv, &show);
}

/* --- rollback, resume ---------------------------------------------------------------------- */

struct arguments {
	struct ctl *ctl;
	bool counts;
	long changes;
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct arguments *arguments = state->input;
	char *end = arg;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = arguments->ctl;
		return 0;
	case ARGP_KEY_ARG:
		if (state->arg_num || !arguments->counts)
			argp_error(state, "unexpected argument \"%s\"", arg);
		arguments->changes = strtol(arg, &end, 10);
		if (!*arg || *end || arguments->changes < 1)
			argp_error(state, "\"%s\" is no number of changes", arg);
		return 0;
	}
	return ARGP_ERR_UNKNOWN;
}

static int run(struct arguments *arguments, const struct argp *argp, int argc, char **argv,
	       const char *op)
{
	_cleanup_json_ json_t *request = NULL, *answer = NULL;
	struct ctl *ctl = arguments->ctl;
	struct err err;

	if (argp_parse(argp, argc, argv, 0, NULL, arguments))
		return 1;
	request = json_pack("{s:I}", "changes", (json_int_t)arguments->changes);
	if (agent_call(ctl, op, request, &answer, &err) < 0)
		ctl_error(ctl, "%s", err.text);
	return ctl->failed;
}

static const struct argp_child children[] = { { &ctl_argp, 0, NULL, 0 }, { 0 } };

int verb_policy_rollback(struct ctl *ctl, int argc, char **argv)
{
	static const struct argp argp = {
		.parser = parse,
		.args_doc = "[CHANGES]",
		.doc = "Takes the newest changes of policy (1) back on this node, at once and "
		       "without the store. From then on changes wait, over restarts too, until "
		       "\"policy resume\"; the node is not ready meanwhile.",
		.children = children,
	};
	struct arguments arguments = { .ctl = ctl, .counts = true, .changes = 1 };
	int status = run(&arguments, &argp, argc, argv, "policy-rollback");

	if (!status)
		printf("policy is taken back and held on this node\n");
	return status;
}

int verb_policy_resume(struct ctl *ctl, int argc, char **argv)
{
	static const struct argp argp = {
		.parser = parse,
		.doc = "Puts in force what waits since \"policy rollback\".",
		.children = children,
	};
	struct arguments arguments = { .ctl = ctl };
	int status = run(&arguments, &argp, argc, argv, "policy-resume");

	if (!status)
		printf("policy goes on on this node\n");
	return status;
}
