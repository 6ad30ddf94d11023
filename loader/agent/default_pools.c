/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/default_pools.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/log.h"
#include "controller/default_pool.h"
#include "datastore/store.h"

static const char *from_environment(void *arg, const char *name)
{
	(void)arg;
	return getenv(name);
}

static bool has_family(const json_t *pools, int family)
{
	json_t *pool;
	size_t i;

	json_array_foreach(pools, i, pool) {
		const char *cidr = json_text_or(pool, "spec.cidr", "");

		if (!strchr(cidr, ':') == (family == 4))
			return true;
	}
	return false;
}

static int make_family(struct store *store, int family, const json_t *pools, struct err *err)
{
	_cleanup_json_ json_t *object = NULL;
	int r = default_pool_of(family, from_environment, NULL, &object, err);

	if (r < 0 || !object || has_family(pools, family))
		return r;
	r = store_create(store, object, NULL, err);
	if (!r)
		log_info("the first pool is made", "pool",
			 json_text_or(object, "metadata.name", ""), "cidr",
			 json_text_or(object, "spec.cidr", ""), NULL);
	return r == -EEXIST ? 0 : r;
}

int default_pools_make(struct store *store, struct err *err)
{
	const struct store_query query = { .kind = store_kind(KIND_IP_POOL) };
	const char *none = getenv("NO_DEFAULT_POOLS");
	struct store_list list;
	int r;

	if (none && !strcasecmp(none, "true"))
		return 0;
	if (!getenv("CALICO_IPV4POOL_CIDR") && !getenv("CALICO_IPV6POOL_CIDR"))
		return 0;
	r = store_list(store, &query, 1, &list, err);
	if (r < 0)
		return r;
	r = make_family(store, 4, list.items, err);
	if (!r)
		r = make_family(store, 6, list.items, err);
	store_list_done(&list);
	return r;
}
