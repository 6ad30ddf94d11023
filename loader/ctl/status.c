/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/json.h"
#include "ctl/show.h"
#include "ctl/verb.h"

static const struct table_column columns[] = {
	{ .title = "WHAT", .path = ".what" },
	{ .title = "VALUE", .path = ".value" },
};

/* "FILE: OBJECT: what is wrong (in force: what of it)". */
static void add_problem(json_t *list, const json_t *problem)
{
	const char *file = json_text_or(problem, "file", "");
	const char *object = json_text_or(problem, "object", "");

	json_array_append_new(
		list,
		json_pack("{s:s, s:o}", "what", "bad object", "value",
			  json_sprintf("%s%s%s%s%s (in force: %s)", file, *file ? ": " : "", object,
				       *object ? ": " : "", json_text_or(problem, "what", "?"),
				       json_text_or(problem, "in_force", "?"))));
}

static void add_problems(json_t *list, const json_t *problems)
{
	const json_t *problem;
	size_t i;

	json_array_foreach(problems, i, problem)
		add_problem(list, problem);
}

/* One row a member, one a problem. */
static json_t *rows(const json_t *status)
{
	json_t *list = json_array(), *value;
	const char *key;

	json_object_foreach((json_t *)status, key, value) {
		bool nothing = json_is_null(value) ||
			       (json_is_string(value) && !*json_string_value(value));

		if (!strcmp(key, "problems"))
			add_problems(list, value);
		else if (!nothing)
			json_array_append_new(list,
					      json_pack("{s:s, s:O}", "what", key, "value", value));
	}
	return list;
}

int verb_status(struct ctl *ctl, int argc, char **argv)
{
	const struct show show = { .op = "status",
				   .doc = "What the agent of this node does.",
				   .nothing = "The agent says nothing.",
				   .columns = columns,
				   .count = sizeof(columns) / sizeof(columns[0]),
				   .rows = rows };

	return show_agent(ctl, argc, argv, &show);
}
