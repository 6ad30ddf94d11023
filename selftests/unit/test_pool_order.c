/* SPDX-License-Identifier: Apache-2.0 */
/* Which of overlapping pools are in force (model/pool_order.h), and what the status of the others
 * says (controller/pool_condition.h). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "base/inet.h"
#include "base/json.h"
#include "controller/pool_condition.h"
#include "model/pool_order.h"

#define COUNT 4

struct given {
	const char *name, *created, *cidr;
};

/* "A C" of the pools in force, in the order of their age, whichever order they are given in. */
static void check(const struct given given[COUNT], const char *want)
{
	for (size_t first = 0; first < COUNT; first++) {
		struct mg_prefix cidrs[COUNT];
		struct pool_place places[COUNT];
		char text[64] = "";

		for (size_t i = 0; i < COUNT; i++) {
			const struct given *g = &given[(first + i) % COUNT];

			assert_int_equal(prefix_parse(g->cidr, false, &cidrs[i]), 0);
			places[i] = (struct pool_place){ .cidr = &cidrs[i],
							 .created = g->created,
							 .name = g->name };
		}
		pool_places_settle(places, COUNT);
		for (size_t i = 0; i < COUNT; i++) {
			if (!places[i].behind)
				strcat(text, places[i].name);
			else
				assert_true(
					prefix_overlaps(places[i].cidr, places[i].behind->cidr));
		}
		assert_string_equal(text, want);
	}
}

static void older_stands(void **state)
{
	(void)state;
	check((const struct given[COUNT]){ { "a", "2026-01-02T00:00:00Z", "10.0.0.0/8" },
					   { "b", "2026-01-01T00:00:00Z", "10.1.0.0/16" },
					   { "c", "2026-01-03T00:00:00Z", "fd00::/64" },
					   { "d", "2026-01-04T00:00:00Z", "fd00::/112" } },
	      "bc");
	/* Of one moment: by name. Without a time: before all others. */
	check((const struct given[COUNT]){ { "b", "2026-01-01T00:00:00Z", "10.0.0.0/16" },
					   { "a", "2026-01-01T00:00:00Z", "10.0.0.0/16" },
					   { "z", "", "11.0.0.0/16" },
					   { "c", "2026-01-01T00:00:00Z", "11.0.0.0/8" } },
	      "za");
}

/* What does not stand itself keeps nobody out. */
static void only_who_stands_keeps_out(void **state)
{
	(void)state;
	check((const struct given[COUNT]){ { "a", "1", "10.0.0.0/16" },
					   { "b", "2", "10.0.0.0/8" },
					   { "c", "3", "10.1.0.0/16" },
					   { "d", "4", "10.2.0.0/16" } },
	      "acd");
}

/* --- the condition --------------------------------------------------------------------------- */

#define SECOND 1000ULL
#define NOW (1764000000 * SECOND)

static const json_t *condition_of(const json_t *pool, size_t at)
{
	return json_array_get(json_at(pool, "status.conditions"), at);
}

static void assert_condition(const json_t *pool, size_t at, const char *status, const char *reason)
{
	const json_t *condition = condition_of(pool, at);

	assert_string_equal(json_text_or(condition, "type", ""), "Allocatable");
	assert_string_equal(json_text_or(condition, "status", ""), status);
	assert_string_equal(json_text_or(condition, "reason", ""), reason);
}

static void condition_follows(void **state)
{
	_cleanup_json_ json_t *pool = json_pack("{s:{s:s}}", "metadata", "name", "a");
	_cleanup_json_ json_t *out = NULL, *other = NULL, *in = NULL;

	(void)state;
	/* In force from the start: nobody need say so. */
	assert_null(pool_condition(pool, NULL, NOW));
	out = pool_condition(pool, "behind b", NOW);
	assert_condition(out, 0, "False", "CIDROverlap");
	assert_string_equal(json_text_at(condition_of(out, 0), "message"), "behind b");
	assert_null(pool_condition(out, "behind b", NOW + 5 * SECOND));
	/* Behind another one: the same status, so it began when it began. */
	other = pool_condition(out, "behind c", NOW + 5 * SECOND);
	assert_string_equal(json_text_at(condition_of(other, 0), "message"), "behind c");
	assert_string_equal(json_text_at(condition_of(other, 0), "lastTransitionTime"),
			    json_text_at(condition_of(out, 0), "lastTransitionTime"));
	in = pool_condition(other, NULL, NOW + 9 * SECOND);
	assert_condition(in, 0, "True", "OK");
	assert_string_not_equal(json_text_at(condition_of(in, 0), "lastTransitionTime"),
				json_text_at(condition_of(out, 0), "lastTransitionTime"));
	assert_null(pool_condition(in, NULL, NOW + 10 * SECOND));
}

/* What others say stays: other conditions, and other reasons than an overlap. */
static void others_conditions_stay(void **state)
{
	_cleanup_json_ json_t *pool =
		json_pack("{s:{s:[{s:s,s:s}, {s:s,s:s,s:s}]}}", "status", "conditions", "type",
			  "Mine", "status", "True", "type", "Allocatable", "status", "False",
			  "reason", "PoolDisabled");
	_cleanup_json_ json_t *out = NULL;

	(void)state;
	assert_null(pool_condition(pool, NULL, NOW));
	out = pool_condition(pool, "behind b", NOW);
	assert_int_equal(json_array_size(json_at(out, "status.conditions")), 2);
	assert_condition(out, 1, "False", "CIDROverlap");
	assert_string_equal(json_text_at(condition_of(out, 0), "type"), "Mine");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(older_stands),
		cmocka_unit_test(only_who_stands_keeps_out),
		cmocka_unit_test(condition_follows),
		cmocka_unit_test(others_conditions_stay),
	};

	return cmocka_run_group_tests_name("pool_order", tests, NULL, NULL);
}
