/* SPDX-License-Identifier: Apache-2.0 */
/* IPAMConfiguration, IPAMBlock, BlockAffinity, IPAMHandle (projectcalico.org/v3). */
#include "model/ipam.h"

#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/inet.h"
#include "model/decode_kinds.h"

/* crd.projectcalico.org/v1 writes these as texts. */
static READER(read_bool_or_text)
{
	const char *text = json_string_value(value);

	(void)field;
	if (json_is_boolean(value))
		*(bool *)at = json_is_true(value);
	else if (text && (!strcmp(text, "true") || !strcmp(text, "false") || !*text))
		*(bool *)at = *text == 't';
	else
		complain_type(d, path, value, "a boolean");
}

/* A key of a map as an unsigned number. */
static bool key_number(struct decode *d, const struct path *path, const char *key,
		       unsigned long *ret_number)
{
	char *end;
	unsigned long number = strtoul(key, &end, 10);

	if (*key < '0' || *key > '9' || *end || number > UINT32_MAX) {
		complain(d, path, "the key is not a number");
		return false;
	}
	*ret_number = number;
	return true;
}

/* --- IPAMConfiguration ---------------------------------------------------------------------- */

static void check_config(struct decode *d, const struct path *path, const json_t *value, void *at)
{
	const struct ipam_config *config = at;

	(void)value;
	if (!config->strict_affinity && !config->auto_allocate_blocks)
		complain(d, path, "autoAllocateBlocks false needs strictAffinity true");
	if (config->max_blocks_per_host && !config->strict_affinity)
		complain(d, path, "maxBlocksPerHost needs strictAffinity true");
}

void check_default_name(struct decode *d, const struct path *path, const json_t *value, void *at)
{
	const struct path metadata = { .up = path, .key = "metadata" };
	const struct path name = { .up = &metadata, .key = "name" };
	const struct object *object = at;

	(void)value;
	if (strcmp(object->name, "default"))
		complain(d, &name, "\"%.64s\" is not \"default\", the one object of this kind",
			 object->name);
}

/* Has no effect here; what it says must be right all the same. */
static READER(read_switch)
{
	const char *text = json_string_value(value);

	(void)field;
	(void)at;
	if (!text)
		complain_type(d, path, value, "a string");
	else if (*text && strcmp(text, "Enabled") && strcmp(text, "Disabled"))
		complain(d, path, "\"%.64s\" is not one of Enabled, Disabled", text);
}

static const struct field config_spec_fields[] = {
	FIELD("strictAffinity", struct ipam_config, strict_affinity, read_bool),
	FIELD("autoAllocateBlocks", struct ipam_config, auto_allocate_blocks, read_bool),
	FIELD("maxBlocksPerHost", struct ipam_config, max_blocks_per_host, read_int,
	      .max = 1000000),
	FIELD("ipCooldownSeconds", struct ipam_config, cooldown_s, read_int, .max = 1200),
	{ .name = "kubeVirtVMAddressPersistence", .read = read_switch, .json = FIELD_JSON_TEXT },
	FIELD_END
};
static const struct shape config_spec_shape = { .fields = config_spec_fields,
						.check = check_config };
static const struct field config_fields[] = { FIELD_SAME("spec", &config_spec_shape), FIELD_END };
static const struct shape config_shape = { .fields = config_fields, .check = check_default_name };

static void config_defaults(struct decode *d, void *object)
{
	(void)d;
	((struct ipam_config *)object)->auto_allocate_blocks = true;
}

const struct decoder decoder_ipam_config = { .size = sizeof(struct ipam_config),
					     .shape = &config_shape,
					     .defaults = config_defaults };

/* --- IPAMBlock ------------------------------------------------------------------------------ */

/* Each a number or null: null has a meaning here, so this is no ordinary list. */
static READER(read_allocations)
{
	struct ipam_block *block = at;
	const json_t *item;
	size_t index;

	(void)field;
	if (!json_is_array(value)) {
		complain_type(d, path, value, "a list");
		return;
	}
	if (json_array_size(value) > IPAM_BLOCK_ADDRS_MAX) {
		complain(d, path, "has more than %d elements", IPAM_BLOCK_ADDRS_MAX);
		return;
	}
	block->size = json_array_size(value);
	block->allocations = arena_array(d->arena, block->size, sizeof(*block->allocations));
	json_array_foreach(value, index, item) {
		const struct path place = { .up = path, .index = index };

		block->allocations[index] = IPAM_UNALLOCATED;
		if (!json_is_null(item) && int_in_range(d, &place, item, 0, INT32_MAX))
			block->allocations[index] = (int32_t)json_integer_value(item);
	}
}

static int cmp_sequence(const void *a, const void *b)
{
	const struct ipam_ordinal_sequence *x = a, *y = b;

	return x->ordinal < y->ordinal ? -1 : x->ordinal > y->ordinal;
}

static READER(read_sequences)
{
	struct ipam_block *block = at;
	const char *key;
	json_t *member;

	(void)field;
	if (!json_is_object(value)) {
		complain_type(d, path, value, "an object");
		return;
	}
	block->sequences =
		arena_array(d->arena, json_object_size(value), sizeof(*block->sequences));
	json_object_foreach((json_t *)(uintptr_t)value, key, member) {
		const struct path place = { .up = path, .key = key };
		unsigned long ordinal;

		if (key_number(d, &place, key, &ordinal) &&
		    int_in_range(d, &place, member, 0, INT64_MAX))
			block->sequences[block->sequence_count++] = (struct ipam_ordinal_sequence){
				(uint32_t)ordinal, (uint64_t)json_integer_value(member)
			};
	}
	if (block->sequence_count)
		qsort(block->sequences, block->sequence_count, sizeof(*block->sequences),
		      cmp_sequence);
}

static const struct field attribute_fields[] = {
	FIELD("handle_id", struct ipam_attribute, handle, read_text),
	FIELD("secondary", struct ipam_attribute, secondary, read_texts),
	FIELD("releasedAt", struct ipam_attribute, released_at, read_text),
	FIELD_KNOWN("alternateOwnerAttrs"), FIELD_END
};

static void check_attribute(struct decode *d, const struct path *path, const json_t *value,
			    void *at)
{
	struct ipam_attribute *attribute = at;

	(void)d;
	(void)path;
	(void)value;
	if (!attribute->handle)
		attribute->handle = "";
	if (!attribute->released_at)
		attribute->released_at = "";
}

static const struct shape attribute_shape = { .fields = attribute_fields,
					      .check = check_attribute };
static const struct field attribute_field = { .read = read_object, .shape = &attribute_shape };
static const struct field ordinal_field = { .read = read_int,
					    .size = sizeof(uint32_t),
					    .max = IPAM_BLOCK_ADDRS_MAX };

static const struct field block_spec_fields[] = {
	FIELD("cidr", struct ipam_block, cidr, read_prefix, .flags = FIELD_REQUIRED | FIELD_MASKED),
	FIELD("affinity", struct ipam_block, affinity, read_text),
	FIELD("affinityClaimTime", struct ipam_block, affinity_claim_time, read_text),
	{ .name = "allocations",
	  .read = read_allocations,
	  .json = FIELD_JSON_INT_LIST,
	  .flags = FIELD_REQUIRED },
	FIELD_LIST("unallocated", struct ipam_block, free_count, unallocated, &ordinal_field,
		   .max = IPAM_BLOCK_ADDRS_MAX),
	FIELD_LIST("attributes", struct ipam_block, attribute_count, attributes, &attribute_field,
		   .max = IPAM_BLOCK_ADDRS_MAX),
	FIELD("sequenceNumber", struct ipam_block, sequence, read_int),
	{ .name = "sequenceNumberForAllocation",
	  .read = read_sequences,
	  .json = FIELD_JSON_INT_MAP },
	FIELD("deleted", struct ipam_block, deleted, read_bool_or_text),
	FIELD_KNOWN("strictAffinity"),
	FIELD_END
};

/* Every index leads somewhere, so that who reads the block need not look. */
static void check_block(struct decode *d, const struct path *path, const json_t *value, void *at)
{
	const struct path allocations = { .up = path, .key = "allocations" };
	const struct path unallocated = { .up = path, .key = "unallocated" };
	const struct ipam_block *block = at;
	const unsigned int host_bits = MG_ADDR_BITS - block->cidr.len;

	(void)value;
	if (host_bits > 12 || block->size != 1UL << host_bits)
		complain(d, &allocations, "has %zu elements, not one for each address of the cidr",
			 block->size);
	for (size_t i = 0; i < block->size; i++) {
		const struct path place = { .up = &allocations, .index = i };

		if (block->allocations[i] >= 0 &&
		    (size_t)block->allocations[i] >= block->attribute_count)
			complain(d, &place, "%d is not a place in attributes",
				 block->allocations[i]);
	}
	for (size_t i = 0; i < block->free_count; i++) {
		const struct path place = { .up = &unallocated, .index = i };

		if (block->unallocated[i] >= block->size)
			complain(d, &place, "%u is not a place in allocations",
				 block->unallocated[i]);
	}
}

static const struct shape block_spec_shape = { .fields = block_spec_fields, .check = check_block };
static const struct field block_fields[] = {
	FIELD_SAME("spec", &block_spec_shape, .flags = FIELD_REQUIRED), FIELD_END
};
static const struct shape block_shape = { .fields = block_fields };

static void block_defaults(struct decode *d, void *object)
{
	struct ipam_block *block = object;

	(void)d;
	block->affinity = block->affinity_claim_time = "";
}

const struct decoder decoder_ipam_block = { .size = sizeof(struct ipam_block),
					    .shape = &block_shape,
					    .defaults = block_defaults };

/* --- BlockAffinity -------------------------------------------------------------------------- */

static const struct enum_text states[] = { { "", AFFINITY_NONE },
					   { "pending", AFFINITY_PENDING },
					   { "confirmed", AFFINITY_CONFIRMED },
					   { "pendingDeletion", AFFINITY_PENDING_DELETION },
					   { NULL, 0 } };
static const struct enum_text affinity_types[] = {
	{ "host", false }, { "virtual", true }, { "", false }, { NULL, 0 }
};

static const struct field affinity_spec_fields[] = {
	FIELD("state", struct block_affinity, state, read_enum, .enums = states),
	FIELD("node", struct block_affinity, node, read_text,
	      .flags = FIELD_REQUIRED | FIELD_NOT_EMPTY),
	FIELD("type", struct block_affinity, is_virtual, read_enum, .enums = affinity_types),
	FIELD("cidr", struct block_affinity, cidr, read_prefix,
	      .flags = FIELD_REQUIRED | FIELD_MASKED),
	FIELD("deleted", struct block_affinity, deleted, read_bool_or_text),
	FIELD_END
};
static const struct shape affinity_spec_shape = { .fields = affinity_spec_fields };
static const struct field affinity_fields[] = {
	FIELD_SAME("spec", &affinity_spec_shape, .flags = FIELD_REQUIRED), FIELD_END
};
static const struct shape affinity_shape = { .fields = affinity_fields };

const struct decoder decoder_block_affinity = { .size = sizeof(struct block_affinity),
						.shape = &affinity_shape };

/* --- IPAMHandle ----------------------------------------------------------------------------- */

static READER(read_handle_blocks)
{
	struct ipam_handle *handle = at;
	const char *key;
	json_t *member;

	(void)field;
	if (!json_is_object(value)) {
		complain_type(d, path, value, "an object");
		return;
	}
	handle->blocks = arena_array(d->arena, json_object_size(value), sizeof(*handle->blocks));
	json_object_foreach((json_t *)(uintptr_t)value, key, member) {
		const struct path place = { .up = path, .key = key };
		struct ipam_handle_block *block = &handle->blocks[handle->count];

		if (prefix_parse(key, false, &block->cidr))
			complain(d, &place, "the key is not a CIDR");
		else if (int_in_range(d, &place, member, 0, IPAM_BLOCK_ADDRS_MAX))
			handle->blocks[handle->count++].count =
				(uint32_t)json_integer_value(member);
	}
}

static const struct field handle_spec_fields[] = {
	FIELD("handleID", struct ipam_handle, id, read_text,
	      .flags = FIELD_REQUIRED | FIELD_NOT_EMPTY),
	{ .name = "block", .read = read_handle_blocks, .json = FIELD_JSON_INT_MAP },
	FIELD("deleted", struct ipam_handle, deleted, read_bool_or_text),
	FIELD_END
};
static const struct shape handle_spec_shape = { .fields = handle_spec_fields };
static const struct field handle_fields[] = {
	FIELD_SAME("spec", &handle_spec_shape, .flags = FIELD_REQUIRED), FIELD_END
};
static const struct shape handle_shape = { .fields = handle_fields };

const struct decoder decoder_ipam_handle = { .size = sizeof(struct ipam_handle),
					     .shape = &handle_shape };
