/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random worlds: what the engine is told of them, what the oracle sees, changes, words.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/inet.h"
#include "model/decode.h"
#include "policy/front.h"
#include "selftests/lib/policy_random.h"

#define POOL "10.1.0.0/16"

/* --- the engine ---------------------------------------------------------------------------- */

struct facts_memory {
	struct engine_port port[PW_PORTS];
	struct engine_facts facts;
};

_Static_assert(sizeof(struct label) == sizeof(struct engine_label), "labels");

static struct engine_labels engine_labels(const struct labels *from)
{
	return (struct engine_labels){ (const struct engine_label *)from->v, from->count };
}

static void facts_of(const struct policy_world *world, const struct pw_pod *pod,
		     struct facts_memory *memory)
{
	const struct pw_namespace *ns = &world->ns[pod->ns];

	for (size_t i = 0; i < pod->port_count; i++)
		memory->port[i] = (struct engine_port){ pod->port[i].name, pod->port[i].port,
							pod->port[i].protocol };
	memory->facts = (struct engine_facts){
		.kind = ENGINE_POD,
		.namespace = ns->name,
		.labels = engine_labels(&pod->labels),
		.ports = memory->port,
		.port_count = pod->port_count,
	};
	if (ns->has_object)
		memory->facts.namespace_labels = engine_labels(&ns->labels);
	if (pod->account == PW_ACCOUNTS)
		return;
	memory->facts.service_account = pw_account_names[pod->account];
	memory->facts.service_account_labels = engine_labels(&ns->account_labels[pod->account]);
}

void pw_tell_pod(const struct policy_world *world, struct engine *engine, unsigned int i)
{
	const struct pw_pod *pod = &world->pod[i];
	struct facts_memory memory;
	struct engine_endpoint endpoint = {};

	if (pod->present)
		facts_of(world, pod, &memory);
	for (size_t k = 0; k < 2; k++) {
		if (pod->present && k < pod->ip_count)
			engine_addr_set(engine, &pod->ips[k], &memory.facts);
		else
			engine_addr_del(engine, &pod->ips[k]);
	}
	if (!pod->present || !pod->slot) {
		engine_endpoint_del(engine, i + 1);
		return;
	}
	endpoint.facts = memory.facts;
	endpoint.ip4 = pod->ips[0];
	if (pod->ip_count > 1)
		endpoint.ip6 = pod->ips[1];
	if (engine_endpoint_set(engine, pod->slot, &endpoint))
		abort();
}

static unsigned int namespace_index(const char *name)
{
	unsigned int i = 0;

	while (strcmp(pw_ns_names[i], name))
		i++;
	return i;
}

/* NULL: the namespace has no object. */
static const struct labels *namespace_labels(const struct policy_world *world, const char *name)
{
	const struct pw_namespace *ns = *name ? &world->ns[namespace_index(name)] : NULL;

	return ns && ns->has_object ? &ns->labels : NULL;
}

static void tell_set(const struct policy_world *world, struct engine *engine,
		     const struct network_set *set)
{
	_cleanup_free_ char *key = xasprintf("%s/%s", set->base.ns, set->base.name);
	const struct labels *labels = namespace_labels(world, set->base.ns);
	struct engine_facts facts = { .kind = ENGINE_NETSET,
				      .namespace = set->base.ns,
				      .labels = engine_labels(&set->base.labels) };

	if (labels)
		facts.namespace_labels = engine_labels(labels);
	engine_netset_set(engine, key, &facts, set->nets, set->net_count);
	engine_netset_domains(engine, key, &facts, set->domains, set->domain_count);
}

static void tell_member(const struct slice_endpoint *endpoint, const struct slice_port *port,
			void (*each)(void *arg, const struct engine_member *member), void *arg)
{
	struct engine_member member = { .addr = endpoint->addrs[0] };

	if (port) {
		member.port = port->port;
		member.proto = port->protocol;
	}
	each(arg, &member);
}

/* Members of every slice of one service. */
static void service_members(void *ctx, const char *name,
			    void (*each)(void *arg, const struct engine_member *member), void *arg)
{
	const struct policy_world *world = ctx;

	for (unsigned int i = PW_FIRST_SLICE; i < PW_FIRST_POLICY; i++) {
		const struct endpoint_slice *slice = endpoint_slice_of(world->object[i].object);
		_cleanup_free_ char *key =
			slice ? xasprintf("%s/%s", slice->base.ns, slice->service) : NULL;

		if (!slice || strcmp(key, name))
			continue;
		for (size_t k = 0; k < slice->endpoint_count; k++) {
			for (size_t p = 0; p < slice->port_count; p++)
				tell_member(&slice->endpoints[k], &slice->ports[p], each, arg);
			if (!slice->port_count)
				tell_member(&slice->endpoints[k], NULL, each, arg);
		}
	}
}

static void tell_service(struct engine *engine, const char *ns, const char *name)
{
	_cleanup_free_ char *key = xasprintf("%s/%s", ns, name);

	engine_service_changed(engine, key);
}

void pw_tell_object(const struct policy_world *world, struct engine *engine, unsigned int place)
{
	const struct object *object = world->object[place].object;
	const struct calico_tier *tier = tier_of(object);

	if (object && front_is_policy(object->kind))
		front_set(engine, object);
	else if (tier)
		engine_tier_set(engine, object->name, tier->order,
				tier->end_pass ? RULE_PASS : RULE_DENY);
	else if (network_set_of(object))
		tell_set(world, engine, network_set_of(object));
	else if (endpoint_slice_of(object))
		tell_service(engine, object->ns, endpoint_slice_of(object)->service);
}

void pw_tell(const struct policy_world *world, struct engine *engine)
{
	const struct engine_services services = { service_members, (void *)world };
	struct mg_prefix pool;

	if (prefix_parse(POOL, false, &pool))
		abort();
	engine_services_from(engine, &services);
	engine_net_set(engine, &pool, ENGINE_NET_UNKNOWN);
	for (unsigned int i = 0; i < PW_PODS; i++)
		if (world->pod[i].present)
			pw_tell_pod(world, engine, i);
	for (unsigned int i = 0; i < PW_NAMES; i++)
		pw_tell_name(world, engine, i);
	for (unsigned int i = 0; i < PW_OBJECTS; i++)
		pw_tell_object(world, engine, i);
}

/* --- changes ------------------------------------------------------------------------------- */

static void tell_gone(struct engine *engine, const struct object *object)
{
	_cleanup_free_ char *key = xasprintf("%s/%s", object->ns, object->name);

	if (front_is_policy(object->kind))
		front_del(engine, object->kind, object->ns, object->name);
	else if (tier_of(object))
		engine_tier_del(engine, object->name);
	else if (network_set_of(object))
		engine_netset_del(engine, key);
	else
		tell_service(engine, object->ns, endpoint_slice_of(object)->service);
}

static void change_object(struct policy_world *world, struct engine *engine)
{
	unsigned int place = pw_random(world, PW_OBJECTS);
	struct object *former = world->object[place].object;
	json_t *tree = former && pw_random(world, 2) ? NULL : pw_random_object(world, place);

	if (former)
		object_ref(former);
	pw_object_set(world, place, tree);
	/* Another kind or service may be at this place now. */
	if (engine && former)
		tell_gone(engine, former);
	if (engine)
		pw_tell_object(world, engine, place);
	object_unref(former);
}

static void change_pod(struct policy_world *world, struct engine *engine)
{
	struct policy_world *other = malloc(sizeof(*other));
	unsigned int i = pw_random(world, PW_PODS);
	struct pw_pod *pod = &world->pod[i];

	if (!other)
		abort();
	/* A pod of another random world takes its place, or only its labels. */
	pw_init(other, world->random);
	if (pod->present && pw_random(world, 4) == 0) {
		pod->present = false;
	} else if (pod->present && pw_random(world, 2)) {
		memcpy(pod->label, other->pod[i].label, sizeof(pod->label));
		pod->labels.count = other->pod[i].labels.count;
		pod->labels.v = pod->label;
	} else if (other->pod[i].present) {
		*pod = other->pod[i];
		pod->labels.v = pod->label;
	}
	pw_done(other);
	free(other);
	if (engine)
		pw_tell_pod(world, engine, i);
}

static void change_namespace(struct policy_world *world, struct engine *engine)
{
	struct policy_world *other = malloc(sizeof(*other));
	unsigned int i = pw_random(world, PW_NAMESPACES);

	if (!other)
		abort();
	pw_init(other, world->random);
	world->ns[i] = other->ns[i];
	world->ns[i].labels.v = world->ns[i].label;
	for (unsigned int k = 0; k < PW_ACCOUNTS; k++)
		world->ns[i].account_labels[k].v = world->ns[i].account_label[k];
	pw_done(other);
	free(other);
	for (unsigned int k = 0; engine && k < PW_PODS; k++)
		if (world->pod[k].present && world->pod[k].ns == i)
			pw_tell_pod(world, engine, k);
	for (unsigned int k = PW_FIRST_SET; engine && k < PW_FIRST_SLICE; k++)
		pw_tell_object(world, engine, k);
}

void pw_change(struct policy_world *world, struct engine *engine)
{
	switch (pw_random(world, 6)) {
	case 0:
		change_namespace(world, engine);
		break;
	case 1:
	case 2:
		change_pod(world, engine);
		break;
	case 5:
		pw_change_name(world, engine);
		break;
	case 3:
	case 4:
		change_object(world, engine);
		break;
	}
}

/* --- the oracle ---------------------------------------------------------------------------- */

static void view_pods(const struct policy_world *world, struct pw_view *view)
{
	for (unsigned int i = 0; i < PW_PODS; i++) {
		const struct pw_pod *pod = &world->pod[i];
		const struct pw_namespace *ns = &world->ns[pod->ns];
		bool account = pod->account != PW_ACCOUNTS;

		if (!pod->present)
			continue;
		view->index[view->oracle.pod_count] = i;
		view->pod[view->oracle.pod_count++] = (struct oracle_pod){
			.ns = ns->name,
			.labels = &pod->labels,
			.ns_labels = ns->has_object ? &ns->labels : NULL,
			.account = account ? pw_account_names[pod->account] : NULL,
			.account_labels = account ? &ns->account_labels[pod->account] : NULL,
			.ips = pod->ips,
			.ip_count = pod->ip_count,
			.ports = pod->port,
			.port_count = pod->port_count,
		};
	}
}

static void view_object(const struct policy_world *world, struct pw_view *view,
			const struct object *object)
{
	struct oracle_world *oracle = &view->oracle;

	if (front_is_policy(object->kind))
		view->policy[oracle->policy_count++] = object;
	else if (tier_of(object))
		view->tier[oracle->tier_count++] = tier_of(object);
	else if (network_set_of(object))
		view->set[oracle->set_count++] =
			(struct oracle_set){ network_set_of(object),
					     namespace_labels(world, object->ns) };
	else
		view->slice[oracle->slice_count++] = endpoint_slice_of(object);
}

void pw_view(const struct policy_world *world, struct pw_view *view)
{
	*view = (struct pw_view){ .oracle = { .pods = view->pod,
					      .policies = view->policy,
					      .tiers = view->tier,
					      .sets = view->set,
					      .slices = view->slice,
					      .pools = &view->pool,
					      .pool_count = 1 } };
	if (prefix_parse(POOL, false, &view->pool))
		abort();
	view_pods(world, view);
	pw_view_names(world, view);
	for (unsigned int i = 0; i < PW_OBJECTS; i++)
		if (world->object[i].object)
			view_object(world, view, world->object[i].object);
}

/* --- shrinking ------------------------------------------------------------------------------ */

typedef bool (*fails_fn)(struct policy_world *world, const struct pw_case *c);

/* The object at place without a part of it: what came from gone is no part any more. */
static bool can_do_with(struct policy_world *world, unsigned int place, const json_t *tree,
			fails_fn fails, const struct pw_case *c)
{
	_cleanup_problems_ struct problems problems = { 0 };
	json_t *former = json_deep_copy(world->object[place].tree);
	json_t *less = tree ? json_deep_copy(tree) : NULL;

	if (!pw_object_try(world, place, less, &problems)) {
		json_decref(former);
		json_decref(less);
		return false;
	}
	if (fails(world, c)) {
		json_decref(former);
		return true;
	}
	pw_object_set(world, place, former);
	return false;
}

/* Tries the tree without each element of each list and each optional member below node. */
static void shrink_below(struct policy_world *world, unsigned int place, json_t *tree, json_t *node,
			 fails_fn fails, const struct pw_case *c)
{
	static const char *const optional[] = {
		"source",      "destination", "selector", "notSelector",     "nets",
		"notNets",     "ports",	      "notPorts", "serviceAccounts", "protocol",
		"notProtocol", "icmp",	      "notICMP",  "ipVersion",	     "namespaceSelector",
		"order",       "ingress",     "egress",	  "domains",	     "allowedEgressDomains"
	};
	const char *key;
	json_t *kid;
	void *next;

	for (size_t i = 0; json_is_array(node) && i < json_array_size(node);) {
		kid = json_incref(json_array_get(node, i));
		json_array_remove(node, i);
		if (!can_do_with(world, place, tree, fails, c)) {
			json_array_insert(node, i, kid);
			shrink_below(world, place, tree, kid, fails, c);
			i++;
		}
		json_decref(kid);
	}
	for (size_t i = 0; json_is_object(node) && i < sizeof(optional) / sizeof(optional[0]);
	     i++) {
		kid = json_incref(json_object_get(node, optional[i]));
		json_object_del(node, optional[i]);
		if (kid && !can_do_with(world, place, tree, fails, c))
			json_object_set(node, optional[i], kid);
		json_decref(kid);
	}
	if (!json_is_object(node))
		return;
	json_object_foreach_safe(node, next, key, kid)
		shrink_below(world, place, tree, kid, fails, c);
}

void pw_shrink(struct policy_world *world, fails_fn fails, const struct pw_case *c)
{
	for (unsigned int i = PW_OBJECTS; i-- > 0;)
		if (world->object[i].tree)
			can_do_with(world, i, NULL, fails, c);
	for (unsigned int i = 0; i < PW_OBJECTS; i++) {
		json_t *tree = json_deep_copy(world->object[i].tree);

		if (tree)
			shrink_below(world, i, tree, json_object_get(tree, "spec"), fails, c);
		json_decref(tree);
	}
}

/* --- words --------------------------------------------------------------------------------- */

static void print_labels(const struct labels *labels)
{
	for (size_t i = 0; i < labels->count; i++)
		printf(" %s=%s", labels->v[i].key, labels->v[i].value);
}

static void print_namespace(const struct pw_namespace *ns)
{
	printf("# namespace %s%s:", ns->name, ns->has_object ? "" : " (no object)");
	print_labels(&ns->labels);
	for (unsigned int i = 0; i < PW_ACCOUNTS; i++) {
		printf(" account %s:", pw_account_names[i]);
		print_labels(&ns->account_labels[i]);
	}
	printf("\n");
}

static void print_pod(const struct policy_world *world, const struct pw_pod *pod)
{
	char text[ADDR_TEXT_MAX];

	if (!pod->present)
		return;
	printf("# pod %s %zu slot %u %s", addr_format(&pod->ips[0], text), pod->ip_count, pod->slot,
	       world->ns[pod->ns].name);
	printf(" account %s:", pod->account == PW_ACCOUNTS ? "-" : pw_account_names[pod->account]);
	print_labels(&pod->labels);
	for (size_t k = 0; k < pod->port_count; k++)
		printf(" %s=%u/%u", pod->port[k].name, pod->port[k].protocol, pod->port[k].port);
	printf("\n");
}

void pw_print(const struct policy_world *world)
{
	for (unsigned int i = 0; i < PW_NAMESPACES; i++)
		print_namespace(&world->ns[i]);
	for (unsigned int i = 0; i < PW_PODS; i++)
		print_pod(world, &world->pod[i]);
	pw_print_names(world);
	for (unsigned int i = 0; i < PW_OBJECTS; i++) {
		char *text = json_dumps(world->object[i].tree, 0);

		if (text)
			printf("# %s\n", text);
		free(text);
	}
}

void pw_case_print(const struct policy_world *world, const struct pw_view *view,
		   const struct pw_case *c)
{
	char src[ADDR_TEXT_MAX], dst[ADDR_TEXT_MAX];

	pw_print(world);
	printf("# packet %s -> %s proto %u ports %u %u icmp %u/%u, judged %s slot %u\n",
	       addr_format(&c->packet.src, src), addr_format(&c->packet.dst, dst), c->packet.proto,
	       c->packet.sport, c->packet.dport, c->packet.icmp_type, c->packet.icmp_code,
	       c->direction == POLICY_IN ? "into" : "out of", world->pod[view->index[c->pod]].slot);
}
