/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For a connection that policy denies: what would have to be different for it to be allowed, and
 * by which rule. Nearest is what needs the fewest different things (protocol, ICMP message, port,
 * and of an end its port, its being known, namespace, service account, labels, address); among
 * equals what comes first in the order of evaluation. Found by a walk over the source rules of the
 * policies that apply, so every answer was asked again as a question and is allowed.
 *
 * Of a local pod labels, namespace and address stay as they are (others would be other policies),
 * likewise the family; not looked for are answers that need more than three different things.
 */
#ifndef MARGAY_POLICY_NEAREST_H
#define MARGAY_POLICY_NEAREST_H

#include "abi/policy.h"
#include "policy/rule.h"

struct arena;
struct engine;

struct nearest_question {
	uint32_t slot;	     /* whose policies judge */
	enum mg_stage stage; /* at which stage */
	union mg_addr src;
	union mg_addr dst;
	uint8_t proto;
	uint16_t sport;
	uint16_t dport;
	uint8_t icmp_type;
	uint8_t icmp_code;
};

struct nearest_need {
	const char *what; /* "protocol", "icmp", "port", "endpoint", "namespace",
			   * "service account", "label", "address", "service" */
	const char *end;  /* "source", "destination"; NULL: of neither */
	const char *text; /* "port 8443", "label app == \"x\" on the source" */
};

/* In the arena but for policy, which is the engine's until its next build. */
struct nearest {
	const struct policy *policy; /* NULL: no rule allows it, the one that denies is not met */
	enum policy_direction direction;
	unsigned int index;
	enum rule_action action; /* RULE_ALLOW, or RULE_PASS: nothing behind it denies */
	struct nearest_need *need;
	unsigned int need_count;
	const char *text; /* of all needs: "port 8443 and label ..." */
};

/* -ENOENT: nothing near allows it. -EEXIST: it is allowed as it is. */
int engine_nearest(const struct engine *engine, const struct nearest_question *question,
		   struct arena *arena, struct nearest *ret_nearest);

/* --- among its files ----------------------------------------------------------------------- */

struct supposition;

/* nearest.c: the same as a supposition; *ret_nearest without needs and text. */
int nearest_find(const struct engine *engine, const struct nearest_question *question,
		 struct supposition *ret_supposition, struct nearest *ret_nearest);
/* nearest_words.c */
void nearest_words(struct arena *arena, const struct supposition *supposition,
		   struct nearest *nearest);

#endif
