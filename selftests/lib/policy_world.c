/* SPDX-License-Identifier: Apache-2.0 */
#include "selftests/lib/policy_world.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/inet.h"

static const char *const words[] = { "web", "db", "cache", "dns" };
static const char *const keys[] = { "app", "tier", "env", "team" };
static const char *const port_names[] = { "http", "dns", "metrics" };
static const char *const ns_names[PW_NAMESPACES] = { "shop", "infra", "lab", "void" };
static const uint8_t protocols[] = { IPPROTO_TCP, IPPROTO_UDP, IPPROTO_SCTP };
static const char *const blocks[] = { "10.0.0.0/8",  "10.1.0.0/16",   "10.1.0.0/24", "10.1.0.8/29",
				      "0.0.0.0/0",   "192.0.2.0/24",  "::/0",	     "fd00::/8",
				      "fd00:1::/64", "192.0.2.128/25" };

uint32_t pw_random(struct policy_world *world, uint32_t below)
{
	/* xorshift64 (Marsaglia 2003) */
	world->random ^= world->random << 13;
	world->random ^= world->random >> 7;
	world->random ^= world->random << 17;
	return (uint32_t)(world->random >> 32) % below;
}

#define pick(world, array) ((array)[pw_random(world, sizeof(array) / sizeof((array)[0]))])

static bool chance(struct policy_world *world, uint32_t percent)
{
	return pw_random(world, 100) < percent;
}

uint64_t pw_seed(void)
{
	const char *text = getenv("MARGAY_SEED");
	uint64_t seed = text ? strtoull(text, NULL, 0) : (uint64_t)time(NULL) * 2654435761U;

	printf("# seed MARGAY_SEED=%llu\n", (unsigned long long)seed);
	return seed;
}

/* --- labels and pods ----------------------------------------------------------------------- */

static void random_labels(struct policy_world *world, struct label *label, struct labels *labels)
{
	*labels = (struct labels){ .v = label };
	for (unsigned int i = 0; i < PW_LABELS; i++)
		if (chance(world, 45))
			label[labels->count++] = (struct label){ keys[i], pick(world, words) };
	labels_sort(labels);
}

static void random_namespace(struct policy_world *world, unsigned int i)
{
	struct pw_namespace *ns = &world->ns[i];

	ns->name = ns_names[i];
	ns->has_object = chance(world, 80);
	random_labels(world, ns->label, &ns->labels);
	if (ns->labels.count == PW_LABELS)
		ns->labels.count--;
	ns->label[ns->labels.count++] = (struct label){ LABEL_METADATA_NAME, ns->name };
	labels_sort(&ns->labels);
}

static void random_ports(struct policy_world *world, struct pw_pod *pod)
{
	static const uint16_t numbers[] = { 53, 80, 8080 };

	pod->port_count = 0;
	while (pod->port_count < PW_PORTS && chance(world, 50))
		pod->port[pod->port_count++] =
			(struct pod_port){ pick(world, port_names), pick(world, numbers),
					   pick(world, protocols) };
}

static void random_pod(struct policy_world *world, unsigned int i)
{
	struct pw_pod *pod = &world->pod[i];

	pod->present = true;
	pod->ns = pw_random(world, PW_NAMESPACES);
	pod->slot = chance(world, 50) ? i + 1 : 0;
	random_labels(world, pod->label, &pod->labels);
	random_ports(world, pod);
	pod->ip_count = 1 + chance(world, 60);
	pod->ips[0] = addr_from4(htonl(0x0a010000 + i + 1));
	pod->ips[1] = (union mg_addr){ .b = { 0xfd, 0, 0, 1, [15] = i + 1 } };
}

/* --- policies ------------------------------------------------------------------------------ */

static const struct selector *random_selector(struct policy_world *world, struct arena *arena)
{
	const struct selector *all = selector_all();
	const char *value[2] = { pick(world, words), pick(world, words) };

	for (unsigned int n = pw_random(world, 3); n; n--) {
		const struct selector *one = NULL;
		const char *key = pick(world, keys);

		switch (pw_random(world, 4)) {
		case 0:
			one = selector_in(arena, key, value, 1 + chance(world, 50));
			break;
		case 1:
			one = selector_not(arena, selector_in(arena, key, value, 1));
			break;
		case 2:
			one = selector_has(arena, key);
			break;
		case 3:
			one = selector_not(arena, selector_has(arena, key));
			break;
		}
		all = selector_and(arena, all, one);
	}
	return all;
}

static void random_block(struct policy_world *world, struct arena *arena, struct netpol_peer *peer)
{
	peer->is_block = true;
	if (prefix_parse(pick(world, blocks), false, &peer->block))
		abort();
	peer->except = arena_array(arena, 3, sizeof(*peer->except));
	for (unsigned int i = 0; i < 3; i++) {
		struct mg_prefix except;
		union mg_addr addr;

		if (prefix_parse(pick(world, blocks), false, &except))
			abort();
		addr = except.addr;
		if (except.len > peer->block.len && prefix_contains(&peer->block, &addr) &&
		    prefix_is4(&except) == prefix_is4(&peer->block) && chance(world, 60))
			peer->except[peer->except_count++] = except;
	}
}

static void random_peer(struct policy_world *world, struct arena *arena, struct netpol_peer *peer)
{
	static const char *const names[] = { "shop", "infra", "lab", "void" };
	const char *name = pick(world, names);

	if (chance(world, 40)) {
		random_block(world, arena, peer);
		return;
	}
	if (chance(world, 75))
		peer->pods = random_selector(world, arena);
	if (!peer->pods || chance(world, 50))
		peer->namespaces = random_selector(world, arena);
	if (peer->namespaces && chance(world, 30))
		peer->namespaces = selector_in(arena, LABEL_METADATA_NAME, &name, 1);
}

static void random_port(struct policy_world *world, struct netpol_port *port)
{
	static const uint16_t numbers[] = { 1, 53, 80, 255, 256, 8080, 65535 };

	port->protocol = pick(world, protocols);
	port->kind = pw_random(world, 3);
	port->first = pick(world, numbers);
	port->last = port->first;
	if (chance(world, 40))
		port->last = port->first + pw_random(world, 65536 - port->first);
	port->name = port->kind == NETPOL_PORT_NAME ? pick(world, port_names) : NULL;
}

static void random_rules(struct policy_world *world, struct arena *arena,
			 struct netpol_rules *rules)
{
	rules->count = pw_random(world, 4);
	rules->v = arena_array(arena, rules->count + 1, sizeof(*rules->v));
	for (size_t i = 0; i < rules->count; i++) {
		struct netpol_rule *rule = &rules->v[i];

		rule->index = i;
		rule->peer_count = chance(world, 20) ? 0 : 1 + pw_random(world, 3);
		rule->peers = arena_array(arena, rule->peer_count + 1, sizeof(*rule->peers));
		for (size_t k = 0; k < rule->peer_count; k++)
			random_peer(world, arena, &rule->peers[k]);
		rule->port_count = chance(world, 40) ? 0 : 1 + pw_random(world, 3);
		rule->ports = arena_array(arena, rule->port_count + 1, sizeof(*rule->ports));
		for (size_t k = 0; k < rule->port_count; k++)
			random_port(world, &rule->ports[k]);
	}
}

void pw_policy_drop(struct policy_world *world, unsigned int i)
{
	if (world->policy[i])
		object_unref(&world->policy[i]->base);
	world->policy[i] = NULL;
}

void pw_policy_new(struct policy_world *world, unsigned int i)
{
	struct network_policy *policy = object_new(KIND_NETWORK_POLICY, sizeof(*policy));
	struct arena *arena = policy->base.arena;

	pw_policy_drop(world, i);
	policy->base.ns = ns_names[i % PW_NAMESPACES];
	policy->base.name = arena_printf(arena, "policy-%u", i);
	policy->base.uid = arena_printf(arena, "uid-%u", i);
	policy->pods = random_selector(world, arena);
	policy->types = 1 + pw_random(world, 3);
	random_rules(world, arena, &policy->ingress);
	random_rules(world, arena, &policy->egress);
	world->policy[i] = policy;
}

void pw_init(struct policy_world *world, uint64_t seed)
{
	*world = (struct policy_world){ .random = seed * 2 + 1 };
	for (int i = 0; i < 8; i++)
		pw_random(world, 2);
	for (unsigned int i = 0; i < PW_NAMESPACES; i++)
		random_namespace(world, i);
	for (unsigned int i = 0; i < PW_PODS; i++)
		if (chance(world, 80))
			random_pod(world, i);
	for (unsigned int i = 0; i < PW_POLICIES; i++)
		if (chance(world, 50))
			pw_policy_new(world, i);
}

void pw_done(struct policy_world *world)
{
	for (unsigned int i = 0; i < PW_POLICIES; i++)
		pw_policy_drop(world, i);
}
