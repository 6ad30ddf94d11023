/* SPDX-License-Identifier: Apache-2.0 */
/* Rules of allocation, one node or two on one store (design section 8; Calico's IPAM rules). */
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

static json_t *spec_of(struct ipam_test *test, const char *kind, const char *name)
{
	json_t *object = fake_get(&test->content, kind, name);

	assert_non_null(object);
	return json_object_get(object, "spec");
}

/* --- objects --------------------------------------------------------------------------------- */

static void test_objects(void **state)
{
	struct ipam_test *test = *state;
	struct ipam_result result;
	json_t *spec, *attr;
	char name[64];

	ipam_test_pool(test, "p", "10.0.0.0/26");
	result = ipam_test_add(ipam_test_node(test, 0), "c1");
	assert_int_equal(result.status, 0);
	ipam_test_settle(ipam_test_ipam(test, 0));

	spec = spec_of(test, "BlockAffinity", "n0-10-0-0-0-26");
	assert_string_equal(json_text_at(spec, "state"), "confirmed");
	assert_string_equal(json_text_at(spec, "node"), "n0");
	assert_string_equal(json_text_at(spec, "type"), "host");
	assert_string_equal(json_text_at(spec, "cidr"), "10.0.0.0/26");

	spec = spec_of(test, "IPAMBlock", "10-0-0-0-26");
	assert_string_equal(json_text_at(spec, "affinity"), "host:n0");
	assert_int_equal(json_array_size(json_object_get(spec, "allocations")), 64);
	/* One pod and a reserve of eight. */
	assert_int_equal(json_array_size(json_object_get(spec, "unallocated")), 64 - 9);
	attr = json_array_get(json_object_get(spec, "attributes"), 0);
	assert_string_equal(json_text_at(attr, "handle_id"), "k8s-pod-network.c1");
	assert_string_equal(json_text_at(attr, "secondary.pod"), "c1");
	assert_string_equal(json_text_at(attr, "secondary.namespace"), "ns");
	assert_string_equal(json_text_at(attr, "secondary.node"), "n0");
	assert_non_null(json_text_at(attr, "secondary.timestamp"));

	spec = spec_of(test, "IPAMHandle", "k8s-pod-network.c1");
	assert_string_equal(json_text_at(spec, "handleID"), "k8s-pod-network.c1");
	assert_int_equal(
		json_integer_value(json_object_get(json_object_get(spec, "block"), "10.0.0.0/26")),
		1);
	spec = spec_of(test, "IPAMHandle", "margay-reserve-n0");
	assert_int_equal(
		json_integer_value(json_object_get(json_object_get(spec, "block"), "10.0.0.0/26")),
		8);
	addr_format(&result.addrs[0].addr, name);
	assert_string_equal(ipam_test_holder(test, name), "k8s-pod-network.c1");
	assert_string_equal(result.addrs[0].pool, "p");
	assert_false(result.addrs[0].borrowed);
}

/* ADD from the reserve makes no store access at all. */
static int count_access(struct ipam_test_node *node, enum fake_point point)
{
	(void)point;
	(*(unsigned int *)node->hook_arg)++;
	return 0;
}

struct count {
	unsigned int ok, failed;
};

static void count_answer(void *arg, const struct ipam_result *result)
{
	struct count *count = arg;

	if (result->status)
		count->failed++;
	else
		count->ok++;
}

static void test_add_waits_for_no_write(void **state)
{
	struct ipam_test *test = *state;
	struct ipam_test_node *node = ipam_test_node(test, 0);
	struct ipam_request request = { .owner = { .container = "c2" } };
	unsigned int accesses = 0;
	struct count count = {};

	ipam_test_pool(test, "p", "10.0.0.0/24");
	ipam_test_add(node, "c1");
	ipam_test_settle(node->ipam);
	node->hook = count_access;
	node->hook_arg = &accesses;
	ipam_request(node->ipam, &request, count_answer, &count);
	assert_int_equal(count.ok, 0); /* never inside the call */
	ipam_commit(node->ipam);
	assert_int_equal(count.ok, 1);
	assert_int_equal(accesses, 0);
}

/* Twenty pods at once: few writes, and the reserve grows. */
static void test_burst(void **state)
{
	struct ipam_test *test = *state;
	struct ipam_test_node *node = ipam_test_node(test, 0);
	struct ipam_pool_status status;
	struct count count = {};
	unsigned long writes;

	ipam_test_pool(test, "p", "10.0.0.0/16");
	ipam_test_add(node, "first");
	ipam_test_settle(node->ipam);
	writes = test->content.version;
	for (int i = 0; i < 20; i++) {
		char name[16];
		struct ipam_request request = { .owner = { .container = name } };

		snprintf(name, sizeof(name), "b%d", i);
		ipam_request(node->ipam, &request, count_answer, &count);
	}
	ipam_commit(node->ipam);
	assert_int_equal(count.ok, 8);
	ipam_test_settle(node->ipam);
	assert_int_equal(count.ok, 20);
	assert_int_equal(count.failed, 0);
	/* 20 handles, and a few writes of block and reserve handle for all of them. */
	assert_true(test->content.version - writes <= 20 + 10);
	ipam_pool_status(node->ipam, 0, &status);
	assert_int_equal(status.used, 21);
	assert_true(status.target > 8);
	assert_int_equal(status.reserve, status.target);
	/* Calm again: the reserve shrinks to what it was. */
	for (int i = 0; i < 20; i++) {
		test->now += 61000;
		ipam_test_settle(node->ipam);
	}
	ipam_pool_status(node->ipam, 0, &status);
	assert_int_equal(status.target, 8);
	assert_int_equal(status.reserve, 8);
}

static void test_same_owner_twice(void **state)
{
	struct ipam_test *test = *state;
	struct ipam_result first, second;

	ipam_test_pool(test, "p", "10.0.0.0/24");
	first = ipam_test_add(ipam_test_node(test, 0), "c1");
	second = ipam_test_add(ipam_test_node(test, 0), "c1");
	assert_memory_equal(&first.addrs[0].addr, &second.addrs[0].addr, 16);
	ipam_test_reopen(ipam_test_node(test, 0));
	second = ipam_test_add(ipam_test_node(test, 0), "c1");
	assert_memory_equal(&first.addrs[0].addr, &second.addrs[0].addr, 16);
	assert_int_equal(second.count, 1);
}

/* --- release --------------------------------------------------------------------------------- */

static void test_release_and_cooldown(void **state)
{
	struct ipam_test *test = *state;
	struct ipam_test_node *node = ipam_test_node(test, 0);
	struct ipam_result first, next;
	char text[ADDR_TEXT_MAX];

	/* Two addresses, one in the reserve at a time. */
	ipam_test_object(test, "IPPool", "p", "\"cidr\":\"10.0.0.0/31\",\"blockSize\":31");
	first = ipam_test_add(node, "c1");
	next = ipam_test_add(node, "c2");
	assert_int_equal(next.status, 0);
	ipam_test_settle(node->ipam);
	ipam_test_del(node, "c1");
	ipam_test_settle(node->ipam);
	addr_format(&first.addrs[0].addr, text);
	assert_string_equal(ipam_test_holder(test, text), "cooling");
	assert_null(fake_get(&test->content, "IPAMHandle", "k8s-pod-network.c1"));
	next = ipam_test_add(node, "c3");
	assert_int_equal(next.status, -ENOSPC);
	test->now += IPAM_COOLDOWN_MIN_MS - 100;
	next = ipam_test_add(node, "c3");
	assert_int_equal(next.status, -ENOSPC);
	test->now += 200;
	next = ipam_test_add(node, "c3");
	assert_int_equal(next.status, 0);
	assert_memory_equal(&first.addrs[0].addr, &next.addrs[0].addr, 16);
}

static void test_configured_cooldown(void **state)
{
	struct ipam_test *test = *state;
	struct ipam_test_node *node = ipam_test_node(test, 0);

	ipam_test_object(test, "IPPool", "p", "\"cidr\":\"10.0.0.0/32\",\"blockSize\":32");
	ipam_test_object(test, "IPAMConfiguration", "default",
			 "\"strictAffinity\":false,\"autoAllocateBlocks\":true,"
			 "\"ipCooldownSeconds\":60");
	assert_int_equal(ipam_test_add(node, "c1").status, 0);
	ipam_test_del(node, "c1");
	ipam_test_settle(node->ipam);
	test->now += 59000;
	assert_int_equal(ipam_test_add(node, "c2").status, -ENOSPC);
	test->now += 2000;
	assert_int_equal(ipam_test_add(node, "c2").status, 0);
}

/* The address released last is given out last. */
static void test_fifo(void **state)
{
	struct ipam_test *test = *state;
	struct ipam_test_node *node;
	struct ipam_result first;

	test->reserve = 1;
	node = ipam_test_node(test, 0);
	ipam_test_object(test, "IPPool", "p", "\"cidr\":\"10.0.0.0/28\",\"blockSize\":28");
	first = ipam_test_add(node, "first");
	ipam_test_settle(node->ipam);
	ipam_test_del(node, "first");
	ipam_test_settle(node->ipam);
	test->now += 10000;
	for (int i = 0; i < 15; i++) {
		char name[16];
		struct ipam_result result;

		snprintf(name, sizeof(name), "c%d", i);
		result = ipam_test_add(node, name);
		assert_int_equal(result.status, 0);
		assert_memory_not_equal(&first.addrs[0].addr, &result.addrs[0].addr, 16);
	}
	assert_int_equal(ipam_test_add(node, "last").status, 0);
}

static void test_release_unknown(void **state)
{
	struct ipam_test *test = *state;
	union mg_addr addr;

	ipam_test_pool(test, "p", "10.0.0.0/24");
	ipam_test_del(ipam_test_node(test, 0), "nobody");
	addr_parse("10.0.0.9", &addr);
	assert_int_equal(ipam_release_addr(ipam_test_ipam(test, 0), &addr), -ENOENT);
}

static void test_two_interfaces(void **state)
{
	struct ipam_test *test = *state;
	struct ipam_test_node *node = ipam_test_node(test, 0);
	struct ipam_request request = { .owner = { .container = "c1", .ifname = "net1" } };
	struct ipam_owner eth0 = { .container = "c1" };
	struct ipam_result a, b, found;

	ipam_test_pool(test, "p", "10.0.0.0/24");
	a = ipam_test_add(node, "c1");
	b = ipam_test_request(node, &request);
	assert_memory_not_equal(&a.addrs[0].addr, &b.addrs[0].addr, 16);
	ipam_test_del(node, "c1");
	assert_int_equal(ipam_find(node->ipam, &eth0, &found), -ENOENT);
	assert_int_equal(ipam_find(node->ipam, &request.owner, &found), 0);
	assert_memory_equal(&found.addrs[0].addr, &b.addrs[0].addr, 16);
}

/* --- families and tunnels ------------------------------------------------------------------- */

static void test_dual_stack(void **state)
{
	struct ipam_test *test = *state;
	struct ipam_test_node *node = ipam_test_node(test, 0);
	struct ipam_request request = { .owner = { .container = "c1" }, .families = IPAM_DUAL };
	struct ipam_result result;
	json_t *spec;

	ipam_test_pool(test, "four", "10.0.0.0/24");
	ipam_test_pool(test, "six", "fd00::/64");
	result = ipam_test_request(node, &request);
	assert_int_equal(result.status, 0);
	assert_int_equal(result.count, 2);
	assert_true(addr_is4(&result.addrs[0].addr));
	assert_false(addr_is4(&result.addrs[1].addr));
	assert_int_equal(prefix_bits(&result.addrs[1].block), 122);
	ipam_test_settle(node->ipam);
	spec = spec_of(test, "IPAMHandle", "k8s-pod-network.c1");
	assert_int_equal(json_object_size(json_object_get(spec, "block")), 2);
	/* What is asked for decides. */
	request.owner.container = "c2";
	request.families = IPAM_V6;
	result = ipam_test_request(node, &request);
	assert_int_equal(result.count, 1);
	assert_false(addr_is4(&result.addrs[0].addr));
	request.owner.container = "c3";
	request.families = IPAM_AUTO;
	assert_int_equal(ipam_test_request(node, &request).count, 2);
}

/* Half a success is none: nothing is held for the pod. */
static void test_dual_stack_half(void **state)
{
	struct ipam_test *test = *state;
	struct ipam_test_node *node = ipam_test_node(test, 0);
	struct ipam_request request = { .owner = { .container = "c2" }, .families = IPAM_DUAL };
	struct ipam_owner owner = { .container = "c2" };
	struct ipam_result found;

	ipam_test_pool(test, "four", "10.0.0.0/24");
	ipam_test_object(test, "IPPool", "six", "\"cidr\":\"fd00::/128\",\"blockSize\":128");
	ipam_test_add(node, "c1");
	assert_int_equal(ipam_test_request(node, &request).status, -ENOSPC);
	ipam_test_settle(node->ipam);
	assert_int_equal(ipam_find(node->ipam, &owner, &found), -ENOENT);
	assert_null(fake_get(&test->content, "IPAMHandle", "k8s-pod-network.c2"));
}

static void test_tunnel(void **state)
{
	struct ipam_test *test = *state;
	struct ipam_test_node *node = ipam_test_node(test, 0);
	struct ipam_tunnel tunnel = { "vxlan-tunnel-addr-n0", "vxlanTunnelAddress", IPAM_V4, NULL };
	struct ipam_gc_report report;
	struct count count = {};
	json_t *object;

	ipam_test_object(test, "IPPool", "w",
			 "\"cidr\":\"10.1.0.0/24\",\"allowedUses\":[\"Workload\"]");
	ipam_test_object(test, "IPPool", "t",
			 "\"cidr\":\"10.2.0.0/24\",\"allowedUses\":[\"Tunnel\"],"
			 "\"namespaceSelector\":\"x == 'y'\"");
	ipam_request_tunnel(node->ipam, &tunnel, count_answer, &count);
	ipam_test_settle(node->ipam);
	assert_int_equal(count.ok, 1);
	object = fake_get(&test->content, "IPAMHandle", "vxlan-tunnel-addr-n0");
	assert_non_null(object);
	/* Is no attachment: garbage collection leaves it. */
	assert_int_equal(ipam_collect_garbage(node->ipam, &(struct ipam_gc){}, &report, NULL), 0);
	assert_int_equal(report.released, 0);
	ipam_release_handle(node->ipam, "vxlan-tunnel-addr-n0", count_answer, &count);
	ipam_test_settle(node->ipam);
	assert_int_equal(count.ok, 2);
	assert_null(fake_get(&test->content, "IPAMHandle", "vxlan-tunnel-addr-n0"));
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, ipam_test_setup, ipam_test_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_objects),
		CASE(test_add_waits_for_no_write),
		CASE(test_burst),
		CASE(test_same_owner_twice),
		CASE(test_release_and_cooldown),
		CASE(test_configured_cooldown),
		CASE(test_fifo),
		CASE(test_release_unknown),
		CASE(test_two_interfaces),
		CASE(test_dual_stack),
		CASE(test_dual_stack_half),
		CASE(test_tunnel),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
