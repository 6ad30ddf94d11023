/* SPDX-License-Identifier: Apache-2.0 */
/*
 * margayctl policy show: what applies to the endpoints of this node; of one of them each rule in
 * the order of evaluation, with what it has counted.
 */
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/json.h"
#include "ctl/agent.h"
#include "ctl/show.h"
#include "ctl/verb.h"

static char *host_or_pod(const json_t *row)
{
	const char *host = json_text_or(row, "host_endpoint", "");

	return xstrdup(*host ? host : json_text_or(row, "pod", ""));
}

static const struct table_column columns[] = {
	{ .title = "NAMESPACE", .path = ".namespace" },
	{ .title = "ENDPOINT", .text = host_or_pod },
	{ .title = "INGRESS", .path = ".ingress[*].name" },
	{ .title = "EGRESS", .path = ".egress[*].name" },
};

static const struct table_column rule_columns[] = {
	{ .title = "DIRECTION", .path = ".direction" },
	{ .title = "STAGE", .path = ".stage", .empty = "" },
	{ .title = "TIER", .path = ".tier", .empty = "" },
	{ .title = "POLICY", .path = ".policy" },
	{ .title = "RULE", .path = ".rule", .empty = "" },
	{ .title = "ACTION", .path = ".action", .empty = "" },
	{ .title = "CONNECTIONS", .path = ".connections", .empty = "-" },
	{ .title = "PACKETS", .path = ".packets", .empty = "-" },
	{ .title = "BYTES", .path = ".bytes", .empty = "-" },
	{ .title = "MATCHES", .path = ".text", .empty = "" },
};

/* "NetworkPolicy shop/web (staged)" */
static json_t *title(const json_t *policy)
{
	const char *space = json_text_or(policy, "namespace", "");
	const char *staged = json_text_or(policy, "staged", "");
	const char *how = !*staged ? "" : !strcmp(staged, "Set") ? " (staged)" : " (staged Delete)";

	return json_sprintf("%s %s%s%s%s", json_text_or(policy, "kind", "?"), space,
			    *space ? "/" : "", json_text_or(policy, "name", "?"), how);
}

static json_t *row_of(const char *direction, const json_t *policy)
{
	return json_pack("{s:s,s:s,s:s}", "direction", direction, "stage",
			 json_text_or(policy, "stage", ""), "tier",
			 json_text_or(policy, "tier", ""));
}

static void add_rules(json_t *list, const char *direction, const json_t *policy)
{
	const json_t *rules = json_object_get(policy, "rules");
	json_t *rule, *row;
	size_t i;

	if (!json_array_size(rules)) {
		row = row_of(direction, policy);
		json_object_set_new(row, "policy", title(policy));
		json_array_append_new(list, row);
	}
	json_array_foreach((json_t *)rules, i, rule) {
		row = row_of(direction, policy);
		json_object_set_new(row, "policy", title(policy));
		json_object_update(row, rule);
		json_array_append_new(list, row);
	}
}

static bool same(const json_t *a, const json_t *b, const char *member)
{
	return !strcmp(json_text_or(a, member, ""), json_text_or(b, member, ""));
}

/* What no rule of the tier decides; a tier that has staged policies only is skipped. */
static void add_tier_end(json_t *list, const char *direction, const json_t *last, bool in_force)
{
	json_t *row = row_of(direction, last);

	json_object_set_new(row, "policy",
			    json_string(in_force ? "end of the tier"
						 : "end of the tier (skipped: all staged)"));
	json_object_set_new(row, "action", json_string(json_text_or(last, "tier_end", "")));
	json_array_append_new(list, row);
}

static void add_direction(json_t *list, const char *direction, const json_t *policies)
{
	const json_t *last = NULL;
	bool in_force = false;
	json_t *policy;
	size_t i;

	json_array_foreach((json_t *)policies, i, policy) {
		if (last && (!same(last, policy, "tier") || !same(last, policy, "stage"))) {
			add_tier_end(list, direction, last, in_force);
			in_force = false;
		}
		add_rules(list, direction, policy);
		in_force |= !json_is_string(json_object_get(policy, "staged"));
		last = policy;
	}
	if (last)
		add_tier_end(list, direction, last, in_force);
}

static void add_end(json_t *list, const char *direction, const json_t *endpoint)
{
	json_array_append_new(list, json_pack("{s:s,s:s,s:s,s:s}", "direction", direction, "stage",
					      "normal", "policy", "end: profiles", "action",
					      json_text_or(endpoint, "end", "")));
}

static json_t *rule_rows(const json_t *endpoints)
{
	const json_t *endpoint = json_array_get(endpoints, 0);
	json_t *list = json_array();

	if (!endpoint)
		return list;
	add_direction(list, "ingress", json_object_get(endpoint, "ingress"));
	add_end(list, "ingress", endpoint);
	add_direction(list, "egress", json_object_get(endpoint, "egress"));
	add_end(list, "egress", endpoint);
	return list;
}

struct arguments {
	struct show_arguments show;
	const char *endpoint;
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct arguments *arguments = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &arguments->show;
		return 0;
	case ARGP_KEY_ARG:
		if (arguments->endpoint)
			argp_error(state, "one endpoint: NAMESPACE/POD or a host endpoint's name");
		arguments->endpoint = arg;
		return 0;
	}
	return ARGP_ERR_UNKNOWN;
}

static int ask(struct arguments *arguments, const struct show *show)
{
	struct ctl *ctl = arguments->show.ctl;
	_cleanup_json_ json_t *request = json_object(), *answer = NULL;
	const json_t *member;
	struct err err;

	if (arguments->endpoint)
		json_object_set_new(request, "endpoint", json_string(arguments->endpoint));
	if (agent_call(ctl, "policies", request, &answer, &err) < 0) {
		ctl_error(ctl, "%s", err.text);
		return 1;
	}
	member = json_object_get(answer, "policies");
	if (arguments->endpoint && !json_array_size(member))
		ctl_error(ctl, "%s: no such pod (NAMESPACE/POD) or host endpoint on this node",
			  arguments->endpoint);
	else
		show_print(&arguments->show, show, member);
	return ctl->failed;
}

int verb_policy_show(struct ctl *ctl, int argc, char **argv)
{
	static const struct argp_child children[] = { { &show_argp, 0, NULL, 0 }, { 0 } };
	const struct argp argp = {
		.parser = parse,
		.args_doc = "[NAMESPACE/POD | HOSTENDPOINT]",
		.doc = "Policies by endpoint of this node in the order of evaluation; of one "
		       "endpoint "
		       "each rule, with what it has counted on this node for all endpoints.",
		.children = children
	};
	struct arguments arguments = { .show.ctl = ctl };
	struct show show = { .nothing = "No endpoints on this node.",
			     .columns = columns,
			     .count = sizeof(columns) / sizeof(columns[0]) };

	if (argp_parse(&argp, argc, argv, 0, NULL, &arguments))
		return 1;
	if (arguments.endpoint) {
		show.columns = rule_columns;
		show.count = sizeof(rule_columns) / sizeof(rule_columns[0]);
		show.rows = rule_rows;
	}
	return ask(&arguments, &show);
}
