/* SPDX-License-Identifier: Apache-2.0 */
/* kubeconfig files and a pod's service account: what is taken, what is refused and how it is said.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/err.h"
#include "datastore/kube_config.h"

/* "-----BEGIN CERTIFICATE-----\nca\n-----END CERTIFICATE-----\n" and the like, in base64 */
#define CA64 "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCmNhCi0tLS0tRU5EIENFUlRJRklDQVRFLS0tLS0K"
#define CA "-----BEGIN CERTIFICATE-----\nca\n-----END CERTIFICATE-----\n"

static char folder[] = "/tmp/margay-kube-XXXXXX";

static char *write_file(const char *name, const char *text)
{
	char *path = xasprintf("%s/%s", folder, name);
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	fputs(text, file);
	fclose(file);
	return path;
}

static char *config_text(const char *cluster, const char *user)
{
	return xasprintf(
		"apiVersion: v1\nkind: Config\ncurrent-context: main\n"
		"contexts:\n- name: main\n  context: {cluster: c, user: u, namespace: shop}\n"
		"clusters:\n- name: c\n  cluster: {%s}\n"
		"users:\n- name: u\n  user: {%s}\n",
		cluster, user);
}

static int read_text(const char *text, struct kube_config **ret_config, struct err *err)
{
	_cleanup_free_ char *path = write_file("config", text);

	return kube_config_read(path, ret_config, err);
}

static void test_certificates(void **state)
{
	_cleanup_kube_config_ struct kube_config *config = NULL;
	_cleanup_free_ char *key = write_file("key.pem", "-----BEGIN PRIVATE KEY-----\n");
	_cleanup_free_ char *text =
		config_text("server: 'https://10.0.0.1:6443/', certificate-authority-data: " CA64
			    ", tls-server-name: kubernetes",
			    "client-certificate-data: " CA64 ", client-key: key.pem");
	struct err err = { 0 };

	(void)state;
	assert_int_equal(read_text(text, &config, &err), 0);
	assert_int_equal(config->server_count, 1);
	assert_string_equal(config->servers[0], "https://10.0.0.1:6443");
	assert_string_equal(config->ca, CA);
	assert_string_equal(config->tls_name, "kubernetes");
	assert_string_equal(config->certificate, CA);
	assert_string_equal(config->key, "-----BEGIN PRIVATE KEY-----\n");
	assert_string_equal(config->namespace, "shop");
	assert_non_null(strstr(config->from, "config (context main)"));
}

static void test_exec(void **state)
{
	_cleanup_kube_config_ struct kube_config *config = NULL;
	_cleanup_free_ char *text = config_text(
		"server: 'https://h'",
		"exec: {apiVersion: client.authentication.k8s.io/v1, command: ./bin/login, "
		"args: [token, '--all'], env: [{name: A, value: b}], installHint: get it}");
	_cleanup_free_ char *command = xasprintf("%s/./bin/login", folder);
	struct err err = { 0 };

	(void)state;
	assert_int_equal(read_text(text, &config, &err), 0);
	assert_string_equal(config->exec.command, command);
	assert_string_equal(config->exec.args[0], "token");
	assert_string_equal(config->exec.args[1], "--all");
	assert_null(config->exec.args[2]);
	assert_string_equal(config->exec.environment[0], "A=b");
	assert_string_equal(config->exec.hint, "get it");
}

/* Of each name the first file's counts, as kubectl merges KUBECONFIG; absent files are passed over.
 */
static void test_several_files(void **state)
{
	_cleanup_kube_config_ struct kube_config *config = NULL;
	_cleanup_free_ char *first =
		write_file("first", "clusters:\n- {name: c, cluster: {server: 'https://first'}}\n");
	_cleanup_free_ char *text = config_text("server: 'https://second'", "token: t");
	_cleanup_free_ char *second = write_file("second", text);
	_cleanup_free_ char *paths = xasprintf("%s/absent:%s:%s", folder, first, second);
	struct err err = { 0 };

	(void)state;
	assert_int_equal(kube_config_read(paths, &config, &err), 0);
	assert_string_equal(config->servers[0], "https://first");
	assert_string_equal(config->token, "t");
}

struct refusal {
	const char *cluster, *user;
	int code;
	const char *words;
};

static void test_refused(void **state)
{
	static const struct refusal rows[] = {
		{ "server: 'http://h'", "token: t", -EACCES, "is not https" },
		{ "server: 'https://h', insecure-skip-tls-verify: true", "token: t", -EACCES,
		  "insecure-skip-tls-verify is refused" },
		{ "certificate-authority: x", "token: t", -EINVAL, "cluster \"c\": server" },
		{ "server: 'https://h', certificate-authority-data: '!!!!'", "token: t", -EINVAL,
		  "certificate-authority-data: expected PEM" },
		{ "server: 'https://h', certificate-authority: absent.pem", "token: t", -ENOENT,
		  "absent.pem" },
		{ "server: 'https://h'", "client-certificate-data: " CA64, -EINVAL,
		  "client-certificate and client-key go together" },
		{ "server: 'https://h'", "auth-provider: {name: gcp}", -EINVAL, "use exec" },
		{ "server: 'https://h'", "exec: {command: x, apiVersion: v1}", -EINVAL,
		  "user \"u\": exec.apiVersion" },
		{ "server: 'https://h'", "exec: {apiVersion: client.authentication.k8s.io/v1}",
		  -EINVAL, "exec.command" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		_cleanup_free_ char *text = config_text(rows[i].cluster, rows[i].user);
		struct kube_config *config = NULL;
		struct err err = { 0 };

		assert_int_equal(read_text(text, &config, &err), rows[i].code);
		assert_non_null(strstr(err.text, rows[i].words));
		assert_null(config);
	}
}

static void test_names_that_lead_nowhere(void **state)
{
	struct kube_config *config = NULL;
	struct err err = { 0 };

	(void)state;
	assert_int_equal(read_text("kind: Config\n", &config, &err), -EINVAL);
	assert_non_null(strstr(err.text, "current-context is not set"));
	assert_int_equal(read_text("current-context: x\n", &config, &err), -EINVAL);
	assert_non_null(strstr(err.text, "no context named \"x\""));
	assert_int_equal(read_text("a: [\n", &config, &err), -EINVAL);
	assert_int_equal(kube_config_read("/absent/config", &config, &err), -ENOENT);
	assert_non_null(strstr(err.text, "/absent/config"));
}

static void test_pod(void **state)
{
	_cleanup_kube_config_ struct kube_config *config = NULL;
	_cleanup_free_ char *token = write_file("token", "secret");
	_cleanup_free_ char *ca = write_file("ca.crt", CA);
	_cleanup_free_ char *space = write_file("namespace", "margay-system");
	struct kube_pod_env pod = { .folder = folder, .host = "10.96.0.1,fd00::1", .port = "6443" };
	struct err err = { 0 };

	(void)state;
	assert_int_equal(kube_config_pod(&pod, &config, &err), 0);
	assert_int_equal(config->server_count, 2);
	assert_string_equal(config->servers[0], "https://10.96.0.1:6443");
	assert_string_equal(config->servers[1], "https://[fd00::1]:6443");
	assert_string_equal(config->token_file, token);
	assert_string_equal(config->ca, CA);
	assert_string_equal(config->namespace, "margay-system");
	pod.host = "";
	assert_int_equal(kube_config_pod(&pod, &config, &err), -ENOENT);
}

static int make_folder(void **state)
{
	(void)state;
	return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
	static const char *const names[] = { "config", "first",	 "second",   "key.pem",
					     "token",  "ca.crt", "namespace" };

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		_cleanup_free_ char *path = xasprintf("%s/%s", folder, names[i]);

		unlink(path);
	}
	return rmdir(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_certificates),
		cmocka_unit_test(test_exec),
		cmocka_unit_test(test_several_files),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_names_that_lead_nowhere),
		cmocka_unit_test(test_pod),
	};

	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
