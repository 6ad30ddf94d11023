/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random worlds: what the engine is told of them, what the oracle sees, packets, words.
 */
#include <inttypes.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "base/inet.h"
#include "selftests/lib/policy_world.h"
#include "policy/knp.h"

/* --- the engine ---------------------------------------------------------------------------- */

struct facts_memory {
	struct engine_label own[PW_LABELS];
	struct engine_label ns[PW_LABELS];
	struct engine_port port[PW_PORTS];
	struct engine_facts facts;
};

static struct engine_labels copy_labels(const struct labels *from, struct engine_label *to)
{
	for (size_t i = 0; i < from->count; i++)
		to[i] = (struct engine_label){ from->v[i].key, from->v[i].value };
	return (struct engine_labels){ to, from->count };
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
		.labels = copy_labels(&pod->labels, memory->own),
		.ports = memory->port,
		.port_count = pod->port_count,
	};
	if (ns->has_object)
		memory->facts.namespace_labels = copy_labels(&ns->labels, memory->ns);
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

void pw_tell_policy(const struct policy_world *world, struct engine *engine, unsigned int policy)
{
	engine_policy_set(engine, knp_policy(world->policy[policy]));
}

void pw_tell(const struct policy_world *world, struct engine *engine)
{
	struct mg_prefix pool;

	if (prefix_parse("10.1.0.0/16", false, &pool))
		abort();
	engine_net_set(engine, &pool, ENGINE_NET_UNKNOWN);
	for (unsigned int i = 0; i < PW_PODS; i++)
		if (world->pod[i].present)
			pw_tell_pod(world, engine, i);
	for (unsigned int i = 0; i < PW_POLICIES; i++)
		if (world->policy[i])
			engine_policy_set(engine, knp_policy(world->policy[i]));
}

/* --- changes ------------------------------------------------------------------------------- */

static void change_policy(struct policy_world *world, struct engine *engine)
{
	unsigned int i = pw_random(world, PW_POLICIES);

	if (world->policy[i] && pw_random(world, 2)) {
		if (engine)
			engine_policy_del(engine, KNP_GROUP, KNP_KIND, world->policy[i]->base.ns,
					  world->policy[i]->base.name);
		pw_policy_drop(world, i);
		return;
	}
	pw_policy_new(world, i);
	if (engine)
		engine_policy_set(engine, knp_policy(world->policy[i]));
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
	pw_done(other);
	free(other);
	for (unsigned int k = 0; engine && k < PW_PODS; k++)
		if (world->pod[k].present && world->pod[k].ns == i)
			pw_tell_pod(world, engine, k);
}

void pw_change(struct policy_world *world, struct engine *engine)
{
	switch (pw_random(world, 5)) {
	case 0:
		change_namespace(world, engine);
		break;
	case 1:
	case 2:
		change_pod(world, engine);
		break;
	case 3:
	case 4:
		change_policy(world, engine);
		break;
	}
}

/* --- the oracle ---------------------------------------------------------------------------- */

void pw_view(const struct policy_world *world, struct pw_view *view)
{
	*view = (struct pw_view){ .oracle = { .pods = view->pod, .policies = view->policy } };
	for (unsigned int i = 0; i < PW_PODS; i++) {
		const struct pw_pod *pod = &world->pod[i];
		const struct pw_namespace *ns = &world->ns[pod->ns];

		if (!pod->present)
			continue;
		view->index[view->oracle.pod_count] = i;
		view->pod[view->oracle.pod_count++] = (struct oracle_pod){
			.ns = ns->name,
			.labels = &pod->labels,
			.ns_labels = ns->has_object ? &ns->labels : NULL,
			.ips = pod->ips,
			.ip_count = pod->ip_count,
			.ports = pod->port,
			.port_count = pod->port_count,
		};
	}
	for (unsigned int i = 0; i < PW_POLICIES; i++)
		if (world->policy[i])
			view->policy[view->oracle.policy_count++] = world->policy[i];
}

static union mg_addr random_addr(struct policy_world *world, bool ip4)
{
	static const char *const four[] = { "10.1.0.9",	 "10.1.0.77", "10.1.9.9",    "10.9.9.9",
					    "192.0.2.5", "8.8.8.8",   "192.0.2.200", "10.1.0.15" };
	static const char *const six[] = { "fd00:1::9:9", "fd00:2::1", "2001:db8::1" };
	uint32_t i = pw_random(world, 24);
	union mg_addr addr;

	if (addr_parse(ip4 ? four[i % 8] : six[i % 3], &addr))
		abort();
	return addr;
}

bool pw_case(struct policy_world *world, const struct pw_view *view, struct pw_case *ret_case)
{
	static const uint8_t protos[] = { IPPROTO_TCP,	IPPROTO_TCP,  IPPROTO_UDP,
					  IPPROTO_SCTP, IPPROTO_ICMP, 47 };
	static const uint16_t ports[] = { 1, 2, 52, 53, 54, 80, 81, 255, 256, 257, 8080, 65535 };
	unsigned int near, far, family;
	const struct oracle_pod *pod;
	union mg_addr peer;

	if (!view->oracle.pod_count)
		return false;
	near = pw_random(world, view->oracle.pod_count);
	far = pw_random(world, view->oracle.pod_count);
	pod = &view->pod[near];
	family = pw_random(world, pod->ip_count);
	if (!world->pod[view->index[near]].slot)
		return false;
	peer = random_addr(world, family == 0);
	if (pw_random(world, 100) < 65 && far != near && family < view->pod[far].ip_count)
		peer = view->pod[far].ips[family];
	*ret_case = (struct pw_case){ .pod = near,
				      .direction = pw_random(world, 2),
				      .icmp_type = pw_random(world, 3) * 8 };
	ret_case->packet.proto = protos[pw_random(world, sizeof(protos))];
	if (ret_case->packet.proto == IPPROTO_ICMP && family)
		ret_case->packet.proto = IPPROTO_ICMPV6;
	if (ret_case->packet.proto != IPPROTO_ICMP && ret_case->packet.proto != IPPROTO_ICMPV6 &&
	    ret_case->packet.proto != 47) {
		ret_case->packet.sport = 1024 + pw_random(world, 60000);
		ret_case->packet.dport = ports[pw_random(world, 12)];
	}
	ret_case->packet.src = ret_case->direction == POLICY_IN ? peer : pod->ips[family];
	ret_case->packet.dst = ret_case->direction == POLICY_IN ? pod->ips[family] : peer;
	return true;
}

/* --- words --------------------------------------------------------------------------------- */

static void print_labels(const struct labels *labels)
{
	for (size_t i = 0; i < labels->count; i++)
		printf(" %s=%s", labels->v[i].key, labels->v[i].value);
}

static void print_rules(const struct netpol_rules *rules, const char *what)
{
	_cleanup_arena_ struct arena *arena = arena_new();
	char text[PREFIX_TEXT_MAX];

	for (size_t i = 0; i < rules->count; i++) {
		const struct netpol_rule *rule = &rules->v[i];

		printf("#     %s %u:", what, rule->index);
		for (size_t k = 0; k < rule->peer_count; k++) {
			const struct netpol_peer *peer = &rule->peers[k];

			if (peer->is_block)
				printf(" block %s", prefix_format(&peer->block, text));
			for (size_t x = 0; peer->is_block && x < peer->except_count; x++)
				printf(" except %s", prefix_format(&peer->except[x], text));
			if (peer->pods)
				printf(" pods[%s]", selector_text(arena, peer->pods));
			if (peer->namespaces)
				printf(" namespaces[%s]", selector_text(arena, peer->namespaces));
			printf(";");
		}
		for (size_t k = 0; k < rule->port_count; k++)
			printf(" port %u/%d:%u-%u(%s)", rule->ports[k].protocol,
			       rule->ports[k].kind, rule->ports[k].first, rule->ports[k].last,
			       rule->ports[k].name ? rule->ports[k].name : "");
		printf("\n");
	}
}

void pw_print(const struct policy_world *world)
{
	_cleanup_arena_ struct arena *arena = arena_new();
	char text[ADDR_TEXT_MAX];

	for (unsigned int i = 0; i < PW_NAMESPACES; i++) {
		printf("# namespace %s%s:", world->ns[i].name,
		       world->ns[i].has_object ? "" : " (no object)");
		print_labels(&world->ns[i].labels);
		printf("\n");
	}
	for (unsigned int i = 0; i < PW_PODS; i++) {
		const struct pw_pod *pod = &world->pod[i];

		if (!pod->present)
			continue;
		printf("# pod %s %zu slot %u %s:", addr_format(&pod->ips[0], text), pod->ip_count,
		       pod->slot, world->ns[pod->ns].name);
		print_labels(&pod->labels);
		for (size_t k = 0; k < pod->port_count; k++)
			printf(" %s=%u/%u", pod->port[k].name, pod->port[k].protocol,
			       pod->port[k].port);
		printf("\n");
	}
	for (unsigned int i = 0; i < PW_POLICIES; i++) {
		const struct network_policy *policy = world->policy[i];

		if (!policy)
			continue;
		printf("# policy %s/%s types %u pods[%s]\n", policy->base.ns, policy->base.name,
		       policy->types, selector_text(arena, policy->pods));
		print_rules(&policy->ingress, "ingress");
		print_rules(&policy->egress, "egress");
	}
}

void pw_case_print(const struct policy_world *world, const struct pw_view *view,
		   const struct pw_case *c)
{
	char src[ADDR_TEXT_MAX], dst[ADDR_TEXT_MAX];

	pw_print(world);
	printf("# packet %s -> %s proto %u port %u, judged %s slot %u\n",
	       addr_format(&c->packet.src, src), addr_format(&c->packet.dst, dst), c->packet.proto,
	       c->packet.dport, c->direction == POLICY_IN ? "into" : "out of",
	       world->pod[view->index[c->pod]].slot);
}
