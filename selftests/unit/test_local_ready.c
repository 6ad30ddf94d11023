/* SPDX-License-Identifier: Apache-2.0 */
/* Ready endpoints on this node, as load balancers are told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/arena.h"
#include "selftests/lib/decode.h"
#include "state/local_ready.h"

static int setup(void **state)
{
	*state = local_ready_new("n1");
	return 0;
}

static int teardown(void **state)
{
	local_ready_free(*state);
	return 0;
}

static bool service(struct local_ready *ready, const char *name, const char *more)
{
	_cleanup_free_ char *text =
		xasprintf("apiVersion: v1\nkind: Service\nmetadata: {name: %s}\n"
			  "spec: {type: LoadBalancer, ports: [{port: 80}]%s}\n",
			  name, more);
	_cleanup_object_ struct object *object = decode_yaml(text, DECODE_LENIENT);

	return local_ready_set(ready, object);
}

static void slice(struct local_ready *ready, const char *name, const char *labels,
		  const char *endpoints)
{
	_cleanup_free_ char *text =
		xasprintf("apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\n"
			  "metadata: {name: %s, labels: {kubernetes.io/service-name: web%s}}\n"
			  "addressType: IPv4\nports: [{port: 80}]\nendpoints: [%s]\n",
			  name, labels, endpoints);
	_cleanup_object_ struct object *object = decode_yaml(text, DECODE_STRICT);

	assert_false(local_ready_set(ready, object));
}

#define ASKED ", externalTrafficPolicy: Local, healthCheckNodePort: 32000"
#define HERE(last) "{addresses: [10.0.0." #last "], nodeName: n1}"
#define LEAVING(last)                                                                              \
	"{addresses: [10.0.0." #last                                                               \
	"], nodeName: n1, conditions: {ready: false, serving: true, terminating: true}}"
#define THERE(last) "{addresses: [10.0.0." #last "], nodeName: n2}"

static size_t count(const struct local_ready *ready)
{
	struct local_ready_service service;

	assert_true(local_ready_get(ready, "default", "web", &service));
	assert_int_equal(service.port, 32000);
	return service.count;
}

static void test_counts(void **state)
{
	struct local_ready *ready = *state;

	slice(ready, "a", "", HERE(1) ", " THERE(2) ", " LEAVING(3));
	assert_true(service(ready, "web", ASKED));
	assert_int_equal(count(ready), 1);
	slice(ready, "b", "", HERE(1) ", " HERE(4)); /* one of them again */
	assert_int_equal(count(ready), 2);
	slice(ready, "c", ", " LABEL_PROXY_NAME ": other", HERE(5)); /* not ours */
	assert_int_equal(count(ready), 2);
	slice(ready, "b", "", THERE(4));
	assert_int_equal(count(ready), 1);
	assert_false(local_ready_del(ready, KIND_ENDPOINT_SLICE, "default", "a"));
	assert_int_equal(count(ready), 0);
}

struct told {
	char text[256];
};

static void note(void *arg, const struct local_ready_service *service)
{
	struct told *told = arg;
	size_t used = strlen(told->text);

	snprintf(told->text + used, sizeof(told->text) - used, "%s/%s:%u=%zu ", service->ns,
		 service->name, service->port, service->count);
}

static void test_ports(void **state)
{
	struct local_ready *ready = *state;
	struct told told = { "" };

	assert_true(service(ready, "web", ASKED));
	assert_true(service(ready, "api",
			    ", externalTrafficPolicy: Local, healthCheckNodePort: 32001"));
	assert_false(service(ready, "plain", ""));
	slice(ready, "a", "", HERE(1));
	local_ready_each(ready, note, &told);
	assert_string_equal(told.text, "default/api:32001=0 default/web:32000=1 ");
	assert_true(service(ready, "api", "")); /* its port is closed */
	assert_true(local_ready_del(ready, KIND_SERVICE, "default", "web"));
	assert_false(local_ready_del(ready, KIND_SERVICE, "default", "web"));
	told.text[0] = 0;
	local_ready_each(ready, note, &told);
	assert_string_equal(told.text, "");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = { TEST(test_counts), TEST(test_ports) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
