/* SPDX-License-Identifier: Apache-2.0 */
/* `ipam configure`: the IPAMConfiguration "default", by calicoctl's flags. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "ctl/check.h"
#include "ctl/ipam.h"
#include "ctl/verb.h"
#include "datastore/store.h"

#define BLOCKS_MAX 1000000
#define COOLDOWN_MAX 1200

struct arguments {
	struct ctl *ctl;
	json_t *changes; /* of spec, in the order given */
};

enum { OPT_STRICT = 256, OPT_AUTO, OPT_BLOCKS, OPT_COOLDOWN };

static const struct argp_option options[] = {
	{ "strictaffinity", OPT_STRICT, "BOOL", 0, "no address from a block of another node", 0 },
	{ "auto-allocate-blocks", OPT_AUTO, "BOOL", 0, "nodes claim blocks by themselves", 0 },
	{ "max-blocks-per-host", OPT_BLOCKS, "N", 0, "blocks of one node; 0: 20", 0 },
	{ "ip-cooldown-seconds", OPT_COOLDOWN, "N", 0, "rest of a released address, 0 to 1200", 0 },
	{ 0 },
};

static void set_bool(struct argp_state *state, const char *name, const char *field, const char *arg)
{
	struct arguments *arguments = state->input;
	bool value = false;

	if (parse_bool(arg, &value) < 0)
		argp_error(state, "--%s: expected true or false, not \"%s\"", name, arg);
	json_object_set_new(arguments->changes, field, json_boolean(value));
}

static void set_number(struct argp_state *state, const struct argp_option *option,
		       const char *field, const char *arg)
{
	struct arguments *arguments = state->input;
	long limit = option->key == OPT_BLOCKS ? BLOCKS_MAX : COOLDOWN_MAX, value = 0;

	if (parse_number(arg, limit, &value) < 0)
		argp_error(state, "--%s: expected a number from 0 to %ld, not \"%s\"", option->name,
			   limit, arg);
	json_object_set_new(arguments->changes, field, json_integer(value));
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct arguments *arguments = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = arguments->ctl;
		return 0;
	case OPT_STRICT:
		set_bool(state, "strictaffinity", "strictAffinity", arg);
		return 0;
	case OPT_AUTO:
		set_bool(state, "auto-allocate-blocks", "autoAllocateBlocks", arg);
		return 0;
	case OPT_BLOCKS:
		set_number(state, &options[2], "maxBlocksPerHost", arg);
		return 0;
	case OPT_COOLDOWN:
		set_number(state, &options[3], "ipCooldownSeconds", arg);
		return 0;
	case ARGP_KEY_ARG:
		argp_error(state, "unexpected argument \"%s\"", arg);
		return 0;
	case ARGP_KEY_END:
		if (!json_object_size(arguments->changes))
			argp_error(state, "expected something to set");
		return 0;
	}
	return ARGP_ERR_UNKNOWN;
}

static json_t *fresh(void)
{
	return json_pack("{s:s, s:s, s:{s:s}, s:{s:b, s:b}}", "apiVersion", "projectcalico.org/v3",
			 "kind", "IPAMConfiguration", "metadata", "name", "default", "spec",
			 "strictAffinity", 0, "autoAllocateBlocks", 1);
}

static int write_once(struct arguments *arguments, struct err *err)
{
	struct ctl *ctl = arguments->ctl;
	struct store_key key = {
		.kind = store_kind_find("projectcalico.org/v3", "IPAMConfiguration"),
		.name = "default",
	};
	_cleanup_json_ json_t *stored = NULL, *wanted = NULL;
	struct check_place place = {};
	int r;

	r = store_get(ctl->store, &key, &stored, err);
	if (r < 0 && r != -ENOENT)
		return r;
	wanted = stored ? json_deep_copy(stored) : fresh();
	json_object_update(json_object_get(wanted, "spec"), arguments->changes);
	if (check_object(ctl, wanted, &place) < 0)
		return err_set(err, -EINVAL, "the configuration is refused, nothing was changed");
	return stored ? store_update(ctl->store, wanted, NULL, err)
		      : store_create(ctl->store, wanted, NULL, err);
}

static void say(const json_t *changes)
{
	static const struct {
		const char *field, *name;
	} names[] = {
		{ "strictAffinity", "StrictAffinity" },
		{ "autoAllocateBlocks", "AutoAllocateBlocks" },
		{ "maxBlocksPerHost", "MaxBlocksPerHost" },
		{ "ipCooldownSeconds", "IPCooldownSeconds" },
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		const json_t *value = json_object_get(changes, names[i].field);
		_cleanup_free_ char *text = value ? json_dumps(value, JSON_ENCODE_ANY) : NULL;

		if (text)
			printf("Successfully set %s to: %s\n", names[i].name, text);
	}
}

int verb_ipam_configure(struct ctl *ctl, int argc, char **argv)
{
	const struct argp_child children[] = { { &ctl_argp, 0, NULL, 0 }, {} };
	const struct argp argp = { options,  parse, NULL, "Sets how addresses are given out.",
				   children, NULL,  NULL };
	_cleanup_json_ json_t *changes = json_object();
	struct arguments arguments = { .ctl = ctl, .changes = changes };
	struct err err = {};
	int r;

	argp_parse(&argp, argc, argv, 0, NULL, &arguments);
	r = ctl_store(ctl, true, &err);
	for (int i = 0; !r && i < 10; i++) {
		r = write_once(&arguments, &err);
		if (r != -ESTALE && r != -EEXIST)
			break;
		r = i < 9 ? 0 : r;
	}
	if (r < 0)
		ctl_error(ctl, "%s", err.text);
	else
		say(changes);
	return ctl->failed;
}
