/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the rules in force have counted on this node (abi/policy.h, mg_rule_stats), live flows
 * included: their packets and bytes stand in their rows until they end. A flow that the LRU of
 * the transient table takes away before anybody has folded it is lost; what was read once is kept,
 * so that a count never goes back.
 */
#ifndef MARGAY_AGENT_COUNTERS_H
#define MARGAY_AGENT_COUNTERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "abi/flow.h"
#include "abi/policy.h"
#include "policy/engine.h"

struct agent;

struct counters {
	struct mg_rule_stats *rule; /* by number */
	struct mg_digest *digest;   /* whose count it is */
	uint32_t end;		    /* above every rule's number */
	uint32_t limit;		    /* rules from here on are judged and not counted */
};

/* Reads the map and every flow: work by their rows. Never fails; what cannot be read is zero. */
struct counters *counters_read(struct agent *agent);
void counters_free(struct counters *counters); /* accepts NULL */

/* The same for whoever asks again and again: what was read last is given again until
 * COUNTERS_SHARE times as long has passed as the reading took, so that however many flows there are
 * the loop gives it no more than that part of its time. The agent's; until the next call. */
#define COUNTERS_SHARE 20
const struct counters *counters_recent(struct agent *agent);

/* Rules that came since have counted nothing: also those that were given a number again. */
void counters_follow(struct counters *counters, const struct engine *engine);
/* Times of any clock. */
long long counters_good_until(long long began, long long ended);
void counters_stop(struct agent *agent);

/* Adds what a live flow's row holds. */
void counters_add_flow(struct counters *counters, const struct mg_flow *flow);

/* Zero where the rule is not counted. */
struct mg_rule_stats counters_of(const struct counters *counters, uint32_t number);

/* How many rules in force have no row in the map. */
uint32_t counters_left_out(const struct agent *agent);

/* Rules of one policy and direction that do the same, together. */
struct counter_sum {
	const struct policy *policy; /* the engine's, until the next build */
	enum policy_direction direction;
	enum rule_action action;
	struct mg_rule_stats sum;
};

/* Ordered by policy, direction and action; the caller frees. */
struct counter_sum *counters_by_policy(const struct agent *agent, const struct counters *counters,
				       size_t *ret_count);

#endif
