/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/selector_key.h"

#include <string.h>

#include "model/selector.h"
#include "policy/facts.h"
#include "policy/hmap.h"

uint32_t selector_hash(const struct selector *selector, uint32_t seed)
{
	uint32_t hash = hash_u64(selector->op, seed);

	switch (selector->op) {
	case SELECTOR_ALL:
	case SELECTOR_NONE:
	case SELECTOR_GLOBAL:
		return hash;
	case SELECTOR_HAS:
		return hash_text(selector->key, hash);
	case SELECTOR_IN:
	case SELECTOR_NOT_IN:
	case SELECTOR_CONTAINS:
	case SELECTOR_STARTS_WITH:
	case SELECTOR_ENDS_WITH:
		hash = hash_text(selector->key, hash);
		for (unsigned int i = 0; i < selector->count; i++)
			hash = hash_text(selector->values[i], hash);
		return hash;
	case SELECTOR_NOT:
	case SELECTOR_AND:
	case SELECTOR_OR:
		for (unsigned int i = 0; i < selector->count; i++)
			hash = selector_hash(selector->kids[i], hash);
		return hash;
	}
	return hash;
}

/* How many endpoints bear such a label, roughly: more is worse. */
static int breadth(const struct selector *in)
{
	if (!strcmp(in->key, TAG_ORCHESTRATOR))
		return 3;
	if (!strncmp(in->key, PREFIX_NAMESPACE, strlen(PREFIX_NAMESPACE)))
		return 2;
	return !strcmp(in->key, LABEL_NAMESPACE);
}

const struct selector *selector_anchor(const struct selector *selector)
{
	const struct selector *best = NULL;

	if (selector->op == SELECTOR_IN)
		return selector;
	if (selector->op != SELECTOR_AND)
		return NULL;
	for (unsigned int i = 0; i < selector->count; i++) {
		const struct selector *kid = selector->kids[i];

		if (kid->op == SELECTOR_IN && (!best || breadth(kid) < breadth(best)))
			best = kid;
	}
	return best;
}
