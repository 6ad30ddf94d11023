/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From the ordered rules that match a peer to its class row: first match wins, tier by tier,
 * for every protocol and port at once.
 */
#ifndef MARGAY_POLICY_CLASS_H
#define MARGAY_POLICY_CLASS_H

#include "policy/ports.h"
#include "policy/table.h"

enum step_kind {
	STEP_RULE,
	STEP_TIER, /* end of a tier: what is undecided is denied, or goes on; Pass ends here */
	STEP_END,  /* end of all: what is undecided is denied or allowed */
};

struct step {
	enum step_kind kind;
	enum rule_action action; /* of STEP_TIER: deny or pass; of STEP_END: deny or allow */
	uint32_t number;	 /* rule, or tier */
	bool staged;		 /* the rule is of a staged policy */
	const struct pm *pm;	 /* of STEP_RULE */
};

struct classifier {
	struct tables *tables;
	/* Keys from which on the answer may differ, and the answers; one space at a time. */
	VEC(uint32_t) start;
	VEC(uint32_t) next; /* first open interval at or behind this one */
	VEC(uint32_t) log;
	VEC(struct mg_verdict) verdict;
	VEC(uint8_t) state;
	VEC(uint32_t) number;	    /* verdict numbers, held */
	VEC(uint32_t) held_verdict; /* until the class row holds them */
	VEC(uint32_t) held_root;
	VEC(struct run) run;
};

void classifier_init(struct classifier *classifier, struct tables *tables);
void classifier_done(struct classifier *classifier);

/* The last step is STEP_END. One reference. */
uint32_t class_make(struct classifier *classifier, const struct step *step, size_t count);

#endif
