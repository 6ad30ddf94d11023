/* SPDX-License-Identifier: Apache-2.0 */
/* Host endpoints that follow from Nodes: what is written for which change, and that a store which
 * has what was written asks for nothing more. Expectations are Calico's documentation's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/json.h"
#include "controller/auto_host.h"
#include "model/controllers.h"
#include "model/decode.h"

/* A store of host endpoints, which takes all writes and tells them. */
struct world {
	struct auto_host *hosts;
	json_t *stored; /* by name */
	unsigned int version, writes;
};

static int setup(void **state)
{
	static struct world world;

	world = (struct world){ .hosts = auto_host_new(), .stored = json_object() };
	*state = &world;
	return 0;
}

static int teardown(void **state)
{
	struct world *world = *state;

	auto_host_free(world->hosts);
	json_decref(world->stored);
	return 0;
}

static void put_endpoint(struct world *world, const json_t *object)
{
	json_t *copy = json_deep_copy(object);

	json_object_set_new(json_object_get(copy, "metadata"), "resourceVersion",
			    json_sprintf("%u", ++world->version));
	json_object_set_new(world->stored, json_text_at(copy, "metadata.name"), copy);
	auto_host_set(world->hosts, KIND_HOST_ENDPOINT, copy);
}

static void on_emit(void *arg, enum auto_host_op op, const json_t *object)
{
	struct world *world = arg;
	const char *name = json_text_at(object, "metadata.name");
	const json_t *stored = json_object_get(world->stored, name);

	world->writes++;
	assert_int_equal(!!stored, op != AUTO_HOST_CREATE);
	if (stored)
		assert_string_equal(json_text_at(object, "metadata.resourceVersion"),
				    json_text_at(stored, "metadata.resourceVersion"));
	else
		assert_null(json_text_at(object, "metadata.resourceVersion"));
}

struct list {
	json_t *writes;
	struct world *world;
};

static void collect(void *arg, enum auto_host_op op, const json_t *object)
{
	struct list *list = arg;

	on_emit(list->world, op, object);
	json_array_append_new(list->writes, json_pack("{s:i,s:o}", "op", (int)op, "object",
						      json_deep_copy(object)));
}

/* Writes all that waits, as an API server would take it. Returns how many writes there were. */
static unsigned int settle(struct world *world)
{
	const unsigned int before = world->writes;
	const char *node;

	for (unsigned int turns = 0;; turns++) {
		struct list list = { json_array(), world };
		bool more = auto_host_next(world->hosts, collect, &list, &node);
		json_t *write;
		size_t i;

		json_array_foreach(list.writes, i, write) {
			const json_t *object = json_object_get(write, "object");
			const char *name = json_text_at(object, "metadata.name");

			if (json_integer_value(json_object_get(write, "op")) != AUTO_HOST_DELETE) {
				put_endpoint(world, object);
				continue;
			}
			auto_host_del(world->hosts, KIND_HOST_ENDPOINT, name);
			json_object_del(world->stored, name);
		}
		json_decref(list.writes);
		if (!more)
			return world->writes - before;
		assert_true(turns < 1000);
	}
}

static void config(struct world *world, const char *node)
{
	_cleanup_free_ char *text =
		xasprintf("{\"apiVersion\":\"projectcalico.org/v3\",\"kind\":"
			  "\"KubeControllersConfiguration\",\"metadata\":{\"name\":\"default\"},"
			  "\"spec\":{\"controllers\":{\"node\":%s}}}",
			  node);
	_cleanup_json_ json_t *root = json_loads(text, 0, NULL);
	const struct decode_options options = { .mode = DECODE_LENIENT };
	_cleanup_problems_ struct problems problems = { 0 };
	_cleanup_object_ struct object *object = NULL;

	assert_non_null(root);
	assert_int_equal(object_decode(root, &options, &object, &problems), 0);
	auto_host_config(world->hosts, object);
}

static void put_node(struct world *world, const char *name, const char *zone, const char *address)
{
	_cleanup_json_ json_t *node = json_pack(
		"{s:s,s:s,s:{s:s,s:{s:s,s:s},s:{s:s,s:s,s:s}},s:{s:[{s:s,s:s},{s:s,s:s},{s:s,s:s}]}"
		"}",
		"apiVersion", "v1", "kind", "Node", "metadata", "name", name, "labels",
		"kubernetes.io/hostname", name, "zone", zone, "annotations",
		"projectcalico.org/IPv4Address", address, "projectcalico.org/IPv6Address",
		"fd10::1/64", "projectcalico.org/IPv4IPIPTunnelAddr", "10.244.0.1", "status",
		"addresses", "type", "Hostname", "address", name, "type", "InternalIP", "address",
		"10.1.0.1", "type", "ExternalIP", "address", "203.0.113.1");

	assert_non_null(node);
	auto_host_set(world->hosts, KIND_NODE, node);
}

static const json_t *endpoint(struct world *world, const char *name)
{
	return json_object_get(world->stored, name);
}

static const char *label_of(const json_t *object, const char *key)
{
	return json_string_value(json_object_get(json_at(object, "metadata.labels"), key));
}

static void assert_ips(const json_t *object, const char *expected)
{
	_cleanup_free_ char *text = NULL;
	_cleanup_json_ json_t *want = json_loads(expected, 0, NULL);

	text = json_dumps(json_at(object, "spec.expectedIPs"), JSON_COMPACT);
	if (!json_equal(json_at(object, "spec.expectedIPs"), want))
		fail_msg("%s instead of %s", text, expected);
}

#define ENABLED "{\"hostEndpoint\":{\"autoCreate\":\"Enabled\"}}"

static void test_disabled_makes_none(void **state)
{
	struct world *world = *state;

	put_node(world, "n1", "a", "10.1.0.1/24");
	assert_int_equal(settle(world), 0);
	config(world, "{}");
	assert_int_equal(settle(world), 0);
	config(world, "{\"hostEndpoint\":{\"autoCreate\":\"Disabled\"}}");
	assert_int_equal(settle(world), 0);
}

static void test_one_a_node(void **state)
{
	struct world *world = *state;
	const json_t *made;

	config(world, ENABLED);
	put_node(world, "n1", "a", "10.1.0.1/24");
	put_node(world, "n2", "b", "10.1.0.2/24");
	assert_int_equal(settle(world), 2);
	made = endpoint(world, "n1-auto-hep");
	assert_non_null(made);
	assert_string_equal(json_text_at(made, "spec.node"), "n1");
	assert_string_equal(json_text_at(made, "spec.interfaceName"), "*");
	assert_string_equal(json_string_value(json_array_get(json_at(made, "spec.profiles"), 0)),
			    "projectcalico-default-allow");
	assert_ips(made, "[\"10.1.0.1\",\"fd10::1\",\"10.244.0.1\"]");
	assert_int_equal(json_object_size(json_at(made, "metadata.labels")), 3);
	assert_string_equal(label_of(made, "kubernetes.io/hostname"), "n1");
	assert_ips(endpoint(world, "n2-auto-hep"),
		   "[\"10.1.0.2\",\"fd10::1\",\"10.244.0.1\",\"10.1.0.1\"]");
	assert_int_equal(settle(world), 0);
}

static void test_follows_its_node(void **state)
{
	struct world *world = *state;

	config(world, ENABLED);
	put_node(world, "n1", "a", "10.1.0.1/24");
	settle(world);
	put_node(world, "n1", "a", "10.1.0.1/25"); /* nothing that an endpoint has */
	assert_int_equal(settle(world), 0);
	put_node(world, "n1", "b", "10.1.0.1/24");
	assert_int_equal(settle(world), 1);
	assert_string_equal(label_of(endpoint(world, "n1-auto-hep"), "zone"), "b");
	put_node(world, "n1", "b", "10.1.0.9/24");
	assert_int_equal(settle(world), 1);
	auto_host_del(world->hosts, KIND_NODE, "n1");
	assert_int_equal(settle(world), 1);
	assert_int_equal(json_object_size(world->stored), 0);
	put_node(world, "n1", "b", "10.1.0.9/24");
	assert_int_equal(settle(world), 1);
}

/* Somebody's hand on one of ours is put right; one that he made himself is his. */
static void test_hands_off(void **state)
{
	struct world *world = *state;
	_cleanup_json_ json_t *foreign =
		json_pack("{s:s,s:s,s:{s:s},s:{s:s,s:s}}", "apiVersion", "projectcalico.org/v3",
			  "kind", "HostEndpoint", "metadata", "name", "mine", "spec", "node", "n1",
			  "interfaceName", "eth0");
	json_t *changed;

	config(world, ENABLED);
	put_node(world, "n1", "a", "10.1.0.1/24");
	settle(world);
	put_endpoint(world, foreign);
	assert_int_equal(settle(world), 0);
	changed = json_deep_copy(endpoint(world, "n1-auto-hep"));
	json_object_set_new(json_object_get(changed, "spec"), "interfaceName", json_string("eth0"));
	put_endpoint(world, changed);
	assert_int_equal(settle(world), 1);
	assert_string_equal(json_text_at(endpoint(world, "n1-auto-hep"), "spec.interfaceName"),
			    "*");
	json_decref(changed);

	/* deleted: made again; switched off: ours go, his stays */
	auto_host_del(world->hosts, KIND_HOST_ENDPOINT, "n1-auto-hep");
	json_object_del(world->stored, "n1-auto-hep");
	assert_int_equal(settle(world), 1);
	auto_host_config(world->hosts, NULL);
	assert_int_equal(settle(world), 1);
	assert_int_equal(json_object_size(world->stored), 1);
	assert_non_null(endpoint(world, "mine"));
}

/* What an earlier controller left of a node that is gone. */
static void test_leftovers(void **state)
{
	struct world *world = *state;

	config(world, ENABLED);
	put_node(world, "n1", "a", "10.1.0.1/24");
	settle(world);
	auto_host_free(world->hosts);
	world->hosts = auto_host_new();
	config(world, ENABLED);
	auto_host_set(world->hosts, KIND_HOST_ENDPOINT, endpoint(world, "n1-auto-hep"));
	assert_int_equal(settle(world), 1);
	assert_int_equal(json_object_size(world->stored), 0);
}

#define TEMPLATES                                                                                  \
	"{\"hostEndpoint\":{\"autoCreate\":\"Enabled\",\"createDefaultHostEndpoint\":"             \
	"\"Disabled\",\"templates\":[{\"generateName\":\"data\",\"interfaceCIDRs\":"               \
	"[\"10.1.0.0/16\",\"fd10::/16\"],\"labels\":{\"net\":\"data\",\"zone\":\"x\"},"            \
	"\"nodeSelector\":\"zone == 'a'\"},{\"generateName\":\"none\",\"interfaceCIDRs\":"         \
	"[\"192.0.2.0/24\"]},{\"generateName\":\"by-name\",\"interfacePattern\":\"eth.*\"}]}}"

static void test_templates(void **state)
{
	struct world *world = *state;
	const json_t *made;

	config(world, TEMPLATES);
	put_node(world, "n1", "a", "10.1.0.1/24");
	put_node(world, "n2", "b", "10.1.0.2/24");
	assert_int_equal(settle(world), 1);
	made = endpoint(world, "n1-data-auto-hep");
	assert_non_null(made);
	assert_null(json_text_at(made, "spec.interfaceName"));
	assert_ips(made, "[\"10.1.0.1\",\"fd10::1\"]");
	assert_string_equal(label_of(made, "net"), "data");
	assert_string_equal(label_of(made, "zone"), "x");

	/* the node is selected no more; the other one is now */
	put_node(world, "n1", "b", "10.1.0.1/24");
	put_node(world, "n2", "a", "10.1.0.2/24");
	assert_int_equal(settle(world), 2);
	assert_null(endpoint(world, "n1-data-auto-hep"));
	assert_non_null(endpoint(world, "n2-data-auto-hep"));
	config(world, ENABLED);
	assert_int_equal(settle(world), 3);
	assert_int_equal(json_object_size(world->stored), 2);
}

/* A write that failed is asked for again, and nothing else is. */
static void test_again(void **state)
{
	struct world *world = *state;
	const char *node;

	config(world, ENABLED);
	put_node(world, "n1", "a", "10.1.0.1/24");
	assert_true(auto_host_next(world->hosts, on_emit, world, &node));
	assert_string_equal(node, "n1");
	assert_false(auto_host_next(world->hosts, on_emit, world, &node));
	auto_host_again(world->hosts, "n1");
	assert_int_equal(settle(world), 1);
}

static void test_long_names(void **state)
{
	struct world *world = *state;
	char name[250];
	const char *key;

	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = 0;
	config(world, ENABLED);
	put_node(world, name, "a", "10.1.0.1/24");
	assert_int_equal(settle(world), 1);
	key = json_object_iter_key(json_object_iter(world->stored));
	assert_int_equal(strlen(key), 64 + strlen("-auto-hep"));
	assert_int_equal(settle(world), 0);
}

static const struct kube_controllers *decoded(const char *node, struct object **ret_object,
					      struct problems *problems)
{
	const struct decode_options options = { .mode = DECODE_LENIENT };
	_cleanup_free_ char *text =
		xasprintf("{\"apiVersion\":\"projectcalico.org/v3\",\"kind\":"
			  "\"KubeControllersConfiguration\",\"metadata\":{\"name\":\"default\"},"
			  "\"spec\":{\"controllers\":{\"node\":%s}}}",
			  node);
	_cleanup_json_ json_t *root = json_loads(text, 0, NULL);

	assert_int_equal(object_decode(root, &options, ret_object, problems), 0);
	return kube_controllers_of(*ret_object);
}

static void test_configuration(void **state)
{
	_cleanup_object_ struct object *given = NULL, *absent = NULL, *bad = NULL;
	_cleanup_problems_ struct problems problems = { 0 };
	const struct kube_controllers *config;

	(void)state;
	config = decoded("{\"leakGracePeriod\":\"10m\",\"syncLabels\":\"Enabled\"}", &given,
			 &problems);
	assert_true(config->has & CONTROLLERS_HAS_LEAK_GRACE);
	assert_int_equal(config->leak_grace_ms, 600000);
	assert_false(config->auto_create);
	assert_true(config->default_endpoint);
	config = decoded("{}", &absent, &problems);
	assert_int_equal(config->has, 0);
	assert_int_equal(problems.count, 0);
	/* a template without networks is left out, the rest stands */
	config = decoded("{\"leakGracePeriod\":\"soon\",\"hostEndpoint\":{\"autoCreate\":"
			 "\"Enabled\",\"templates\":[{\"generateName\":\"x\"},{\"generateName\":"
			 "\"y\",\"interfaceCIDRs\":[\"10.0.0.0/8\"]}]}}",
			 &bad, &problems);
	assert_true(config->auto_create);
	assert_int_equal(config->has, 0);
	assert_int_equal(config->template_count, 1);
	assert_string_equal(config->templates[0].name, "y");
	assert_int_equal(problems.count, 2);
}

#define CASE(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_disabled_makes_none),
		CASE(test_one_a_node),
		CASE(test_follows_its_node),
		CASE(test_hands_off),
		CASE(test_leftovers),
		CASE(test_templates),
		CASE(test_again),
		CASE(test_long_names),
		CASE(test_configuration),
	};

	return cmocka_run_group_tests_name("auto_host", tests, NULL, NULL);
}
