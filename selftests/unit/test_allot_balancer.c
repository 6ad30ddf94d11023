/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses of load balancers out of IPPools: pools, wishes, sharing, and what goes wrong. */
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

static void tell(struct allot *allot, const char *yaml)
{
	_cleanup_object_ struct object *object = decode_yaml(yaml, DECODE_LENIENT);

	allot_set(allot, object);
}

static void pool(struct allot *allot, const char *name, const char *cidr, const char *more)
{
	_cleanup_free_ char *text =
		xasprintf("apiVersion: projectcalico.org/v3\nkind: IPPool\nmetadata: {name: %s}\n"
			  "spec: {cidr: '%s', blockSize: %d, allowedUses: [LoadBalancer]%s}\n",
			  name, cidr, strchr(cidr, ':') ? 128 : 32, more);

	tell(allot, text);
}

static char *service_text(const char *name, const char *annotations, const char *spec)
{
	return xasprintf("apiVersion: v1\nkind: Service\nmetadata:\n  name: %s\n"
			 "  annotations: {%s}\n"
			 "spec: {type: LoadBalancer, ports: [{port: 80}]%s}\n",
			 name, annotations, spec);
}

/* Gives a Service what it lacks: its addresses, "192.0.2.1 2001:db8::1", or what the reason is. */
static const char *give_text(struct allot *allot, const char *text)
{
	_cleanup_docs_ struct docs *docs = NULL;
	_cleanup_object_ struct object *object = NULL;
	static char said[ERR_TEXT_MAX];
	const struct service *service;
	const struct object *next;
	struct err err = { 0 };
	size_t used = 0;

	assert_int_equal(docs_read(text, strlen(text), &docs, &err), 0);
	tell(allot, text);
	for (int turns = 0; turns < 8 && (next = allot_next(allot)) != NULL; turns++) {
		_cleanup_free_ char *dump = NULL;

		if (strcmp(next->name, json_text_at(docs->v[0].root, "metadata.name")) != 0)
			continue; /* somebody who found no room before */
		if (!allot_fill(allot, next, docs->v[0].root, &err))
			break;
		dump = json_dumps(docs->v[0].root, 0);
		tell(allot, dump);
	}
	{
		_cleanup_free_ char *dump = json_dumps(docs->v[0].root, 0);

		object = decode_yaml(dump, DECODE_LENIENT);
	}
	service = service_of(object);
	said[0] = 0;
	for (size_t i = 0; i < service->ingress_count; i++) {
		char addr[ADDR_TEXT_MAX];

		used += (size_t)snprintf(said + used, sizeof(said) - used, "%s%s", i ? " " : "",
					 addr_format(&service->ingress[i].addr, addr));
	}
	return used || !err.code ? said : strcpy(said, err.text);
}

static const char *give(struct allot *allot, const char *name, const char *annotations,
			const char *spec)
{
	_cleanup_free_ char *text = service_text(name, annotations, spec);

	return give_text(allot, text);
}

static void test_no_pool_no_touch(void **state)
{
	pool(*state, "pods", "10.0.0.0/24", "");
	allot_del(*state, KIND_IP_POOL, "", "pods");
	tell(*state, "apiVersion: projectcalico.org/v3\nkind: IPPool\nmetadata: {name: pods}\n"
		     "spec: {cidr: 10.0.0.0/24}\n");
	assert_string_equal(give(*state, "a", "", ""), "");
}

static void test_one_a_family(void **state)
{
	pool(*state, "four", "192.0.2.7/32", "");
	assert_string_equal(give(*state, "a", "", ""), "192.0.2.7");
	allot_del(*state, KIND_SERVICE, "default", "a");
	/* No pool of the second family: one address is all there is. */
	assert_string_equal(give(*state, "b", "", ", ipFamilyPolicy: PreferDualStack"),
			    "192.0.2.7");
	pool(*state, "six", "2001:db8::7/128", "");
	assert_string_equal(give(*state, "b", "", ", ipFamilyPolicy: PreferDualStack"),
			    "192.0.2.7 2001:db8::7");
}

static void test_full(void **state)
{
	pool(*state, "p", "192.0.2.0/31", "");
	assert_int_equal(strncmp(give(*state, "a", "", ""), "192.0.2.", 8), 0);
	assert_int_equal(strncmp(give(*state, "b", "", ""), "192.0.2.", 8), 0);
	assert_non_null(strstr(give(*state, "c", "", ""), "no IPv4 address"));
	allot_del(*state, KIND_SERVICE, "default", "a");
	assert_string_equal(allot_next(*state)->name, "c"); /* there is room again */
	assert_int_equal(strncmp(give(*state, "c", "", ""), "192.0.2.", 8), 0);
}

#define ASK(addr) "projectcalico.org/loadBalancerIPs: '[\"" addr "\"]'"

static void test_wishes(void **state)
{
	pool(*state, "p", "192.0.2.0/24", "");
	pool(*state, "closed", "198.51.100.0/24", ", disabled: true");
	assert_string_equal(give(*state, "a", ASK("192.0.2.9"), ""), "192.0.2.9");
	assert_string_equal(give(*state, "b", "", ", loadBalancerIP: 192.0.2.10"), "192.0.2.10");
	assert_non_null(strstr(give(*state, "c", ASK("192.0.2.9"), ""), "has another Service"));
	assert_non_null(strstr(give(*state, "d", ASK("203.0.113.1"), ""), "is in no IPPool"));
	/* Another wish moves it. */
	assert_string_equal(give(*state, "a", ASK("192.0.2.11"), ""), "192.0.2.11");
	assert_string_equal(give(*state, "c", ASK("192.0.2.9"), ""), "192.0.2.9");
}

static void test_pools_named(void **state)
{
	pool(*state, "p", "192.0.2.1/32", "");
	pool(*state, "manual", "198.51.100.1/32", ", assignmentMode: Manual");
	assert_string_equal(give(*state, "a", "projectcalico.org/ipv4pools: '[\"manual\"]'", ""),
			    "198.51.100.1");
	assert_string_equal(give(*state, "b", "", ""), "192.0.2.1");
	assert_non_null(
		strstr(give(*state, "c", "projectcalico.org/ipv4pools: '[\"192.0.2.1/32\"]'", ""),
		       "no IPv4 address"));
}

static void test_namespaces(void **state)
{
	pool(*state, "shop", "192.0.2.1/32", ", namespaceSelector: \"team == 'shop'\"");
	assert_string_equal(give(*state, "a", "", ""), ""); /* no pool is for it */
	tell(*state, "apiVersion: v1\nkind: Namespace\n"
		     "metadata: {name: default, labels: {team: shop}}\n");
	assert_string_equal(give(*state, "a", "", ""), "192.0.2.1");
}

static void test_class(void **state)
{
	pool(*state, "p", "192.0.2.0/24", "");
	assert_string_equal(give(*state, "a", "", ", loadBalancerClass: example.com/other"), "");
	assert_int_equal(
		strncmp(give(*state, "b", "", ", loadBalancerClass: calico"), "192.0.2.", 8), 0);
}

#define SHARE(key) "projectcalico.org/loadBalancerSharingKey: " key
#define PORT(name, number)                                                                         \
	"apiVersion: v1\nkind: Service\nmetadata: {name: " name                                    \
	", annotations: {" SHARE("k") "}}\nspec: {type: LoadBalancer, ports: [{port: " #number     \
				      "}]}\n"

static void test_sharing(void **state)
{
	pool(*state, "p", "192.0.2.1/32", "");
	assert_string_equal(give_text(*state, PORT("a", 80)), "192.0.2.1");
	assert_string_equal(give_text(*state, PORT("b", 443)), "192.0.2.1");
	assert_non_null(strstr(give_text(*state, PORT("c", 443)), "no IPv4 address")); /* b's */
	assert_non_null(strstr(give(*state, "d", SHARE("other"), ""), "no IPv4 address"));
	allot_del(*state, KIND_SERVICE, "default", "a");
	assert_string_equal(give_text(*state, PORT("e", 80)), "192.0.2.1");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_no_pool_no_touch),
		TEST(test_one_a_family),
		TEST(test_full),
		TEST(test_wishes),
		TEST(test_pools_named),
		TEST(test_namespaces),
		TEST(test_class),
		TEST(test_sharing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
