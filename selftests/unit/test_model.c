/* SPDX-License-Identifier: Apache-2.0 */
/* Kinds and their names, labels, references of objects. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "model/kind.h"
#include "model/pod.h"
#include "model/selector.h"

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

/* An object lives as long as its last reference. */
static void test_references(void **state)
{
	struct pod *pod = object_new(KIND_POD, sizeof(*pod));
	struct object *second = object_ref(&pod->base);

	(void)state;
	assert_ptr_equal(second, &pod->base);
	assert_int_equal(pod->base.refs, 2);
	object_unref(second);
	assert_int_equal(pod->base.refs, 1);
	assert_ptr_equal(pod_of(&pod->base), pod);
	assert_null(namespace_of(&pod->base));
	assert_string_equal(pod->base.name, "");
	object_unref(&pod->base);
}

/* A Pod that was made anew is another one; a mirror Pod is the static pod the kubelet runs. */
static void test_pod_is_named(void **state)
{
	struct label mirror = { ANNOTATION_MIRROR, "c0ffee" };
	struct object pod = { .uid = "a", .annotations = { .count = 1, .v = &mirror } };

	(void)state;
	assert_true(annotation_is_kept(ANNOTATION_MIRROR));
	assert_true(pod_is_named(&pod, "a") && pod_is_named(&pod, "c0ffee"));
	assert_true(pod_is_named(&pod, "")); /* the runtime does not say */
	assert_false(pod_is_named(&pod, "b"));
	pod.annotations.count = 0;
	assert_false(pod_is_named(&pod, "c0ffee"));
	pod.uid = "";
	assert_true(pod_is_named(&pod, "b")); /* a store without UIDs */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kind_find),  cmocka_unit_test(test_kinds_named),
		cmocka_unit_test(test_labels),	   cmocka_unit_test(test_annotations),
		cmocka_unit_test(test_references), cmocka_unit_test(test_pod_is_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
