/* SPDX-License-Identifier: Apache-2.0 */
/* Between us and an API server: what goes wrong on the way, who we are to it, and what is said. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/json.h"
#include "datastore/kube_config.h"
#include "datastore/kube_http.h"
#include "selftests/lib/kube_test.h"

#define SECRET "secret-of-the-test"

static struct store *open_with(const struct store_fixture *f, const char *kubeconfig,
			       const struct store_options *options)
{
	struct store_test test = f->test;

	snprintf(test.address, sizeof(test.address), "kubernetes:%s/%s", test.folder, kubeconfig);
	return store_test_open(&test, options);
}

/* --- a server that is busy, away, or another one --- */

static void test_busy(void **state)
{
	struct store_fixture *f = *state;
	_cleanup_json_ json_t *object = test_set("a", "x", "1.0.0.0/8", NULL);

	kube_control(f, "\"faults\": [{\"match\": \"POST\", \"times\": 2, \"status\": 429, "
			"\"retryAfter\": 1}]");
	assert_int_equal(store_create(f->store, object, NULL, NULL), 0);
	assert_int_equal(kube_requests(f, "POST"), 3);
	/* One that wants more time than we have is out of reach. */
	kube_control(f, "\"faults\": [{\"match\": \"GET\", \"status\": 503, "
			"\"retryAfter\": 100}]");
	assert_true(store_unreachable(kube_try_get(f->store, NULL)));
}

static void test_away(void **state)
{
	struct store_fixture *f = *state;
	struct store *store = open_with(f, "refused", NULL);
	struct err err = { 0 };

	assert_int_equal(kube_try_get(store, &err), -ECONNREFUSED);
	assert_true(store_unreachable(-ECONNREFUSED));
	assert_non_null(strstr(err.text, "https://127.0.0.1:1"));
	store_close(store);
}

/* The second address is used while the first one is away, and nobody waits for it again. */
static void test_addresses(void **state)
{
	struct store_fixture *f = *state;
	_cleanup_free_ char *path = test_path(&f->test, "kubeconfig");
	_cleanup_kube_http_ struct kube_http *http = NULL;
	_cleanup_(kube_request_done) struct kube_request request = { .method = "GET",
								     .path = "/api/v1/pods" };
	struct kube_config *config;

	assert_int_equal(kube_config_read(path, &config, NULL), 0);
	config->servers[1] = config->servers[0];
	config->servers[0] = "https://127.0.0.1:1";
	config->server_count = 2;
	assert_int_equal(kube_http_new(config, false, &http, NULL), 0);
	assert_int_equal(kube_http_run(http, &request), 0);
	assert_int_equal(request.status, 200);
	assert_int_equal(request.tries, 1);
	assert_int_equal(kube_http_run(http, &request), 0);
	assert_int_equal(request.tries, 0);
}

static void test_server_goes(void **state)
{
	struct store_fixture *f = *state;

	store_test_put(f->store, "a", "x", "1.0.0.0/8");
	kube_control(f, "\"faults\": [{\"match\": \"GET\", \"times\": 8, \"cut\": \"none\"}]");
	assert_true(store_unreachable(kube_try_get(f->store, NULL)));
	kube_control(f, "");
	/* It is away for a while, in which nobody is asked. */
	while (store_unreachable(kube_try_get(f->store, NULL)))
		;
	assert_true(kube_requests(f, "GET") < 8);
	assert_int_equal(kube_try_get(f->store, NULL), 0);
}

static void test_tls(void **state)
{
	struct store_fixture *f = *state;
	static const char *const wrong[] = { "wrong-ca", "wrong-name" };
	struct store *store;

	for (size_t i = 0; i < 2; i++) {
		struct err err = { 0 };

		store = open_with(f, wrong[i], NULL);
		assert_true(store_unreachable(kube_try_get(store, &err)));
		assert_non_null(strstr(err.text, "certificate-authority-data"));
		store_close(store);
	}
	assert_int_equal(kube_requests(f, "GET"), 0);
	store = open_with(f, "right-name", NULL);
	assert_int_equal(kube_try_get(store, NULL), -ENOENT);
	store_close(store);
}

/* --- who we are --- */

static void test_client_certificate(void **state)
{
	struct store_fixture *f = *state;
	struct store *store = open_with(f, "client-certificate", NULL);

	assert_int_equal(kube_try_get(store, NULL), -ENOENT);
	store_close(store);
}

/* A token that was replaced is read anew when the old one is refused. */
static void test_token_rotates(void **state)
{
	struct store_fixture *f = *state;
	struct err err = { 0 };

	assert_int_equal(kube_try_get(f->store, NULL), -ENOENT);
	kube_control(f, "\"tokens\": [\"another\"]");
	assert_int_equal(kube_try_get(f->store, &err), -EACCES);
	assert_non_null(strstr(err.text, "401"));
	assert_null(strstr(err.text, SECRET));
	test_write(&f->test, "token", "another\n");
	assert_int_equal(kube_try_get(f->store, NULL), -ENOENT);
	test_write(&f->test, "token", SECRET);
}

static void test_program(void **state)
{
	struct store_fixture *f = *state;
	const struct store_options options = { .programs = true };
	struct store *store = open_with(f, "exec", &options);
	struct err err = { 0 };

	assert_int_equal(kube_try_get(store, NULL), -ENOENT);
	store_close(store);
	store = open_with(f, "exec", NULL);
	assert_int_equal(kube_try_get(store, &err), -EACCES);
	assert_non_null(strstr(err.text, "runs no programs"));
	store_close(store);
}

static void test_forbidden(void **state)
{
	struct store_fixture *f = *state;
	struct store_query query = test_query(NULL);
	struct store_list list;
	struct err err = { 0 };

	kube_control(f, "\"forbid\": \"list networksets\"");
	assert_int_equal(store_list(f->store, &query, 1, &list, &err), -EACCES);
	assert_non_null(strstr(err.text, "cannot list resource \"networksets\""));
	assert_int_equal(kube_try_get(f->store, NULL), -ENOENT);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, kube_fixture_setup, kube_fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_busy),	  CASE(test_away),    CASE(test_addresses),
		CASE(test_server_goes),	  CASE(test_tls),     CASE(test_client_certificate),
		CASE(test_token_rotates), CASE(test_program), CASE(test_forbidden),
	};

	return cmocka_run_group_tests(tests, kube_group_setup, kube_group_teardown);
}
