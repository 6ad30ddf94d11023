/* SPDX-License-Identifier: Apache-2.0 */
#include "ipam/pools.h"

#include <errno.h>
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/inet.h"
#include "model/pool_order.h"
#include "model/selector.h"

static const char *text_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text && *text ? text : NULL;
}

/* --- decode ---------------------------------------------------------------------------------- */

static unsigned int parse_uses(const json_t *spec)
{
	const json_t *list = json_object_get(spec, "allowedUses");
	const json_t *item;
	unsigned int uses = 0;
	size_t i;

	if (!json_array_size(list))
		return POOL_WORKLOAD | POOL_TUNNEL;
	json_array_foreach(list, i, item) {
		const char *text = json_string_value(item);

		if (text && !strcmp(text, "Workload"))
			uses |= POOL_WORKLOAD;
		else if (text && !strcmp(text, "Tunnel"))
			uses |= POOL_TUNNEL;
		else if (text && !strcmp(text, "LoadBalancer"))
			uses |= POOL_LOAD_BALANCER;
	}
	return uses;
}

/* blockSize counts as written: 20 to 32, or 116 to 128. */
static int parse_block_len(struct pool *pool, const json_t *spec)
{
	const json_t *value = json_object_get(spec, "blockSize");
	json_int_t size = json_integer_value(value);

	if (!size)
		size = pool->v4 ? 26 : 122;
	if (pool->v4)
		size += MG_V4_PREFIX_BITS;
	if (size < MG_ADDR_BITS - 12 || size > MG_ADDR_BITS || size < (json_int_t)pool->cidr.len)
		return -EINVAL;
	pool->block_len = (__u32)size;
	return 0;
}

static bool is_not_allocatable(const json_t *object)
{
	const json_t *list = json_object_get(json_object_get(object, "status"), "conditions");
	const json_t *item;
	size_t i;

	json_array_foreach(list, i, item) {
		const char *type = text_of(item, "type"), *status = text_of(item, "status");

		if (type && status && !strcmp(type, "Allocatable") && !strcmp(status, "False"))
			return true;
	}
	return false;
}

static int parse_selectors(struct arena *arena, struct pool *pool, const json_t *spec)
{
	const char *node = text_of(spec, "nodeSelector");
	const char *ns = text_of(spec, "namespaceSelector");
	int r;

	pool->node_selector = selector_all();
	r = node ? selector_parse(arena, node, &pool->node_selector, NULL) : 0;
	if (!r && ns)
		r = selector_parse(arena, ns, &pool->ns_selector, NULL);
	return r;
}

/* -EINVAL: has no place among the pools at all. */
static int parse_pool(struct arena *arena, const json_t *object, struct pool *ret_pool)
{
	const json_t *spec = json_object_get(object, "spec");
	const json_t *metadata = json_object_get(object, "metadata");
	const char *name = text_of(metadata, "name"), *cidr = text_of(spec, "cidr");
	const char *mode = text_of(spec, "assignmentMode");
	struct pool pool = {};

	if (!name || strlen(name) >= IPAM_NAME_MAX || !cidr ||
	    prefix_parse(cidr, false, &pool.cidr) < 0 || !prefix_is_masked(&pool.cidr))
		return -EINVAL;
	pool.name = arena_strdup(arena, name);
	pool.created = arena_strdup(arena, text_of(metadata, "creationTimestamp") ?: "");
	pool.v4 = prefix_is4(&pool.cidr);
	pool.uses = parse_uses(spec);
	pool.manual = mode && !strcmp(mode, "Manual");
	pool.disabled = json_is_true(json_object_get(spec, "disabled")) ||
			json_object_get(metadata, "deletionTimestamp") ||
			is_not_allocatable(object);
	if (parse_block_len(&pool, spec) < 0) {
		pool.block_len = pool.cidr.len;
		pool.disabled = true;
	}
	if (parse_selectors(arena, &pool, spec) < 0)
		pool.disabled = true;
	*ret_pool = pool;
	return 0;
}

static int pool_cmp(const void *a, const void *b)
{
	return strcmp(((const struct pool *)a)->name, ((const struct pool *)b)->name);
}

/* What the agent's state does with them too. */
static void settle(struct pools *pools)
{
	_cleanup_free_ struct pool_place *places = xcalloc(pools->count + 1, sizeof(*places));

	for (size_t i = 0; i < pools->count; i++)
		places[i] = (struct pool_place){ .cidr = &pools->list[i].cidr,
						 .created = pools->list[i].created,
						 .name = pools->list[i].name };
	pool_places_settle(places, pools->count);
	for (size_t i = 0; i < pools->count; i++) {
		struct pool *pool = (struct pool *)pools_find(pools, places[i].name);

		pool->behind = places[i].behind;
		pool->disabled |= pool->behind;
	}
}

static void parse_pools(struct pools *pools, const json_t *list)
{
	size_t i, room = json_array_size(list);
	const json_t *object;

	if (room > POOLS_MAX)
		room = POOLS_MAX;
	pools->list = arena_array(pools->arena, room + 1, sizeof(*pools->list));
	json_array_foreach(list, i, object) {
		if (pools->count == room)
			break;
		if (!parse_pool(pools->arena, object, &pools->list[pools->count]))
			pools->count++;
	}
	qsort(pools->list, pools->count, sizeof(*pools->list), pool_cmp);
	settle(pools);
}

static void parse_reservations(struct pools *pools, const json_t *list)
{
	const json_t *object, *item;
	size_t i, j, room = 0;

	json_array_foreach(list, i, object)
		room += json_array_size(
			json_object_get(json_object_get(object, "spec"), "reservedCIDRs"));
	if (room > RESERVATIONS_MAX)
		room = RESERVATIONS_MAX;
	pools->reserved = arena_array(pools->arena, room + 1, sizeof(*pools->reserved));
	json_array_foreach(list, i, object) {
		const json_t *spec = json_object_get(object, "spec");

		json_array_foreach(json_object_get(spec, "reservedCIDRs"), j, item) {
			struct mg_prefix *prefix = &pools->reserved[pools->reserved_count];
			const char *text = json_string_value(item);

			if (!text || pools->reserved_count == room ||
			    prefix_parse(text, true, prefix) < 0)
				continue;
			prefix_mask(prefix);
			pools->reserved_count++;
		}
	}
}

static void parse_configuration(struct pools *pools, const json_t *list)
{
	const json_t *object, *value;
	const json_t *spec = NULL;
	size_t i;

	json_array_foreach(list, i, object) {
		const char *name = text_of(json_object_get(object, "metadata"), "name");

		if (name && !strcmp(name, "default"))
			spec = json_object_get(object, "spec");
	}
	pools->strict_affinity = json_is_true(json_object_get(spec, "strictAffinity"));
	value = json_object_get(spec, "autoAllocateBlocks");
	pools->auto_blocks = !json_is_false(value);
	value = json_object_get(spec, "maxBlocksPerHost");
	pools->max_blocks = MAX_BLOCKS_DEFAULT;
	if (json_integer_value(value) > 0 && json_integer_value(value) <= 1000000)
		pools->max_blocks = (unsigned int)json_integer_value(value);
	value = json_object_get(spec, "ipCooldownSeconds");
	pools->cooldown_ms = IPAM_COOLDOWN_MIN_MS;
	if (json_integer_value(value) > 0 && json_integer_value(value) <= 1200 &&
	    json_integer_value(value) * 1000 > IPAM_COOLDOWN_MIN_MS)
		pools->cooldown_ms = (__u64)json_integer_value(value) * 1000;
}

struct pools *pools_new(json_t *source)
{
	struct pools *pools = xcalloc(1, sizeof(*pools));

	pools->arena = arena_new();
	pools->source = json_incref(source);
	parse_pools(pools, json_object_get(source, "pools"));
	parse_reservations(pools, json_object_get(source, "reservations"));
	parse_configuration(pools, json_object_get(source, "configurations"));
	return pools;
}

void pools_free(struct pools *pools)
{
	if (!pools)
		return;
	json_decref(pools->source);
	arena_free(pools->arena);
	free(pools);
}

/* --- questions ------------------------------------------------------------------------------- */

const struct pool *pools_find(const struct pools *pools, const char *name)
{
	for (size_t i = 0; pools && i < pools->count; i++)
		if (!strcmp(pools->list[i].name, name))
			return &pools->list[i];
	return NULL;
}

const struct pool *pools_of(const struct pools *pools, const union mg_addr *addr)
{
	const struct pool *found = NULL;

	for (size_t i = 0; pools && i < pools->count; i++)
		if (prefix_contains(&pools->list[i].cidr, addr) && (!found || found->behind))
			found = &pools->list[i];
	return found;
}

bool pools_is_reserved(const void *arg, const union mg_addr *addr)
{
	const struct pools *pools = arg;

	for (size_t i = 0; i < pools->reserved_count; i++)
		if (prefix_contains(&pools->reserved[i], addr))
			return true;
	return false;
}

static const char *label_lookup(void *ctx, const char *key)
{
	const struct ipam_labels *labels = ctx;

	for (size_t i = 0; i < labels->count; i++)
		if (!strcmp(labels->items[i].key, key))
			return labels->items[i].value;
	return NULL;
}

static bool selects(const struct selector *selector, const struct ipam_labels *labels)
{
	return selector_eval(selector, label_lookup, (void *)labels);
}

bool pool_selects_node(const struct pool *pool, const struct ipam_labels *labels)
{
	return !pool->disabled && selects(pool->node_selector, labels);
}

static bool pool_is_automatic(const struct pool *pool, const struct pool_question *question)
{
	if (pool->manual || !pool_selects_node(pool, question->node_labels))
		return false;
	return !pool->ns_selector || !question->ns_labels ||
	       selects(pool->ns_selector, question->ns_labels);
}

static const struct pool *pool_named(const struct pools *pools, const char *text)
{
	const struct pool *pool = pools_find(pools, text);
	struct mg_prefix cidr;

	if (pool || prefix_parse(text, false, &cidr) < 0)
		return pool;
	for (size_t i = 0; i < pools->count; i++)
		if (!memcmp(&pools->list[i].cidr, &cidr, sizeof(cidr)))
			return &pools->list[i];
	return NULL;
}

/* Named pools are used whatever their selectors and assignmentMode say. */
static int choose_named(const struct pools *pools, const struct pool_question *question,
			const json_t *list, const struct pool **ret_pools, struct err *err)
{
	const json_t *item;
	size_t i, count = 0;

	json_array_foreach(list, i, item) {
		const char *text = json_string_value(item);
		const struct pool *pool = text ? pool_named(pools, text) : NULL;

		if (!text)
			return err_set(err, -EINVAL, "list of pools: element %zu is not a string",
				       i);
		if (!pool || pool->disabled)
			return err_set(err, -ENOENT, "pool %s does not exist or is disabled", text);
		if (pool->v4 != question->v4)
			return err_set(err, -EINVAL, "pool %s is not of IPv%d", text,
				       question->v4 ? 4 : 6);
		if (!(pool->uses & question->use))
			return err_set(err, -ENOENT, "pool %s: allowedUses forbids this", text);
		if (count < CHOICE_MAX)
			ret_pools[count++] = pool;
	}
	return (int)count;
}

static int choose_automatic(const struct pools *pools, const struct pool_question *question,
			    const struct pool **ret_pools)
{
	int count = 0;

	for (size_t i = 0; i < pools->count && count < CHOICE_MAX; i++) {
		const struct pool *pool = &pools->list[i];

		if (pool->v4 == question->v4 && pool->uses & question->use &&
		    pool_is_automatic(pool, question))
			ret_pools[count++] = pool;
	}
	return count;
}

int pools_choose(const struct pools *pools, const struct pool_question *question,
		 const struct pool *ret_pools[CHOICE_MAX], size_t *ret_count, struct err *err)
{
	json_t *list = NULL;
	int count = 0;

	for (int i = 0; i < 3 && !count; i++) {
		if (!question->lists[i] || !*question->lists[i])
			continue;
		list = json_loads(question->lists[i], 0, NULL);
		if (!json_is_array(list))
			count = err_set(err, -EINVAL, "not a JSON list of pools: %.80s",
					question->lists[i]);
		else
			count = choose_named(pools, question, list, ret_pools, err);
		json_decref(list);
	}
	if (!count)
		count = choose_automatic(pools, question, ret_pools);
	if (count < 0)
		return count;
	if (!count)
		return err_set(err, -ENOENT, "no enabled IPv%d pool selects this node%s",
			       question->v4 ? 4 : 6, question->ns_labels ? " and namespace" : "");
	*ret_count = (size_t)count;
	return 0;
}
