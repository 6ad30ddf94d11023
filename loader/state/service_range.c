/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Clients that a set of backends is for (loadBalancerSourceRanges).
 */
#include <string.h>

#include "state/service_own.h"

static struct mg_range_key range_key(const struct back_set *set, const struct mg_prefix *net)
{
	return (struct mg_range_key){ .len = MG_RANGE_BITS + net->len,
				      .set = set->number,
				      .addr = net->addr };
}

static bool has(const struct mg_prefix *list, size_t count, const struct mg_prefix *net)
{
	for (size_t i = 0; i < count; i++) {
		if (!memcmp(&list[i], net, sizeof(*net)))
			return true;
	}
	return false;
}

void back_set_ranges(struct services *services, struct back_set *set,
		     const struct mg_prefix *wanted, size_t count)
{
	const __u32 one = 1;

	for (size_t i = 0; i < count; i++) {
		struct mg_range_key key = range_key(set, &wanted[i]);

		if (!has(set->ranges.v, set->ranges.n, &wanted[i]) && !has(wanted, i, &wanted[i]))
			service_plan_set(&services->plan, RANK_RANGE, &key, &one);
	}
	for (size_t i = 0; i < set->ranges.n; i++) {
		struct mg_range_key key = range_key(set, &set->ranges.v[i]);

		if (!has(wanted, count, &set->ranges.v[i]))
			service_plan_remove(&services->plan, RANK_RANGE, &key);
	}
	set->ranges.n = 0;
	for (size_t i = 0; i < count; i++) {
		if (!has(wanted, i, &wanted[i]))
			vec_push(&set->ranges, wanted[i]);
	}
}

void services_restore_range(struct services *services, const struct mg_range_key *key)
{
	struct back_set *set;
	uint32_t number = key->set;

	HASH_FIND(hn, services->by_number, &number, sizeof(number), set);
	if (set)
		vec_push(&set->ranges,
			 (struct mg_prefix){ .len = key->len - MG_RANGE_BITS, .addr = key->addr });
	else
		vec_push(&services->stray_ranges, *key);
}

void ranges_sweep(struct services *services)
{
	for (size_t i = 0; i < services->stray_ranges.n; i++)
		service_plan_remove(&services->plan, RANK_RANGE, &services->stray_ranges.v[i]);
	services->stray_ranges.n = 0;
}
