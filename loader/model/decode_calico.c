/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calico's NetworkPolicy, GlobalNetworkPolicy and their staged forms (projectcalico.org/v3),
 * with the checks of its validator. Rules: decode_calico_rule.c.
 */
#include <math.h>
#include <string.h>

#include "model/decode_calico.h"
#include "model/decode_kinds.h"
#include "model/names.h"

#define RULES_MAX 1024

static const struct enum_text directions[] = { { "Ingress", CALICO_INGRESS },
					       { "Egress", CALICO_EGRESS },
					       { NULL, 0 } };
static const struct enum_text hints[] = { { "AssumeNeededOnEveryNode", 1 }, { NULL, 0 } };
const struct enum_text calico_staged_actions[] = { { "Set", CALICO_SET },
						   { "Delete", CALICO_DELETE },
						   { "Learn", CALICO_LEARN },
						   { "Ignore", CALICO_IGNORE },
						   { NULL, 0 } };

/* Every policy is known to every node: nothing to be told of it. */
static READER(read_hints)
{
	unsigned int ignored = 0;

	(void)at;
	read_flags(d, path, value, field, &ignored);
}

/* --- what fields say together --------------------------------------------------------------- */

static void check_types(struct decode *d, const struct path *path, const json_t *spec,
			struct calico_policy *policy)
{
	const struct path types = { .up = path, .key = "types" };
	const bool in = json_array_size(json_object_get(spec, "ingress"));
	const bool out = json_array_size(json_object_get(spec, "egress"));

	if (policy->types)
		return;
	if (json_is_array(json_object_get(spec, "types")) && d->mode == DECODE_STRICT)
		complain(d, &types, "is empty: leave it out, or name Ingress, Egress or both");
	policy->types = out ? CALICO_EGRESS : CALICO_INGRESS;
	if (in && out)
		policy->types = CALICO_INGRESS | CALICO_EGRESS;
}

static void check_stages(struct decode *d, const struct path *path, const json_t *spec,
			 const struct calico_policy *policy)
{
	const struct path egress = { .up = path, .key = "egress" };
	const struct path types = { .up = path, .key = "types" };

	if (policy->do_not_track && policy->pre_dnat)
		complain(d, path, "preDNAT and doNotTrack exclude each other");
	if ((policy->do_not_track || policy->pre_dnat) && !policy->apply_on_forward)
		complain(d, path, "preDNAT and doNotTrack need applyOnForward true");
	if (!policy->pre_dnat)
		return;
	if (json_array_size(json_object_get(spec, "egress")))
		complain(d, &egress, "preDNAT policies have no egress rules");
	else if (policy->types & CALICO_EGRESS)
		complain(d, &types, "preDNAT policies have no type Egress");
}

static bool is_zero(const json_t *value)
{
	switch (json_typeof(value)) {
	case JSON_NULL:
	case JSON_FALSE:
		return true;
	case JSON_STRING:
		return !*json_string_value(value);
	case JSON_ARRAY:
		return !json_array_size(value);
	case JSON_OBJECT:
		return !json_object_size(value);
	case JSON_INTEGER:
	case JSON_REAL:
	case JSON_TRUE:
		break;
	}
	return false;
}

void check_staged_delete(struct decode *d, const struct path *path, const json_t *spec)
{
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)(uintptr_t)spec, key, value) {
		const struct path place = { .up = path, .key = key };

		if (strcmp(key, "tier") && strcmp(key, "stagedAction") && !is_zero(value))
			complain(d, &place, "must be left out with stagedAction Delete");
	}
}

static void check_spec(struct decode *d, const struct path *path, const json_t *spec, void *at)
{
	struct calico_policy *policy = at;

	if (!*policy->tier)
		policy->tier = CALICO_TIER_DEFAULT;
	check_types(d, path, spec, policy);
	if (policy->staged == CALICO_DELETE && d->mode == DECODE_STRICT)
		check_staged_delete(d, path, spec);
}

static void check_global_spec(struct decode *d, const struct path *path, const json_t *spec,
			      void *at)
{
	struct calico_policy *policy = at;

	check_spec(d, path, spec, policy);
	if (d->mode == DECODE_STRICT) {
		check_stages(d, path, spec, policy);
	}
}

/* --- shapes --------------------------------------------------------------------------------- */

#define COMMON_FIELDS                                                                              \
	FIELD("tier", struct calico_policy, tier, read_text, .is_valid = name_is_dns_label,        \
	      .what = "a DNS label (RFC 1123)"),                                                   \
		FIELD("order", struct calico_policy, order, read_number),                          \
		FIELD("selector", struct calico_policy, selector, read_calico_selector,            \
		      .json = FIELD_JSON_TEXT),                                                    \
		FIELD("serviceAccountSelector", struct calico_policy, accounts,                    \
		      read_calico_selector, .json = FIELD_JSON_TEXT),                              \
		FIELD("types", struct calico_policy, types, read_flags, .enums = directions),      \
		FIELD_LIST("ingress", struct calico_policy, ingress.count, ingress.v,              \
			   &calico_ingress_field, .max = RULES_MAX),                               \
		FIELD_LIST("egress", struct calico_policy, egress.count, egress.v,                 \
			   &calico_egress_field, .max = RULES_MAX),                                \
	{                                                                                          \
		.name = "performanceHints", .read = read_hints, .enums = hints,                    \
		.json = FIELD_JSON_FLAGS                                                           \
	}

#define GLOBAL_FIELDS                                                                              \
	FIELD("namespaceSelector", struct calico_policy, namespaces, read_calico_selector,         \
	      .json = FIELD_JSON_TEXT),                                                            \
		FIELD("doNotTrack", struct calico_policy, do_not_track, read_bool),                \
		FIELD("preDNAT", struct calico_policy, pre_dnat, read_bool),                       \
		FIELD("applyOnForward", struct calico_policy, apply_on_forward, read_bool)

#define STAGED_FIELD                                                                               \
	FIELD("stagedAction", struct calico_policy, staged, read_enum,                             \
	      .enums = calico_staged_actions)

static void policy_defaults(struct decode *d, void *object)
{
	struct calico_policy *policy = object;

	(void)d;
	policy->tier = CALICO_TIER_DEFAULT;
	policy->order = INFINITY;
	policy->types = 0;
}

/* Without a spec the types are still to be inferred. */
static void check_policy(struct decode *d, const struct path *path, const json_t *value, void *at)
{
	struct calico_policy *policy = at;

	(void)d;
	(void)path;
	(void)value;
	if (!policy->types)
		policy->types = CALICO_INGRESS;
}

#define POLICY_DECODER(name, check_of_spec, ...)                                                   \
	static const struct field name##_spec_fields[] = { __VA_ARGS__, FIELD_END };               \
	static const struct shape name##_spec_shape = { .fields = name##_spec_fields,              \
							.check = check_of_spec };                  \
	static const struct field name##_fields[] = { FIELD_SAME("spec", &name##_spec_shape),      \
						      FIELD_END };                                 \
	static const struct shape name##_shape = { .fields = name##_fields,                        \
						   .check = check_policy };                        \
	const struct decoder decoder_##name = { .size = sizeof(struct calico_policy),              \
						.shape = &name##_shape,                            \
						.defaults = policy_defaults }

POLICY_DECODER(calico_policy, check_spec, COMMON_FIELDS);
POLICY_DECODER(global_policy, check_global_spec, COMMON_FIELDS, GLOBAL_FIELDS);
POLICY_DECODER(staged_policy, check_spec, COMMON_FIELDS, STAGED_FIELD);
POLICY_DECODER(staged_global_policy, check_global_spec, COMMON_FIELDS, GLOBAL_FIELDS, STAGED_FIELD);
