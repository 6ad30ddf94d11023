/* SPDX-License-Identifier: Apache-2.0 */
/*
 * EndpointSlices from Services and pods: thousands of random changes, each compared with a naive
 * rebuild from what the test itself knows.
 *
 * MARGAY_SEED chooses the run; a failure prints it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/json.h"
#include "selftests/lib/slicer_world.h"

#define STEPS 4000

/* --- the naive rebuild ---------------------------------------------------------------------- */

struct lines {
	char *v[8192];
	size_t count;
};

static void add_line(struct lines *lines, char *text)
{
	assert_true(lines->count < sizeof(lines->v) / sizeof(lines->v[0]));
	lines->v[lines->count++] = text;
}

static void lines_done(struct lines *lines)
{
	for (size_t i = 0; i < lines->count; i++)
		free(lines->v[i]);
	free(lines);
}

static int line_cmp(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool selects(const struct service_fact *service, const struct pod_fact *pod)
{
	return (service->app || service->layer) && (!service->app || service->app == pod->app) &&
	       (!service->layer || service->layer == pod->layer);
}

static char *ports_text(const struct service_fact *service, const struct pod_fact *pod)
{
	char *text = xstrdup("");

	for (unsigned int k = 0; k < service->ports; k++) {
		const char *protocol = k % 3 == 0 ? "TCP" : k % 3 == 1 ? "UDP" : "SCTP";
		unsigned int number = 8080 + k;
		char *more;

		if (!k && service->named)
			number = pod->there ? pod->web : 0;
		if (!number)
			continue;
		more = xasprintf("%sq%u/%s/%u,", text, k, protocol, number);
		free(text);
		text = more;
	}
	return text;
}

/* One endpoint as the API's documentation has it. */
static void expect_one(const struct world *world, struct lines *lines, unsigned int s,
		       unsigned int p, bool is6)
{
	const struct service_fact *service = &world->services[s];
	const struct pod_fact *pod = &world->pods[p];
	const bool leaving = pod->there && pod->deleting;
	const bool serving = !pod->there || !pod->judged || pod->judged == 1;
	const bool ready = service->publish || (serving && !leaving);
	const bool zoned = world->zoned[pod->node];
	_cleanup_free_ char *ports = ports_text(service, pod);
	_cleanup_free_ char *zone = zoned ? xasprintf("z%u", pod->node) : xstrdup("");
	_cleanup_free_ char *addr = is6 ? xasprintf("fd00::%x", p) : xasprintf("10.0.0.%u", p);
	_cleanup_free_ char *near_node =
		service->near == 2 && ready ? xasprintf("n%u", pod->node) : xstrdup("");

	if (!(is6 ? pod->v6 : pod->v4))
		return;
	add_line(lines, xasprintf("s%u %s [%s] %d%d%d n%u zone=%s pod=p%u zones=%s nodes=%s", s,
				  addr, ports, ready, serving, leaving, pod->node, zone, p,
				  service->near && ready ? zone : "", near_node));
}

static struct lines *expected(const struct world *world)
{
	struct lines *lines = xcalloc(1, sizeof(*lines));

	for (unsigned int s = 0; s < SERVICES; s++) {
		for (unsigned int p = 1; p < PODS && world->services[s].there; p++) {
			const struct pod_fact *pod = &world->pods[p];

			if ((!pod->there && !pod->attached) || (pod->there && pod->done) ||
			    !selects(&world->services[s], pod))
				continue;
			for (int is6 = 0; is6 < 2; is6++)
				if (world->services[s].families & (is6 ? 2 : 1))
					expect_one(world, lines, s, p, is6);
		}
	}
	return lines;
}

/* --- what the slices say -------------------------------------------------------------------- */

static const char *hint(const json_t *endpoint, const char *path)
{
	return json_text_or(json_array_get(json_at(endpoint, path), 0), "name", "");
}

static bool condition(const json_t *endpoint, const char *name)
{
	return json_is_true(json_object_get(json_object_get(endpoint, "conditions"), name));
}

static char *slice_ports(const json_t *slice)
{
	char *text = xstrdup("");
	const json_t *port;
	size_t i;

	json_array_foreach(json_object_get(slice, "ports"), i, port) {
		char *more = xasprintf("%s%s/%s/%d,", text, json_text_at(port, "name"),
				       json_text_at(port, "protocol"),
				       (int)json_integer_value(json_object_get(port, "port")));

		free(text);
		text = more;
	}
	return text;
}

static void read_slice(struct lines *lines, const json_t *slice)
{
	const json_t *labels = json_at(slice, "metadata.labels"), *endpoint;
	const char *service =
		json_string_value(json_object_get(labels, "kubernetes.io/service-name"));
	_cleanup_free_ char *ports = slice_ports(slice);
	size_t i;

	assert_true(json_array_size(json_object_get(slice, "endpoints")) <= SLICER_ENDPOINTS_MAX);
	assert_string_equal(json_text_at(labels, "team"), "x");
	json_array_foreach(json_object_get(slice, "endpoints"), i, endpoint) {
		const char *addr = json_string_value(
			json_array_get(json_object_get(endpoint, "addresses"), 0));

		add_line(lines, xasprintf("%s %s [%s] %d%d%d %s zone=%s pod=%s zones=%s nodes=%s",
					  service, addr, ports, condition(endpoint, "ready"),
					  condition(endpoint, "serving"),
					  condition(endpoint, "terminating"),
					  json_text_or(endpoint, "nodeName", ""),
					  json_text_or(endpoint, "zone", ""),
					  json_text_at(endpoint, "targetRef.name"),
					  hint(endpoint, "hints.forZones"),
					  hint(endpoint, "hints.forNodes")));
	}
}

static bool is_ours(const json_t *slice)
{
	const json_t *labels = json_at(slice, "metadata.labels");
	const char *manager = json_string_value(
		json_object_get(labels, "endpointslice.kubernetes.io/managed-by"));

	return manager && !strcmp(manager, SLICER_MANAGER);
}

static struct lines *actual(const struct world *world)
{
	struct lines *lines = xcalloc(1, sizeof(*lines));
	const char *name;
	json_t *slice;

	json_object_foreach(world->store, name, slice) {
		if (is_ours(slice))
			read_slice(lines, slice);
	}
	return lines;
}

static void compare(const struct world *world, unsigned int step)
{
	struct lines *want = expected(world), *got = actual(world);

	qsort(want->v, want->count, sizeof(*want->v), line_cmp);
	qsort(got->v, got->count, sizeof(*got->v), line_cmp);
	for (size_t i = 0; i < want->count || i < got->count; i++) {
		const char *a = i < want->count ? want->v[i] : "nothing";
		const char *b = i < got->count ? got->v[i] : "nothing";

		if (strcmp(a, b))
			fail_msg("step %u:\n  want %s\n  got  %s", step, a, b);
	}
	lines_done(want);
	lines_done(got);
}

/* --- changes -------------------------------------------------------------------------------- */

static void tell_pod(struct world *world, unsigned int i)
{
	_cleanup_free_ char *name = xasprintf("p%u", i), *wep = xasprintf("n-k8s-p%u-eth0", i);
	const struct pod_fact *pod = &world->pods[i];

	if (pod->there)
		world_tell(world, pod_json(pod, i));
	else
		slicer_del(world->slices, KIND_POD, "default", name);
	if (pod->attached)
		world_tell(world, attachment_json(pod, i));
	else
		slicer_del(world->slices, KIND_WORKLOAD_ENDPOINT, "default", wep);
}

static void change_pod(struct world *world)
{
	unsigned int i = 1 + dice(world, PODS - 1);
	struct pod_fact *pod = &world->pods[i];

	switch (dice(world, 6)) {
	case 0:
		*pod = (struct pod_fact){ 0 };
		break;
	case 1:
		pod->judged = dice(world, 3);
		break;
	case 2:
		pod->deleting = pod->there;
		break;
	default:
		*pod = (struct pod_fact){ .there = dice(world, 4),
					  .attached = dice(world, 2),
					  .app = dice(world, 3),
					  .layer = dice(world, 3),
					  .v4 = dice(world, 4),
					  .v6 = dice(world, 2),
					  .judged = dice(world, 3),
					  .done = !dice(world, 8),
					  .deleting = !dice(world, 8),
					  .node = dice(world, NODES),
					  .web = dice(world, 3) * 1000 };
	}
	tell_pod(world, i);
}

static void change_service(struct world *world)
{
	unsigned int i = dice(world, SERVICES);
	_cleanup_free_ char *name = xasprintf("s%u", i);
	struct service_fact *service = &world->services[i];

	*service = (struct service_fact){ .there = dice(world, 5),
					  .app = dice(world, 3),
					  .layer = dice(world, 3),
					  .families = 1 + dice(world, 3),
					  .named = !dice(world, 3),
					  .publish = !dice(world, 4),
					  .headless = !dice(world, 4),
					  .near = dice(world, 3),
					  .ports = 1 + dice(world, 3) };
	if (service->there)
		world_tell(world, service_json(service, i));
	else
		slicer_del(world->slices, KIND_SERVICE, "default", name);
}

static void change(struct world *world)
{
	unsigned int node = dice(world, NODES);

	switch (dice(world, 20)) {
	case 0:
		world->zoned[node] = dice(world, 2);
		world_tell(world, node_json(world, node));
		break;
	case 1:
	case 2:
		change_service(world);
		break;
	default:
		change_pod(world);
	}
}

static unsigned long long seed_of_run(void)
{
	const char *text = getenv("MARGAY_SEED");
	unsigned long long seed = text ? strtoull(text, NULL, 10) : (unsigned long long)time(NULL);

	print_message("# MARGAY_SEED=%llu\n", seed);
	return seed;
}

static void test_random(void **state)
{
	struct world world;

	(void)state;
	world_init(&world, seed_of_run());
	world.fail_every = 5;
	for (unsigned int step = 0; step < STEPS; step++) {
		for (unsigned int n = 1 + dice(&world, 4); n; n--)
			change(&world);
		world_settle(&world);
		compare(&world, step);
	}
	world_settle(&world);
	assert_int_equal(world.writes, 0);
	world_done(&world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
