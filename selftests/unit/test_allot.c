/* SPDX-License-Identifier: Apache-2.0 */
/* What Services are given that do not ask: families, addresses, node ports; never what is in use.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/inet.h"
#include "base/json.h"
#include "base/yaml.h"
#include "controller/allot.h"
#include "model/decode.h"
#include "model/service.h"
#include "selftests/lib/decode.h"

static int setup(void **state)
{
	*state = allot_new();
	return 0;
}

static int teardown(void **state)
{
	allot_free(*state);
	return 0;
}

static json_t *tree(const char *yaml)
{
	_cleanup_docs_ struct docs *docs = NULL;
	struct err err = { 0 };

	if (docs_read(yaml, strlen(yaml), &docs, &err))
		fail_msg("%s", err.text);
	return json_incref(docs->v[0].root);
}

static json_t *service(const char *name, const char *spec)
{
	_cleanup_free_ char *text = xasprintf(
		"apiVersion: v1\nkind: Service\nmetadata: {name: %s}\nspec: %s\n", name, spec);

	return tree(text);
}

static struct object *decode(const json_t *root)
{
	const struct decode_options options = { .mode = DECODE_LENIENT };
	_cleanup_problems_ struct problems problems = { 0 };
	struct object *object = NULL;

	assert_int_equal(object_decode(root, &options, &object, &problems), 0);
	return object;
}

static void tell(struct allot *allot, const json_t *root)
{
	_cleanup_object_ struct object *object = decode(root);

	allot_set(allot, object);
}

static void tell_ranges(struct allot *allot, const char *cidrs)
{
	_cleanup_free_ char *text =
		xasprintf("apiVersion: networking.k8s.io/v1\nkind: ServiceCIDR\n"
			  "metadata: {name: kubernetes}\nspec: {cidrs: %s}\n",
			  cidrs);
	_cleanup_json_ json_t *root = tree(text);

	tell(allot, root);
}

/* Tells a Service and gives it what it lacks; as it is then. The caller has the reference. */
static struct object *give(struct allot *allot, const char *name, const char *spec)
{
	_cleanup_json_ json_t *root = service(name, spec);
	const struct object *next;
	struct err err = { 0 };

	tell(allot, root);
	next = allot_next(allot);
	if (next) {
		assert_string_equal(next->name, name);
		assert_true(allot_fill(allot, next, root, &err));
		assert_int_equal(err.code, 0);
		tell(allot, root);
		assert_null(allot_next(allot)); /* it lacks nothing any more */
	}
	return decode(root);
}

static void check_refused(struct allot *allot, const char *name, const char *spec, const char *why)
{
	_cleanup_json_ json_t *root = service(name, spec), *before = json_deep_copy(root);
	struct err err = { 0 };

	tell(allot, root);
	assert_false(allot_fill(allot, allot_next(allot), root, &err));
	assert_non_null(strstr(err.text, why));
	assert_true(json_equal(root, before));
}

static bool in(const union mg_addr *addr, const char *cidr)
{
	struct mg_prefix prefix;

	assert_int_equal(prefix_parse(cidr, false, &prefix), 0);
	return prefix_contains(&prefix, addr);
}

static void test_built_in_ranges(void **state)
{
	_cleanup_object_ struct object *plain = give(*state, "a", "{ports: [{port: 80}]}");
	_cleanup_object_ struct object *both =
		give(*state, "b", "{ipFamilyPolicy: PreferDualStack, ports: [{port: 80}]}");
	_cleanup_object_ struct object *six =
		give(*state, "c", "{ipFamilies: [IPv6], ports: [{port: 80}]}");
	const struct service *s = service_of(plain);

	assert_int_equal(s->cluster_ip_count, 1);
	assert_true(in(s->cluster_ips, "10.96.0.0/16"));
	assert_false(in(s->cluster_ips, "10.96.0.0/24")); /* left to people */
	assert_int_equal(s->family_count, 1);
	assert_int_equal(s->family_policy, SERVICE_SINGLE_STACK);
	assert_int_equal(s->ports[0].node_port, 0);
	s = service_of(both);
	assert_int_equal(s->cluster_ip_count, 2);
	assert_true(in(&s->cluster_ips[0], "10.96.0.0/16"));
	assert_true(in(&s->cluster_ips[1], "fd00:10:96::/112"));
	assert_int_equal(s->family_policy, SERVICE_PREFER_DUAL_STACK);
	s = service_of(six);
	assert_int_equal(s->cluster_ip_count, 1);
	assert_true(in(s->cluster_ips, "fd00:10:96::/112"));
}

static void test_configured_ranges(void **state)
{
	_cleanup_object_ struct object *made = NULL, *kept = NULL, *more = NULL;

	tell_ranges(*state, "['fd00:1::/112', 10.50.0.0/24]");
	made = give(*state, "a", "{ports: [{port: 80}]}");
	assert_true(in(service_of(made)->cluster_ips, "fd00:1::/112")); /* the first one's family */
	kept = give(*state, "b", "{clusterIP: 192.0.2.5, ports: [{port: 80}]}");
	assert_int_equal(service_of(kept)->cluster_ip_count, 1);
	assert_addr(service_of(kept)->cluster_ips, "192.0.2.5");
	assert_int_equal(service_of(kept)->family_count, 1);
	more = give(*state, "c",
		    "{clusterIP: 10.50.0.9, ipFamilyPolicy: RequireDualStack, ports: [{port: 1}]}");
	assert_addr(&service_of(more)->cluster_ips[0], "10.50.0.9");
	assert_true(in(&service_of(more)->cluster_ips[1], "fd00:1::/112"));
}

/* Each address of a small range is given once; then nobody gets one until one is free. */
static void test_range_is_full(void **state)
{
	struct allot *allot = *state;
	bool seen[16] = { false };
	struct err err = { 0 };
	_cleanup_json_ json_t *late = NULL;

	tell_ranges(allot, "[10.50.0.0/28]");
	for (int i = 0; i < 14; i++) {
		_cleanup_free_ char *name = xasprintf("s%d", i);
		_cleanup_object_ struct object *made = give(allot, name, "{ports: [{port: 80}]}");
		uint8_t last = service_of(made)->cluster_ips->b[15];

		assert_true(last > 0 && last < 15 && !seen[last]);
		seen[last] = true;
	}
	check_refused(allot, "late", "{ports: [{port: 80}]}", "no IPv4 address");
	assert_null(allot_next(allot));
	allot_del(allot, KIND_SERVICE, "default", "s3");
	assert_string_equal(allot_next(allot)->name, "late");
	allot_again(allot, "default/late");
	late = service("late", "{ports: [{port: 80}]}");
	assert_true(allot_fill(allot, allot_next(allot), late, &err));
}

/* Half of what is asked for is nothing. */
static void test_all_or_nothing(void **state)
{
	tell_ranges(*state, "[10.50.0.0/24]");
	check_refused(*state, "a", "{ipFamilyPolicy: RequireDualStack, ports: [{port: 80}]}",
		      "RequireDualStack");
	check_refused(*state, "b", "{ipFamilies: [IPv6], type: NodePort, ports: [{port: 80}]}",
		      "no IPv6");
}

static void test_same_name_same_address(void **state)
{
	struct allot *allot = *state;
	_cleanup_object_ struct object *first = give(allot, "a", "{ports: [{port: 80}]}"),
				       *again = NULL;

	allot_del(allot, KIND_SERVICE, "default", "a");
	again = give(allot, "a", "{ports: [{port: 80}]}");
	assert_int_equal(addr_cmp(service_of(first)->cluster_ips, service_of(again)->cluster_ips),
			 0);
}

static void test_headless(void **state)
{
	_cleanup_object_ struct object *made = give(*state, "a", "{clusterIP: None}");
	const struct service *s = service_of(made);

	assert_true(s->headless);
	assert_int_equal(s->cluster_ip_count, 0);
	assert_int_equal(s->family_count, 1);
	assert_false(s->is6[0]);
}

static void test_node_ports(void **state)
{
	_cleanup_object_ struct object *made = give(
		*state, "a",
		"{type: NodePort, ports: [{name: u, port: 53, protocol: UDP},"
		" {name: t, port: 53}, {name: w, port: 80}, {name: k, port: 1, nodePort: 30001}]}");
	const struct service *s = service_of(made);

	assert_true(s->ports[0].node_port >= 30086 && s->ports[0].node_port <= 32767);
	assert_int_equal(s->ports[1].node_port, s->ports[0].node_port);
	assert_int_not_equal(s->ports[2].node_port, s->ports[0].node_port);
	assert_int_equal(s->ports[3].node_port, 30001);
}

static void test_load_balancer(void **state)
{
	_cleanup_object_ struct object *local =
		give(*state, "a",
		     "{type: LoadBalancer, externalTrafficPolicy: Local, ports: [{port: 80}]}");
	_cleanup_object_ struct object *without =
		give(*state, "b",
		     "{type: LoadBalancer, allocateLoadBalancerNodePorts: false,"
		     " ports: [{port: 80}]}");

	assert_int_not_equal(service_of(local)->ports[0].node_port, 0);
	assert_int_not_equal(service_of(local)->health_check_node_port, 0);
	assert_int_not_equal(service_of(local)->health_check_node_port,
			     service_of(local)->ports[0].node_port);
	assert_int_equal(service_of(without)->ports[0].node_port, 0);
	assert_int_equal(service_of(without)->health_check_node_port, 0);
}

/* 2,768 numbers, each once. */
static void test_node_ports_end(void **state)
{
	struct allot *allot = *state;
	static bool seen[65536];

	for (int i = 0; i < 2768; i++) {
		_cleanup_free_ char *name = xasprintf("s%d", i);
		_cleanup_object_ struct object *made =
			give(allot, name, "{type: NodePort, ports: [{port: 80}]}");
		uint16_t port = service_of(made)->ports[0].node_port;

		assert_true(port >= 30000 && port <= 32767 && !seen[port]);
		seen[port] = true;
	}
	{
		_cleanup_json_ json_t *root = service(
			"late", "{type: NodePort, clusterIP: 10.96.0.1, ports: [{port: 80}],"
				" ipFamilies: [IPv4], ipFamilyPolicy: SingleStack}");
		struct err err = { 0 };

		tell(allot, root);
		assert_false(allot_fill(allot, allot_next(allot), root, &err));
		assert_non_null(strstr(err.text, "no node port"));
	}
}

static void test_nothing_lacks(void **state)
{
	static const char *const specs[] = {
		"{type: ExternalName, externalName: a.b}",
		"{clusterIP: 10.0.0.1, ipFamilies: [IPv4], ports: [{port: 80}]}",
		"{clusterIP: None, ipFamilies: [IPv6]}",
	};

	for (size_t i = 0; i < sizeof(specs) / sizeof(specs[0]); i++) {
		_cleanup_json_ json_t *root = service("a", specs[i]);

		tell(*state, root);
		assert_null(allot_next(*state));
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_built_in_ranges),
		TEST(test_configured_ranges),
		TEST(test_range_is_full),
		TEST(test_all_or_nothing),
		TEST(test_same_name_same_address),
		TEST(test_headless),
		TEST(test_node_ports),
		TEST(test_load_balancer),
		TEST(test_node_ports_end),
		TEST(test_nothing_lacks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
