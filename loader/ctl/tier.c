/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/tier.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/json.h"
#include "model/kind.h"
#include "model/tier.h"

/* No field of the API is called so. */
#define MARK "margay.dev/no-tier"

static const enum kind tiered[] = { KIND_CALICO_POLICY, KIND_GLOBAL_POLICY, KIND_STAGED_POLICY,
				    KIND_STAGED_GLOBAL_POLICY };
#define TIERED (sizeof(tiered) / sizeof(tiered[0]))

static const char *tier_of_policy(const json_t *policy)
{
	const char *tier = json_text_or(policy, "spec.tier", "");

	return *tier ? tier : "default";
}

/* Is it deleted together with its tier? */
static bool goes_too(const struct jobs *jobs, enum kind kind, const json_t *policy)
{
	for (size_t i = 0; i < jobs->count; i++) {
		const struct store_key *key = &jobs->all[i].key;

		if (key->kind->id == kind &&
		    !strcmp(key->name, json_text_or(policy, "metadata.name", "")) &&
		    !strcmp(key->ns ?: "", json_text_or(policy, "metadata.namespace", "")))
			return true;
	}
	return false;
}

static size_t left_in(const struct jobs *jobs, const char *tier, enum kind kind,
		      const json_t *policies)
{
	size_t i, count = 0;
	json_t *policy;

	json_array_foreach((json_t *)(uintptr_t)policies, i, policy)
		count += !strcmp(tier_of_policy(policy), tier) && !goes_too(jobs, kind, policy);
	return count;
}

int tier_may_go(const struct jobs *jobs, const char *name, struct err *err)
{
	struct store_query queries[TIERED];
	struct store_list lists[TIERED];
	size_t count = 0;
	int r;

	if (tier_built_in(name))
		return err_set(err, -EINVAL, "is built in and cannot be deleted");
	for (size_t i = 0; i < TIERED; i++)
		queries[i] = (struct store_query){ .kind = store_kind(tiered[i]) };
	r = store_list(jobs->options->ctl->store, queries, TIERED, lists, err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < TIERED; i++) {
		count += left_in(jobs, name, tiered[i], lists[i].items);
		store_list_done(&lists[i]);
	}
	if (count)
		return err_set(err, -EINVAL, "%zu policies are in it: delete them first", count);
	return 0;
}

/* --- status --------------------------------------------------------------------------------- */

static bool is_there(struct store *store, const char *name)
{
	const struct store_key key = { store_kind(KIND_TIER), "", name };
	_cleanup_json_ json_t *object = NULL;

	/* Who cannot ask claims nothing. */
	return tier_built_in(name) || store_get(store, &key, &object, NULL) != -ENOENT;
}

void tiers_mark(struct store *store, json_t *policies)
{
	json_t *policy;
	size_t i;

	json_array_foreach(policies, i, policy) {
		const char *api = json_text_or(policy, "apiVersion", "");

		if (!strncmp(api, API_GROUP_CALICO, strlen(API_GROUP_CALICO)) &&
		    json_at(policy, "spec") && !is_there(store, tier_of_policy(policy)))
			json_object_set_new(policy, MARK, json_string(tier_of_policy(policy)));
	}
}

char *tier_status(const json_t *policy)
{
	const char *tier = json_string_value(json_object_get(policy, MARK));

	return tier ? xasprintf("inactive: there is no tier %s", tier) : NULL;
}
