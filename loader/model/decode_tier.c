/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tier (projectcalico.org/v3), with the checks of its CRD: what is built in keeps its order and
 * action.
 */
#include <math.h>
#include <string.h>

#include "model/decode_kinds.h"
#include "model/names.h"
#include "model/tier.h"

const struct tier_built_in tier_built_ins[] = { { "kube-admin", 1000, true },
						{ "default", 1000000, false },
						{ "kube-baseline", 10000000, true },
						{ NULL, 0, false } };

const struct tier_built_in *tier_built_in(const char *name)
{
	const struct tier_built_in *tier = tier_built_ins;

	while (tier->name && strcmp(tier->name, name))
		tier++;
	return tier->name ? tier : NULL;
}

static const struct enum_text actions[] = { { "Deny", false }, { "Pass", true }, { NULL, 0 } };

static const struct field spec_fields[] = {
	FIELD("order", struct calico_tier, order, read_number),
	FIELD("defaultAction", struct calico_tier, end_pass, read_enum, .enums = actions), FIELD_END
};
static const struct shape spec_shape = { .fields = spec_fields };
static const struct field tier_fields[] = { FIELD_SAME("spec", &spec_shape), FIELD_KNOWN("status"),
					    FIELD_END };

/* What is not said is what is built in. */
static void check_built_in(struct decode *d, const struct path *path, const json_t *value,
			   struct calico_tier *tier)
{
	const struct tier_built_in *fixed = tier_built_in(tier->base.name);
	const json_t *spec = json_object_get(value, "spec");
	const struct path of_spec = { .up = path, .key = "spec" };
	const struct path order = { .up = &of_spec, .key = "order" };
	const struct path action = { .up = &of_spec, .key = "defaultAction" };

	if (!fixed)
		return;
	if (json_is_number(json_object_get(spec, "order")) && tier->order != fixed->order &&
	    d->mode == DECODE_STRICT)
		complain(d, &order, "of tier %s is %.0f", fixed->name, fixed->order);
	if (json_is_string(json_object_get(spec, "defaultAction")) &&
	    tier->end_pass != fixed->end_pass && d->mode == DECODE_STRICT)
		complain(d, &action, "of tier %s is %s", fixed->name,
			 fixed->end_pass ? "Pass" : "Deny");
	tier->order = fixed->order;
	tier->end_pass = fixed->end_pass;
}

static void check_tier(struct decode *d, const struct path *path, const json_t *value, void *at)
{
	const struct path metadata = { .up = path, .key = "metadata" };
	const struct path name = { .up = &metadata, .key = "name" };
	struct calico_tier *tier = at;

	if (!name_is_dns_label(tier->base.name))
		complain(d, &name, "\"%.64s\" is not a DNS label (RFC 1123)", tier->base.name);
	check_built_in(d, path, value, tier);
}

static void tier_defaults(struct decode *d, void *object)
{
	(void)d;
	((struct calico_tier *)object)->order = INFINITY;
}

static const struct shape tier_shape = { .fields = tier_fields, .check = check_tier };

const struct decoder decoder_tier = { .size = sizeof(struct calico_tier),
				      .shape = &tier_shape,
				      .defaults = tier_defaults };
