/* SPDX-License-Identifier: Apache-2.0 */
/* The cluster's garbage: nodes that are gone, addresses that no pod has. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/inet.h"
#include "base/json.h"
#include "ipam/sweep.h"
#include "selftests/lib/ipam_test.h"

#define GRACE 60000

static int setup(void **state)
{
	ipam_test_setup(state);
	ipam_test_pool(*state, "p", "10.0.0.0/24");
	return 0;
}

static void put_node(struct ipam_test *test, const char *name)
{
	char *text = xasprintf("{\"apiVersion\":\"v1\",\"kind\":\"Node\",\"metadata\":"
			       "{\"name\":\"%s\"}}",
			       name);

	fake_put(&test->content, text);
	free(text);
}

/* ip NULL: it has none yet. */
static void put_pod(struct ipam_test *test, const char *name, const char *ip)
{
	char *status = ip ? xasprintf("{\"podIP\":\"%s\",\"podIPs\":[{\"ip\":\"%s\"}]}", ip, ip)
			  : xstrdup("{}");
	char *text = xasprintf("{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":"
			       "\"%s\",\"namespace\":\"default\"},\"status\":%s}",
			       name, status);

	fake_put(&test->content, text);
	free(text);
	free(status);
}

/* The address of a new pod on a node; its Pod is the test's to write. Static buffer. */
static const char *add_pod(struct ipam_test *test, unsigned int node, const char *pod)
{
	static char text[4][ADDR_TEXT_MAX];
	static unsigned int turn;
	char *out = text[turn++ % 4];
	const struct ipam_request request = {
		.owner = { .container = pod, .namespace_name = "default", .pod = pod }
	};
	struct ipam_result result = ipam_test_request(ipam_test_node(test, node), &request);

	assert_int_equal(result.status, 0);
	ipam_test_settle(ipam_test_ipam(test, node));
	return addr_format(&result.addrs[0].addr, out);
}

static struct ipam_sweep_report look(struct ipam_test *test, struct ipam_sweep *sweep)
{
	struct ipam_sweep_report report;
	struct err err = { 0 };

	assert_int_equal(
		ipam_sweep_look(sweep, ipam_test_node(test, 0)->store, test->now, &report, &err),
		0);
	return report;
}

static bool is_held(struct ipam_test *test, const char *addr)
{
	const char *holder = ipam_test_holder(test, addr);

	return strcmp(holder, "cooling") != 0 && strcmp(holder, "free") != 0 &&
	       strcmp(holder, "no block") != 0;
}

/* What the node held goes at once, its block and its affinity with it; the other node keeps all. */
static void test_node_is_gone(void **state)
{
	struct ipam_test *test = *state;
	_cleanup_ipam_sweep_ struct ipam_sweep *sweep = ipam_sweep_new(GRACE, NULL, NULL);
	struct ipam_sweep_report report;
	const char *a, *b;

	put_node(test, "n0");
	put_node(test, "n1");
	a = add_pod(test, 0, "a");
	b = add_pod(test, 1, "b");
	put_pod(test, "a", a);
	put_pod(test, "b", b);
	assert_int_equal(look(test, sweep).released, 0);
	assert_int_equal(fake_count(&test->content, "BlockAffinity"), 2);

	fake_remove(&test->content, "Node", "n1");
	fake_remove(&test->content, "Pod", "b");
	report = look(test, sweep);
	assert_int_equal(report.released, 1 + IPAM_RESERVE_DEFAULT);
	assert_int_equal(report.blocks, 1);
	assert_true(is_held(test, a));
	assert_false(is_held(test, b));
	assert_int_equal(fake_count(&test->content, "BlockAffinity"), 1);
	assert_int_equal(look(test, sweep).released, 0);
}

/* A kubelet that lost its Node still runs pods: they keep their addresses. */
static void test_pod_of_a_lost_node(void **state)
{
	struct ipam_test *test = *state;
	_cleanup_ipam_sweep_ struct ipam_sweep *sweep = ipam_sweep_new(GRACE, NULL, NULL);
	const char *b;

	put_node(test, "n0");
	b = add_pod(test, 1, "b");
	put_pod(test, "b", b);
	look(test, sweep);
	test->now += 10 * GRACE;
	look(test, sweep);
	assert_true(is_held(test, b));
}

/* On a node that lives, the grace has to be over, and one look with the pod begins it anew. */
static void test_leaked(void **state)
{
	struct ipam_test *test = *state;
	_cleanup_ipam_sweep_ struct ipam_sweep *sweep = ipam_sweep_new(GRACE, NULL, NULL);
	const char *a;

	put_node(test, "n0");
	a = add_pod(test, 0, "a");
	assert_int_equal(look(test, sweep).suspects, 1);
	test->now += GRACE - 1;
	assert_int_equal(look(test, sweep).suspects, 1);
	put_pod(test, "a", a);
	assert_int_equal(look(test, sweep).suspects, 0);
	fake_remove(&test->content, "Pod", "a");
	test->now += 2;
	assert_int_equal(look(test, sweep).suspects, 1);
	assert_true(is_held(test, a));
	test->now += GRACE;
	assert_int_equal(look(test, sweep).released, 1);
	assert_false(is_held(test, a));
}

/* A Pod whose status comes late: its address is its own, however late. */
static void test_status_comes_late(void **state)
{
	struct ipam_test *test = *state;
	_cleanup_ipam_sweep_ struct ipam_sweep *sweep = ipam_sweep_new(GRACE, NULL, NULL);
	const char *a;

	put_node(test, "n0");
	a = add_pod(test, 0, "a");
	put_pod(test, "a", NULL);
	look(test, sweep);
	test->now += 10 * GRACE;
	assert_int_equal(look(test, sweep).released, 0);
	assert_true(is_held(test, a));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_node_is_gone, setup, ipam_test_teardown),
		cmocka_unit_test_setup_teardown(test_pod_of_a_lost_node, setup, ipam_test_teardown),
		cmocka_unit_test_setup_teardown(test_leaked, setup, ipam_test_teardown),
		cmocka_unit_test_setup_teardown(test_status_comes_late, setup, ipam_test_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
