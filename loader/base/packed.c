/* SPDX-License-Identifier: Apache-2.0 */
#include "base/packed.h"

#include <string.h>
#include <zlib.h>

#include "base/arena.h"
#include "base/cleanup.h"

struct packed *packed_make(const json_t *tree)
{
	_cleanup_free_ char *text = json_dumps(tree, JSON_COMPACT | JSON_SORT_KEYS);
	size_t plain = strlen(text);
	uLongf size = compressBound(plain);
	struct packed *packed = xmalloc(sizeof(*packed) + size);

	if (compress2(packed->data, &size, (const Bytef *)text, plain, Z_BEST_SPEED) != Z_OK)
		abort(); /* out of memory: there is room */
	packed->plain = plain;
	packed->size = size;
	return xrealloc(packed, sizeof(*packed) + size, 1);
}

json_t *packed_tree(const struct packed *packed)
{
	_cleanup_free_ char *text = xmalloc(packed->plain + 1);
	uLongf size = packed->plain;

	if (uncompress((Bytef *)text, &size, packed->data, packed->size) != Z_OK)
		abort();
	return json_loadb(text, size, 0, NULL);
}

bool packed_equal(const struct packed *a, const struct packed *b)
{
	if (!a || !b)
		return a == b;
	return a->size == b->size && !memcmp(a->data, b->data, a->size);
}

struct packed *packed_copy(const struct packed *from)
{
	struct packed *copy = NULL;

	if (from) {
		copy = xmalloc(sizeof(*from) + from->size);
		memcpy(copy, from, sizeof(*from) + from->size);
	}
	return copy;
}
