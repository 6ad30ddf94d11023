/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random objects: tiers, network sets, EndpointSlices and policies, as JSON that decodes.
 */
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/inet.h"
#include "model/decode.h"
#include "selftests/lib/policy_random.h"

static const char *const blocks4[] = { "10.0.0.0/8",  "10.1.0.0/16",  "10.1.0.0/24",
				       "10.1.0.8/29", "192.0.2.0/24", "192.0.2.128/25",
				       "10.1.0.3/32", "0.0.0.0/0" };
static const char *const blocks6[] = { "fd00::/8", "fd00:1::/64", "fd00:1::8/125", "::/0" };
const char *const pw_tier_names[PW_TIERS] = { "first", "second", "third", "fourth" };
const char *const pw_services[2] = { "api", "store" };

#define chance pw_chance
#define pick pw_pick

json_t *pw_text(const char *value)
{
	return json_string(value);
}

json_t *pw_random_block(struct policy_world *world, int family)
{
	return pw_text(family == 4 ? pick(world, blocks4) : pick(world, blocks6));
}

/* --- selectors ----------------------------------------------------------------------------- */

/* One test, as Calico writes it. */
static void put_test(struct policy_world *world, FILE *out)
{
	const char *key = pick(world, pw_keys), *value = pick(world, pw_words);

	switch (pw_random(world, 9)) {
	case 0:
	case 1:
		fprintf(out, "%s == '%s'", key, value);
		break;
	case 2:
		fprintf(out, "%s != '%s'", key, value);
		break;
	case 3:
		fprintf(out, "has(%s)", key);
		break;
	case 4:
		fprintf(out, "!has(%s)", key);
		break;
	case 5:
		fprintf(out, "%s in {'%s', '%s'}", key, value, pick(world, pw_words));
		break;
	case 6:
		fprintf(out, "%s not in {'%s', '%s'}", key, value, pick(world, pw_words));
		break;
	case 7:
		fprintf(out, "%s starts with '%c'", key, *value);
		break;
	case 8:
		fprintf(out, "all()");
		break;
	}
}

json_t *pw_random_selector(struct policy_world *world)
{
	char *all = NULL;
	size_t size;
	FILE *out = open_memstream(&all, &size);
	json_t *selector;

	if (chance(world, 8))
		fprintf(out, "projectcalico.org/namespace == '%s' && ", pick(world, pw_ns_names));
	put_test(world, out);
	if (chance(world, 35)) {
		fputs(chance(world, 60) ? " && " : " || ", out);
		put_test(world, out);
	}
	fclose(out);
	selector = pw_text(all);
	free(all);
	return selector;
}

/* Kubernetes' LabelSelector. */
json_t *pw_label_selector(struct policy_world *world)
{
	static const char *const operators[] = { "In", "NotIn", "Exists", "DoesNotExist" };
	json_t *list = json_array();

	for (unsigned int n = pw_random(world, 3); n; n--) {
		unsigned int op = pw_random(world, 4);
		json_t *one = json_pack("{s:s,s:s}", "key", pick(world, pw_keys), "operator",
					operators[op]);

		if (op < 2)
			json_object_set_new(one, "values", json_pack("[s]", pick(world, pw_words)));
		json_array_append_new(list, one);
	}
	return json_pack("{s:o}", "matchExpressions", list);
}

json_t *pw_random_types(struct policy_world *world)
{
	switch (pw_random(world, 3)) {
	case 0:
		return json_pack("[s]", "Ingress");
	case 1:
		return json_pack("[s]", "Egress");
	}
	return json_pack("[s,s]", "Ingress", "Egress");
}

/* --- objects --------------------------------------------------------------------------------- */

static json_t *object_of(const char *api, const char *kind, json_t *metadata, json_t *spec)
{
	return json_pack("{s:s,s:s,s:o,s:o}", "apiVersion", api, "kind", kind, "metadata", metadata,
			 "spec", spec);
}

#define V3 "projectcalico.org/v3"

static json_t *staged(struct policy_world *world, json_t *spec)
{
	static const char *const actions[] = { "Set", "Set", "Set", "Learn", "Ignore" };

	if (!chance(world, 25)) {
		json_object_set_new(spec, "stagedAction", pw_text(pick(world, actions)));
		return spec;
	}
	json_decref(spec);
	return json_pack("{s:s}", "stagedAction", "Delete");
}

static json_t *random_cluster_policy(struct policy_world *world, unsigned int i)
{
	_cleanup_free_ char *name = xasprintf("p%u", i);
	bool old = chance(world, 40);

	return object_of(old ? "policy.networking.k8s.io/v1alpha1"
			     : "policy.networking.k8s.io/v1alpha2",
			 old ? "AdminNetworkPolicy" : "ClusterNetworkPolicy",
			 json_pack("{s:s}", "name", name), pw_cnp_spec(world, old));
}

/* Two places share a name, in different namespaces: ties go by all of name, namespace, kind. A
 * staged policy may stand in for the one of the place before or behind. */
static json_t *random_policy(struct policy_world *world, unsigned int i)
{
	const char *ns = pw_ns_names[i / 2 % PW_NAMESPACES];
	bool stages = i % 2 && chance(world, 60), global = pw_random(world, 3) == 0;
	_cleanup_free_ char *name =
		i % 2 && !stages ? xasprintf("q%u", i) : xasprintf("p%u", i / (global ? 2 : 4));
	bool knp = !global && chance(world, 50);
	const char *kind = global ? "GlobalNetworkPolicy" : "NetworkPolicy";
	json_t *spec, *metadata = json_pack("{s:s}", "name", name);

	if (!global)
		json_object_set_new(metadata, "namespace", pw_text(ns));
	spec = knp ? pw_knp_spec(world) : pw_calico_spec(world, global);
	if (stages && knp)
		kind = "StagedKubernetesNetworkPolicy";
	else if (stages)
		kind = global ? "StagedGlobalNetworkPolicy" : "StagedNetworkPolicy";
	if (stages)
		spec = staged(world, spec);
	return object_of(knp && !stages ? "networking.k8s.io/v1" : V3, kind, metadata, spec);
}

static json_t *random_set(struct policy_world *world, unsigned int i)
{
	_cleanup_free_ char *name = xasprintf("set%u", i);
	json_t *labels = json_object(), *nets = json_array();
	json_t *metadata = json_pack("{s:s,s:o}", "name", name, "labels", labels);
	bool global = i % 2;

	for (unsigned int k = 0; k < 4; k++)
		if (chance(world, 40))
			json_object_set_new(labels, pw_keys[k], pw_text(pick(world, pw_words)));
	for (unsigned int n = pw_random(world, 4); n; n--)
		json_array_append_new(nets, pw_random_block(world, chance(world, 70) ? 4 : 6));
	json_t *spec = json_pack("{s:o}", "nets", nets);

	if (chance(world, 40))
		json_object_set_new(spec, "allowedEgressDomains", pw_random_domains(world));
	if (!global)
		json_object_set_new(metadata, "namespace", pw_text(pw_ns_names[i % PW_NAMESPACES]));
	return object_of(V3, global ? "GlobalNetworkSet" : "NetworkSet", metadata, spec);
}

static json_t *random_tier_object(struct policy_world *world, unsigned int i)
{
	json_t *spec = json_pack("{s:s}", "defaultAction", chance(world, 50) ? "Pass" : "Deny");
	static const double orders[] = { 5, 500, 1000, 1000000, 20000000 };

	if (chance(world, 85))
		json_object_set_new(spec, "order", json_real(pick(world, orders)));
	return object_of(V3, "Tier", json_pack("{s:s}", "name", pw_tier_names[i]), spec);
}

static json_t *random_slice(struct policy_world *world, unsigned int i)
{
	static const int numbers[] = { 53, 80, 8080 };
	static const char *const names[] = { "TCP", "UDP", "SCTP" };
	_cleanup_free_ char *name = xasprintf("slice%u", i);
	json_t *endpoints = json_array(), *ports = json_array();
	bool is6 = chance(world, 25);

	for (unsigned int n = pw_random(world, 5); n; n--) {
		unsigned int pod = 1 + pw_random(world, PW_PODS);
		_cleanup_free_ char *addr =
			is6 ? xasprintf("fd00:1::%x", pod) : xasprintf("10.1.0.%u", pod);

		if (chance(world, 20) && !is6)
			json_array_append_new(endpoints,
					      json_pack("{s:[s]}", "addresses", "192.0.2.5"));
		else
			json_array_append_new(endpoints, json_pack("{s:[s]}", "addresses", addr));
	}
	for (unsigned int n = pw_random(world, 3); n; n--) {
		json_t *port = json_pack("{s:s,s:s}", "name", n > 1 ? "more" : "", "protocol",
					 pick(world, names));

		if (chance(world, 80))
			json_object_set_new(port, "port", json_integer(pick(world, numbers)));
		json_array_append_new(ports, port);
	}
	return json_pack("{s:s,s:s,s:{s:s,s:s,s:{s:s}},s:s,s:o,s:o}", "apiVersion",
			 "discovery.k8s.io/v1", "kind", "EndpointSlice", "metadata", "name", name,
			 "namespace", pw_ns_names[pw_random(world, 2)], "labels",
			 "kubernetes.io/service-name", pick(world, pw_services), "addressType",
			 is6 ? "IPv6" : "IPv4", "endpoints", endpoints, "ports", ports);
}

json_t *pw_random_object(struct policy_world *world, unsigned int place)
{
	if (place >= PW_FIRST_POLICY)
		return chance(world, 20) ? random_cluster_policy(world, place)
					 : random_policy(world, place - PW_FIRST_POLICY);
	if (place >= PW_FIRST_SLICE)
		return random_slice(world, place - PW_FIRST_SLICE);
	if (place >= PW_FIRST_SET)
		return random_set(world, place - PW_FIRST_SET);
	return random_tier_object(world, place);
}

bool pw_object_try(struct policy_world *world, unsigned int place, json_t *tree,
		   struct problems *problems)
{
	const struct decode_options options = { .mode = DECODE_STRICT };
	struct pw_object *slot = &world->object[place];
	struct object *object = NULL;

	if (tree && object_decode(tree, &options, &object, problems))
		return false;
	object_unref(slot->object);
	json_decref(slot->tree);
	*slot = (struct pw_object){ tree, object };
	return true;
}

void pw_object_set(struct policy_world *world, unsigned int place, json_t *tree)
{
	_cleanup_problems_ struct problems problems = { 0 };

	if (pw_object_try(world, place, tree, &problems))
		return;
	json_dumpf(tree, stdout, JSON_INDENT(1));
	fail_msg("%s: %s", problems.v[0].path, problems.v[0].text);
}
