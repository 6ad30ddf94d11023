/* SPDX-License-Identifier: Apache-2.0 */
/*
 * margayctl: objects of the datastore, and what the agent of this node knows. Called calicoctl it
 * takes calicoctl's flags, called kubectl-margay it is a plug-in of kubectl (`kubectl margay ...`).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/log.h"
#include "ctl/verb.h"

/* Options before the verb; what follows it is the verb's. */
struct front {
	struct ctl *ctl;
	int verb; /* index of the first argument; 0: none */
};

/* `kubectl margay -n NS get`, as kubectl itself takes it; the verb's own -n comes before it. */
static const struct argp_option options[] = {
	{ "namespace", 'n', "NAMESPACE", 0, "of objects that name none", 0 }, { 0 }
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct front *front = state->input;

	if (key == ARGP_KEY_INIT) {
		state->child_inputs[0] = front->ctl;
		return 0;
	}
	if (key == 'n') {
		front->ctl->ns = arg;
		return 0;
	}
	if (key != ARGP_KEY_ARG)
		return ARGP_ERR_UNKNOWN;
	front->verb = state->next - 1;
	state->next = state->argc;
	return 0;
}

static char *verb_list(int key, const char *text, void *input)
{
	char *list = NULL;
	size_t size;
	FILE *out;

	(void)input;
	if (key != ARGP_KEY_HELP_PRE_DOC)
		return (char *)text;
	out = open_memstream(&list, &size);
	if (!out)
		abort();
	fprintf(out,
		"Objects of the datastore, and what the agent of this node knows.\n\nVerbs:\n");
	for (const struct verb *verb = verbs; verb->name; verb++)
		fprintf(out, "  %-16s %s\n", verb->name, verb->help);
	fprintf(out, "\nVERB --help tells more.\n\nOptions:");
	fclose(out);
	return list;
}

/* "flows show" is two words. Returns how many were used; 0: no such verb. */
static int find_verb(int argc, char **argv, const struct verb **ret_verb)
{
	for (const struct verb *verb = verbs; verb->name; verb++) {
		const char *space = strchr(verb->name, ' ');
		size_t first = space ? (size_t)(space - verb->name) : strlen(verb->name);

		if (strlen(argv[0]) != first || strncmp(argv[0], verb->name, first))
			continue;
		if (space && (argc < 2 || strcmp(argv[1], space + 1)))
			continue;
		*ret_verb = verb;
		return space ? 2 : 1;
	}
	return 0;
}

/* The noun alone, or with a verb it does not have: say what there is. */
static int unknown(struct ctl *ctl, int argc, char **argv)
{
	const char *instead = verb_instead(argc, argv);
	size_t size = strlen(argv[0]);
	bool noun = false;

	if (instead) {
		ctl_error(ctl, "%s", instead);
		return 1;
	}
	for (const struct verb *verb = verbs; verb->name; verb++) {
		if (strncmp(verb->name, argv[0], size) || verb->name[size] != ' ')
			continue;
		if (!noun && argc > 1 && argv[1][0] != '-')
			ctl_error(ctl, "\"%s\" has no verb \"%s\"", argv[0], argv[1]);
		fprintf(stderr, "%s %s %s\n    %s\n", ctl->program, verb->name, verb->args,
			verb->help);
		noun = true;
	}
	if (!noun)
		ctl_error(ctl, "unknown verb \"%s\"; see %s --help", argv[0], ctl->program);
	return 1;
}

static int run_verb(struct ctl *ctl, int argc, char **argv)
{
	const struct verb *verb;
	int used = find_verb(argc, argv, &verb);
	_cleanup_free_ char *name = NULL;
	int r;

	if (!used)
		return unknown(ctl, argc, argv);
	name = xasprintf("%s %s", ctl->program, verb->name);
	argv += used - 1;
	argv[0] = name;
	r = verb->run(ctl, argc - used + 1, argv);
	ctl_done(ctl);
	if (fflush(stdout) || ferror(stdout)) {
		fprintf(stderr, "error: standard output: cannot be written\n");
		r = r ? r : 1;
	}
	return r;
}

int main(int argc, char **argv)
{
	static const struct argp_child children[] = { { &ctl_argp, 0, NULL, 0 }, { 0 } };
	const struct argp argp = { .options = options,
				   .parser = parse,
				   .args_doc = "VERB [ARGUMENT...]",
				   .doc = "verbs",
				   .children = children,
				   .help_filter = verb_list };
	struct ctl ctl = { .program = program_invocation_short_name };
	struct front front = { .ctl = &ctl };

	ctl.calicoctl = !strcmp(ctl.program, "calicoctl");
	log_set_level(LOG_LEVEL_WARNING);
	for (int i = 1; ctl.calicoctl && i < argc; i++)
		if (!strcmp(argv[i], "-l"))
			argv[i] = "--log-level";
	argp_err_exit_status = 1;
	if (argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, &front))
		return 1;
	if (!front.verb) {
		argp_help(&argp, stderr, ARGP_HELP_STD_HELP & ~ARGP_HELP_EXIT_OK,
			  (char *)ctl.program);
		return 1;
	}
	return run_verb(&ctl, argc - front.verb, argv + front.verb);
}
