/* SPDX-License-Identifier: Apache-2.0 */
/* Kinds and their names, labels, and the store of objects with its indexes. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/inet.h"
#include "model/kind.h"
#include "model/pod.h"
#include "model/selector.h"
#include "model/store.h"
#include "model/workload.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* --- kinds ---------------------------------------------------------------------------------- */

static void test_kind_find(void **state)
{
	static const struct {
		const char *api;
		const char *kind;
		int want; /* -1: not known */
	} cases[] = {
		{ "v1", "Pod", KIND_POD },
		{ "networking.k8s.io/v1", "NetworkPolicy", KIND_NETWORK_POLICY },
		{ "projectcalico.org/v3", "NetworkPolicy", KIND_CALICO_POLICY },
		{ "v1", "Node", KIND_NODE },
		{ "projectcalico.org/v3", "Node", KIND_NODE },
		{ "projectcalico.org/v3", "IPPool", KIND_IP_POOL },
		{ "projectcalico.org/v3", "Pod", -1 },
		{ "v1", "pod", -1 },
		{ "v2", "Pod", -1 },
		{ "apps/v1", "Deployment", -1 },
		{ "", "", -1 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		enum kind kind = KIND_MAX;
		int r = kind_find(cases[i].api, cases[i].kind, &kind);

		assert_int_equal(r, cases[i].want < 0 ? -ENOENT : 0);
		if (!r)
			assert_int_equal(kind, cases[i].want);
	}
	for (int k = 0; k < KIND_MAX; k++) {
		enum kind kind;

		assert_int_equal(kind_find(kind_info((enum kind)k)->api,
					   kind_info((enum kind)k)->kind, &kind),
				 0);
		assert_int_equal(kind, k);
	}
}

static void test_kinds_named(void **state)
{
	static const struct {
		const char *name;
		size_t count;
		enum kind first;
	} cases[] = {
		{ "ippool", 1, KIND_IP_POOL },
		{ "ippools", 1, KIND_IP_POOL },
		{ "ipp", 1, KIND_IP_POOL },
		{ "POOL", 1, KIND_IP_POOL },
		{ "IPPool", 1, KIND_IP_POOL },
		{ "wep", 1, KIND_WORKLOAD_ENDPOINT },
		{ "po", 1, KIND_POD },
		{ "networkpolicy", 2, KIND_NETWORK_POLICY },
		{ "networkpolicies", 2, KIND_NETWORK_POLICY },
		{ "networkpolicy.networking.k8s.io", 1, KIND_NETWORK_POLICY },
		{ "networkpolicies.projectcalico.org", 1, KIND_CALICO_POLICY },
		{ "netpol", 1, KIND_NETWORK_POLICY },
		{ "policy", 1, KIND_CALICO_POLICY },
		{ "gnp", 1, KIND_GLOBAL_POLICY },
		{ "nodes", 1, KIND_NODE },
		{ "node.projectcalico.org", 1, KIND_NODE },
		{ "felixconfig", 1, KIND_FELIX_CONFIG },
		{ "pod.projectcalico.org", 0, KIND_MAX },
		{ "nope", 0, KIND_MAX },
		{ "", 0, KIND_MAX },
		{ "pool pools", 0, KIND_MAX },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		enum kind kinds[4] = { KIND_MAX };
		size_t count = kinds_named(cases[i].name, kinds, COUNT(kinds));

		if (count != cases[i].count || kinds[0] != cases[i].first)
			fail_msg("%s: %zu kinds, first %d", cases[i].name, count, kinds[0]);
	}
}

/* --- objects -------------------------------------------------------------------------------- */

static struct object *make(enum kind kind, size_t size, const char *ns, const char *name)
{
	struct object *object = object_new(kind, size);

	object->ns = arena_strdup(object->arena, ns);
	object->name = arena_strdup(object->arena, name);
	return object;
}

static struct pod *make_pod(const char *ns, const char *name, const char *node, const char *ip)
{
	struct pod *pod = (struct pod *)make(KIND_POD, sizeof(*pod), ns, name);

	pod->node = arena_strdup(pod->base.arena, node);
	pod->ips = arena_array(pod->base.arena, 1, sizeof(*pod->ips));
	pod->ip_count = ip ? 1 : 0;
	if (ip)
		assert_int_equal(addr_parse(ip, pod->ips), 0);
	return pod;
}

/* Hands the one reference to the store. */
static void put(struct objects *objects, struct object *object)
{
	objects_put(objects, object);
	object_unref(object);
}

static void test_labels(void **state)
{
	struct label v[] = { { "b", "2" }, { "a", "1" }, { "c/x", "" } };
	struct labels labels = { .count = 3, .v = v };
	_cleanup_arena_ struct arena *arena = arena_new();
	const struct selector *selector;

	(void)state;
	labels_sort(&labels);
	assert_string_equal(labels_get(&labels, "a"), "1");
	assert_string_equal(labels_get(&labels, "c/x"), "");
	assert_null(labels_get(&labels, "d"));
	assert_null(labels_get(&(struct labels){ 0 }, "a"));
	assert_int_equal(selector_parse(arena, "a == '1' && !has(d)", &selector, NULL), 0);
	assert_true(labels_match(&labels, selector));
	assert_false(labels_match(&(struct labels){ 0 }, selector));
}

static void test_annotations(void **state)
{
	(void)state;
	assert_true(annotation_is_kept("cni.projectcalico.org/ipv4pools"));
	assert_true(annotation_is_kept("projectcalico.org/IPv4Address"));
	assert_true(annotation_is_kept("kubernetes.io/egress-bandwidth"));
	assert_false(annotation_is_kept("kubectl.kubernetes.io/last-applied-configuration"));
}

static void test_put_get_delete(void **state)
{
	_cleanup_objects_ struct objects *objects = objects_new();
	const struct object *found;

	(void)state;
	put(objects, &make_pod("shop", "front", "n1", "10.0.0.1")->base);
	put(objects, make(KIND_NAMESPACE, sizeof(struct namespace), "", "shop"));
	found = objects_get(objects, KIND_POD, "shop", "front");
	assert_non_null(found);
	assert_ptr_equal(pod_of(found), found);
	assert_null(namespace_of(found));
	assert_null(objects_get(objects, KIND_POD, "", "front"));
	assert_null(objects_get(objects, KIND_SERVICE, "shop", "front"));
	assert_int_equal(objects_count(objects, KIND_POD), 1);
	assert_int_equal(objects_delete(objects, KIND_POD, "shop", "front"), 0);
	assert_int_equal(objects_delete(objects, KIND_POD, "shop", "front"), -ENOENT);
	assert_int_equal(objects_count(objects, KIND_POD), 0);
	assert_non_null(objects_get(objects, KIND_NAMESPACE, "", "shop"));
}

/* The caller's references outlive the store's, and the other way round. */
static void test_references(void **state)
{
	struct objects *objects = objects_new();
	struct pod *pod = make_pod("a", "b", "n", NULL);

	(void)state;
	objects_put(objects, &pod->base);
	assert_int_equal(pod->base.refs, 2);
	objects_put(objects, &pod->base); /* the same again */
	assert_int_equal(pod->base.refs, 2);
	objects_delete(objects, KIND_POD, "a", "b");
	assert_int_equal(pod->base.refs, 1);
	objects_put(objects, &pod->base);
	objects_free(objects);
	assert_int_equal(pod->base.refs, 1);
	object_unref(&pod->base);
}

static void test_order(void **state)
{
	static const char *const names[][2] = { { "b", "x" }, { "a", "z" }, { "b", "a" },
						{ "a", "y" }, { "c", "m" }, { "ab", "m" } };
	static const char *const want[] = { "a/y", "a/z", "ab/m", "b/a", "b/x", "c/m" };
	_cleanup_objects_ struct objects *objects = objects_new();
	const struct object *object;
	struct objects_iter it;
	size_t i = 0;

	(void)state;
	for (size_t n = 0; n < COUNT(names); n++)
		put(objects, &make_pod(names[n][0], names[n][1], "n1", NULL)->base);
	for (object = objects_first(&it, objects, KIND_POD); object; object = objects_next(&it)) {
		char text[16];

		snprintf(text, sizeof(text), "%s/%s", object->ns, object->name);
		assert_string_equal(text, want[i++]);
	}
	assert_int_equal(i, COUNT(want));
	assert_null(objects_next(&it));
	object = objects_first_in(&it, objects, KIND_POD, "a");
	assert_string_equal(object->name, "y");
	assert_string_equal(objects_next(&it)->name, "z");
	assert_null(objects_next(&it));
	assert_null(objects_first_in(&it, objects, KIND_POD, "aa"));
	assert_null(objects_first(&it, objects, KIND_SERVICE));
}

static size_t count_on(const struct objects *objects, enum kind kind, const char *node)
{
	struct objects_iter it;
	size_t count = 0;

	for (const struct object *o = objects_first_on(&it, objects, kind, node); o;
	     o = objects_next(&it))
		count++;
	return count;
}

static void test_by_node(void **state)
{
	_cleanup_objects_ struct objects *objects = objects_new();
	struct workload_endpoint *wep;

	(void)state;
	put(objects, &make_pod("a", "p1", "n1", NULL)->base);
	put(objects, &make_pod("a", "p2", "n2", NULL)->base);
	put(objects, &make_pod("b", "p3", "n1", NULL)->base);
	put(objects, &make_pod("b", "p4", "", NULL)->base);
	wep = (struct workload_endpoint *)make(KIND_WORKLOAD_ENDPOINT, sizeof(*wep), "a", "w");
	wep->node = "n1";
	put(objects, &wep->base);
	assert_int_equal(count_on(objects, KIND_POD, "n1"), 2);
	assert_int_equal(count_on(objects, KIND_POD, "n2"), 1);
	assert_int_equal(count_on(objects, KIND_POD, "n"), 0);
	assert_int_equal(count_on(objects, KIND_WORKLOAD_ENDPOINT, "n1"), 1);
	assert_int_equal(count_on(objects, KIND_NODE, "n1"), 0);
	put(objects, &make_pod("a", "p1", "n2", NULL)->base); /* moves */
	assert_int_equal(count_on(objects, KIND_POD, "n1"), 1);
	assert_int_equal(count_on(objects, KIND_POD, "n2"), 2);
	objects_delete(objects, KIND_POD, "b", "p3");
	assert_int_equal(count_on(objects, KIND_POD, "n1"), 0);
}

static size_t at(const struct objects *objects, const char *ip, const struct object **ret,
		 size_t max)
{
	union mg_addr addr;

	assert_int_equal(addr_parse(ip, &addr), 0);
	return objects_at(objects, &addr, ret, max);
}

static void test_by_address(void **state)
{
	_cleanup_objects_ struct objects *objects = objects_new();
	const struct object *found[2] = { NULL, NULL };
	struct pod *done = make_pod("a", "done", "n1", "10.0.0.1");
	struct pod *host = make_pod("a", "host", "n1", "10.0.0.1");

	(void)state;
	done->phase = POD_PHASE_SUCCEEDED;
	host->host_network = true;
	put(objects, &done->base);
	put(objects, &host->base);
	assert_int_equal(at(objects, "10.0.0.1", found, 2), 0);
	put(objects, &make_pod("b", "p", "n1", "10.0.0.1")->base);
	put(objects, &make_pod("a", "q", "n2", "10.0.0.1")->base);
	put(objects, &make_pod("a", "r", "n2", "fd00::1")->base);
	assert_int_equal(at(objects, "10.0.0.1", found, 1), 2);
	assert_string_equal(found[0]->name, "q");
	assert_null(found[1]);
	assert_int_equal(at(objects, "fd00::1", found, 2), 1);
	put(objects, &make_pod("a", "q", "n2", "10.0.0.2")->base);
	assert_int_equal(at(objects, "10.0.0.1", found, 2), 1);
	assert_string_equal(found[0]->name, "p");
	assert_int_equal(at(objects, "10.0.0.2", found, 2), 1);
	objects_delete(objects, KIND_POD, "b", "p");
	assert_int_equal(at(objects, "10.0.0.1", found, 2), 0);
}

struct heard {
	int inserts, updates, deletes;
};

static void hear(void *ctx, const struct object *old_object, const struct object *new_object)
{
	struct heard *heard = ctx;

	heard->inserts += !old_object;
	heard->deletes += !new_object;
	heard->updates += old_object && new_object;
	if (old_object && new_object)
		assert_int_equal(object_cmp(old_object, new_object), 0);
}

static void test_dirty(void **state)
{
	_cleanup_objects_ struct objects *objects = objects_new();
	struct pod *pod = make_pod("a", "b", "n", NULL);
	struct heard heard = { 0 };

	(void)state;
	objects_listen(objects, hear, &heard);
	pod->base.version = "7";
	put(objects, &pod->base);
	assert_int_equal(objects_take_dirty(objects), 1ULL << KIND_POD);
	assert_int_equal(objects_take_dirty(objects), 0);
	pod = make_pod("a", "b", "n", NULL);
	pod->base.version = "7";
	put(objects, &pod->base); /* the same version: nothing new */
	assert_int_equal(objects_take_dirty(objects), 0);
	put(objects, &make_pod("a", "b", "n", NULL)->base);
	put(objects, make(KIND_NAMESPACE, sizeof(struct namespace), "", "x"));
	assert_int_equal(objects_take_dirty(objects), 1ULL << KIND_POD | 1ULL << KIND_NAMESPACE);
	objects_delete(objects, KIND_POD, "a", "b");
	assert_int_equal(objects_take_dirty(objects), 1ULL << KIND_POD);
	assert_int_equal(heard.inserts, 2);
	assert_int_equal(heard.updates, 1);
	assert_int_equal(heard.deletes, 1);
}

#define MANY 5000

/* Random puts and deletes against a plain array of flags: same members, sorted. */
static void test_random(void **state)
{
	_cleanup_objects_ struct objects *objects = objects_new();
	static bool there[MANY];
	const struct object *object;
	struct objects_iter it;
	size_t count = 0;
	int last = -1;
	char name[16];

	(void)state;
	srandom(7);
	for (int i = 0; i < 40000; i++) {
		int n = (int)(random() % MANY);
		bool deletes = random() % 100 < (i < 20000 ? 30 : 60);

		snprintf(name, sizeof(name), "p%05d", n);
		if (deletes)
			assert_int_equal(objects_delete(objects, KIND_POD, "a", name),
					 there[n] ? 0 : -ENOENT);
		else
			put(objects, &make_pod("a", name, "n1", NULL)->base);
		there[n] = !deletes;
	}
	for (object = objects_first(&it, objects, KIND_POD); object; object = objects_next(&it)) {
		int n = atoi(object->name + 1);

		assert_true(there[n]);
		assert_true(n > last);
		last = n;
		count++;
	}
	assert_int_equal(count, objects_count(objects, KIND_POD));
	for (int n = 0; n < MANY; n++)
		count -= there[n];
	assert_int_equal(count, 0);
	assert_int_equal(count_on(objects, KIND_POD, "n1"), objects_count(objects, KIND_POD));
}

/* What is taken out is not counted any more. */
static void test_bytes(void **state)
{
	_cleanup_objects_ struct objects *objects = objects_new();
	size_t empty = objects_bytes(objects);
	char name[16];

	(void)state;
	for (int i = 0; i < 1000; i++) {
		snprintf(name, sizeof(name), "p%d", i);
		put(objects, &make_pod("a", name, "n1", "10.0.0.1")->base);
	}
	assert_true(objects_bytes(objects) > empty + 1000 * sizeof(struct pod));
	for (int i = 0; i < 1000; i++) {
		snprintf(name, sizeof(name), "p%d", i);
		objects_delete(objects, KIND_POD, "a", name);
	}
	assert_int_equal(objects_bytes(objects), empty);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kind_find),      cmocka_unit_test(test_kinds_named),
		cmocka_unit_test(test_labels),	       cmocka_unit_test(test_annotations),
		cmocka_unit_test(test_put_get_delete), cmocka_unit_test(test_references),
		cmocka_unit_test(test_order),	       cmocka_unit_test(test_by_node),
		cmocka_unit_test(test_by_address),     cmocka_unit_test(test_dirty),
		cmocka_unit_test(test_random),	       cmocka_unit_test(test_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
