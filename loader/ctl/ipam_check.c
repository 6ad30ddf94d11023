/* SPDX-License-Identifier: Apache-2.0 */
/* `ipam check`: whether blocks, handles, affinities, pools and what runs fit together. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "ctl/ipam.h"
#include "ctl/table.h"
#include "ctl/verb.h"

struct arguments {
	struct ctl *ctl;
	const char *output;
	bool all, problems;
};

enum { OPT_ALL = 256, OPT_PROBLEMS };

static const struct argp_option options[] = {
	{ "show-all-ips", OPT_ALL, NULL, 0, "every allocated address", 0 },
	{ "show-problem-ips", OPT_PROBLEMS, NULL, 0, "addresses with a problem", 0 },
	{ "output", 'o', "FILE", 0,
	  "write the report there, for `ipam release --from-report`; json: on stdout", 0 },
	{ 0 },
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct arguments *arguments = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = arguments->ctl;
		return 0;
	case OPT_ALL:
		arguments->all = true;
		return 0;
	case OPT_PROBLEMS:
		arguments->problems = true;
		return 0;
	case 'o':
		arguments->output = arg;
		return 0;
	case ARGP_KEY_ARG:
		argp_error(state, "unexpected argument \"%s\"", arg);
		return 0;
	}
	return ARGP_ERR_UNKNOWN;
}

static json_int_t number(const json_t *report, const char *key)
{
	return json_integer_value(json_object_get(report, key));
}

static void print_ips(const json_t *report)
{
	const json_t *record;
	size_t i;

	json_array_foreach(json_object_get(report, "ips"), i, record)
		printf("  %s allocated; handle: %s, node: %s, pod: %s/%s\n",
		       json_text_or(record, "ip", "?"), json_text_or(record, "handle", "?"),
		       json_text_or(record, "node", "-"), json_text_or(record, "namespace", "-"),
		       json_text_or(record, "pod", "-"));
}

static void print_problems(const struct arguments *arguments, const json_t *report)
{
	const json_t *record;
	size_t i;

	json_array_foreach(json_object_get(report, "problems"), i, record) {
		if (arguments->problems || arguments->all || !json_text_at(record, "ip"))
			printf("  %s: %s\n", json_text_or(record, "kind", "?"),
			       json_text_or(record, "text", "?"));
	}
}

static void print_report(const struct arguments *arguments, const json_t *report)
{
	printf("Checking IPAM for inconsistencies...\n\n");
	printf("Found %lld IPAM blocks with %lld addresses: %lld allocated, %lld in reserves of "
	       "nodes, %lld resting, %lld free.\n",
	       (long long)number(report, "blocks"), (long long)number(report, "addresses"),
	       (long long)number(report, "allocated"), (long long)number(report, "reserve"),
	       (long long)number(report, "cooling"), (long long)number(report, "free"));
	if (arguments->all)
		print_ips(report);
	print_problems(arguments, report);
	printf("Check complete; found %zu problems.\n",
	       json_array_size(json_object_get(report, "problems")));
}

static void write_report(const struct arguments *arguments, const json_t *report)
{
	_cleanup_free_ char *text = json_dumps(report, JSON_INDENT(2));
	int r = file_replace(AT_FDCWD, arguments->output, text, strlen(text), 0600);

	if (r < 0)
		ctl_error(arguments->ctl, "%s: %s", arguments->output, strerror(-r));
}

int verb_ipam_check(struct ctl *ctl, int argc, char **argv)
{
	const struct argp_child children[] = { { &ctl_argp, 0, NULL, 0 }, {} };
	const struct argp argp = { options,  parse, NULL, "Looks for what does not fit together.",
				   children, NULL,  NULL };
	struct arguments arguments = { .ctl = ctl };
	_cleanup_json_ json_t *report = NULL;
	struct ipam_objects objects;
	struct ipam_view view;

	argp_parse(&argp, argc, argv, 0, NULL, &arguments);
	if (ipam_view_read(ctl, LIST_MAX, &view) < 0)
		return 1;
	objects = ipam_view_objects(&view);
	report = ipam_check_objects(&objects);
	ipam_view_done(&view);
	if (arguments.output && !strcmp(arguments.output, "json")) {
		print_json(stdout, report);
		return 0;
	}
	print_report(&arguments, report);
	if (arguments.output)
		write_report(&arguments, report);
	return ctl->failed;
}
