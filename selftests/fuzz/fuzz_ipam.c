/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any JSON as an IPAMBlock, as IPAM objects for the check, and as pools. What holds whatever the
 * object: a block that is accepted has each ordinal either held or listed as free, and reads back
 * as it was encoded, also after it was used up, cooled and freed; the check and the usage end.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "ipam/block.h"
#include "ipam/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_block(const struct block *block)
{
	unsigned int held = 0;

	for (unsigned int i = 0; i < block->size; i++)
		held += block->attrs[i] != NULL;
	if (held + block->fifo_count != block->size)
		abort();
}

static void read_back(const struct block *block)
{
	_cleanup_json_ json_t *object = block_encode(block);
	_cleanup_block_ struct block *again = NULL;

	if (block_parse(object, &again, NULL) < 0)
		abort();
	check_block(again);
	if (again->fifo_count != block->fifo_count ||
	    memcmp(again->fifo, block->fifo, block->fifo_count * sizeof(*block->fifo)))
		abort();
}

static void use_block(json_t *object)
{
	_cleanup_json_ json_t *attr = json_pack("{s:s}", "handle_id", "h");
	_cleanup_block_ struct block *block = NULL;
	int n;

	if (block_parse(object, &block, NULL) < 0)
		return;
	check_block(block);
	read_back(block);
	if (block->size > 64)
		return;
	while ((n = block_next(block, NULL, NULL)) >= 0)
		block_hold(block, (unsigned int)n, attr);
	read_back(block);
	for (unsigned int i = 0; i < block->size; i++)
		block_cool(block, i, 1000000);
	block_mature(block, 1010000, 5000);
	if (!block_is_empty(block))
		abort();
	read_back(block);
}

static void use_lists(const json_t *tree)
{
	struct ipam_objects objects = {
		.pools = json_object_get(tree, "pools"),
		.blocks = json_object_get(tree, "blocks"),
		.affinities = json_object_get(tree, "affinities"),
		.handles = json_object_get(tree, "handles"),
		.nodes = json_object_get(tree, "nodes"),
		.pods = json_object_get(tree, "pods"),
		.workloads = json_object_get(tree, "workloads"),
		.reservations = json_object_get(tree, "reservations"),
		.configurations = json_object_get(tree, "configurations"),
	};
	json_t *report = ipam_check_objects(&objects), *usage = ipam_usage(&objects, 0);

	if (!report || !usage)
		abort();
	json_decref(report);
	json_decref(usage);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_json_ json_t *tree = json_read((const char *)data, size);

	if (!json_is_object(tree))
		return 0;
	use_block(tree);
	use_lists(tree);
	return 0;
}
