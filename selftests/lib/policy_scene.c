/* SPDX-License-Identifier: Apache-2.0 */
#include "selftests/lib/policy_scene.h"

#include <math.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/inet.h"
#include "model/selector.h"

struct policy_world scene_dice;

bool scene_chance(uint32_t percent)
{
	return pw_random(&scene_dice, 100) < percent;
}

#define pick(array) ((array)[pw_random(&scene_dice, sizeof(array) / sizeof((array)[0]))])

static const char *const words[] = { "a", "b", "c" };
static const char *const port_names[] = { "web", "dns" };
static const uint8_t port_protos[] = { IPPROTO_TCP, IPPROTO_UDP, IPPROTO_SCTP };
static const uint16_t numbers[] = { 1, 53, 255, 256, 8080, 65535 };
static const char *const nets[] = { "10.1.0.0/16", "10.1.0.0/29", "0.0.0.0/0",	 "192.0.2.0/24",
				    "::/0",	   "fd00::/16",	  "fd00::1/128", "10.1.0.2/32" };
static const char *const services[] = { "ns/one", "ns/two" };
static const char *const tiers[WALK_TIERS] = { "first", "default", "last" };

/* --- random -------------------------------------------------------------------------------- */

static const struct selector *random_selector(struct arena *arena)
{
	const char *value = pick(words);
	const struct selector *one = selector_in(arena, scene_chance(50) ? "x" : "y", &value, 1);

	if (scene_chance(25))
		one = selector_has(arena, "x");
	return scene_chance(25) ? selector_not(arena, one) : one;
}

static struct rule_nets random_nets(struct arena *arena)
{
	struct mg_prefix *net = arena_array(arena, 2, sizeof(*net));
	struct rule_nets list = { .net = net,
				  .given = true,
				  .count = 1 + pw_random(&scene_dice, 2) };

	for (unsigned int i = 0; i < list.count; i++)
		assert_int_equal(prefix_parse(pick(nets), false, &net[i]), 0);
	return list;
}

static struct rule_ports random_ports(struct arena *arena)
{
	struct rule_port *port = arena_array(arena, 2, sizeof(*port));
	struct rule_ports list = { .port = port, .count = 1 + pw_random(&scene_dice, 2) };

	for (unsigned int i = 0; i < list.count; i++) {
		port[i].first = pick(numbers);
		port[i].last = port[i].first +
			       pw_random(&scene_dice, 65536 - port[i].first) * scene_chance(40);
		port[i].name = scene_chance(30) ? pick(port_names) : NULL;
	}
	return list;
}

static void random_end(struct arena *arena, struct rule_end *end)
{
	if (scene_chance(40))
		end->selector = random_selector(arena);
	if (scene_chance(15))
		end->not_selector = random_selector(arena);
	if (scene_chance(20))
		end->nets = random_nets(arena);
	if (scene_chance(15))
		end->not_nets = random_nets(arena);
	if (scene_chance(20))
		end->ports = random_ports(arena);
	if (scene_chance(10))
		end->not_ports = random_ports(arena);
}

static void random_rule(struct arena *arena, struct rule *rule, unsigned int index,
			enum policy_direction direction)
{
	static const int16_t protos[] = { RULE_ANY, RULE_ANY, 6, 6, 17, 132, 1, 58, 47, 0 };

	*rule = (struct rule)RULE_INIT;
	rule->action = pw_random(&scene_dice, 4);
	rule->index = index;
	rule->ip_version = scene_chance(20) ? 4 + 2 * scene_chance(50) : 0;
	rule->proto = pick(protos);
	if (scene_chance(15))
		rule->not_proto = pick(protos);
	if (rule->proto == 1 || rule->proto == 58) {
		rule->icmp_type = scene_chance(50) ? 8 : RULE_ANY;
		rule->icmp_code = rule->icmp_type != RULE_ANY && scene_chance(50) ? 0 : RULE_ANY;
		rule->not_icmp_type = scene_chance(30) ? 8 : RULE_ANY;
		rule->not_icmp_code =
			rule->not_icmp_type != RULE_ANY && scene_chance(50) ? 1 : RULE_ANY;
	}
	random_end(arena, &rule->src);
	random_end(arena, &rule->dst);
	if (scene_chance(10) && direction == POLICY_OUT && !rule->dst.ports.count)
		rule->dst.service = pick(services);
	if (scene_chance(10) && direction == POLICY_IN)
		rule->src.service = pick(services);
}

static struct policy *random_policy(unsigned int i)
{
	char name[16];
	struct policy *policy;

	snprintf(name, sizeof(name), "p%u", i);
	policy = policy_new("projectcalico.org", "GlobalNetworkPolicy", "", name, name);
	policy->tier = pick(tiers);
	policy->order = scene_chance(30) ? INFINITY : pw_random(&scene_dice, 3);
	policy->selector = scene_chance(60) ? random_selector(policy->arena) : NULL;
	for (int direction = 0; direction < 2; direction++) {
		unsigned int count = pw_random(&scene_dice, 5);
		struct rule *rule = arena_array(policy->arena, count + 1, sizeof(*rule));

		for (unsigned int k = 0; k < count; k++)
			random_rule(policy->arena, &rule[k], k, direction);
		policy->applies[direction] = scene_chance(70);
		policy->rules[direction] = rule;
		policy->rule_count[direction] = count;
	}
	return policy;
}

static void random_pod(struct walk_pod *pod, unsigned int i)
{
	*pod = (struct walk_pod){ .ip[0] = addr_from4(htonl(0x0a010000 + i + 1)),
				  .ip[1].b = { 0xfd, [15] = i + 1 } };
	if (scene_chance(70))
		pod->label[pod->label_count++] = (struct engine_label){ "x", pick(words) };
	if (scene_chance(70))
		pod->label[pod->label_count++] = (struct engine_label){ "y", pick(words) };
	while (pod->port_count < 2 && scene_chance(60))
		pod->port[pod->port_count++] =
			(struct engine_port){ pick(port_names), pick(numbers), pick(port_protos) };
}

static void tell_pod(struct walk_scene *scene, unsigned int i)
{
	struct walk_pod *pod = &scene->pod[i];
	struct engine_endpoint endpoint = {
		.facts = { .kind = ENGINE_POD,
			   .namespace = "ns",
			   .labels = { pod->label, pod->label_count },
			   .ports = pod->port,
			   .port_count = pod->port_count },
		.ip4 = pod->ip[0],
		.ip6 = pod->ip[1],
	};

	for (int k = 0; k < 2; k++)
		engine_addr_set(scene->engine, &pod->ip[k], &endpoint.facts);
	if (i < WALK_PODS / 2)
		assert_int_equal(engine_endpoint_set(scene->engine, i + 1, &endpoint), 0);
}

static void random_service(struct walk_scene *scene, unsigned int i)
{
	for (unsigned int k = 0; k < 4; k++)
		scene->member[i][k] = (struct engine_member){
			.addr = scene->pod[pw_random(&scene_dice, WALK_PODS)]
					.ip[pw_random(&scene_dice, 2)],
			.port = scene_chance(80) ? pick(numbers) : 0,
			.proto = pick(port_protos)
		};
	if (scene_chance(20))
		scene->member[i][0].port = scene->member[i][0].proto = 0;
	engine_service_changed(scene->engine, services[i]);
}

static void service_members(void *ctx, const char *name,
			    void (*each)(void *arg, const struct engine_member *member), void *arg)
{
	const struct walk_scene *scene = ctx;

	for (unsigned int k = 0; k < 4; k++)
		each(arg, &scene->member[strcmp(name, services[0]) != 0][k]);
}

void scene_init(struct walk_scene *scene)
{
	const struct engine_services from = { service_members, scene };
	struct mg_prefix pool;

	scene->engine = engine_new(NULL);
	engine_services_from(scene->engine, &from);
	scene->tier_name = tiers;
	scene->service = services;
	scene->kernel = pk_new();
	assert_int_equal(prefix_parse("10.1.0.0/16", false, &pool), 0);
	engine_net_set(scene->engine, &pool, ENGINE_NET_UNKNOWN);
	for (unsigned int i = 0; i < WALK_TIERS; i++) {
		scene->tier_end[i] = scene_chance(50) ? RULE_DENY : RULE_PASS;
		scene->tier_order[i] = pw_random(&scene_dice, 3);
		engine_tier_set(scene->engine, tiers[i], scene->tier_order[i], scene->tier_end[i]);
	}
	for (unsigned int i = 0; i < WALK_PODS; i++) {
		random_pod(&scene->pod[i], i);
		tell_pod(scene, i);
	}
	for (unsigned int i = 0; i < 2; i++)
		random_service(scene, i);
	for (unsigned int i = 0; i < WALK_POLICIES; i++) {
		scene->policy[i] = random_policy(i);
		engine_policy_set(scene->engine, policy_ref(scene->policy[i]));
	}
	pk_settle(scene->kernel, scene->engine);
}

void scene_done(struct walk_scene *scene)
{
	for (unsigned int i = 0; i < WALK_POLICIES; i++)
		policy_unref(scene->policy[i]);
	engine_free(scene->engine);
	pk_free(scene->kernel);
}

void scene_question(const struct walk_scene *scene, struct walk_question *q)
{
	static const char *const four[] = { "10.1.7.7", "192.0.2.9", "8.8.8.8" };
	static const char *const six[] = { "fd00::77", "2001:db8::1", "fd00:1::1" };
	static const uint8_t protos[] = { 6, 17, 132, 1, 47, 0 };
	static const uint16_t ports[] = { 1, 2, 53, 54, 255, 256, 257, 8080, 40000, 65535 };
	unsigned int family = pw_random(&scene_dice, 2);
	union mg_addr far = scene->pod[pw_random(&scene_dice, WALK_PODS)].ip[family];

	if (scene_chance(35))
		assert_int_equal(addr_parse(family ? pick(six) : pick(four), &far), 0);
	*q = (struct walk_question){ .local = &scene->pod[pw_random(&scene_dice, WALK_PODS / 2)],
				     .direction = pw_random(&scene_dice, 2) };
	q->packet.peer = far;
	q->packet.proto = pick(protos);
	if (q->packet.proto == 1 && family)
		q->packet.proto = 58;
	if (walk_has_ports(q->packet.proto)) {
		q->packet.sport = pick(ports);
		q->packet.dport = pick(ports);
	}
	q->packet.icmp_type = scene_chance(50) ? 8 : 3;
	q->packet.icmp_code = pw_random(&scene_dice, 2);
	q->src = q->direction == POLICY_IN ? far : q->local->ip[family];
	q->dst = q->direction == POLICY_IN ? q->local->ip[family] : far;
}

void scene_change(struct walk_scene *scene)
{
	unsigned int i = pw_random(&scene_dice, WALK_POLICIES),
		     pod = pw_random(&scene_dice, WALK_PODS);
	unsigned int tier = pw_random(&scene_dice, WALK_TIERS);

	switch (pw_random(&scene_dice, 4)) {
	case 0:
		policy_unref(scene->policy[i]);
		scene->policy[i] = random_policy(i);
		engine_policy_set(scene->engine, policy_ref(scene->policy[i]));
		break;
	case 1:
		random_pod(&scene->pod[pod], pod);
		tell_pod(scene, pod);
		break;
	case 2:
		scene->tier_end[tier] = scene_chance(50) ? RULE_DENY : RULE_PASS;
		scene->tier_order[tier] = pw_random(&scene_dice, 3);
		engine_tier_set(scene->engine, tiers[tier], scene->tier_order[tier],
				scene->tier_end[tier]);
		break;
	case 3:
		random_service(scene, pw_random(&scene_dice, 2));
		break;
	}
}
