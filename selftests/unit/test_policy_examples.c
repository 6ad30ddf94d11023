/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The examples of manifests/examples/policy: their objects go the agent's way (decoder, state,
 * engine), and each line of their truth tables must hold in the maps and for the oracle.
 */
#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/file.h"
#include "base/inet.h"
#include "base/yaml.h"
#include "model/decode.h"
#include "policy/front.h"
#include "policy/oracle.h"
#include "selftests/lib/policy_kernel.h"
#include "state/state.h"

#define FOLDER "manifests/examples/policy/"
#define NODE "n1"
#define OBJECTS 32

struct example {
	struct engine *engine;
	struct state *state;
	struct policy_kernel *kernel;
	struct object *object[OBJECTS];
	size_t count;
	const struct pod *pod[OBJECTS]; /* by slot - 1 */
	size_t pods;
	/* What the oracle sees. */
	struct oracle_pod seen[OBJECTS];
	const struct object *policy[OBJECTS];
	const struct calico_tier *tier[OBJECTS];
	struct oracle_set set[OBJECTS];
	const struct endpoint_slice *slice[OBJECTS];
	struct oracle_world world;
};

/* --- the world ------------------------------------------------------------------------------ */

/* Namespaces come before what is in them. */
static const struct labels *namespace_labels(const struct example *example, const char *ns)
{
	for (size_t i = 0; i < example->count; i++)
		if (example->object[i]->kind == KIND_NAMESPACE &&
		    !strcmp(example->object[i]->name, ns))
			return &example->object[i]->labels;
	return NULL;
}

static void add_pod(struct example *example, const struct pod *pod)
{
	struct state_endpoint endpoint = { .slot = (uint16_t)(example->pods + 1),
					   .ns = pod->base.ns,
					   .pod = pod->base.name,
					   .ip4 = pod->ips[0] };

	example->pod[example->pods] = pod;
	example->seen[example->pods++] =
		(struct oracle_pod){ .ns = pod->base.ns,
				     .labels = &pod->base.labels,
				     .ns_labels = namespace_labels(example, pod->base.ns),
				     .ips = pod->ips,
				     .ip_count = pod->ip_count,
				     .ports = pod->ports,
				     .port_count = pod->port_count };
	state_endpoint_set(example->state, &endpoint);
}

static void add(struct example *example, struct object *object)
{
	struct oracle_world *world = &example->world;

	assert_true(example->count < OBJECTS);
	example->object[example->count++] = object;
	state_object_set(example->state, object);
	if (pod_of(object))
		add_pod(example, pod_of(object));
	else if (front_is_policy(object->kind))
		example->policy[world->policy_count++] = object;
	else if (tier_of(object))
		example->tier[world->tier_count++] = tier_of(object);
	else if (network_set_of(object))
		example->set[world->set_count++] =
			(struct oracle_set){ network_set_of(object),
					     namespace_labels(example, object->ns) };
	else if (endpoint_slice_of(object))
		example->slice[world->slice_count++] = endpoint_slice_of(object);
	else if (object->kind != KIND_NAMESPACE)
		fail_msg("%s is not expected", kind_info(object->kind)->kind);
}

static void read_file(struct example *example, const char *name, const char *file)
{
	_cleanup_free_ char *path = xasprintf(FOLDER "%s/%s", name, file), *text = NULL;
	_cleanup_docs_ struct docs *docs = NULL;
	struct err err = { 0 };
	size_t size;

	assert_int_equal(file_read(AT_FDCWD, path, DOC_BYTES_MAX, &text, &size), 0);
	if (docs_read(text, size, &docs, &err))
		fail_msg("%s: %s", path, err.text);
	for (size_t i = 0; i < docs->count; i++) {
		_cleanup_(problems_done) struct problems problems = { 0 };
		struct object *object;

		if (object_decode(docs->v[i].root, &(struct decode_options){ 0 }, &object,
				  &problems) ||
		    problems.count)
			fail_msg("%s: %s", path, problems.v[0].text);
		add(example, object);
	}
}

static void example_open(struct example *example, const char *name)
{
	*example = (struct example){ .engine = engine_new(NULL), .kernel = pk_new() };
	example->state = state_new(NODE, example->engine);
	read_file(example, name, "pods.yaml");
	read_file(example, name, "policy.yaml");
	pk_settle(example->kernel, example->engine);
	example->world.pods = example->seen;
	example->world.pod_count = example->pods;
	example->world.policies = example->policy;
	example->world.tiers = example->tier;
	example->world.sets = example->set;
	example->world.slices = example->slice;
}

static void example_close(struct example *example)
{
	state_free(example->state);
	engine_free(example->engine);
	pk_free(example->kernel);
	for (size_t i = 0; i < example->count; i++)
		object_unref(example->object[i]);
}

/* --- the table ------------------------------------------------------------------------------ */

struct verdict {
	bool allow;
	bool log;
};

/* Slot of "namespace/pod", 0 of an address. */
static uint32_t find(const struct example *example, const char *who, union mg_addr *addr)
{
	const char *slash = strchr(who, '/');

	if (!slash) {
		assert_int_equal(addr_parse(who, addr), 0);
		return 0;
	}
	for (size_t i = 0; i < example->pods; i++) {
		const struct object *pod = &example->pod[i]->base;

		if (strncmp(pod->ns, who, (size_t)(slash - who)) || pod->ns[slash - who] ||
		    strcmp(pod->name, slash + 1))
			continue;
		*addr = example->pod[i]->ips[0];
		return (uint32_t)i + 1;
	}
	fail_msg("%s is in no pods.yaml", who);
	return 0;
}

/* One end's judgement: of the maps, where the oracle must agree. */
static void judge(const struct example *example, uint32_t slot, enum policy_direction direction,
		  const struct oracle_packet *packet, struct verdict *verdict)
{
	bool in = direction == POLICY_IN;
	const struct pk_packet asked = { .peer = in ? packet->src : packet->dst,
					 .proto = packet->proto,
					 .sport = packet->sport,
					 .dport = packet->dport };
	uint32_t number = pk_judge(example->kernel, slot,
				   in ? MG_STAGE_WORKLOAD_IN : MG_STAGE_WORKLOAD_OUT, &asked);
	bool allows = pk_allows(example->kernel, number);

	assert_int_equal(allows, oracle_allows(&example->world, &example->seen[slot - 1], direction,
					       packet));
	verdict->allow &= allows;
	verdict->log |= number >= MG_VERDICT_FIRST &&
			example->kernel->verdict[number].log_rule != MG_RULE_NONE;
}

static void check_line(const struct example *example, const char *name, char *line)
{
	const char *from = strtok(line, "\t"), *to = strtok(NULL, "\t");
	const char *proto = strtok(NULL, "\t"), *port = strtok(NULL, "\t");
	const char *want = strtok(NULL, "\t\n");
	struct oracle_packet packet = { .sport = 40000 };
	struct verdict verdict = { .allow = true };
	uint32_t src, dst;

	assert_non_null(want);
	src = find(example, from, &packet.src);
	dst = find(example, to, &packet.dst);
	packet.proto = strcmp(proto, "tcp") ? IPPROTO_UDP : IPPROTO_TCP;
	packet.dport = (uint16_t)atoi(port);
	if (src)
		judge(example, src, POLICY_OUT, &packet, &verdict);
	if (dst && verdict.allow)
		judge(example, dst, POLICY_IN, &packet, &verdict);
	if (verdict.allow != !strncmp(want, "allow", 5) || verdict.log != !!strstr(want, "log"))
		fail_msg("%s: %s to %s %s %s: wanted %s", name, from, to, proto, port, want);
}

static void check(const char *name)
{
	_cleanup_free_ char *path = xasprintf(FOLDER "%s/truth.tsv", name);
	FILE *table = fopen(path, "re");
	struct example example;
	char line[256];
	int lines = 0;

	assert_non_null(table);
	example_open(&example, name);
	while (fgets(line, sizeof(line), table)) {
		if (*line == '#')
			continue;
		check_line(&example, name, line);
		lines++;
	}
	fclose(table);
	assert_true(lines >= 4);
	example_close(&example);
}

#define EXAMPLE(id, name)                                                                          \
	static void id(void **state)                                                               \
	{                                                                                          \
		(void)state;                                                                       \
		check(name);                                                                       \
	}

EXAMPLE(allow_within_namespace, "allow-within-namespace")
EXAMPLE(default_deny, "default-deny")
EXAMPLE(dns_for_all, "dns-for-all")
EXAMPLE(three_tiers, "three-tiers")
EXAMPLE(log_unmatched, "log-unmatched")
EXAMPLE(partners, "partners")
EXAMPLE(service, "service")

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(allow_within_namespace),
		cmocka_unit_test(default_deny),
		cmocka_unit_test(dns_for_all),
		cmocka_unit_test(three_tiers),
		cmocka_unit_test(log_unmatched),
		cmocka_unit_test(partners),
		cmocka_unit_test(service),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
