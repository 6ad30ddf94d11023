/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/rule_words.h"

#include "base/arena.h"
#include "base/json.h"

char *rule_words(const json_t *rule)
{
	const char *space = json_text_or(rule, "namespace", "");

	if (!json_is_object(rule))
		return NULL;
	return xasprintf("%s %s%s%s %lld", json_text_or(rule, "kind", "?"), space,
			 *space ? "/" : "", json_text_or(rule, "name", "?"),
			 (long long)json_integer_value(json_object_get(rule, "rule")));
}

char *staged_words(const json_t *record)
{
	const json_t *staged = json_object_get(record, "staged");
	_cleanup_free_ char *out = rule_words(json_object_get(staged, "egress_rule"));
	_cleanup_free_ char *in = rule_words(json_object_get(staged, "ingress_rule"));

	if (!json_is_object(staged))
		return NULL;
	return xasprintf("%s%s%s%s%s", json_text_or(staged, "verdict", "?"),
			 out || in ? " by " : "", out ? out : "", out && in ? ", " : "",
			 in ? in : "");
}
