/* SPDX-License-Identifier: Apache-2.0 */
/* EndpointSlices from Services and pods: what a change costs in writes, and whose slices are whose.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/json.h"
#include "selftests/lib/slicer_world.h"

static const struct service_fact plain = { .there = true, .app = 1, .families = 1, .ports = 1 };

/* count pods p1..: 10.1.x.y, all ready. */
static void many_pods(struct world *world, unsigned int first, unsigned int count)
{
	for (unsigned int i = first; i < first + count; i++)
		world_tell(world, json_pack("{s:s,s:s,s:{s:o,s:{s:s}},s:{s:s},s:{s:s,s:o}}",
					    "apiVersion", "v1", "kind", "Pod", "metadata", "name",
					    json_sprintf("m%u", i), "labels", "app", "a1", "spec",
					    "nodeName", "n0", "status", "phase", "Running", "podIP",
					    json_sprintf("10.1.%u.%u", i / 250, i % 250)));
}

static size_t endpoints_of(const struct world *world, const char *name)
{
	return json_array_size(json_object_get(json_object_get(world->store, name), "endpoints"));
}

static void test_cost(void **state)
{
	struct world world;

	(void)state;
	world_init(&world, 1);
	world_tell(&world, service_json(&plain, 0));
	world_settle(&world);
	assert_int_equal(world.writes, 1); /* one slice without endpoints */
	assert_int_equal(endpoints_of(&world, "s0-ipv4-0"), 0);

	many_pods(&world, 0, 250);
	world_settle(&world);
	assert_int_equal(json_object_size(world.store), 3);
	assert_int_equal(world.writes, 3);
	assert_int_equal(endpoints_of(&world, "s0-ipv4-0"), 100);

	many_pods(&world, 250, 1); /* into the one with room */
	world_settle(&world);
	assert_int_equal(world.writes, 1);

	slicer_del(world.slices, KIND_POD, "default", "m7"); /* its slice alone */
	world_settle(&world);
	assert_int_equal(world.writes, 1);

	many_pods(&world, 7, 1); /* the place is taken again */
	world_settle(&world);
	assert_int_equal(world.writes, 1);

	many_pods(&world, 3, 5); /* nothing new */
	world_settle(&world);
	assert_int_equal(world.writes, 0);
	world_done(&world);
}

/* Other ports: the same objects, written once each. */
static void test_names_stay(void **state)
{
	struct service_fact other = plain;
	struct world world;

	(void)state;
	world_init(&world, 1);
	world_tell(&world, service_json(&plain, 0));
	many_pods(&world, 0, 150);
	world_settle(&world);
	assert_int_equal(json_object_size(world.store), 2);
	other.ports = 2;
	world_tell(&world, service_json(&other, 0));
	world_settle(&world);
	assert_int_equal(json_object_size(world.store), 2);
	assert_int_equal(world.writes, 2);
	assert_int_equal(endpoints_of(&world, "s0-ipv4-0") + endpoints_of(&world, "s0-ipv4-1"),
			 150);
	world_done(&world);
}

static json_t *foreign(const char *manager)
{
	return json_pack("{s:s,s:s,s:{s:s,s:s,s:{s:s,s:s}},s:s,s:[],s:[{s:[s]}]}", "apiVersion",
			 "discovery.k8s.io/v1", "kind", "EndpointSlice", "metadata", "name",
			 "s0-ipv4-0", "resourceVersion", "1", "labels",
			 "kubernetes.io/service-name", "s0",
			 "endpointslice.kubernetes.io/managed-by", manager, "addressType", "IPv4",
			 "ports", "endpoints", "addresses", "192.0.2.1");
}

/* Slices of others stay as they are, and their names are theirs. */
static void test_foreign(void **state)
{
	struct world world;

	(void)state;
	world_init(&world, 1);
	json_object_set_new(world.store, "s0-ipv4-0", foreign("me"));
	world_tell(&world, foreign("me"));
	world_tell(&world, service_json(&plain, 0));
	many_pods(&world, 0, 1);
	world_settle(&world);
	assert_int_equal(json_object_size(world.store), 2);
	assert_int_equal(endpoints_of(&world, "s0-ipv4-1"), 1);
	slicer_del(world.slices, KIND_SERVICE, "default", "s0");
	world_settle(&world);
	assert_int_equal(json_object_size(world.store), 1);
	assert_int_equal(endpoints_of(&world, "s0-ipv4-0"), 1);
	world_done(&world);
}

/* A Service that loses its selector, or becomes a name, has no slices of ours. */
static void test_no_selector(void **state)
{
	struct service_fact bare = plain;
	struct world world;

	(void)state;
	world_init(&world, 1);
	world_tell(&world, service_json(&plain, 0));
	many_pods(&world, 0, 1);
	world_settle(&world);
	bare.app = 0;
	world_tell(&world, service_json(&bare, 0));
	world_settle(&world);
	assert_int_equal(json_object_size(world.store), 0);
	world_done(&world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cost),
		cmocka_unit_test(test_names_stay),
		cmocka_unit_test(test_foreign),
		cmocka_unit_test(test_no_selector),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
