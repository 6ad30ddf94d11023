/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/rule.h"

#include <math.h>

#include "base/arena.h"

struct policy *policy_new(const char *group, const char *kind, const char *namespace,
			  const char *name, const char *uid)
{
	struct arena *arena = arena_new();
	struct policy *policy = arena_alloc(arena, sizeof(*policy));

	*policy = (struct policy){
		.arena = arena,
		.refs = 1,
		.group = arena_strdup(arena, group),
		.kind = arena_strdup(arena, kind),
		.namespace = arena_strdup(arena, namespace ? namespace : ""),
		.name = arena_strdup(arena, name),
		.uid = arena_strdup(arena, uid),
		.tier = "default",
		.order = INFINITY,
		.stages = POLICY_AT_NORMAL,
	};
	return policy;
}

struct policy *policy_ref(struct policy *policy)
{
	policy->refs++;
	return policy;
}

void policy_unref(struct policy *policy)
{
	if (policy && --policy->refs == 0)
		arena_free(policy->arena);
}
