/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/netsets.h"

#include <string.h>

#include "base/inet.h"
#include "model/selector.h"
#include "policy/domains.h"

void netsets_init(struct netsets *sets, struct facts_table *facts)
{
	*sets = (struct netsets){ .facts = facts };
}

static void netset_free(struct netset *set)
{
	domain_list_free(set->domains);
	free(set->name);
	free(set->net);
	free(set);
}

/* The facts are freed by their table. */
void netsets_done(struct netsets *sets)
{
	hmap_for_each(&sets->by_name, i, node, after) netset_free((struct netset *)node);
	hmap_done(&sets->by_name);
	vec_done(&sets->by_index);
	vec_done(&sets->free);
}

struct netset *netset_find(const struct netsets *sets, const char *name)
{
	struct hnode *node = hmap_first(&sets->by_name, hash_text(name, 0));

	while (node && strcmp(((struct netset *)node)->name, name))
		node = hmap_same(node);
	return (struct netset *)node;
}

struct netset *netset_add(struct netsets *sets, const char *name)
{
	struct netset *set = xcalloc(1, sizeof(*set));

	set->name = xstrdup(name);
	if (sets->free.n) {
		set->index = sets->free.v[--sets->free.n];
		sets->by_index.v[set->index] = set;
	} else {
		set->index = sets->by_index.n;
		vec_push(&sets->by_index, set);
	}
	hmap_add(&sets->by_name, &set->node, hash_text(name, 0));
	return set;
}

void netset_remove(struct netsets *sets, struct netset *set)
{
	hmap_del(&sets->by_name, &set->node);
	sets->by_index.v[set->index] = NULL;
	vec_push(&sets->free, set->index);
	facts_unref(sets->facts, set->facts);
	netset_free(set);
}

/* --- nets ---------------------------------------------------------------------------------- */

int prefix_order(const struct mg_prefix *a, const struct mg_prefix *b)
{
	int order = memcmp(&a->addr, &b->addr, sizeof(a->addr));

	return order ? order : (int)a->len - (int)b->len;
}

static int prefix_cmp(const void *a, const void *b)
{
	return prefix_order(a, b);
}

/* IPv4 is stored inside IPv6's range and no part of it. */
static bool covers(const struct mg_prefix *outer, const struct mg_prefix *inner)
{
	union mg_addr addr = inner->addr;

	return outer->len <= inner->len && prefix_is4(outer) == prefix_is4(inner) &&
	       prefix_contains(outer, &addr);
}

/* Sorted, a net comes behind those around it. One that spans IPv4's range has both families
 * behind it, so each family has its own last one. */
static size_t without_nested(struct mg_prefix *net, size_t count)
{
	const struct mg_prefix *last[2] = { NULL, NULL };
	size_t n = 0;

	for (size_t i = 0; i < count; i++) {
		bool is4 = prefix_is4(&net[i]);

		if (last[is4] && covers(last[is4], &net[i]))
			continue;
		net[n] = net[i];
		last[is4] = &net[n++];
	}
	return n;
}

void netset_nets(struct netset *set, const struct mg_prefix *net, size_t count,
		 struct mg_prefix **ret_old, size_t *ret_count)
{
	struct mg_prefix *own = xcalloc(count + 1, sizeof(*own));

	if (count)
		memcpy(own, net, count * sizeof(*own));
	for (size_t i = 0; i < count; i++)
		prefix_mask(&own[i]);
	qsort(own, count, sizeof(*own), prefix_cmp);
	*ret_old = set->net;
	*ret_count = set->count;
	set->net = own;
	set->count = without_nested(own, count);
}

/* How many nets do not come behind key. */
static size_t count_until(const struct netset *set, const struct mg_prefix *key)
{
	size_t low = 0, high = set->count;

	while (low < high) {
		size_t mid = (low + high) / 2;

		if (prefix_cmp(&set->net[mid], key) <= 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

bool netset_has(const struct netset *set, const union mg_addr *addr)
{
	static const struct mg_prefix before_ip4 = { .addr.b = { [10] = 0xff, [11] = 0xff } };
	const struct mg_prefix exact = { .len = MG_ADDR_BITS, .addr = *addr };
	size_t n = count_until(set, &exact);

	/* What is around an IPv6 address may stand before all nets of IPv4. */
	if (n && prefix_is4(&set->net[n - 1]) && !addr_is4(addr))
		n = count_until(set, &before_ip4);
	return n && covers(&set->net[n - 1], &exact);
}

bool netsets_hold(const struct netsets *sets, const union mg_addr *addr,
		  const struct selector *selector)
{
	for (size_t i = 0; i < sets->by_index.n; i++) {
		const struct netset *set = sets->by_index.v[i];

		if (set && !set->domains && selector_eval(selector, facts_lookup, set->facts) &&
		    netset_has(set, addr))
			return true;
	}
	return false;
}

bool netsets_changed(const struct netsets *sets)
{
	for (size_t i = 0; i < sets->by_index.n; i++)
		if (sets->by_index.v[i] && sets->by_index.v[i]->facts->changed)
			return true;
	return false;
}
