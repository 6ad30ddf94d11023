/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random worlds for policy tests: namespaces, service accounts, pods, network sets, services, tiers
 * and policies of every kind, and packets between their addresses; the same world for the oracle
 * and for the engine. Objects are JSON trees that went through the decoder, so that a failed case
 * prints as it would be applied. Words are few, so that rules often match and often nearly match.
 *	policy_world.c	 pods and packets
 *	policy_random*.c objects
 *	policy_names.c	 names of the world outside
 *	policy_tell.c	 what engine and oracle are told, changes
 *	policy_between.c what holds between a plan's moves and its commit
 */
#ifndef MARGAY_SELFTESTS_POLICY_WORLD_H
#define MARGAY_SELFTESTS_POLICY_WORLD_H

#include <jansson.h>

#include "policy/engine.h"
#include "policy/oracle.h"

#define PW_NAMESPACES 4
#define PW_ACCOUNTS 2 /* of each namespace */
#define PW_PODS 24
#define PW_LABELS 4
#define PW_PORTS 3
#define PW_NAMES 7 /* of the world outside */
#define PW_NAME_ADDRS 7

/* Objects by their place. */
#define PW_TIERS 4
#define PW_SETS 5
#define PW_SLICES 4
#define PW_POLICIES 18
#define PW_OBJECTS (PW_TIERS + PW_SETS + PW_SLICES + PW_POLICIES)
#define PW_FIRST_SET PW_TIERS
#define PW_FIRST_SLICE (PW_FIRST_SET + PW_SETS)
#define PW_FIRST_POLICY (PW_FIRST_SLICE + PW_SLICES)

struct problems;

struct pw_namespace {
	const char *name;
	bool has_object;
	struct label label[PW_LABELS];
	struct labels labels;
	struct label account_label[PW_ACCOUNTS][PW_LABELS];
	struct labels account_labels[PW_ACCOUNTS];
};

struct pw_pod {
	bool present;
	uint32_t slot; /* 0: lives elsewhere */
	unsigned int ns;
	unsigned int account; /* PW_ACCOUNTS: none */
	struct label label[PW_LABELS];
	struct labels labels;
	union mg_addr ips[2];
	size_t ip_count;
	struct pod_port port[PW_PORTS];
	size_t port_count;
};

struct pw_object {
	json_t *tree;
	struct object *object; /* NULL: there is none */
};

struct policy_world {
	uint64_t random;
	struct pw_namespace ns[PW_NAMESPACES];
	struct pw_pod pod[PW_PODS];
	struct pw_object object[PW_OBJECTS];
	uint8_t name[PW_NAMES]; /* addresses of each, as bits */
};

uint32_t pw_random(struct policy_world *world, uint32_t below);
bool pw_chance(struct policy_world *world, uint32_t percent);
#define pw_pick(world, array) ((array)[pw_random(world, sizeof(array) / sizeof((array)[0]))])

extern const char *const pw_words[4];
extern const char *const pw_keys[4];
extern const char *const pw_port_names[3];
extern const char *const pw_ns_names[PW_NAMESPACES];
extern const char *const pw_account_names[PW_ACCOUNTS];

/* The seed of a run: MARGAY_SEED, else the clock; printed. */
uint64_t pw_seed(void);

void pw_init(struct policy_world *world, uint64_t seed);
void pw_done(struct policy_world *world);
void pw_copy(const struct policy_world *world, struct policy_world *ret_copy); /* pw_done() it */

/* The object at a place, a new one. */
json_t *pw_random_object(struct policy_world *world, unsigned int place);

/* Takes the tree over. NULL: no object. false: it does not decode, all stays. */
bool pw_object_try(struct policy_world *world, unsigned int place, json_t *tree,
		   struct problems *problems);
/* It must decode. */
void pw_object_set(struct policy_world *world, unsigned int place, json_t *tree);

/* One random change; told to engine where it is not NULL. */
void pw_change(struct policy_world *world, struct engine *engine);

/* All of the world into a new engine; single parts. */
void pw_tell(const struct policy_world *world, struct engine *engine);
void pw_tell_pod(const struct policy_world *world, struct engine *engine, unsigned int pod);
void pw_tell_object(const struct policy_world *world, struct engine *engine, unsigned int place);

/* What the oracle sees; valid until the world changes. */
struct pw_view {
	struct oracle_world oracle;
	struct oracle_pod pod[PW_PODS];
	unsigned int index[PW_PODS]; /* in the world */
	const struct object *policy[PW_POLICIES];
	const struct calico_tier *tier[PW_TIERS];
	struct oracle_set set[PW_SETS];
	const struct endpoint_slice *slice[PW_SLICES];
	struct mg_prefix pool;
	struct oracle_name name[PW_NAMES];
	union mg_addr name_addr[PW_NAMES][PW_NAME_ADDRS];
};
void pw_view(const struct policy_world *world, struct pw_view *view);

/* A packet to or from a local pod: index in view of that pod, and its direction. */
struct pw_case {
	struct oracle_packet packet;
	unsigned int pod;
	enum policy_direction direction;
};
bool pw_case(struct policy_world *world, const struct pw_view *view, struct pw_case *ret_case);

/* Changes of labels, addresses and nets take effect address by address, rules and what they say
 * of their near end (the pod that is judged) all at once, later. True if the packet is allowed
 * when the peer's address is as in view, where the case is from, and all else as in before.
 * The pod is in both, and is not its own peer. */
bool pw_between(const struct policy_world *before, const struct pw_view *view,
		const struct pw_case *c);

/* Takes away what still_fails() does not need: objects, then parts of them. */
void pw_shrink(struct policy_world *world,
	       bool (*still_fails)(struct policy_world *world, const struct pw_case *c),
	       const struct pw_case *c);

/* The world in words, for a failed case. */
void pw_print(const struct policy_world *world);
void pw_case_print(const struct policy_world *world, const struct pw_view *view,
		   const struct pw_case *c);

#endif
