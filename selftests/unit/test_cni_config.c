/* SPDX-License-Identifier: Apache-2.0 */
/* cni/env.h and cni/config.h: what is understood, what is refused and how, what is named. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/arena.h"
#include "cni/config.h"
#include "cni/env.h"
#include "cni/error.h"

#define HEAD "\"cniVersion\":\"1.0.0\",\"name\":\"k8s\",\"type\":\"margay\""

/* --- environment --- */
static const char *const *variables; /* NAME, value, ..., NULL */

static char *lookup(const char *name)
{
	for (const char *const *v = variables; *v; v += 2) {
		if (!strcmp(*v, name))
			return (char *)v[1];
	}
	return NULL;
}

static int read_env(struct arena *arena, const char *const *table, struct cni_env *ret_env,
		    struct cni_error *error)
{
	variables = table;
	return cni_env_read(arena, lookup, ret_env, error);
}

static void env_of_a_pod(void **state)
{
	static const char *const table[] = {
		"CNI_COMMAND",
		"ADD",
		"CNI_CONTAINERID",
		"0123abc_.-X",
		"CNI_NETNS",
		"/run/netns/x",
		"CNI_IFNAME",
		"eth0",
		"CNI_PATH",
		"/opt/cni/bin",
		"CNI_ARGS",
		("IgnoreUnknown=1;K8S_POD_NAMESPACE=web;K8S_POD_NAME=front-1;K8S_POD_UID=u-1;"
		 "IP=10.0.0.7;MAC=02:00:00:00:00:07"),
		NULL
	};
	_cleanup_arena_ struct arena *arena = arena_new();
	struct cni_error error;
	struct cni_env env;

	(void)state;
	assert_int_equal(read_env(arena, table, &env, &error), 0);
	assert_int_equal(env.command, CNI_COMMAND_ADD);
	assert_string_equal(env.container, "0123abc_.-X");
	assert_string_equal(env.pod_namespace, "web");
	assert_string_equal(env.pod, "front-1");
	assert_string_equal(env.pod_uid, "u-1");
	assert_string_equal(env.ip, "10.0.0.7");
	assert_string_equal(env.mac, "02:00:00:00:00:07");
}

/* DEL of a namespace that is gone has no CNI_NETNS; GC, STATUS and VERSION have no container. */
static void env_that_may_lack(void **state)
{
	static const char *const del[] = { "CNI_COMMAND", "DEL",	"CNI_CONTAINERID",
					   "a",		  "CNI_IFNAME", "eth0",
					   NULL };
	static const char *const gc[] = { "CNI_COMMAND", "GC", "CNI_PATH", "/x", NULL };
	_cleanup_arena_ struct arena *arena = arena_new();
	struct cni_error error;
	struct cni_env env;

	(void)state;
	assert_int_equal(read_env(arena, del, &env, &error), 0);
	assert_string_equal(env.netns, "");
	assert_string_equal(env.pod, "");
	assert_int_equal(read_env(arena, gc, &env, &error), 0);
}

static void env_refused(void **state)
{
	static const char *const tables[][11] = {
		{ NULL },
		{ "CNI_COMMAND", "add", NULL },
		{ "CNI_COMMAND", "ADD", "CNI_IFNAME", "eth0", "CNI_NETNS", "/x", NULL },
		{ "CNI_COMMAND", "ADD", "CNI_CONTAINERID", "a", "CNI_IFNAME", "eth0", NULL },
		{ "CNI_COMMAND", "ADD", "CNI_CONTAINERID", "a", "CNI_NETNS", "/x", NULL },
		{ "CNI_COMMAND", "DEL", "CNI_CONTAINERID", "../a", "CNI_IFNAME", "eth0", NULL },
		{ "CNI_COMMAND", "DEL", "CNI_CONTAINERID", "-a", "CNI_IFNAME", "eth0", NULL },
		{ "CNI_COMMAND", "DEL", "CNI_CONTAINERID", "a", "CNI_IFNAME", "a/b", NULL },
		{ "CNI_COMMAND", "DEL", "CNI_CONTAINERID", "a", "CNI_IFNAME", "a:b", NULL },
		{ "CNI_COMMAND", "DEL", "CNI_CONTAINERID", "a", "CNI_IFNAME", "a b", NULL },
		{ "CNI_COMMAND", "DEL", "CNI_CONTAINERID", "a", "CNI_IFNAME", "..", NULL },
		{ "CNI_COMMAND", "DEL", "CNI_CONTAINERID", "a", "CNI_IFNAME", "sixteenletters16",
		  NULL },
		{ "CNI_COMMAND", "DEL", "CNI_CONTAINERID", "a", "CNI_IFNAME", "eth0", "CNI_ARGS",
		  "no pair", NULL },
		{ "CNI_COMMAND", "DEL", "CNI_CONTAINERID", "a", "CNI_IFNAME", "eth0", "CNI_ARGS",
		  "K8S_POD_NAME=a\nb", NULL },
	};
	_cleanup_arena_ struct arena *arena = arena_new();
	struct cni_error error;
	struct cni_env env;

	(void)state;
	for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
		memset(&error, 0, sizeof(error));
		assert_true(read_env(arena, tables[i], &env, &error) < 0);
		assert_int_equal(error.code, CNI_BAD_ENVIRONMENT);
		assert_true(error.msg[0] != 0);
	}
}

/* --- configuration --- */
static const struct cni_env nothing = { .ip = "", .mac = "" };

static int read_text(const char *text, struct cni_config *config, struct cni_error *error)
{
	memset(config, 0, sizeof(*config));
	memset(error, 0, sizeof(*error));
	return cni_config_read(text, strlen(text), &nothing, config, error);
}

static void config_small(void **state)
{
	_cleanup_config_ struct cni_config config = { 0 };
	struct cni_error error;

	(void)state;
	assert_int_equal(read_text("{" HEAD "}", &config, &error), 0);
	assert_int_equal(config.version, CNI_VERSION_1_0_0);
	assert_string_equal(config.name, "k8s");
	assert_string_equal(config.agent_socket, "/run/margay/cni.sock");
	assert_string_equal(config.state_dir, "/var/lib/margay/cni");
	assert_int_equal(config.agent_timeout_ms, 10000);
	assert_int_equal(config.mtu, 0);
	assert_null(config.ipam_type);
	assert_int_equal(config.ipv4, -1);
	assert_null(config.ips);
	assert_null(config.ignored);
}

/* The conflist entry that Calico's installer writes, and what of it is named. */
static void config_of_calico(void **state)
{
	static const char text[] =
		"{" HEAD
		",\"log_level\":\"info\",\"log_file_path\":\"/var/log/calico/cni/cni.log\","
		"\"datastore_type\":\"kubernetes\",\"nodename\":\"n1\",\"mtu\":0,"
		"\"ipam\":{\"type\":\"calico-ipam\",\"assign_ipv4\":\"true\",\"assign_ipv6\":"
		"\"false\",\"ipv4_pools\":[\"10.0.0.0/16\",\"blue\"]},"
		"\"container_settings\":{\"allow_ip_forwarding\":true},"
		"\"policy_setup_timeout_seconds\":5,\"policy\":{\"type\":\"k8s\"},"
		"\"kubernetes\":{\"kubeconfig\":\"/etc/cni/net.d/calico-kubeconfig\"}}";
	_cleanup_config_ struct cni_config config = { 0 };
	struct cni_error error;

	(void)state;
	if (read_text(text, &config, &error) < 0)
		fail_msg("%s", error.msg);
	assert_null(config.ipam_type);
	assert_int_equal(config.ipv4, 1);
	assert_int_equal(config.ipv6, 0);
	assert_int_equal(json_array_size(config.pools4), 2);
	assert_true(config.allow_forwarding);
	assert_int_equal(config.agent_timeout_ms, 5000);
	assert_string_equal(config.ignored,
			    "log_file_path, datastore_type, nodename, policy, kubernetes");
}

/* host port, container's port, protocol, address */
static void expect_mapping(const json_t *ports, size_t at, const char *want)
{
	const json_t *entry = json_array_get(ports, at);
	char got[100];

	snprintf(got, sizeof(got), "%d %d %s %s",
		 (int)json_integer_value(json_object_get(entry, "hostPort")),
		 (int)json_integer_value(json_object_get(entry, "containerPort")),
		 json_string_value(json_object_get(entry, "protocol")),
		 json_string_value(json_object_get(entry, "hostIP")));
	assert_string_equal(got, want);
}

static void config_request_of_the_runtime(void **state)
{
	static const char text[] =
		"{" HEAD ",\"runtimeConfig\":{\"ips\":[\"10.0.0.5/24\",\"fd00::5\"],"
		"\"mac\":\"02:11:22:33:44:55\",\"bandwidth\":{\"ingressRate\":1000,"
		"\"ingressBurst\":8000},"
		"\"portMappings\":[{\"hostPort\":8080,\"containerPort\":80,"
		"\"protocol\":\"TCP\"},{\"hostPort\":53,\"containerPort\":5353,\"protocol\":"
		"\"udp\",\"hostIP\":\"FD00::0:1\"}],\"aliases\":{\"k8s\":[\"x\"]}},"
		"\"args\":{\"cni\":{\"ips\":[\"10.9.9.9\"],\"labels\":[{\"key\":\"app\","
		"\"value\":\"web\"}]}}}";
	_cleanup_config_ struct cni_config config = { 0 };
	struct cni_error error;

	(void)state;
	if (read_text(text, &config, &error) < 0)
		fail_msg("%s", error.msg);
	assert_int_equal(json_array_size(config.ips), 2);
	assert_string_equal(json_string_value(json_array_get(config.ips, 0)), "10.0.0.5");
	assert_string_equal(json_string_value(json_array_get(config.ips, 1)), "fd00::5");
	expect_mapping(config.ports, 0, "8080 80 tcp ");
	expect_mapping(config.ports, 1, "53 5353 udp fd00::1");
	assert_int_equal(json_array_size(config.ports), 2);
	assert_string_equal(config.mac, "02:11:22:33:44:55");
	assert_int_equal(config.bandwidth.ingress_rate, 1000);
	assert_int_equal(config.bandwidth.ingress_burst, 8000);
	assert_int_equal(config.bandwidth.egress_rate, 0);
	assert_string_equal(json_string_value(json_object_get(config.labels, "app")), "web");
	assert_string_equal(config.ignored, "runtimeConfig.aliases");
}

static void config_request_of_cni_args(void **state)
{
	static const struct cni_env env = { .ip = "10.0.0.9,fd00::9", .mac = "02:00:00:00:00:09" };
	static const char text[] = "{" HEAD ",\"args\":{\"cni\":{\"labels\":{\"a\":\"b\"}}}}";
	_cleanup_config_ struct cni_config config = { 0 };
	struct cni_error error;

	(void)state;
	if (cni_config_read(text, strlen(text), &env, &config, &error) < 0)
		fail_msg("%s", error.msg);
	assert_int_equal(json_array_size(config.ips), 2);
	assert_string_equal(config.mac, "02:00:00:00:00:09");
	assert_string_equal(json_string_value(json_object_get(config.labels, "a")), "b");
}

static void config_delegates(void **state)
{
	_cleanup_config_ struct cni_config config = { 0 };
	struct cni_error error;

	(void)state;
	assert_int_equal(read_text("{" HEAD ",\"ipam\":{\"type\":\"host-local\",\"ranges\":[]}}",
				   &config, &error),
			 0);
	assert_string_equal(config.ipam_type, "host-local");
	assert_null(config.ignored); /* its keys are its own */
}

static void config_refused(void **state)
{
	static const struct {
		const char *text;
		int code;
		const char *path; /* what the message names */
	} rows[] = {
		{ "", CNI_DECODE, "stdin" },
		{ "[]", CNI_DECODE, "stdin" },
		{ "{\"name\":\"a\",\"name\":\"b\"}", CNI_DECODE, "stdin" },
		{ "{\"name\":\"a\"}", CNI_BAD_CONFIG, "cniVersion" },
		{ "{\"cniVersion\":\"1.0.0\"}", CNI_BAD_CONFIG, "name" },
		{ "{\"cniVersion\":\"1.0.0\",\"name\":\"../x\"}", CNI_BAD_CONFIG, "name" },
		{ "{\"cniVersion\":\"9.0.0\",\"name\":\"a\"}", CNI_BAD_VERSION, "9.0.0" },
		{ "{\"cniVersion\":\"0.1.0\",\"name\":\"a\"}", CNI_BAD_VERSION, "0.1.0" },
		{ "{" HEAD ",\"mtu\":\"1500\"}", CNI_BAD_CONFIG, "mtu" },
		{ "{" HEAD ",\"mtu\":100}", CNI_BAD_CONFIG, "mtu" },
		{ "{" HEAD ",\"mtu\":70000}", CNI_BAD_CONFIG, "mtu" },
		{ "{" HEAD ",\"agent_socket\":\"x\"}", CNI_BAD_CONFIG, "agent_socket" },
		{ "{" HEAD ",\"agent_timeout_ms\":-1}", CNI_BAD_CONFIG, "agent_timeout_ms" },
		{ "{" HEAD ",\"log_level\":\"loud\"}", CNI_BAD_CONFIG, "log_level" },
		{ "{" HEAD ",\"ipam\":[]}", CNI_BAD_CONFIG, "ipam" },
		{ "{" HEAD ",\"ipam\":{\"type\":\"../sh\"}}", CNI_BAD_CONFIG, "ipam.type" },
		{ "{" HEAD ",\"ipam\":{\"assign_ipv4\":\"maybe\"}}", CNI_BAD_CONFIG,
		  "ipam.assign_ipv4" },
		{ "{" HEAD ",\"ipam\":{\"ipv4_pools\":[1]}}", CNI_BAD_CONFIG, "ipam.ipv4_pools" },
		{ "{" HEAD ",\"runtimeConfig\":{\"portMappings\":{}}}", CNI_BAD_CONFIG,
		  "portMappings" },
		{ "{" HEAD ",\"runtimeConfig\":{\"portMappings\":[{\"hostPort\":0,"
		  "\"containerPort\":1}]}}",
		  CNI_BAD_CONFIG, "hostPort" },
		{ "{" HEAD ",\"runtimeConfig\":{\"portMappings\":[{\"hostPort\":1,"
		  "\"containerPort\":65536}]}}",
		  CNI_BAD_CONFIG, "containerPort" },
		{ "{" HEAD ",\"runtimeConfig\":{\"portMappings\":[{\"hostPort\":1,"
		  "\"containerPort\":1,\"protocol\":\"icmp\"}]}}",
		  CNI_BAD_CONFIG, "protocol" },
		{ "{" HEAD ",\"runtimeConfig\":{\"portMappings\":[{\"hostPort\":1,"
		  "\"containerPort\":1,\"hostIP\":\"10.0.0\"}]}}",
		  CNI_BAD_CONFIG, "hostIP" },
		{ "{" HEAD ",\"runtimeConfig\":{\"ips\":[\"10.0.0\"]}}", CNI_BAD_CONFIG,
		  "runtimeConfig.ips" },
		{ "{" HEAD ",\"runtimeConfig\":{\"ips\":[\"10.0.0.1\",\"10.0.0.2\"]}}",
		  CNI_BAD_CONFIG, "runtimeConfig.ips" },
		{ "{" HEAD ",\"runtimeConfig\":{\"mac\":\"01:00:00:00:00:01\"}}", CNI_BAD_CONFIG,
		  "runtimeConfig.mac" },
		{ "{" HEAD ",\"runtimeConfig\":{\"bandwidth\":{\"egressRate\":1000}}}",
		  CNI_BAD_CONFIG, "egressBurst" },
		{ "{" HEAD ",\"runtimeConfig\":{\"bandwidth\":{\"ingressRate\":-1}}}",
		  CNI_BAD_CONFIG, "ingressRate" },
		{ "{" HEAD ",\"args\":{\"cni\":{\"labels\":{\"a\":1}}}}", CNI_BAD_CONFIG,
		  "args.cni.labels" },
		{ "{" HEAD ",\"cni.dev/valid-attachments\":{}}", CNI_BAD_CONFIG,
		  "cni.dev/valid-attachments" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct cni_config config;
		struct cni_error error;

		assert_true(read_text(rows[i].text, &config, &error) < 0);
		assert_int_equal(error.code, rows[i].code);
		assert_non_null(strstr(error.msg, rows[i].path));
	}
}

static void config_too_large(void **state)
{
	char *text = xcalloc(1, CNI_CONFIG_MAX + 64);
	struct cni_config config;
	struct cni_error error;

	(void)state;
	strcpy(text, "{" HEAD "}");
	memset(text + strlen(text), ' ', CNI_CONFIG_MAX);
	assert_true(read_text(text, &config, &error) < 0);
	assert_int_equal(error.code, CNI_DECODE);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(env_of_a_pod),
		cmocka_unit_test(env_that_may_lack),
		cmocka_unit_test(env_refused),
		cmocka_unit_test(config_small),
		cmocka_unit_test(config_of_calico),
		cmocka_unit_test(config_request_of_the_runtime),
		cmocka_unit_test(config_request_of_cni_args),
		cmocka_unit_test(config_delegates),
		cmocka_unit_test(config_refused),
		cmocka_unit_test(config_too_large),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
