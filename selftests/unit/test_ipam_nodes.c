/* SPDX-License-Identifier: Apache-2.0 */
/* Several nodes on one store: who gets which block, borrowing, races; fixed addresses. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/inet.h"
#include "base/json.h"
#include "selftests/lib/ipam_test.h"

static const char *affinity(struct ipam_test *test, const char *block)
{
	const char *text =
		json_text_at(fake_get(&test->content, "IPAMBlock", block), "spec.affinity");

	return text ? text : "none";
}

static void configure(struct ipam_test *test, const char *spec)
{
	ipam_test_object(test, "IPAMConfiguration", "default", spec);
}

/* --- blocks ---------------------------------------------------------------------------------- */

static void test_each_its_block(void **state)
{
	struct ipam_test *test = *state;
	struct ipam_result a, b;

	ipam_test_pool(test, "p", "10.0.0.0/25");
	a = ipam_test_add(ipam_test_node(test, 0), "a");
	b = ipam_test_add(ipam_test_node(test, 1), "b");
	assert_memory_not_equal(&a.addrs[0].block, &b.addrs[0].block, sizeof(struct mg_prefix));
	assert_int_equal(fake_count(&test->content, "IPAMBlock"), 2);
	assert_int_equal(fake_count(&test->content, "BlockAffinity"), 2);
}

/* A third node finds no block: it borrows, one address, and nothing ahead. */
static void test_borrow(void **state)
{
	struct ipam_test *test = *state;
	struct ipam_pool_status status;
	struct ipam_result c;

	ipam_test_pool(test, "p", "10.0.0.0/25");
	ipam_test_add(ipam_test_node(test, 0), "a");
	ipam_test_add(ipam_test_node(test, 1), "b");
	ipam_test_settle(ipam_test_ipam(test, 0));
	ipam_test_settle(ipam_test_ipam(test, 1));
	c = ipam_test_add(ipam_test_node(test, 2), "c");
	assert_int_equal(c.status, 0);
	assert_true(c.addrs[0].borrowed);
	ipam_test_settle(ipam_test_ipam(test, 2));
	ipam_pool_status(ipam_test_ipam(test, 2), 0, &status);
	assert_int_equal(status.reserve, 0);
	assert_int_equal(status.used, 1);
	assert_int_equal(status.blocks, 0);
	/* Given back to the block it came from. */
	ipam_test_del(ipam_test_node(test, 2), "c");
	ipam_test_settle(ipam_test_ipam(test, 2));
	assert_null(fake_get(&test->content, "IPAMHandle", "k8s-pod-network.c"));
}

static void test_strict_affinity(void **state)
{
	struct ipam_test *test = *state;

	ipam_test_pool(test, "p", "10.0.0.0/26");
	configure(test, "\"strictAffinity\":true,\"autoAllocateBlocks\":true");
	ipam_test_add(ipam_test_node(test, 0), "a");
	assert_int_equal(ipam_test_add(ipam_test_node(test, 1), "b").status, -ENOSPC);
}

static void test_max_blocks(void **state)
{
	struct ipam_test *test = *state;
	struct ipam_test_node *node = ipam_test_node(test, 0);
	int ok = 0;

	ipam_test_object(test, "IPPool", "p", "\"cidr\":\"10.0.0.0/24\",\"blockSize\":30");
	configure(test, "\"strictAffinity\":true,\"autoAllocateBlocks\":true,"
			"\"maxBlocksPerHost\":2");
	for (int i = 0; i < 10; i++) {
		char name[16];

		snprintf(name, sizeof(name), "c%d", i);
		ok += !ipam_test_add(node, name).status;
	}
	assert_int_equal(ok, 8);
	assert_int_equal(fake_count(&test->content, "IPAMBlock"), 2);
}

static void test_no_auto_blocks(void **state)
{
	struct ipam_test *test = *state;

	ipam_test_pool(test, "p", "10.0.0.0/24");
	configure(test, "\"strictAffinity\":true,\"autoAllocateBlocks\":false");
	assert_int_equal(ipam_test_add(ipam_test_node(test, 0), "a").status, -ENOSPC);
	assert_int_equal(fake_count(&test->content, "IPAMBlock"), 0);
}

/* An empty block of another node is taken over after a minute, not before. */
static void test_reclaim(void **state)
{
	struct ipam_test *test = *state;
	struct ipam_test_node *old = ipam_test_node(test, 0), *new = ipam_test_node(test, 1);

	ipam_test_object(test, "IPPool", "p", "\"cidr\":\"10.0.0.0/26\"");
	configure(test, "\"strictAffinity\":true,\"autoAllocateBlocks\":true");
	ipam_test_add(old, "a");
	ipam_test_del(old, "a");
	ipam_test_settle(old->ipam);
	assert_int_equal(ipam_test_add(new, "b").status, -ENOSPC); /* the other's reserve */
	/* Ten idle minutes: the reserve is given back. */
	test->now += 11 * 60 * 1000;
	ipam_test_settle(old->ipam);
	assert_string_equal(affinity(test, "10-0-0-0-26"), "host:n0");
	assert_int_equal(ipam_test_add(new, "b").status, 0);
	assert_string_equal(affinity(test, "10-0-0-0-26"), "host:n1");
	assert_null(fake_get(&test->content, "BlockAffinity", "n0-10-0-0-0-26"));
	assert_string_equal(
		json_text_at(fake_get(&test->content, "BlockAffinity", "n1-10-0-0-0-26"),
			     "spec.state"),
		"confirmed");
	/* The former owner notices at its next ADD. */
	assert_int_equal(ipam_test_add(old, "c").status, -ENOSPC);
}

/* A crash between the steps of a claim: the next start goes on with it. */
static void test_claim_goes_on(void **state)
{
	struct ipam_test *test = *state;
	char *spec = xasprintf("\"state\":\"pending\",\"node\":\"n0\",\"type\":\"host\","
			       "\"cidr\":\"10.0.0.64/26\"");

	ipam_test_pool(test, "p", "10.0.0.0/25");
	ipam_test_object(test, "BlockAffinity", "n0-10-0-0-64-26", spec);
	free(spec);
	/* Another leaves it alone while it has a choice. */
	assert_int_equal(ipam_test_add(ipam_test_node(test, 1), "b").status, 0);
	assert_string_equal(affinity(test, "10-0-0-0-26"), "host:n1");
	assert_int_equal(ipam_test_add(ipam_test_node(test, 0), "a").status, 0);
	assert_string_equal(affinity(test, "10-0-0-64-26"), "host:n0");
	assert_string_equal(
		json_text_at(fake_get(&test->content, "BlockAffinity", "n0-10-0-0-64-26"),
			     "spec.state"),
		"confirmed");
}

/* The pool stops selecting the node: its empty blocks go, those in use stay. */
static void test_pool_leaves_node(void **state)
{
	struct ipam_test *test = *state;
	struct ipam_test_node *node = ipam_test_node(test, 0);

	ipam_test_pool(test, "p", "10.0.0.0/24");
	ipam_test_add(node, "a");
	ipam_test_settle(node->ipam);
	ipam_test_object(test, "IPPool", "p",
			 "\"cidr\":\"10.0.0.0/24\",\"nodeSelector\":\"!all()\"");
	test->now += 20000;
	ipam_test_settle(node->ipam);
	assert_int_equal(fake_count(&test->content, "IPAMBlock"), 1);
	ipam_test_del(node, "a");
	ipam_test_settle(node->ipam);
	test->now += 20000;
	ipam_test_settle(node->ipam);
	assert_int_equal(fake_count(&test->content, "IPAMBlock"), 0);
	assert_int_equal(fake_count(&test->content, "BlockAffinity"), 0);
	assert_int_equal(fake_count(&test->content, "IPAMHandle"), 0);
}

/* --- races ----------------------------------------------------------------------------------- */

/* Before every write of n0, n1 goes first. */
static int other_first(struct ipam_test_node *node, enum fake_point point)
{
	static bool inside;
	static int serial;
	char name[16];
	struct ipam_result result;

	if (point != FAKE_BEFORE || inside)
		return 0;
	inside = true;
	snprintf(name, sizeof(name), "other%d", serial++);
	result = ipam_test_add(&node->test->nodes[1], name);
	inside = false;
	assert_true(!result.status || result.status == -ENOSPC);
	return 0;
}

static void test_race_for_last_block(void **state)
{
	struct ipam_test *test = *state;
	struct ipam_test_node *node = ipam_test_node(test, 0);
	struct ipam_result result;
	size_t live = 0;
	const char *key;
	json_t *object;

	ipam_test_node(test, 1);
	ipam_test_object(test, "IPPool", "p", "\"cidr\":\"10.0.0.0/28\",\"blockSize\":28");
	node->hook = other_first;
	result = ipam_test_add(node, "mine");
	node->hook = NULL;
	assert_true(!result.status || result.status == -ENOSPC);
	ipam_test_settle(node->ipam);
	ipam_test_settle(ipam_test_ipam(test, 1));
	assert_int_equal(fake_count(&test->content, "IPAMBlock"), 1);
	assert_int_equal(fake_count(&test->content, "BlockAffinity"), 1);
	/* One allocation a handle, and as many as addresses that are not free. */
	json_object_foreach(test->content.objects, key, object) {
		const char *block;
		json_t *count;

		if (strncmp(key, "IPAMHandle/", 11) != 0)
			continue;
		json_object_foreach(json_at(object, "spec.block"), block, count)
			live += (size_t)json_integer_value(count);
	}
	assert_int_equal(
		live + json_array_size(json_at(fake_get(&test->content, "IPAMBlock", "10-0-0-0-28"),
					       "spec.unallocated")),
		16);
}

/* --- fixed addresses ------------------------------------------------------------------------- */

static struct ipam_result add_fixed(struct ipam_test *test, unsigned int n, const char *container,
				    const char *addrs)
{
	struct ipam_request request = {
		.owner = { .container = container, .namespace_name = "ns", .pod = container },
		.ip_addrs = addrs,
	};

	return ipam_test_request(ipam_test_node(test, n), &request);
}

static void expect_fixed(struct ipam_test *test, const char *container, const char *addrs,
			 const char *want)
{
	struct ipam_result result = add_fixed(test, 0, container, addrs);
	char got[ERR_TEXT_MAX + 64];

	snprintf(got, sizeof(got), "%s", ipam_test_text(&result));
	if (strncmp(got, want, strlen(want)) != 0)
		fail_msg("%s: got \"%s\", expected \"%s\"", addrs, got, want);
}

static void test_fixed(void **state)
{
	struct ipam_test *test = *state;

	ipam_test_pool(test, "p", "10.0.0.0/24");
	ipam_test_pool(test, "six", "fd00::/64");
	ipam_test_object(test, "IPPool", "off", "\"cidr\":\"10.9.0.0/24\",\"disabled\":true");
	ipam_test_object(test, "IPPool", "manual",
			 "\"cidr\":\"10.8.0.0/24\",\"assignmentMode\":\"Manual\"");
	expect_fixed(test, "a", "[\"10.0.0.77\"]", "10.0.0.77");
	ipam_test_settle(ipam_test_ipam(test, 0));
	assert_string_equal(ipam_test_holder(test, "10.0.0.77"), "k8s-pod-network.a");
	expect_fixed(test, "a", "[\"10.0.0.77\"]", "10.0.0.77"); /* again */
	expect_fixed(test, "b", "[\"fd00::5\",\"10.0.0.78\"]", "10.0.0.78 fd00::5");
	expect_fixed(test, "c", "[\"10.8.0.1\"]", "10.8.0.1");
	expect_fixed(test, "d", "[\"10.0.0.77\"]", "EADDRINUSE");
	expect_fixed(test, "e", "[\"10.9.0.1\"]", "EADDRNOTAVAIL");
	expect_fixed(test, "f", "[\"192.0.2.1\"]", "EADDRNOTAVAIL");
	expect_fixed(test, "g", "[\"10.0.0.1\",\"10.0.0.2\"]", "EINVAL");
	expect_fixed(test, "h", "[\"10.0.0.300\"]", "EINVAL");
	expect_fixed(test, "i", "10.0.0.1", "EINVAL");
	expect_fixed(test, "j", "[]", "EINVAL");
	/* Half a success is none. */
	expect_fixed(test, "k", "[\"10.0.0.79\",\"fd00::5\"]", "EADDRINUSE");
	expect_fixed(test, "l", "[\"10.0.0.79\"]", "10.0.0.79");
}

/* The capability "ips", and an address that lies in the node's own reserve. */
static void test_fixed_in_reserve(void **state)
{
	struct ipam_test *test = *state;
	struct ipam_test_node *node = ipam_test_node(test, 0);
	struct ipam_request request = { .owner = { .container = "b" } };
	struct ipam_result result;
	union mg_addr addr;

	ipam_test_pool(test, "p", "10.0.0.0/26");
	result = ipam_test_add(node, "a");
	ipam_test_settle(node->ipam);
	addr = addr_add(&result.addrs[0].addr, 1);
	request.fixed = &addr;
	request.fixed_count = 1;
	node->down = true; /* a write covers it already */
	result = ipam_test_request(node, &request);
	assert_int_equal(result.status, 0);
	assert_memory_equal(&result.addrs[0].addr, &addr, 16);
}

/* On another node: refused with the pod's name; after its DEL and rest it is free. */
static void test_fixed_moves(void **state)
{
	struct ipam_test *test = *state;
	struct ipam_result result;
	__u64 start;

	ipam_test_pool(test, "p", "10.0.0.0/24");
	assert_int_equal(add_fixed(test, 1, "old", "[\"10.0.0.40\"]").status, 0);
	ipam_test_settle(ipam_test_ipam(test, 1));
	result = add_fixed(test, 0, "new", "[\"10.0.0.40\"]");
	assert_int_equal(result.status, -EADDRINUSE);
	assert_non_null(strstr(result.err.text, "ns/old on node n1"));
	ipam_test_del(ipam_test_node(test, 1), "old");
	ipam_test_settle(ipam_test_ipam(test, 1));
	start = test->now;
	result = add_fixed(test, 0, "new", "[\"10.0.0.40\"]");
	assert_int_equal(result.status, 0);
	assert_true(test->now - start >= IPAM_COOLDOWN_MIN_MS);
	assert_true(result.addrs[0].borrowed);
	/* DEL and ADD of the same container need no rest. */
	ipam_test_settle(ipam_test_ipam(test, 0));
	ipam_test_del(ipam_test_node(test, 0), "new");
	start = test->now;
	result = add_fixed(test, 0, "new", "[\"10.0.0.40\"]");
	assert_int_equal(result.status, 0);
	assert_true(test->now - start < 1000);
}

struct heard {
	unsigned int answers;
	int status;
};

static void hear(void *arg, const struct ipam_result *result)
{
	struct heard *heard = arg;

	heard->answers++;
	heard->status = result->status;
}

/* A refusal that the store's turn decides is told at once: the return values alone drive it. */
static void test_refusal_is_told(void **state)
{
	struct ipam_test *test = *state;
	struct ipam_test_node *node = ipam_test_node(test, 0);
	struct ipam_request request = { .owner = { .container = "b" },
					.ip_addrs = "[\"10.0.0.40\"]" };
	struct heard heard = {};

	ipam_test_pool(test, "p", "10.0.0.0/24");
	assert_int_equal(add_fixed(test, 1, "old", "[\"10.0.0.40\"]").status, 0);
	ipam_test_settle(ipam_test_ipam(test, 1));
	ipam_request(node->ipam, &request, hear, &heard);
	for (int i = 0; i < 20 && !heard.answers; i++)
		if (!ipam_commit(node->ipam))
			assert_int_equal(ipam_tick(node->ipam), 0);
	assert_int_equal(heard.answers, 1);
}

/* The address lies in another node's reserve: that node gives it back when it hears of the wish,
 * but not once a pod has it. */
static void fixed_from_reserve(struct ipam_test *test, bool taken)
{
	struct ipam_test_node *holder = ipam_test_node(test, 0), *asker = ipam_test_node(test, 1);
	struct ipam_request request = { .owner = { .container = "b" }, .fixed_count = 1 };
	struct ipam_result first;
	struct heard heard = {};
	union mg_addr addr;

	ipam_test_pool(test, "p", "10.0.0.0/26");
	first = ipam_test_add(holder, "a");
	ipam_test_settle(holder->ipam);
	addr = addr_add(&first.addrs[0].addr, 1); /* the next to be given */
	request.fixed = &addr;
	holder->down = taken;
	if (taken)
		first = ipam_test_add(holder, "c");
	holder->down = false;
	ipam_request(asker->ipam, &request, hear, &heard);
	for (int i = 0; i < 50 && !heard.answers; i++) {
		ipam_commit(asker->ipam);
		ipam_tick(asker->ipam);
		ipam_notice(holder->ipam, "IPAMBlock", "10-0-0-0-26", "changed");
		ipam_test_settle(holder->ipam);
		test->now += 200;
	}
	assert_int_equal(heard.answers, 1);
	assert_int_equal(heard.status, taken ? -EADDRINUSE : 0);
	if (taken)
		assert_memory_equal(&first.addrs[0].addr, &addr, 16);
}

static void test_fixed_from_reserve(void **state)
{
	fixed_from_reserve(*state, false);
}

static void test_fixed_from_reserve_taken(void **state)
{
	fixed_from_reserve(*state, true);
}

/* Reserved addresses can be asked for by name, not given by chance. */
static void test_fixed_reserved(void **state)
{
	struct ipam_test *test = *state;

	ipam_test_pool(test, "p", "10.0.0.0/24");
	ipam_test_object(test, "IPReservation", "r", "\"reservedCIDRs\":[\"10.0.0.128/25\"]");
	expect_fixed(test, "a", "[\"10.0.0.200\"]", "10.0.0.200");
}

static void test_fixed_strict(void **state)
{
	struct ipam_test *test = *state;

	ipam_test_pool(test, "p", "10.0.0.0/26");
	configure(test, "\"strictAffinity\":true,\"autoAllocateBlocks\":true");
	ipam_test_add(ipam_test_node(test, 1), "a");
	expect_fixed(test, "b", "[\"10.0.0.63\"]", "EADDRNOTAVAIL");
}

static void test_fixed_store_down(void **state)
{
	struct ipam_test *test = *state;

	ipam_test_pool(test, "p", "10.0.0.0/26");
	ipam_test_add(ipam_test_node(test, 0), "a");
	test->nodes[0].down = true;
	expect_fixed(test, "b", "[\"10.0.0.63\"]", "EAGAIN");
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, ipam_test_setup, ipam_test_teardown)
#define LOOSE(name) { #name " not atomic", name, ipam_test_setup_loose, ipam_test_teardown, NULL }

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_each_its_block),
		CASE(test_borrow),
		LOOSE(test_borrow),
		CASE(test_strict_affinity),
		CASE(test_max_blocks),
		CASE(test_no_auto_blocks),
		CASE(test_reclaim),
		LOOSE(test_reclaim),
		CASE(test_claim_goes_on),
		CASE(test_pool_leaves_node),
		CASE(test_race_for_last_block),
		LOOSE(test_race_for_last_block),
		CASE(test_fixed),
		LOOSE(test_fixed),
		CASE(test_fixed_in_reserve),
		CASE(test_fixed_moves),
		CASE(test_refusal_is_told),
		CASE(test_fixed_from_reserve),
		CASE(test_fixed_from_reserve_taken),
		CASE(test_fixed_reserved),
		CASE(test_fixed_strict),
		CASE(test_fixed_store_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
