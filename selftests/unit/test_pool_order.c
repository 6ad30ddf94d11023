/* SPDX-License-Identifier: Apache-2.0 */
/* model/pool_order.h: which of overlapping pools are in force. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "base/inet.h"
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(older_stands),
		cmocka_unit_test(only_who_stands_keeps_out),
	};

	return cmocka_run_group_tests_name("pool_order", tests, NULL, NULL);
}
