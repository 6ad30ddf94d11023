/* SPDX-License-Identifier: Apache-2.0 */
/* Blocks that a node took in a burst of pods, and gives back in the calm after it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "selftests/lib/ipam_test.h"

static void del_many(struct ipam_test_node *node, int count)
{
	char name[16];

	for (int i = 0; i < count; i++) {
		snprintf(name, sizeof(name), "c%d", i);
		ipam_test_del(node, name);
	}
	ipam_test_settle(node->ipam);
}

static void minutes(struct ipam_test *test, struct ipam_test_node *node, int count)
{
	for (int minute = 0; minute < count; minute++) {
		test->now += 60 * 1000;
		ipam_test_settle(node->ipam);
	}
}

/* A burst took two blocks; ten calm minutes later the empty one goes, the one with a pod stays. */
static void test_spare_block(void **state)
{
	struct ipam_test *test = *state;
	struct ipam_test_node *node = ipam_test_node(test, 0);

	ipam_test_pool(test, "p", "10.0.0.0/24");
	ipam_test_add(node, "stays");
	assert_int_equal(ipam_test_add_many(node, "c", 70), 70);
	del_many(node, 70);
	assert_int_equal(fake_count(&test->content, "IPAMBlock"), 2);
	minutes(test, node, 9);
	assert_int_equal(fake_count(&test->content, "IPAMBlock"), 2);
	minutes(test, node, 9);
	assert_int_equal(fake_count(&test->content, "IPAMBlock"), 1);
	assert_int_equal(fake_count(&test->content, "BlockAffinity"), 1);
	/* The last one stays however long nothing is in it. */
	ipam_test_del(node, "stays");
	minutes(test, node, 30);
	assert_int_equal(fake_count(&test->content, "IPAMBlock"), 1);
	assert_int_equal(ipam_test_add(node, "again").status, 0);
}

/* Blocks that a node may not claim by itself were given to it by somebody: they stay. */
static void test_given_block_stays(void **state)
{
	struct ipam_test *test = *state;
	struct ipam_test_node *node = ipam_test_node(test, 0);
	size_t count;

	ipam_test_object(test, "IPPool", "p", "\"cidr\":\"10.0.0.0/24\",\"blockSize\":30");
	ipam_test_add_many(node, "c", 8);
	del_many(node, 8);
	count = fake_count(&test->content, "IPAMBlock");
	assert_true(count >= 2);
	ipam_test_object(test, "IPAMConfiguration", "default",
			 "\"strictAffinity\":true,\"autoAllocateBlocks\":false");
	minutes(test, node, 30);
	assert_int_equal(fake_count(&test->content, "IPAMBlock"), count);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_spare_block, ipam_test_setup,
						ipam_test_teardown),
		{ "test_spare_block, not atomic", test_spare_block, ipam_test_setup_loose,
		  ipam_test_teardown, NULL },
		cmocka_unit_test_setup_teardown(test_given_block_stays, ipam_test_setup,
						ipam_test_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
