/* SPDX-License-Identifier: Apache-2.0 */
#include "state/named.h"

#include <string.h>

#include "base/arena.h"
#include "policy/hmap.h"

uint32_t named_hash(const void *context, uintptr_t word)
{
	(void)context;
	return hash_text(((const struct named *)word)->key, 0);
}

struct named *named_find_key(const struct index *index, const char *key)
{
	index_for_each_of(index, hash_text(key, 0), word)
	{
		struct named *named = (struct named *)word;

		if (!strcmp(named->key, key))
			return named;
	}
	return NULL;
}

struct named *named_find(const struct index *index, const char *ns, const char *name)
{
	_cleanup_free_ char *key = xasprintf("%s/%s", ns, name);

	return named_find_key(index, key);
}
