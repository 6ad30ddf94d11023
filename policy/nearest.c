/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The search: suppositions by rising cost, each walked down the list of rules. One that is denied
 * gives others: what it takes for a rule before the decision to allow or pass it, and for the rule
 * that denied not to match.
 */
#include "policy/nearest.h"

#include <errno.h>

#include "base/inet.h"
#include "policy/suppose.h"

#define THINGS_MAX 3
#define LOOKED_AT_MAX 128
#define WAITING_MAX 64
#define TRIED_MAX 100000 /* rules, each time one is: it runs in the agent's thread */
#define PASSES_MAX 8	 /* tiers that were passed, as far as they are remembered */

/* --- walking ------------------------------------------------------------------------------- */

struct list {
	const struct engine *engine;
	const struct endpoint *endpoint;
	enum mg_stage stage;
	enum policy_direction direction;
};

struct decision {
	bool allow;
	const struct rule *rule; /* that decided; NULL: an end */
	const struct policy *policy;
	size_t end;			     /* of what was looked at: policies of the list, */
	size_t rules;			     /* and of the last one so many rules */
	const struct rule *pass[PASSES_MAX]; /* that sent it to the next tier */
	unsigned int passes;
};

struct walk {
	const struct list *list;
	const struct supposition *supposition;
	struct decision decision;
	const struct tier *passed; /* the rest of it does not matter */
};

/* True: decided. */
static bool walk_policy(struct walk *walk, const struct policy_entry *entry)
{
	const struct policy *policy = entry->policy;
	enum policy_direction direction = walk->list->direction;

	for (unsigned int i = 0; i < policy->rule_count[direction]; i++) {
		const struct rule *rule = &policy->rules[direction][i];

		if (rule->action == RULE_LOG || !suppose_matches(walk->supposition, rule))
			continue;
		if (rule->action == RULE_PASS) {
			walk->passed = entry->tier;
			if (walk->decision.passes < PASSES_MAX)
				walk->decision.pass[walk->decision.passes++] = rule;
			return false;
		}
		walk->decision.allow = rule->action == RULE_ALLOW;
		walk->decision.rule = rule;
		walk->decision.policy = policy;
		walk->decision.rules = i;
		return true;
	}
	return false;
}

/* True: the tier ends here, and with it all. */
static bool tier_decides(struct walk *walk, const struct tier *tier)
{
	if (!tier || tier == walk->passed || tier_end(tier, walk->list->stage) == RULE_PASS)
		return false;
	walk->decision.allow = false;
	return true;
}

static struct decision walk_list(const struct list *list, const struct supposition *supposition)
{
	struct walk walk = { .list = list, .supposition = supposition };
	const struct tier *tier = NULL;
	size_t i;

	for (i = 0; i < list->endpoint->applies.n; i++) {
		const struct policy_entry *entry = list->endpoint->applies.v[i];

		if (!entry_judges(list->engine, entry, list->stage))
			continue;
		walk.decision.end = i;
		walk.decision.rules = UINT32_MAX;
		if (tier != entry->tier && tier_decides(&walk, tier))
			return walk.decision;
		tier = entry->tier;
		walk.decision.end = i + 1;
		if (tier != walk.passed && walk_policy(&walk, entry))
			return walk.decision;
	}
	if (!tier_decides(&walk, tier))
		walk.decision.allow = !endpoint_ends_in_deny(list->endpoint, list->stage);
	return walk.decision;
}

/* --- searching ----------------------------------------------------------------------------- */

struct candidate {
	struct supposition supposition;
	unsigned int cost;
	const struct policy *policy; /* whose rule it is to meet; NULL: none */
	const struct rule *rule;
};

/* By rising cost; of equal cost the older one first. */
struct waiting {
	struct candidate *candidate;
	unsigned int count;
	size_t tried;
};

static void put(struct waiting *waiting, const struct candidate *candidate)
{
	unsigned int i = waiting->count;

	if (suppose_things(&candidate->supposition) > THINGS_MAX)
		return;
	if (i == WAITING_MAX) {
		if (waiting->candidate[i - 1].cost <= candidate->cost)
			return;
		i--;
	} else {
		waiting->count++;
	}
	for (; i && waiting->candidate[i - 1].cost > candidate->cost; i--)
		waiting->candidate[i] = waiting->candidate[i - 1];
	waiting->candidate[i] = *candidate;
}

static struct candidate take(struct waiting *waiting)
{
	struct candidate first = waiting->candidate[0];

	waiting->count--;
	for (unsigned int i = 0; i < waiting->count; i++)
		waiting->candidate[i] = waiting->candidate[i + 1];
	return first;
}

static void put_match(struct waiting *waiting, const struct candidate *from,
		      const struct policy *policy, const struct rule *rule)
{
	struct candidate next = *from;

	waiting->tried++;
	if ((rule->action != RULE_ALLOW && rule->action != RULE_PASS) ||
	    suppose_match(&next.supposition, rule) < 0)
		return;
	next.policy = policy;
	next.rule = rule;
	next.cost = suppose_cost(&next.supposition);
	if (next.cost > from->cost)
		put(waiting, &next);
}

static void put_escapes(struct waiting *waiting, const struct candidate *from,
			const struct rule *rule)
{
	for (unsigned int way = 0; way < SUPPOSE_WAYS; way++) {
		struct candidate next = *from;

		if (suppose_escape(&next.supposition, rule, way) < 0)
			continue;
		next.cost = suppose_cost(&next.supposition);
		put(waiting, &next);
	}
}

/* What might help, of all that was looked at before the decision fell. */
static void expand(struct waiting *waiting, const struct list *list, const struct candidate *from,
		   const struct decision *decision)
{
	for (size_t i = 0; i < decision->end; i++) {
		const struct policy_entry *entry = list->endpoint->applies.v[i];
		unsigned int count = entry->policy->rule_count[list->direction];

		if (!entry_judges(list->engine, entry, list->stage))
			continue;
		if (i + 1 == decision->end && decision->rules < count)
			count = (unsigned int)decision->rules;
		for (unsigned int k = 0; k < count; k++)
			put_match(waiting, from, entry->policy,
				  &entry->policy->rules[list->direction][k]);
	}
	if (decision->rule)
		put_escapes(waiting, from, decision->rule);
	for (unsigned int i = 0; i < decision->passes; i++)
		put_escapes(waiting, from, decision->pass[i]);
}

static void tell(const struct list *list, const struct candidate *found,
		 const struct decision *decision, struct nearest *ret)
{
	const struct rule *rule = decision->rule ? decision->rule : found->rule;

	*ret = (struct nearest){ .direction = list->direction };
	if (!rule)
		return;
	ret->policy = decision->rule ? decision->policy : found->policy;
	ret->index = rule->index;
	ret->action = rule->action;
}

static int search(const struct list *list, struct waiting *waiting,
		  struct supposition *ret_supposition, struct nearest *ret)
{
	for (unsigned int i = 0; waiting->count && i < LOOKED_AT_MAX && waiting->tried < TRIED_MAX;
	     i++) {
		struct candidate next = take(waiting);
		struct decision decision = walk_list(list, &next.supposition);

		if (!decision.allow) {
			expand(waiting, list, &next, &decision);
			continue;
		}
		if (!i)
			return -EEXIST;
		tell(list, &next, &decision, ret);
		*ret_supposition = next.supposition;
		return 0;
	}
	return -ENOENT;
}

/* --- questions ----------------------------------------------------------------------------- */

static void ask(const struct list *list, const struct nearest_question *q, struct supposition *ret)
{
	unsigned int near = list->direction == POLICY_IN;

	*ret = (struct supposition){ .direction = list->direction,
				     .proto = q->proto,
				     .icmp_type = q->icmp_type,
				     .icmp_code = q->icmp_code };
	supposed_end_init(&ret->end[0], list->engine, &q->src);
	supposed_end_init(&ret->end[1], list->engine, &q->dst);
	ret->end[0].port = q->sport;
	ret->end[1].port = q->dport;
	if (endpoint_is_host(list->endpoint))
		return;
	ret->end[near].facts = list->endpoint->facts;
	ret->end[near].endpoint = ret->end[near].fixed = true;
	ret->end[near].unknown = false;
}

int nearest_find(const struct engine *e, const struct nearest_question *q,
		 struct supposition *ret_supposition, struct nearest *ret)
{
	const struct list list = { .engine = e,
				   .endpoint = q->slot < e->columns.slot.n
						       ? e->columns.slot.v[q->slot].endpoint
						       : NULL,
				   .stage = q->stage,
				   .direction = stage_direction(q->stage) };
	struct waiting waiting = {};
	struct candidate first = {};
	int r;

	if (!list.endpoint)
		return -ENOENT;
	waiting.candidate = xcalloc(WAITING_MAX, sizeof(*waiting.candidate));
	ask(&list, q, &first.supposition);
	put(&waiting, &first);
	r = search(&list, &waiting, ret_supposition, ret);
	free(waiting.candidate);
	return r;
}

int engine_nearest(const struct engine *e, const struct nearest_question *q, struct arena *arena,
		   struct nearest *ret)
{
	struct supposition supposition;
	int r = nearest_find(e, q, &supposition, ret);

	if (!r)
		nearest_words(arena, &supposition, ret);
	return r;
}
