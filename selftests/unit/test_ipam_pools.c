/* SPDX-License-Identifier: Apache-2.0 */
/* Which pool an address comes from, and what a pool that is full says. */
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

/* --- pools ----------------------------------------------------------------------------------- */

static void expect_pools(struct ipam_test *test, struct ipam_request *request, const char *pools)
{
	static int serial;
	struct ipam_result result;
	char name[32], got[1024] = "";
	size_t used = 0;

	snprintf(name, sizeof(name), "pools%d", serial++);
	request->owner.container = name;
	result = ipam_test_request(ipam_test_node(test, 0), request);
	for (size_t i = 0; i < result.count; i++)
		used += (size_t)snprintf(got + used, sizeof(got) - used, "%s%s", i ? " " : "",
					 result.addrs[i].pool);
	if (result.status)
		snprintf(got, sizeof(got), "%s", strerrorname_np(-result.status));
	assert_string_equal(got, pools);
}

static void test_choice_of_pools(void **state)
{
	struct ipam_test *test = *state;
	struct ipam_label node_labels[] = { { "zone", "a" } };
	struct ipam_label ns_labels[] = { { "team", "red" } };
	struct ipam_request any = {}, red = { .ns_labels = { ns_labels, 1 } };
	struct ipam_request list = {};

	ipam_test_object(test, "IPPool", "a-off", "\"cidr\":\"10.1.0.0/24\",\"disabled\":true");
	ipam_test_object(test, "IPPool", "b-zone",
			 "\"cidr\":\"10.2.0.0/24\",\"nodeSelector\":\"zone == 'b'\"");
	ipam_test_object(test, "IPPool", "c-manual",
			 "\"cidr\":\"10.3.0.0/24\",\"assignmentMode\":\"Manual\"");
	ipam_test_object(test, "IPPool", "d-tunnel",
			 "\"cidr\":\"10.4.0.0/24\",\"allowedUses\":[\"Tunnel\"]");
	ipam_test_object(test, "IPPool", "e-red",
			 "\"cidr\":\"10.5.0.0/24\",\"namespaceSelector\":\"team == 'red'\"");
	ipam_test_object(test, "IPPool", "f-all",
			 "\"cidr\":\"10.6.0.0/24\",\"nodeSelector\":\"zone == 'a'\"");
	expect_pools(test, &any, "ENOENT");
	ipam_node_labels(ipam_test_ipam(test, 0), &(struct ipam_labels){ node_labels, 1 });
	expect_pools(test, &any, "f-all");
	expect_pools(test, &red, "e-red");
	/* Named: whatever its selectors and mode say, by name or by CIDR. */
	list.conf_pools[0] = "[\"b-zone\"]";
	expect_pools(test, &list, "b-zone");
	list.ns_pools[0] = "[\"10.3.0.0/24\"]";
	expect_pools(test, &list, "c-manual");
	list.pod_pools[0] = "[\"f-all\"]";
	expect_pools(test, &list, "f-all");
	list.pod_pools[0] = "[\"a-off\"]";
	expect_pools(test, &list, "ENOENT");
	list.pod_pools[0] = "[\"d-tunnel\"]";
	expect_pools(test, &list, "ENOENT");
	list.pod_pools[0] = "[\"nowhere\"]";
	expect_pools(test, &list, "ENOENT");
	list.pod_pools[0] = "f-all";
	expect_pools(test, &list, "EINVAL");
	list.pod_pools[0] = "[1]";
	expect_pools(test, &list, "EINVAL");
}

#define UNTOLD(name, cidr)                                                                         \
	"{\"apiVersion\":\"projectcalico.org/"                                                     \
	"v3\",\"kind\":\"IPPool\",\"metadata\":{\"name\":\"" name "\"},\"spec\":{\"cidr\":\"" cidr \
	"\"}}"

static int count_reads(struct ipam_test_node *node, enum fake_point point)
{
	unsigned int *reads = node->hook_arg;

	*reads += point == FAKE_READ;
	return 0;
}

/* Made before the pod, and not yet told: the store is asked, once. */
static void test_pool_that_was_not_told(void **state)
{
	struct ipam_test *test = *state;
	struct ipam_request any = {}, list = { .pod_pools = { "[\"b\"]" } };
	unsigned int reads = 0;

	expect_pools(test, &any, "ENOENT");
	fake_put(&test->content, UNTOLD("a", "10.1.0.0/24"));
	expect_pools(test, &any, "a");
	fake_put(&test->content, UNTOLD("b", "10.2.0.0/24"));
	expect_pools(test, &list, "b");
	ipam_test_node(test, 0)->hook = count_reads;
	ipam_test_node(test, 0)->hook_arg = &reads;
	list.pod_pools[0] = "[\"c\"]";
	expect_pools(test, &list, "ENOENT");
	assert_int_equal(reads, 1);
}

static void test_second_pool_when_first_is_full(void **state)
{
	struct ipam_test *test = *state;
	struct ipam_request any = {};

	ipam_test_object(test, "IPPool", "a", "\"cidr\":\"10.1.0.0/32\",\"blockSize\":32");
	ipam_test_object(test, "IPPool", "b", "\"cidr\":\"10.2.0.0/32\",\"blockSize\":32");
	expect_pools(test, &any, "a");
	expect_pools(test, &any, "b");
	expect_pools(test, &any, "ENOSPC");
}

static void test_exhaustion_names_pools(void **state)
{
	struct ipam_test *test = *state;
	struct ipam_result result;

	ipam_test_object(test, "IPPool", "small", "\"cidr\":\"10.1.0.0/32\",\"blockSize\":32");
	ipam_test_object(test, "IPPool", "tiny", "\"cidr\":\"10.2.0.0/32\",\"blockSize\":32");
	ipam_test_add(ipam_test_node(test, 0), "c1");
	ipam_test_add(ipam_test_node(test, 0), "c2");
	result = ipam_test_add(ipam_test_node(test, 0), "c3");
	assert_int_equal(result.status, -ENOSPC);
	assert_non_null(strstr(result.err.text, "small (10.1.0.0/32)"));
	assert_non_null(strstr(result.err.text, "tiny (10.2.0.0/32)"));
	assert_int_equal(ipam_ready(ipam_test_ipam(test, 0), NULL), -ENOSPC);
}

static void test_reservation(void **state)
{
	struct ipam_test *test = *state;
	struct ipam_test_node *node = ipam_test_node(test, 0);

	ipam_test_object(test, "IPPool", "p", "\"cidr\":\"10.0.0.0/30\",\"blockSize\":30");
	ipam_test_object(test, "IPReservation", "r",
			 "\"reservedCIDRs\":[\"10.0.0.0/31\",\"10.0.0.3\"]");
	assert_string_equal(ipam_test_text(&(struct ipam_result[]){ ipam_test_add(node, "c1") }[0]),
			    "10.0.0.2");
	assert_int_equal(ipam_test_add(node, "c2").status, -ENOSPC);
}

/* A reservation made later empties the reserve of it. */
static void test_reservation_later(void **state)
{
	struct ipam_test *test = *state;
	struct ipam_test_node *node = ipam_test_node(test, 0);
	struct ipam_pool_status status;

	ipam_test_pool(test, "p", "10.0.0.0/26");
	ipam_test_add(node, "c1");
	ipam_test_settle(node->ipam);
	ipam_test_object(test, "IPReservation", "r", "\"reservedCIDRs\":[\"10.0.0.0/26\"]");
	test->now += 20000;
	ipam_test_settle(node->ipam);
	ipam_pool_status(node->ipam, 0, &status);
	assert_int_equal(status.reserve, 0);
	assert_int_equal(status.used, 1);
	assert_int_equal(ipam_test_add(node, "c2").status, -ENOSPC);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, ipam_test_setup, ipam_test_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_choice_of_pools),
		CASE(test_pool_that_was_not_told),
		CASE(test_second_pool_when_first_is_full),
		CASE(test_exhaustion_names_pools),
		CASE(test_reservation),
		CASE(test_reservation_later),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
