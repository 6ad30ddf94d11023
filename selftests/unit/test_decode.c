/* SPDX-License-Identifier: Apache-2.0 */
/* The decoder: every fixture in selftests/unit/data/decode reports exactly its problems, each
 * with its path and line. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/file.h"
#include "base/json.h"
#include "base/yaml.h"
#include "model/decode.h"
#include "model/pod.h"
#include "selftests/lib/decode.h"

#define DATA "selftests/unit/data/decode/"

/* --- fixtures ------------------------------------------------------------------------------- */

static const char *severity_name(enum severity severity)
{
	static const char *const names[] = { "warning", "dropped", "error" };

	return names[severity];
}

static void check_problems(const char *title, const struct problems *got, const json_t *want)
{
	for (size_t i = 0; i < got->count; i++) {
		const struct problem *p = &got->v[i];
		const char *expected = json_string_value(json_array_get(want, i));
		_cleanup_free_ char *text =
			xasprintf("%s %s: %s", severity_name(p->severity), p->path, p->text);

		if (!expected || strcmp(text, expected))
			fail_msg("%s:\n  got  %s\n  want %s", title, text,
				 expected ? expected : "nothing more");
	}
	if (json_array_size(want) > got->count)
		fail_msg("%s: no \"%s\"", title,
			 json_string_value(json_array_get(want, got->count)));
}

static void check_case(const json_t *fixture, enum decode_mode mode)
{
	const json_t *want = json_object_get(fixture, "strict");
	_cleanup_(problems_done) struct problems problems = { 0 };
	_cleanup_object_ struct object *object = NULL;
	_cleanup_free_ char *title = xasprintf("%s (%s)", json_text_at(fixture, "case"),
					       mode == DECODE_STRICT ? "strict" : "lenient");
	int r;

	if (mode == DECODE_LENIENT && json_object_get(fixture, "lenient"))
		want = json_object_get(fixture, "lenient");
	r = object_decode(json_object_get(fixture, "object"),
			  &(struct decode_options){ .mode = mode }, &object, &problems);
	check_problems(title, &problems, want);
	if (!!object == (problems_worst(&problems) == PROBLEM_ERROR) || !!object != !r)
		fail_msg("%s: code %d, object %p", title, r, (void *)object);
}

static void check_file(const char *name)
{
	_cleanup_free_ char *path = xasprintf(DATA "%s", name), *text = NULL;
	_cleanup_docs_ struct docs *docs = NULL;
	struct err err = { 0 };
	size_t size;

	assert_int_equal(file_read(AT_FDCWD, path, DOC_BYTES_MAX, &text, &size), 0);
	if (docs_read(text, size, &docs, &err))
		fail_msg("%s: %s", path, err.text);
	assert_true(docs->count > 5);
	for (size_t i = 0; i < docs->count; i++) {
		check_case(docs->v[i].root, DECODE_STRICT);
		check_case(docs->v[i].root, DECODE_LENIENT);
	}
}

static void test_metadata(void **state)
{
	(void)state;
	check_file("metadata.yaml");
}

static void test_netpol_fixtures(void **state)
{
	(void)state;
	check_file("netpol.yaml");
}

static void test_ippool_fixtures(void **state)
{
	(void)state;
	check_file("ippool.yaml");
}

static void test_calico_fixtures(void **state)
{
	(void)state;
	check_file("calico.yaml");
}

static void test_tier_fixtures(void **state)
{
	(void)state;
	check_file("tier.yaml");
}

static void test_cluster_fixtures(void **state)
{
	(void)state;
	check_file("cnp.yaml");
}

static void test_service_fixtures(void **state)
{
	(void)state;
	check_file("service.yaml");
}

static void test_other_fixtures(void **state)
{
	(void)state;
	check_file("others.yaml");
}

/* --- reports --------------------------------------------------------------------------------- */

static void test_source(void **state)
{
	_cleanup_object_ struct object *object = decode_yaml(
		"# comment\napiVersion: v1\nkind: Namespace\n"
		"metadata: {name: shop, uid: u, resourceVersion: \"9\", labels: {b: x, a: w}}",
		DECODE_STRICT);

	(void)state;
	assert_string_equal(object->file, "f");
	assert_int_equal(object->line, 2);
	assert_string_equal(object->uid, "u");
	assert_string_equal(object->version, "9");
	assert_string_equal(object->ns, "");
	assert_int_equal(object->labels.count, 3);
	assert_string_equal(labels_get(&object->labels, "a"), "w");
	assert_string_equal(labels_get(&object->labels, LABEL_METADATA_NAME), "shop");
	assert_false(object->deleting);
}

static void test_lines(void **state)
{
	const char *yaml = "apiVersion: networking.k8s.io/v1\n"
			   "kind: NetworkPolicy\n"
			   "metadata:\n"
			   "  name: p\n"
			   "spec:\n"
			   "  podSelector: {}\n"
			   "  ingress:\n"
			   "  - ports:\n"
			   "    - port: 80\n"
			   "    - port: 70000\n";
	_cleanup_(problems_done) struct problems problems = { 0 };
	_cleanup_docs_ struct docs *docs = NULL;
	_cleanup_free_ char *text = NULL;
	struct object *object;

	(void)state;
	assert_int_equal(docs_read(yaml, strlen(yaml), &docs, NULL), 0);
	assert_int_equal(object_decode(docs->v[0].root, &(struct decode_options){ .doc = docs->v },
				       &object, &problems),
			 -EINVAL);
	assert_int_equal(problems.count, 1);
	text = problem_text(problems.v);
	assert_string_equal(text,
			    "line 10: spec.ingress[0].ports[1].port: 70000 is not in 1-65535");
}

/* A thousand mistakes make a short report. */
static void test_many_problems(void **state)
{
	json_t *root = json_pack("{s:s,s:s,s:{s:s},s:{s:[]}}", "apiVersion", "projectcalico.org/v3",
				 "kind", "IPReservation", "metadata", "name", "r", "spec",
				 "reservedCIDRs");
	json_t *cidrs = json_at(root, "spec.reservedCIDRs");
	_cleanup_(problems_done) struct problems problems = { 0 };
	struct object *object = NULL;

	(void)state;
	for (int i = 0; i < 1000; i++)
		json_array_append_new(cidrs, json_string("x"));
	assert_int_equal(object_decode(root, &(struct decode_options){ 0 }, &object, &problems),
			 -EINVAL);
	assert_int_equal(problems.count, PROBLEMS_MAX);
	assert_int_equal(problems.more, 1000 - PROBLEMS_MAX);
	json_decref(root);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_metadata),	 cmocka_unit_test(test_netpol_fixtures),
		cmocka_unit_test(test_ippool_fixtures),	 cmocka_unit_test(test_other_fixtures),
		cmocka_unit_test(test_source),		 cmocka_unit_test(test_lines),
		cmocka_unit_test(test_many_problems),	 cmocka_unit_test(test_calico_fixtures),
		cmocka_unit_test(test_cluster_fixtures), cmocka_unit_test(test_tier_fixtures),
		cmocka_unit_test(test_service_fixtures),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
