/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random worlds for policy tests: namespaces, pods, NetworkPolicies as decoded objects, and
 * packets between their addresses; the same world for the oracle and for the engine. Words are
 * few, so that rules often match and often nearly match.
 */
#ifndef MARGAY_SELFTESTS_POLICY_WORLD_H
#define MARGAY_SELFTESTS_POLICY_WORLD_H

#include "policy/engine.h"
#include "policy/oracle.h"

#define PW_NAMESPACES 4
#define PW_PODS 24
#define PW_POLICIES 16
#define PW_LABELS 4
#define PW_PORTS 3

struct pw_namespace {
	const char *name;
	bool has_object;
	struct label label[PW_LABELS];
	struct labels labels;
};

struct pw_pod {
	bool present;
	uint32_t slot; /* 0: lives elsewhere */
	unsigned int ns;
	struct label label[PW_LABELS];
	struct labels labels;
	union mg_addr ips[2];
	size_t ip_count;
	struct pod_port port[PW_PORTS];
	size_t port_count;
};

struct policy_world {
	uint64_t random;
	struct pw_namespace ns[PW_NAMESPACES];
	struct pw_pod pod[PW_PODS];
	struct network_policy *policy[PW_POLICIES]; /* NULL: none */
};

uint32_t pw_random(struct policy_world *world, uint32_t below);

/* The seed of a run: MARGAY_SEED, else the clock; printed. */
uint64_t pw_seed(void);

void pw_init(struct policy_world *world, uint64_t seed);
void pw_done(struct policy_world *world);
void pw_policy_new(struct policy_world *world, unsigned int i);
void pw_policy_drop(struct policy_world *world, unsigned int i);

/* One random change; told to engine where it is not NULL. */
void pw_change(struct policy_world *world, struct engine *engine);

/* All of the world into a new engine; single parts. */
void pw_tell(const struct policy_world *world, struct engine *engine);
void pw_tell_policy(const struct policy_world *world, struct engine *engine, unsigned int policy);
void pw_tell_pod(const struct policy_world *world, struct engine *engine, unsigned int pod);

/* What the oracle sees; valid until the world changes. */
struct pw_view {
	struct oracle_world oracle;
	struct oracle_pod pod[PW_PODS];
	unsigned int index[PW_PODS]; /* in the world */
	const struct network_policy *policy[PW_POLICIES];
};
void pw_view(const struct policy_world *world, struct pw_view *view);

/* A packet to or from a local pod: index in view of that pod, and its direction. */
struct pw_case {
	struct oracle_packet packet;
	unsigned int pod;
	enum policy_direction direction;
	uint8_t icmp_type;
	uint8_t icmp_code;
};
bool pw_case(struct policy_world *world, const struct pw_view *view, struct pw_case *ret_case);

/* The world in words, for a failed case. */
void pw_print(const struct policy_world *world);
void pw_case_print(const struct policy_world *world, const struct pw_view *view,
		   const struct pw_case *c);

#endif
