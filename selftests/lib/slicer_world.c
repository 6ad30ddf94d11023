/* SPDX-License-Identifier: Apache-2.0 */
#include "selftests/lib/slicer_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/json.h"
#include "model/decode.h"

unsigned int dice(struct world *world, unsigned int sides)
{
	world->random ^= world->random << 13;
	world->random ^= world->random >> 7;
	world->random ^= world->random << 17;
	return (unsigned int)(world->random % sides);
}

void world_tell(struct world *world, json_t *root)
{
	const struct decode_options options = { .mode = DECODE_LENIENT };
	_cleanup_problems_ struct problems problems = { 0 };
	_cleanup_object_ struct object *object = NULL;

	assert_non_null(root);
	if (object_decode(root, &options, &object, &problems))
		fail_msg("%s: %s", problems.v[0].path, problems.v[0].text);
	json_decref(root);
	slicer_set(world->slices, object);
}

/* --- objects -------------------------------------------------------------------------------- */

static json_t *labels_json(unsigned int app, unsigned int layer)
{
	json_t *labels = json_object();

	if (app)
		json_object_set_new(labels, "app", json_sprintf("a%u", app));
	if (layer)
		json_object_set_new(labels, "layer", json_sprintf("l%u", layer));
	return labels;
}

json_t *pod_json(const struct pod_fact *pod, unsigned int i)
{
	json_t *ips = json_array(), *conditions = json_array(), *ports = json_array();
	json_t *metadata = json_pack("{s:o,s:s,s:o}", "name", json_sprintf("p%u", i), "uid", "u",
				     "labels", labels_json(pod->app, pod->layer));

	if (pod->v4)
		json_array_append_new(ips, json_pack("{s:o}", "ip", json_sprintf("10.0.0.%u", i)));
	if (pod->v6)
		json_array_append_new(ips, json_pack("{s:o}", "ip", json_sprintf("fd00::%x", i)));
	if (pod->judged)
		json_array_append_new(conditions, json_pack("{s:s,s:s}", "type", "Ready", "status",
							    pod->judged == 1 ? "True" : "False"));
	if (pod->web)
		json_array_append_new(ports, json_pack("{s:s,s:i}", "name", "web", "containerPort",
						       (int)pod->web));
	if (pod->deleting)
		json_object_set_new(metadata, "deletionTimestamp",
				    json_string("2026-01-01T00:00:00Z"));
	return json_pack("{s:s,s:s,s:o,s:{s:o,s:[{s:o}]},s:{s:s,s:o,s:o}}", "apiVersion", "v1",
			 "kind", "Pod", "metadata", metadata, "spec", "nodeName",
			 json_sprintf("n%u", pod->node), "containers", "ports", ports, "status",
			 "phase", pod->done ? "Succeeded" : "Running", "podIPs", ips, "conditions",
			 conditions);
}

json_t *attachment_json(const struct pod_fact *pod, unsigned int i)
{
	json_t *nets = json_array();

	if (pod->v4)
		json_array_append_new(nets, json_sprintf("10.0.0.%u/32", i));
	if (pod->v6)
		json_array_append_new(nets, json_sprintf("fd00::%x/128", i));
	return json_pack("{s:s,s:s,s:{s:o,s:o},s:{s:s,s:o,s:s,s:o,s:s,s:o}}", "apiVersion",
			 "projectcalico.org/v3", "kind", "WorkloadEndpoint", "metadata", "name",
			 json_sprintf("n-k8s-p%u-eth0", i), "labels",
			 labels_json(pod->app, pod->layer), "spec", "orchestrator", "k8s", "node",
			 json_sprintf("n%u", pod->node), "endpoint", "eth0", "pod",
			 json_sprintf("p%u", i), "interfaceName", "cali0", "ipNetworks", nets);
}

json_t *service_json(const struct service_fact *service, unsigned int i)
{
	static const char *const near[] = { "", "PreferClose", "PreferSameNode" };
	json_t *families = json_array(), *ports = json_array(), *spec;

	if (service->families & 1)
		json_array_append_new(families, json_string("IPv4"));
	if (service->families & 2)
		json_array_append_new(families, json_string("IPv6"));
	for (unsigned int k = 0; k < service->ports; k++)
		json_array_append_new(ports,
				      json_pack("{s:o,s:i,s:i,s:s}", "name", json_sprintf("q%u", k),
						"port", (int)(80 + k), "targetPort",
						(int)(8080 + k), "protocol",
						k % 3 == 0   ? "TCP"
						: k % 3 == 1 ? "UDP"
							     : "SCTP"));
	if (service->named)
		json_object_set_new(json_array_get(ports, 0), "targetPort", json_string("web"));
	spec = json_pack("{s:o,s:o,s:o,s:b}", "ipFamilies", families, "ports", ports, "selector",
			 labels_json(service->app, service->layer), "publishNotReadyAddresses",
			 service->publish);
	if (service->headless)
		json_object_set_new(spec, "clusterIP", json_string("None"));
	if (service->near)
		json_object_set_new(spec, "trafficDistribution", json_string(near[service->near]));
	return json_pack("{s:s,s:s,s:{s:o,s:s,s:{s:s}},s:o}", "apiVersion", "v1", "kind", "Service",
			 "metadata", "name", json_sprintf("s%u", i), "uid", "su", "labels", "team",
			 "x", "spec", spec);
}

json_t *node_json(const struct world *world, unsigned int i)
{
	json_t *labels = json_object();

	if (world->zoned[i])
		json_object_set_new(labels, "topology.kubernetes.io/zone", json_sprintf("z%u", i));
	return json_pack("{s:s,s:s,s:{s:o,s:o}}", "apiVersion", "v1", "kind", "Node", "metadata",
			 "name", json_sprintf("n%u", i), "labels", labels);
}

/* --- a store that takes the writes ---------------------------------------------------------- */

struct writes {
	struct world *world;
	json_t *list; /* [[op, object] ...] */
};

static void collect(void *arg, enum slicer_op op, json_t *object)
{
	struct writes *writes = arg;

	json_array_append_new(writes->list, json_pack("[i,o]", (int)op, object));
}

static void apply(struct world *world, enum slicer_op op, const json_t *object)
{
	const char *name = json_text_at(object, "metadata.name");
	const char *expect = json_text_or(object, "metadata.resourceVersion", "");
	const json_t *former = json_object_get(world->store, name);
	json_t *copy;

	assert_int_equal(!former, op == SLICER_CREATE);
	assert_string_equal(expect, former ? json_text_at(former, "metadata.resourceVersion") : "");
	world->writes++;
	if (op == SLICER_DELETE) {
		slicer_del(world->slices, KIND_ENDPOINT_SLICE, "default", name);
		json_object_del(world->store, name);
		return;
	}
	copy = json_deep_copy(object);
	json_object_set_new(json_object_get(copy, "metadata"), "resourceVersion",
			    json_sprintf("%lu", ++world->version));
	json_object_set_new(world->store, name, copy);
	world_tell(world, json_incref(copy));
}

void world_settle(struct world *world)
{
	struct writes writes = { .world = world };
	const char *service;

	world->writes = 0;
	for (writes.list = json_array();
	     slicer_next(world->slices, 1000, collect, &writes, &service);
	     json_array_clear(writes.list)) {
		const bool fails = json_array_size(writes.list) && world->fail_every &&
				   !dice(world, world->fail_every);
		_cleanup_free_ char *name = xstrdup(service);
		json_t *write;
		size_t i;

		if (fails)
			slicer_again(world->slices, name);
		else
			json_array_foreach(writes.list, i, write)
				apply(world,
				      (enum slicer_op)json_integer_value(json_array_get(write, 0)),
				      json_array_get(write, 1));
	}
	json_decref(writes.list);
}

void world_init(struct world *world, unsigned long long seed)
{
	*world = (struct world){ .slices = slicer_new(),
				 .store = json_object(),
				 .random = seed * 2654435761ULL + 88172645463325252ULL };
}

void world_done(struct world *world)
{
	slicer_free(world->slices);
	json_decref(world->store);
}
