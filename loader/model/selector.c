/* SPDX-License-Identifier: Apache-2.0 */
#include "model/selector.h"

#include <stdlib.h>
#include <string.h>

#include "base/arena.h"

static const struct selector all_node = { .op = SELECTOR_ALL };
static const struct selector none_node = { .op = SELECTOR_NONE };

const struct selector *selector_all(void)
{
	return &all_node;
}

const struct selector *selector_none(void)
{
	return &none_node;
}

static struct selector *node_new(struct arena *arena, enum selector_op op, const char *key)
{
	struct selector *node = arena_alloc(arena, sizeof(*node));

	node->op = op;
	node->key = arena_strdup(arena, key);
	return node;
}

const struct selector *selector_has(struct arena *arena, const char *key)
{
	return node_new(arena, SELECTOR_HAS, key);
}

static int cmp_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

const struct selector *selector_in(struct arena *arena, const char *key, const char *const *values,
				   size_t count)
{
	struct selector *node;
	unsigned int kept = 0;

	if (!count)
		return &none_node;
	node = node_new(arena, SELECTOR_IN, key);
	node->values = arena_array(arena, count, sizeof(*node->values));
	memcpy(node->values, values, count * sizeof(*values));
	qsort(node->values, count, sizeof(*node->values), cmp_text);
	for (size_t i = 0; i < count; i++)
		if (!kept || strcmp(node->values[kept - 1], node->values[i]))
			node->values[kept++] = node->values[i];
	for (unsigned int i = 0; i < kept; i++)
		node->values[i] = arena_strdup(arena, node->values[i]);
	node->count = kept;
	return node;
}

const struct selector *selector_text_test(struct arena *arena, enum selector_op op, const char *key,
					  const char *value)
{
	struct selector *node = node_new(arena, op, key);

	node->values = arena_array(arena, 1, sizeof(*node->values));
	node->values[0] = arena_strdup(arena, value);
	node->count = 1;
	return node;
}

/* A copy of one node: values and kids are shared. */
static struct selector *node_copy(struct arena *arena, const struct selector *from,
				  enum selector_op op)
{
	struct selector *node = arena_alloc(arena, sizeof(*node));

	*node = *from;
	node->op = op;
	return node;
}

const struct selector *selector_not(struct arena *arena, const struct selector *kid)
{
	struct selector *node;

	if (kid->op == SELECTOR_ALL)
		return &none_node;
	if (kid->op == SELECTOR_NONE)
		return &all_node;
	if (kid->op == SELECTOR_NOT)
		return kid->kids[0];
	if (kid->op == SELECTOR_IN)
		return node_copy(arena, kid, SELECTOR_NOT_IN);
	if (kid->op == SELECTOR_NOT_IN)
		return node_copy(arena, kid, SELECTOR_IN);
	node = node_new(arena, SELECTOR_NOT, NULL);
	node->kids = arena_array(arena, 1, sizeof(*node->kids));
	node->kids[0] = kid;
	node->count = 1;
	return node;
}

static bool has_kids(const struct selector *node)
{
	return node->op == SELECTOR_NOT || node->op == SELECTOR_AND || node->op == SELECTOR_OR;
}

int selector_cmp(const struct selector *a, const struct selector *b)
{
	int order;

	if (a->op != b->op)
		return a->op < b->op ? -1 : 1;
	if (a->key && (order = strcmp(a->key, b->key)))
		return order;
	for (unsigned int i = 0; i < a->count && i < b->count; i++) {
		order = has_kids(a) ? selector_cmp(a->kids[i], b->kids[i])
				    : strcmp(a->values[i], b->values[i]);
		if (order)
			return order;
	}
	return a->count == b->count ? 0 : a->count < b->count ? -1 : 1;
}

static int cmp_kids(const void *a, const void *b)
{
	return selector_cmp(*(const struct selector *const *)a, *(const struct selector *const *)b);
}

/* How many kids the joined node has at most, nodes of the same operation taken apart. */
static size_t flat_count(enum selector_op op, const struct selector *const *kids, size_t count)
{
	size_t sum = 0;

	for (size_t i = 0; i < count; i++)
		sum += kids[i]->op == op ? kids[i]->count : 1;
	return sum;
}

static size_t flatten(enum selector_op op, const struct selector *const *kids, size_t count,
		      const struct selector **flat)
{
	const enum selector_op neutral = op == SELECTOR_AND ? SELECTOR_ALL : SELECTOR_NONE;
	size_t used = 0;

	for (size_t i = 0; i < count; i++) {
		if (kids[i]->op == op) {
			memcpy(flat + used, kids[i]->kids, kids[i]->count * sizeof(*flat));
			used += kids[i]->count;
		} else if (kids[i]->op != neutral) {
			flat[used++] = kids[i];
		}
	}
	return used;
}

static size_t sort_unique(const struct selector **kids, size_t count)
{
	size_t kept = 0;

	qsort(kids, count, sizeof(*kids), cmp_kids);
	for (size_t i = 0; i < count; i++)
		if (!kept || selector_cmp(kids[kept - 1], kids[i]))
			kids[kept++] = kids[i];
	return kept;
}

const struct selector *selector_join(struct arena *arena, enum selector_op op,
				     const struct selector *const *kids, size_t count)
{
	const struct selector *neutral = op == SELECTOR_AND ? &all_node : &none_node;
	const struct selector *absorbing = op == SELECTOR_AND ? &none_node : &all_node;
	const struct selector **flat =
		arena_array(arena, flat_count(op, kids, count), sizeof(*flat));
	struct selector *node;

	count = sort_unique(flat, flatten(op, kids, count, flat));
	if (!count)
		return neutral;
	for (size_t i = 0; i < count; i++)
		if (flat[i]->op == absorbing->op)
			return absorbing;
	if (count == 1)
		return flat[0];
	node = node_new(arena, op, NULL);
	node->kids = flat;
	node->count = (unsigned int)count;
	return node;
}

const struct selector *selector_and(struct arena *arena, const struct selector *a,
				    const struct selector *b)
{
	const struct selector *kids[] = { a, b };

	return selector_join(arena, SELECTOR_AND, kids, 2);
}

static const struct selector *prefixed_kids(struct arena *arena, const struct selector *selector,
					    const char *prefix)
{
	const struct selector **kids = arena_array(arena, selector->count, sizeof(*kids));

	for (unsigned int i = 0; i < selector->count; i++)
		kids[i] = selector_prefixed(arena, selector->kids[i], prefix);
	if (selector->op == SELECTOR_NOT)
		return selector_not(arena, kids[0]);
	return selector_join(arena, selector->op, kids, selector->count);
}

const struct selector *selector_prefixed(struct arena *arena, const struct selector *selector,
					 const char *prefix)
{
	struct selector *node;

	if (has_kids(selector))
		return prefixed_kids(arena, selector, prefix);
	if (!selector->key)
		return selector;
	node = node_new(arena, selector->op, NULL);
	node->key = arena_printf(arena, "%s%s", prefix, selector->key);
	node->count = selector->count;
	if (!selector->count)
		return node;
	node->values = arena_array(arena, selector->count, sizeof(*node->values));
	for (unsigned int i = 0; i < selector->count; i++)
		node->values[i] = arena_strdup(arena, selector->values[i]);
	return node;
}

static bool value_in(const struct selector *selector, const char *value)
{
	return bsearch(&value, selector->values, selector->count, sizeof(*selector->values),
		       cmp_text) != NULL;
}

static bool ends_with(const char *text, const char *end)
{
	size_t length = strlen(text), tail = strlen(end);

	return length >= tail && !strcmp(text + length - tail, end);
}

static bool eval_key(const struct selector *selector, const char *value)
{
	switch (selector->op) {
	case SELECTOR_HAS:
		return value != NULL;
	case SELECTOR_IN:
		return value && value_in(selector, value);
	case SELECTOR_NOT_IN:
		return !value || !value_in(selector, value);
	case SELECTOR_CONTAINS:
		return value && strstr(value, selector->values[0]);
	case SELECTOR_STARTS_WITH:
		return value && !strncmp(value, selector->values[0], strlen(selector->values[0]));
	case SELECTOR_ENDS_WITH:
		return value && ends_with(value, selector->values[0]);
	case SELECTOR_ALL:
	case SELECTOR_NONE:
	case SELECTOR_GLOBAL:
	case SELECTOR_NOT:
	case SELECTOR_AND:
	case SELECTOR_OR:
		break;
	}
	return false;
}

bool selector_eval(const struct selector *selector, selector_lookup lookup, void *ctx)
{
	switch (selector->op) {
	case SELECTOR_ALL:
		return true;
	case SELECTOR_NONE:
		return false;
	case SELECTOR_GLOBAL:
		return !lookup(ctx, LABEL_NAMESPACE);
	case SELECTOR_NOT:
		return !selector_eval(selector->kids[0], lookup, ctx);
	case SELECTOR_AND:
		for (unsigned int i = 0; i < selector->count; i++)
			if (!selector_eval(selector->kids[i], lookup, ctx))
				return false;
		return true;
	case SELECTOR_OR:
		for (unsigned int i = 0; i < selector->count; i++)
			if (selector_eval(selector->kids[i], lookup, ctx))
				return true;
		return false;
	case SELECTOR_HAS:
	case SELECTOR_IN:
	case SELECTOR_NOT_IN:
	case SELECTOR_CONTAINS:
	case SELECTOR_STARTS_WITH:
	case SELECTOR_ENDS_WITH:
		break;
	}
	return eval_key(selector, lookup(ctx, selector->key));
}
