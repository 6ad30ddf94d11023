/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Policies in the neutral form (policy/rule.h), walked down rule by rule for one packet: what the
 * engine's tables must say. Shares nothing with the engine but the evaluation of a selector.
 */
#ifndef MARGAY_SELFTESTS_POLICY_WALK_H
#define MARGAY_SELFTESTS_POLICY_WALK_H

#include "selftests/lib/policy_kernel.h"

#define WALK_PODS 10
#define WALK_POLICIES 8
#define WALK_TIERS 3

struct walk_pod {
	struct engine_label label[2];
	size_t label_count;
	struct engine_port port[2];
	size_t port_count;
	union mg_addr ip[2];
};

struct walk_scene {
	struct walk_pod pod[WALK_PODS];
	struct policy *policy[WALK_POLICIES];
	enum rule_action tier_end[WALK_TIERS];
	double tier_order[WALK_TIERS];
	struct engine_member member[2][4];
	const char *const *tier_name;
	const char *const *service;
	struct engine *engine;
	struct policy_kernel *kernel;
};

struct walk_question {
	const struct walk_pod *local;
	enum policy_direction direction;
	union mg_addr src;
	union mg_addr dst;
	struct pk_packet packet;
};

struct walk_answer {
	bool allow;
	const struct policy *policy; /* NULL: no rule decided */
	unsigned int index;
	const struct policy *logged;
	unsigned int log_index;
	const char *tier; /* whose end decided */
};

bool walk_has_ports(uint8_t proto);
struct walk_answer walk_rules(const struct walk_scene *scene, const struct walk_question *q);

#endif
