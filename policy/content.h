/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Content as bytes, to be hashed or digested: equal content gives equal bytes in every run of
 * the agent.
 */
#ifndef MARGAY_POLICY_CONTENT_H
#define MARGAY_POLICY_CONTENT_H

#include "policy/rule.h"
#include "policy/vec.h"

struct content {
	char *v;
	size_t n;
	size_t cap;
};

void content_put(struct content *content, const void *data, size_t size);
void content_text(struct content *content, const char *text); /* NULL is a text of its own */
void content_selector(struct content *content, const struct selector *selector); /* or NULL */

/* All that the verdicts of a policy in one direction depend on; replaces what was there. */
void content_policy(struct content *content, const struct policy *policy,
		    enum policy_direction direction);

#endif
