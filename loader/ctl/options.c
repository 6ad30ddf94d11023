/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"

enum {
	KEY_DRY_RUN = 0x2000,
	KEY_ALL,
	KEY_MISSING,
	KEY_SKIP_EXISTS,
	KEY_SKIP_EMPTY,
	KEY_PATCH_FILE,
	KEY_OVERWRITE,
	KEY_REMOVE,
	KEY_SHOW_LABELS,
	KEY_EXPORT,
	KEY_NO_HEADERS,
	KEY_VALIDATE,
	KEY_CONFIRM,
	KEY_IGNORED
};

/* In the order of --help. */
static const struct {
	unsigned int takes;
	struct argp_option option;
} all[] = {
	{ TAKE_FILES,
	  { "filename", 'f', "FILE|DIR|-", 0, "YAML or JSON, several objects a file", 0 } },
	{ TAKE_FILES, { "recursive", 'R', NULL, 0, "folders below as well", 0 } },
	{ TAKE_FILES,
	  { "skip-empty", KEY_SKIP_EMPTY, NULL, 0, "files without objects are no error", 0 } },
	{ TAKE_NAMESPACE, { "namespace", 'n', "NAMESPACE", 0, "of objects that name none", 0 } },
	{ TAKE_ALL_NS, { "all-namespaces", 'A', NULL, 0, "objects of all namespaces", 0 } },
	{ TAKE_ALL_NS, { NULL, 'a', NULL, OPTION_HIDDEN, NULL, 0 } },
	{ TAKE_SELECTOR, { "selector", 'l', "LABELS", 0, "\"a=b,c!=d,e in (f,g),!h\"", 0 } },
	{ TAKE_ALL, { "all", KEY_ALL, NULL, 0, "all objects of the kind in the namespace", 0 } },
	{ TAKE_OUTPUT, { "output", 'o', "FORMAT", 0, OUTPUT_HELP, 0 } },
	{ TAKE_TABLE, { "no-headers", KEY_NO_HEADERS, NULL, 0, "no line of titles", 0 } },
	{ TAKE_TABLE, { "show-labels", KEY_SHOW_LABELS, NULL, 0, "labels as last column", 0 } },
	{ TAKE_TABLE, { "export", KEY_EXPORT, NULL, 0, "without what the store assigned", 0 } },
	{ TAKE_WATCH, { "watch", 'w', NULL, 0, "go on and show what changes", 0 } },
	{ TAKE_DRY_RUN,
	  { "dry-run", KEY_DRY_RUN, "client|server", OPTION_ARG_OPTIONAL, "change nothing", 0 } },
	{ TAKE_MISSING_OK,
	  { "ignore-not-found", KEY_MISSING, "true|false", OPTION_ARG_OPTIONAL,
	    "what is not there is no error", 0 } },
	{ TAKE_MISSING_OK, { "skip-not-exists", 's', NULL, OPTION_HIDDEN, NULL, 0 } },
	{ TAKE_SKIP_EXISTS,
	  { "skip-exists", KEY_SKIP_EXISTS, NULL, 0, "leave what is there already", 0 } },
	{ TAKE_PATCH, { "patch", 'p', "PATCH", 0, "the patch, JSON or YAML", 0 } },
	{ TAKE_PATCH, { "patch-file", KEY_PATCH_FILE, "FILE", 0, "the file with the patch", 0 } },
	{ TAKE_PATCH, { "type", 't', "strategic|merge|json", 0, "kind of patch (strategic)", 0 } },
	{ TAKE_LABEL, { "overwrite", KEY_OVERWRITE, NULL, 0, "labels may be there already", 0 } },
	{ TAKE_LABEL, { "remove", KEY_REMOVE, NULL, 0, "remove the labels named", 0 } },
	{ TAKE_VALIDATE,
	  { "validate", KEY_VALIDATE, "strict|warn|ignore", OPTION_ARG_OPTIONAL,
	    "what a field that is not known does: refuse the object (strict), or not", 0 } },
	{ TAKE_CONFIRM,
	  { "confirm", KEY_CONFIRM, "DURATION", 0,
	    "take all back after e.g. 60s or 5m unless \"margayctl confirm\" came before", 0 } },
	/* kubectl's that change nothing here. */
	{ TAKE_FILES, { "save-config", KEY_IGNORED, NULL, OPTION_HIDDEN, NULL, 0 } },
	{ TAKE_FILES,
	  { "wait", KEY_IGNORED, "BOOL", OPTION_HIDDEN | OPTION_ARG_OPTIONAL, NULL, 0 } },
	{ TAKE_DRY_RUN, { "field-manager", KEY_IGNORED, "NAME", OPTION_HIDDEN, NULL, 0 } },
};

static void add_file(struct options *options, char *name, struct argp_state *state)
{
	if (options->file_count == OPTIONS_FILES_MAX)
		argp_error(state, "--filename: at most %d", OPTIONS_FILES_MAX);
	options->files[options->file_count++] = name;
}

static void set_patch_type(struct options *options, const char *name, struct argp_state *state)
{
	static const char *const names[] = {
		[PATCH_STRATEGIC] = "strategic", [PATCH_MERGE] = "merge", [PATCH_JSON] = "json"
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (!strcmp(names[i], name)) {
			options->patch_type = (enum patch_type)i;
			return;
		}
	}
	argp_error(state, "--type: \"%s\" is none of strategic, merge, json", name);
}

static void set_dry_run(struct options *options, const char *arg, struct argp_state *state)
{
	if (arg && strcmp(arg, "client") && strcmp(arg, "server") && strcmp(arg, "none") &&
	    strcmp(arg, "true") && strcmp(arg, "false"))
		argp_error(state, "--dry-run: \"%s\" is none of client, server, none", arg);
	options->dry_run = !arg || (strcmp(arg, "none") && strcmp(arg, "false"));
}

static void set_validate(struct options *options, const char *arg, struct argp_state *state)
{
	static const struct {
		const char *text;
		enum ctl_unknown unknown;
	} levels[] = {
		{ "strict", CTL_UNKNOWN_REFUSE }, { "true", CTL_UNKNOWN_REFUSE },
		{ "warn", CTL_UNKNOWN_WARN },	  { "ignore", CTL_UNKNOWN_IGNORE },
		{ "false", CTL_UNKNOWN_IGNORE },
	};

	for (size_t i = 0; i < sizeof(levels) / sizeof(levels[0]); i++) {
		if (!strcmp(levels[i].text, arg ? arg : "strict")) {
			options->ctl->unknown = levels[i].unknown;
			return;
		}
	}
	argp_error(state, "--validate: \"%s\" is none of strict, warn, ignore", arg);
}

#define CONFIRM_MAX_MS (24ULL * 3600 * 1000)

static void set_confirm(struct options *options, const char *arg, struct argp_state *state)
{
	static const struct {
		const char *unit;
		uint64_t ms;
	} units[] = { { "s", 1000 }, { "m", 60 * 1000 }, { "h", 3600 * 1000 } };
	unsigned int number = 0;
	char unit[2] = "", rest;

	if (*arg >= '0' && *arg <= '9' && sscanf(arg, "%5u%1s%c", &number, unit, &rest) == 2)
		for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
			if (!strcmp(units[i].unit, unit))
				options->confirm_ms = number * units[i].ms;
	if (!options->confirm_ms || options->confirm_ms > CONFIRM_MAX_MS)
		argp_error(state, "--confirm: \"%s\" is no time like 60s, 5m or 1h, up to 24h",
			   arg);
}

static bool set_flag(struct options *options, int key)
{
	switch (key) {
	case 'R':
		options->recursive = true;
		return true;
	case 'A':
	case 'a':
		options->all_ns = true;
		return true;
	case 'w':
		options->watch = true;
		return true;
	case 's':
		options->missing_ok = true;
		return true;
	case KEY_ALL:
		options->all = true;
		return true;
	case KEY_SKIP_EXISTS:
		options->skip_exists = true;
		return true;
	case KEY_SKIP_EMPTY:
		options->skip_empty = true;
		return true;
	case KEY_OVERWRITE:
		options->overwrite = true;
		return true;
	case KEY_REMOVE:
		options->remove = true;
		return true;
	case KEY_SHOW_LABELS:
		options->show_labels = true;
		return true;
	case KEY_EXPORT:
		options->export = true;
		return true;
	case KEY_NO_HEADERS:
		options->output.no_headers = true;
		return true;
	case KEY_IGNORED:
		return true;
	}
	return false;
}

static void set_output(struct options *options, const char *arg, struct argp_state *state)
{
	struct err err;

	if (output_parse(arg, &options->output, &err) < 0)
		argp_error(state, "%s", err.text);
	options->has_output = true;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct options *options = state->input;

	if (set_flag(options, key))
		return 0;
	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = options->ctl;
		if (options->takes & TAKE_VALIDATE)
			options->ctl->unknown = CTL_UNKNOWN_REFUSE;
		return 0;
	case 'f':
		add_file(options, arg, state);
		return 0;
	case 'n':
		options->ns = arg;
		return 0;
	case 'l':
		options->labels = arg;
		return 0;
	case 'o':
		set_output(options, arg, state);
		return 0;
	case 'p':
		options->patch = arg;
		return 0;
	case 't':
		set_patch_type(options, arg, state);
		return 0;
	case KEY_PATCH_FILE:
		options->patch_file = arg;
		return 0;
	case KEY_DRY_RUN:
		set_dry_run(options, arg, state);
		return 0;
	case KEY_VALIDATE:
		set_validate(options, arg, state);
		return 0;
	case KEY_CONFIRM:
		set_confirm(options, arg, state);
		return 0;
	case KEY_MISSING:
		options->missing_ok = !arg || strcmp(arg, "false");
		return 0;
	case ARGP_KEY_ARG:
		if (!(options->takes & TAKE_NAMES))
			argp_error(state, "unexpected argument \"%s\"", arg);
		options->names[options->name_count++] = arg;
		return 0;
	}
	return ARGP_ERR_UNKNOWN;
}

void options_parse(struct options *options, const struct options_spec *spec, int argc, char **argv)
{
	static const struct argp_child children[] = { { &ctl_argp, 0, NULL, 0 }, { 0 } };
	struct argp_option list[sizeof(all) / sizeof(all[0]) + 1] = { 0 };
	const struct argp argp = { .options = list,
				   .parser = parse,
				   .args_doc = spec->args,
				   .doc = spec->doc,
				   .children = children };
	size_t count = 0;

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		if (all[i].takes & spec->takes)
			list[count++] = all[i].option;
	options->takes = spec->takes;
	options->ns = options->ctl->ns;
	options->names = xcalloc((size_t)argc + 1, sizeof(*options->names));
	if (argp_parse(&argp, argc, argv, 0, NULL, options))
		exit(1);
}

void options_done(struct options *options)
{
	free(options->names);
}

const char *options_ns(const struct options *options)
{
	return options->ns ? options->ns : "default";
}
