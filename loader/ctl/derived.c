/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/derived.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/json.h"
#include "model/tier.h"

#define CALICO_V3 "projectcalico.org/v3"
#define ALLOW_ALL "projectcalico-default-allow"

/* --- tiers ---------------------------------------------------------------------------------- */

static json_t *tier_object(const struct tier_built_in *tier)
{
	return json_pack("{s:s, s:s, s:{s:s}, s:{s:o, s:s}}", "apiVersion", CALICO_V3, "kind",
			 "Tier", "metadata", "name", tier->name, "spec", "order",
			 json_integer((json_int_t)tier->order), "defaultAction",
			 tier->end_pass ? "Pass" : "Deny");
}

static void tiers_all(json_t *all)
{
	for (const struct tier_built_in *tier = tier_built_ins; tier->name; tier++)
		json_array_append_new(all, tier_object(tier));
}

/* --- profiles ------------------------------------------------------------------------------- */

static json_t *profile_object(const char *name, json_t *labels, bool allows)
{
	json_t *spec = json_object();

	if (allows) {
		json_object_set_new(spec, "ingress", json_pack("[{s:s}]", "action", "Allow"));
		json_object_set_new(spec, "egress", json_pack("[{s:s}]", "action", "Allow"));
	}
	if (json_object_size(labels))
		json_object_set(spec, "labelsToApply", labels);
	json_decref(labels);
	return json_pack("{s:s, s:s, s:{s:s}, s:o}", "apiVersion", CALICO_V3, "kind", "Profile",
			 "metadata", "name", name, "spec", spec);
}

/* Labels of a namespace or service account as its endpoints have them: with a prefix, and its name
 * among them. */
static json_t *labels_to_apply(const json_t *object, const char *prefix)
{
	_cleanup_free_ char *own = xasprintf("%sprojectcalico.org/name", prefix);
	json_t *all = json_object(), *value;
	const char *key;

	json_object_foreach(json_at(object, "metadata.labels"), key, value) {
		_cleanup_free_ char *prefixed = xasprintf("%s%s", prefix, key);

		json_object_set(all, prefixed, value);
	}
	json_object_set_new(all, own, json_string(json_text_or(object, "metadata.name", "")));
	return all;
}

static json_t *profile_of(const json_t *object)
{
	const char *name = json_text_or(object, "metadata.name", "");
	const char *ns = json_text_or(object, "metadata.namespace", "default");
	bool account = !strcmp(json_text_or(object, "kind", ""), "ServiceAccount");
	_cleanup_free_ char *title =
		account ? xasprintf("ksa.%s.%s", ns, name) : xasprintf("kns.%s", name);

	return profile_object(title, labels_to_apply(object, account ? "pcsa." : "pcns."),
			      !account);
}

static int add_profile(size_t query, json_t *object, void *arg)
{
	(void)query;
	json_array_append_new(arg, profile_of(object));
	return 0;
}

static int profiles_all(struct store *store, json_t *all, struct err *err)
{
	const struct store_query queries[] = { { .kind = store_kind(KIND_NAMESPACE) },
					       { .kind = store_kind(KIND_SERVICE_ACCOUNT) } };
	const struct store_reading reading = {
		.queries = queries, .count = 2, .fn = add_profile, .arg = all
	};

	json_array_append_new(all, profile_object(ALLOW_ALL, json_object(), true));
	return store_read(store, &reading, err);
}

/* --- together ------------------------------------------------------------------------------- */

static const char *name_of(const json_t *object)
{
	return json_text_or(object, "metadata.name", "");
}

static int derived_all(struct store *store, const struct store_kind *kind, json_t **ret_all,
		       struct err *err)
{
	int r = 0;

	*ret_all = json_array();
	if (kind->id == KIND_TIER)
		tiers_all(*ret_all);
	else if (kind->id == KIND_PROFILE)
		r = profiles_all(store, *ret_all, err);
	return r;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(name_of(*(json_t *const *)a), name_of(*(json_t *const *)b));
}

static void sort(json_t *items)
{
	size_t count = json_array_size(items);
	_cleanup_free_ json_t **sorted = xcalloc(count + 1, sizeof(*sorted));

	for (size_t i = 0; i < count; i++)
		sorted[i] = json_incref(json_array_get(items, i));
	qsort(sorted, count, sizeof(*sorted), by_name);
	for (size_t i = 0; i < count; i++)
		json_array_set_new(items, i, sorted[i]);
}

int derived_add(struct store *store, const struct store_kind *kind, json_t *items, struct err *err)
{
	_cleanup_json_ json_t *all = NULL, *names = json_object();
	json_t *object;
	size_t i;
	int r = derived_all(store, kind, &all, err);

	if (r < 0 || !json_array_size(all))
		return r;
	json_array_foreach(items, i, object)
		json_object_set_new(names, name_of(object), json_true());
	json_array_foreach(all, i, object)
		if (!json_object_get(names, name_of(object)))
			json_array_append(items, object);
	sort(items);
	return 0;
}

int derived_get(struct store *store, const struct store_key *key, json_t **ret_object,
		struct err *err)
{
	_cleanup_json_ json_t *all = NULL;
	json_t *object;
	size_t i;
	int r = derived_all(store, key->kind, &all, err);

	if (r < 0)
		return r;
	json_array_foreach(all, i, object) {
		if (strcmp(name_of(object), key->name))
			continue;
		*ret_object = json_incref(object);
		return 0;
	}
	return -ENOENT;
}
