/* SPDX-License-Identifier: Apache-2.0 */
#include "ipam/block.h"

#include <errno.h>
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/inet.h"
#include "base/utc.h"

void block_free(struct block *block)
{
	if (!block)
		return;
	for (unsigned int i = 0; block->attrs && i < block->size; i++)
		json_decref(block->attrs[i]);
	json_decref(block->object);
	free(block->affinity);
	free(block->attrs);
	free(block->sequences);
	free(block->fifo);
	free(block);
}

static struct block *block_make(const struct mg_prefix *cidr)
{
	struct block *block = xcalloc(1, sizeof(*block));

	block->cidr = *cidr;
	block->size = 1U << (MG_ADDR_BITS - cidr->len);
	block->attrs = xcalloc(block->size, sizeof(*block->attrs));
	block->sequences = xcalloc(block->size, sizeof(*block->sequences));
	block->fifo = xcalloc(block->size, sizeof(*block->fifo));
	return block;
}

struct block *block_new(const struct mg_prefix *cidr, const char *affinity, __u64 now_ms)
{
	struct block *block = block_make(cidr);

	for (unsigned int i = 0; i < block->size; i++)
		block->fifo[block->fifo_count++] = i;
	if (affinity) {
		block->affinity = xstrdup(affinity);
		block->claimed_ms = now_ms;
	}
	return block;
}

/* --- decode ---------------------------------------------------------------------------------- */

static int parse_cidr(const json_t *spec, struct mg_prefix *ret_cidr, struct err *err)
{
	const char *text = json_string_value(json_object_get(spec, "cidr"));
	struct mg_prefix cidr;

	if (!text || prefix_parse(text, false, &cidr) < 0 || !prefix_is_masked(&cidr))
		return err_set(err, -EINVAL, "spec.cidr: not a prefix");
	if (cidr.len < MG_ADDR_BITS - 12)
		return err_set(err, -EINVAL, "spec.cidr: more than %d addresses", BLOCK_SIZE_MAX);
	*ret_cidr = cidr;
	return 0;
}

static int parse_allocations(struct block *block, const json_t *spec, struct err *err)
{
	const json_t *allocations = json_object_get(spec, "allocations");
	const json_t *attributes = json_object_get(spec, "attributes");

	if (json_array_size(allocations) != block->size)
		return err_set(err, -EINVAL, "spec.allocations: %zu entries, expected %u",
			       json_array_size(allocations), block->size);
	for (unsigned int i = 0; i < block->size; i++) {
		const json_t *item = json_array_get(allocations, i);
		json_t *attr;

		if (json_is_null(item))
			continue;
		attr = json_is_integer(item) && json_integer_value(item) >= 0
			       ? json_array_get(attributes, (size_t)json_integer_value(item))
			       : NULL;
		if (!json_is_object(attr))
			return err_set(err, -EINVAL, "spec.allocations[%u]: names no attribute", i);
		block->attrs[i] = json_incref(attr);
	}
	return 0;
}

static int parse_unallocated(struct block *block, const json_t *spec, struct err *err)
{
	const json_t *list = json_object_get(spec, "unallocated");
	_cleanup_free_ bool *seen = xcalloc(block->size, sizeof(*seen));
	const json_t *item;
	size_t i;

	json_array_foreach(list, i, item) {
		json_int_t n = json_integer_value(item);

		if (!json_is_integer(item) || n < 0 || n >= (json_int_t)block->size ||
		    block->attrs[n] || seen[n])
			return err_set(err, -EINVAL,
				       "spec.unallocated[%zu]: not a free ordinal, or twice", i);
		seen[n] = true;
		block->fifo[block->fifo_count++] = (unsigned int)n;
	}
	/* An ordinal in neither list would be lost for ever. */
	for (unsigned int n = 0; n < block->size; n++)
		if (!block->attrs[n] && !seen[n])
			block->fifo[block->fifo_count++] = n;
	return 0;
}

static void parse_sequences(struct block *block, const json_t *spec)
{
	const json_t *map = json_object_get(spec, "sequenceNumberForAllocation");
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)map, key, value) {
		char *end;
		unsigned long n = strtoul(key, &end, 10);

		if (!*end && end != key && n < block->size)
			block->sequences[n] = (__u64)json_integer_value(value);
	}
}

int block_parse(json_t *object, struct block **ret_block, struct err *err)
{
	const json_t *spec = json_object_get(object, "spec");
	_cleanup_block_ struct block *block = NULL;
	struct mg_prefix cidr;
	const char *text;
	int r;

	r = parse_cidr(spec, &cidr, err);
	if (r < 0)
		return r;
	block = block_make(&cidr);
	r = parse_allocations(block, spec, err);
	if (!r)
		r = parse_unallocated(block, spec, err);
	if (r < 0)
		return r;
	parse_sequences(block, spec);
	text = json_string_value(json_object_get(spec, "affinity"));
	if (text && *text)
		block->affinity = xstrdup(text);
	block->claimed_ms =
		utc_parse(json_string_value(json_object_get(spec, "affinityClaimTime")));
	block->sequence = (__u64)json_integer_value(json_object_get(spec, "sequenceNumber"));
	block->deleted = json_is_true(json_object_get(spec, "deleted"));
	block->object = json_incref(object);
	*ret_block = TAKE_PTR(block);
	return 0;
}

/* --- encode ---------------------------------------------------------------------------------- */

static json_int_t attr_index(json_t *attributes, json_t *attr)
{
	size_t count = json_array_size(attributes);

	for (size_t i = 0; i < count; i++)
		if (json_array_get(attributes, i) == attr)
			return (json_int_t)i;
	json_array_append(attributes, attr);
	return (json_int_t)count;
}

static void encode_allocations(const struct block *block, json_t *spec)
{
	json_t *allocations = json_array(), *attributes = json_array();
	json_t *unallocated = json_array(), *sequences = json_object();
	char key[16];

	for (unsigned int i = 0; i < block->size; i++) {
		json_array_append_new(
			allocations, block->attrs[i]
					     ? json_integer(attr_index(attributes, block->attrs[i]))
					     : json_null());
		if (!block->attrs[i] || !block->sequences[i])
			continue;
		snprintf(key, sizeof(key), "%u", i);
		json_object_set_new(sequences, key, json_integer((json_int_t)block->sequences[i]));
	}
	for (unsigned int i = 0; i < block->fifo_count; i++)
		json_array_append_new(unallocated, json_integer(block->fifo[i]));
	json_object_set_new(spec, "allocations", allocations);
	json_object_set_new(spec, "attributes", attributes);
	json_object_set_new(spec, "unallocated", unallocated);
	json_object_set_new(spec, "sequenceNumberForAllocation", sequences);
}

static json_t *object_frame(const struct block *block)
{
	char name[BLOCK_NAME_MAX];

	if (block->object)
		return json_copy(block->object);
	return json_pack("{s:s, s:s, s:{s:s}}", "apiVersion", "projectcalico.org/v3", "kind",
			 "IPAMBlock", "metadata", "name", block_name(&block->cidr, name));
}

json_t *block_encode(const struct block *block)
{
	json_t *object = object_frame(block);
	const json_t *old = json_object_get(object, "spec");
	json_t *spec = old ? json_copy((json_t *)old) : json_object();
	char text[PREFIX_TEXT_MAX], claimed[UTC_TEXT_MAX];

	json_object_set_new(spec, "cidr", json_string(prefix_format(&block->cidr, text)));
	json_object_set_new(spec, "sequenceNumber", json_integer((json_int_t)block->sequence + 1));
	json_object_set_new(spec, "deleted", json_boolean(block->deleted));
	if (!json_object_get(spec, "strictAffinity"))
		json_object_set_new(spec, "strictAffinity", json_false());
	json_object_del(spec, "affinity");
	json_object_del(spec, "affinityClaimTime");
	if (block->affinity)
		json_object_set_new(spec, "affinity", json_string(block->affinity));
	if (block->affinity && block->claimed_ms)
		json_object_set_new(spec, "affinityClaimTime",
				    json_string(utc_format(block->claimed_ms, claimed)));
	encode_allocations(block, spec);
	json_object_set_new(object, "spec", spec);
	return object;
}

/* --- questions ------------------------------------------------------------------------------- */

bool block_contains(const struct block *block, const union mg_addr *addr, unsigned int *ret_ordinal)
{
	unsigned int ordinal;

	if (!prefix_contains(&block->cidr, addr))
		return false;
	ordinal = ((unsigned int)addr->b[14] << 8 | addr->b[15]) & (block->size - 1);
	*ret_ordinal = ordinal;
	return true;
}

union mg_addr block_addr(const struct block *block, unsigned int ordinal)
{
	union mg_addr first = block->cidr.addr;

	return addr_add(&first, ordinal);
}

bool block_is_of(const struct block *block, const char *node)
{
	size_t len = strlen(BLOCK_AFFINITY);

	return block->affinity && !strncmp(block->affinity, BLOCK_AFFINITY, len) &&
	       !strcmp(block->affinity + len, node);
}

bool block_is_empty(const struct block *block)
{
	return block->fifo_count == block->size;
}

const char *block_handle(const struct block *block, unsigned int ordinal)
{
	const char *handle = json_string_value(json_object_get(block->attrs[ordinal], "handle_id"));

	return handle && *handle ? handle : NULL;
}

const char *block_secondary(const struct block *block, unsigned int ordinal, const char *key)
{
	const json_t *map = json_object_get(block->attrs[ordinal], "secondary");

	return json_string_value(json_object_get(map, key));
}

bool block_is_cooling(const struct block *block, unsigned int ordinal)
{
	return block->attrs[ordinal] && !block_handle(block, ordinal) &&
	       json_object_get(block->attrs[ordinal], "releasedAt");
}

const char *block_name(const struct mg_prefix *cidr, char *text)
{
	prefix_format(cidr, text);
	for (char *c = text; *c; c++)
		if (*c == '.' || *c == ':' || *c == '/')
			*c = '-';
	return text;
}
