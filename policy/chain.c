/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/chain.h"

#include "policy/hmap.h"

void chain_init(struct chain *chain)
{
	*chain = (struct chain){};
	vec_push(&chain->node, (struct chain_node){});
}

void chain_done(struct chain *chain)
{
	vec_done(&chain->node);
	free(chain->bucket);
	chain->bucket = NULL;
}

static uint32_t hash(uint32_t parent, uint64_t element)
{
	return hash_u64(element, parent * 0x9e3779b9U + 1);
}

static void grow(struct chain *chain)
{
	chain->mask = chain->bucket ? chain->mask * 2 + 1 : 15;
	free(chain->bucket);
	chain->bucket = xcalloc((size_t)chain->mask + 1, sizeof(*chain->bucket));
	for (uint32_t i = 1; i < chain->node.n; i++) {
		struct chain_node *node = &chain->node.v[i];
		uint32_t *at = &chain->bucket[hash(node->parent, node->element) & chain->mask];

		node->next = *at;
		*at = i;
	}
}

uint32_t chain_child(struct chain *chain, uint32_t parent, uint64_t element, bool *ret_new)
{
	uint32_t *at, i;

	if (!chain->bucket || chain->node.n > chain->mask)
		grow(chain);
	at = &chain->bucket[hash(parent, element) & chain->mask];
	for (i = *at; i; i = chain->node.v[i].next)
		if (chain->node.v[i].parent == parent && chain->node.v[i].element == element)
			break;
	*ret_new = !i;
	if (i)
		return i;
	i = chain->node.n;
	vec_push(&chain->node,
		 (struct chain_node){ .parent = parent, .next = *at, .element = element });
	*at = i;
	return i;
}
