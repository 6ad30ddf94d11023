/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `ipam split`: one pool becomes NUM pools of equal size, "split-NAME-0" and so on, with the same
 * settings. Blocks and addresses stay where they are: they lie in the new pools.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/inet.h"
#include "base/json.h"
#include "ctl/check.h"
#include "ctl/ipam.h"
#include "ctl/verb.h"
#include "datastore/store.h"

#define PARTS_MAX 1024

struct arguments {
	struct ctl *ctl;
	const char *cidr, *name;
	long parts;
};

enum { OPT_CIDR = 256, OPT_NAME };

static const struct argp_option options[] = {
	{ "cidr", OPT_CIDR, "CIDR", 0, "the pool of this CIDR", 0 },
	{ "name", OPT_NAME, "NAME", 0, "the pool of this name", 0 },
	{ 0 },
};

static bool is_power_of_two(long n)
{
	return n > 0 && !(n & (n - 1));
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct arguments *arguments = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = arguments->ctl;
		return 0;
	case OPT_CIDR:
		arguments->cidr = arg;
		return 0;
	case OPT_NAME:
		arguments->name = arg;
		return 0;
	case ARGP_KEY_ARG:
		if (arguments->parts || parse_number(arg, PARTS_MAX, &arguments->parts) < 0 ||
		    !is_power_of_two(arguments->parts) || arguments->parts < 2)
			argp_error(state, "expected a power of two from 2 to %d, not \"%s\"",
				   PARTS_MAX, arg);
		return 0;
	case ARGP_KEY_END:
		if (!arguments->parts)
			argp_error(state, "expected a number of pools");
		if (!arguments->cidr == !arguments->name)
			argp_error(state, "expected --cidr=CIDR or --name=NAME");
		return 0;
	}
	return ARGP_ERR_UNKNOWN;
}

/* Borrowed from the list; NULL: none. */
static json_t *find_pool(const struct arguments *arguments, const json_t *pools)
{
	json_t *pool;
	size_t i;

	json_array_foreach(pools, i, pool) {
		const char *name = json_text_or(pool, "metadata.name", "");
		const char *cidr = json_text_or(pool, "spec.cidr", "");

		if (arguments->name ? !strcmp(name, arguments->name)
				    : !strcmp(cidr, arguments->cidr))
			return pool;
	}
	return NULL;
}

static __u32 bits_of(long parts)
{
	__u32 bits = 0;

	while (parts > 1L << bits)
		bits++;
	return bits;
}

/* The n-th of the equal parts of cidr. */
static struct mg_prefix part_of(const struct mg_prefix *cidr, __u32 bits, unsigned int n)
{
	struct mg_prefix part = *cidr;

	part.len += bits;
	for (__u32 i = 0; i < bits; i++) {
		__u32 at = part.len - 1 - i;

		if (n & 1U << i)
			part.addr.b[at / 8] |= (__u8)(0x80 >> at % 8);
	}
	return part;
}

static json_t *part_object(const json_t *pool, const struct mg_prefix *part, unsigned int n)
{
	_cleanup_free_ char *name =
		xasprintf("split-%s-%u", json_text_or(pool, "metadata.name", ""), n);
	json_t *object = json_deep_copy(pool), *metadata = json_object();
	char text[PREFIX_TEXT_MAX];

	json_object_set_new(metadata, "name", json_string(name));
	if (json_at(pool, "metadata.labels"))
		json_object_set(metadata, "labels", json_at(pool, "metadata.labels"));
	json_object_set_new(object, "metadata", metadata);
	json_object_set_new(json_object_get(object, "spec"), "cidr",
			    json_string(prefix_format(part, text)));
	json_object_del(object, "status");
	return object;
}

static int check_size(const struct arguments *arguments, const json_t *pool,
		      struct mg_prefix *ret_cidr, struct err *err)
{
	json_int_t block = json_integer_value(json_at(pool, "spec.blockSize"));
	const char *cidr = json_text_or(pool, "spec.cidr", "");
	bool v4;

	if (prefix_parse(cidr, false, ret_cidr) < 0)
		return err_set(err, -EINVAL, "spec.cidr: \"%s\" is not a prefix", cidr);
	v4 = prefix_is4(ret_cidr);
	block = (block ? block : v4 ? 26 : 122) + (v4 ? MG_V4_PREFIX_BITS : 0);
	if (ret_cidr->len + bits_of(arguments->parts) > (__u32)block)
		return err_set(err, -EINVAL, "%s: %ld parts would be smaller than its blocks", cidr,
			       arguments->parts);
	return 0;
}

static int split(const struct arguments *arguments, const json_t *pool, struct err *err)
{
	struct ctl *ctl = arguments->ctl;
	size_t count = (size_t)arguments->parts + 1;
	_cleanup_free_ struct store_write *writes = xcalloc(count, sizeof(*writes));
	struct check_place place = {};
	struct mg_prefix cidr;
	int r;

	r = check_size(arguments, pool, &cidr, err);
	if (r < 0)
		return r;
	/* Elsewhere the pool would be gone for a moment, or its parts would overlap it. */
	if (!store_is_atomic(ctl->store))
		return err_set(err, -EOPNOTSUPP,
			       "this datastore cannot change several objects at once");
	writes[0] = (struct store_write){ .op = STORE_DELETE };
	r = store_key_of(pool, &writes[0].key, err);
	writes[0].expect = json_text_at(pool, "metadata.resourceVersion");
	for (size_t i = 1; !r && i < count; i++) {
		struct mg_prefix part =
			part_of(&cidr, bits_of(arguments->parts), (unsigned int)i - 1);
		json_t *object = part_object(pool, &part, (unsigned int)i - 1);

		writes[i] = (struct store_write){ .op = STORE_CREATE, .object = object };
		r = check_object(ctl, object, &place);
	}
	if (!r)
		r = store_commit(ctl->store, writes, count, err);
	store_writes_done(writes, count);
	for (size_t i = 1; i < count; i++)
		json_decref((json_t *)writes[i].object);
	return r;
}

int verb_ipam_split(struct ctl *ctl, int argc, char **argv)
{
	const struct argp_child children[] = { { &ctl_argp, 0, NULL, 0 }, {} };
	const struct argp argp = { options,  parse, "NUM", "Splits a pool into NUM equal pools.",
				   children, NULL,  NULL };
	struct arguments arguments = { .ctl = ctl };
	struct ipam_view view;
	struct err err = {};
	json_t *pool;
	int r;

	argp_parse(&argp, argc, argv, 0, NULL, &arguments);
	if (ipam_view_read(ctl, LIST_BLOCKS, &view) < 0)
		return 1;
	pool = find_pool(&arguments, view.lists[LIST_POOLS]);
	r = pool ? split(&arguments, pool, &err)
		 : err_set(&err, -ENOENT, "no IP pool %s",
			   arguments.name ? arguments.name : arguments.cidr);
	if (r < 0)
		ctl_error(ctl, "%s", *err.text ? err.text : "a part of the pool is refused");
	else
		printf("Successfully split IP pool %s into %ld\n",
		       json_text_or(pool, "metadata.name", "?"), arguments.parts);
	ipam_view_done(&view);
	return ctl->failed;
}
