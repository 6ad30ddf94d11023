/* SPDX-License-Identifier: Apache-2.0 */
/* The first pools, from variables with calico/node's names. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/json.h"
#include "controller/default_pool.h"

/* Pairs of name and value, NULL behind the last. */
static const char *from_pairs(void *arg, const char *name)
{
	for (const char *const *pair = arg; *pair; pair += 2)
		if (!strcmp(pair[0], name))
			return pair[1];
	return NULL;
}

static json_t *made(int family, const char *const *pairs)
{
	struct err err = { 0 };
	json_t *object;

	assert_int_equal(
		default_pool_of(family, from_pairs, (void *)(uintptr_t)pairs, &object, &err), 0);
	return object;
}

static void test_none(void **state)
{
	(void)state;
	assert_null(made(4, (const char *const[]){ "CALICO_IPV6POOL_CIDR", "fd00::/48", NULL }));
	assert_null(made(4, (const char *const[]){ "CALICO_IPV4POOL_CIDR", "", NULL }));
}

static void test_what_is_not_said(void **state)
{
	_cleanup_json_ json_t *four = NULL, *six = NULL;

	(void)state;
	four = made(4, (const char *const[]){ "CALICO_IPV4POOL_CIDR", "10.1.0.0/16", NULL });
	assert_string_equal(json_text_at(four, "metadata.name"), "default-ipv4-ippool");
	assert_string_equal(json_text_at(four, "spec.cidr"), "10.1.0.0/16");
	assert_string_equal(json_text_at(four, "spec.ipipMode"), "Always");
	assert_string_equal(json_text_at(four, "spec.vxlanMode"), "Never");
	assert_true(json_is_true(json_at(four, "spec.natOutgoing")));
	assert_null(json_at(four, "spec.blockSize"));
	six = made(6, (const char *const[]){ "CALICO_IPV6POOL_CIDR", "fd00::/48", NULL });
	assert_string_equal(json_text_at(six, "spec.ipipMode"), "Never");
	assert_false(json_is_true(json_at(six, "spec.natOutgoing")));
}

static void test_what_is_said(void **state)
{
	_cleanup_json_ json_t *pool =
		made(4, (const char *const[]){ "CALICO_IPV4POOL_CIDR", "10.1.0.0/16",
					       "CALICO_IPV4POOL_VXLAN", "crosssubnet",
					       "CALICO_IPV4POOL_NAT_OUTGOING", "false",
					       "CALICO_IPV4POOL_BLOCK_SIZE", "27",
					       "CALICO_IPV4POOL_NODE_SELECTOR", "has(x)", NULL });

	(void)state;
	assert_string_equal(json_text_at(pool, "spec.vxlanMode"), "CrossSubnet");
	assert_string_equal(json_text_at(pool, "spec.ipipMode"), "Never");
	assert_false(json_is_true(json_at(pool, "spec.natOutgoing")));
	assert_int_equal(json_integer_value(json_at(pool, "spec.blockSize")), 27);
	assert_string_equal(json_text_at(pool, "spec.nodeSelector"), "has(x)");
}

static void refused(const char *name, const char *value)
{
	const char *pairs[] = { name, value, "CALICO_IPV4POOL_CIDR", "10.1.0.0/16", NULL };
	struct err err = { 0 };
	json_t *object;

	assert_int_equal(default_pool_of(4, from_pairs, pairs, &object, &err), -EINVAL);
	assert_non_null(strstr(err.text, name));
}

static void test_refused(void **state)
{
	(void)state;
	refused("CALICO_IPV4POOL_CIDR", "fd00::/48");
	refused("CALICO_IPV4POOL_CIDR", "10.1.0.0");
	refused("CALICO_IPV4POOL_IPIP", "Sometimes");
	refused("CALICO_IPV4POOL_BLOCK_SIZE", "26x");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_none),
		cmocka_unit_test(test_what_is_not_said),
		cmocka_unit_test(test_what_is_said),
		cmocka_unit_test(test_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
