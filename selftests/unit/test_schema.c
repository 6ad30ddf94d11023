/* SPDX-License-Identifier: Apache-2.0 */
/* CustomResourceDefinitions: the files are what the tables say. That an API server takes them, and
 * by them our examples, is selftests/cli/test_apiserver.py's. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/file.h"
#include "base/json.h"
#include "selftests/lib/crd_text.h"

#define TEXT_MAX (1 << 20)

static void test_files(void **state)
{
	(void)state;
	for (int kind = 0; kind < KIND_MAX; kind++) {
		_cleanup_free_ char *path = NULL, *text = NULL, *stored = NULL;
		size_t size;

		text = crd_text((enum kind)kind, "manifests/crds", &path);
		if (!text)
			continue;
		if (file_read(AT_FDCWD, path, TEXT_MAX, &stored, &size) < 0 ||
		    strcmp(stored, text) != 0)
			fail_msg("%s is not what `make docs` writes", path);
	}
}

static json_t *schema_of(json_t *crd)
{
	return json_at(json_array_get(json_at(crd, "spec.versions"), 0), "schema.openAPIV3Schema");
}

static void test_pool(void **state)
{
	_cleanup_json_ json_t *crd = schema_crd(KIND_IP_POOL);
	json_t *spec = json_at(schema_of(crd), "properties.spec");

	(void)state;
	assert_string_equal(json_text_at(crd, "metadata.name"), "ippools.projectcalico.org");
	assert_string_equal(json_text_at(crd, "spec.scope"), "Cluster");
	assert_string_equal(json_text_at(spec, "properties.cidr.type"), "string");
	assert_string_equal(json_string_value(json_array_get(json_at(spec, "required"), 0)),
			    "cidr");
	assert_int_equal(json_integer_value(json_at(spec, "properties.blockSize.maximum")), 128);
	assert_true(json_array_size(json_at(spec, "x-kubernetes-validations")) >= 4);
	assert_string_equal(
		json_string_value(json_array_get(json_at(crd, "spec.names.shortNames"), 0)), "ipp");
}

static void test_rule(void **state)
{
	_cleanup_json_ json_t *crd = schema_crd(KIND_CALICO_POLICY);
	json_t *spec = json_at(schema_of(crd), "properties.spec.properties");
	json_t *rule = json_at(spec, "ingress.items.properties");

	(void)state;
	assert_string_equal(json_text_at(spec, "tier.default"), "default");
	assert_string_equal(json_text_at(rule, "action.pattern"), "^(?i:Allow|Deny|Log|Pass)$");
	assert_true(json_bool_or(rule, "source.properties.ports.items.x-kubernetes-int-or-string",
				 false));
	assert_string_equal(json_text_at(rule, "source.properties.nets.items.type"), "string");
}

static void test_others(void **state)
{
	(void)state;
	assert_null(schema_crd(KIND_POD));
	assert_null(schema_crd(KIND_PROFILE));
	assert_null(schema_crd(KIND_CLUSTER_NETWORK_POLICY));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_files),
		cmocka_unit_test(test_pool),
		cmocka_unit_test(test_rule),
		cmocka_unit_test(test_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
