/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "datastore/backend.h"
#include "model/kind.h"

const struct store_kind *store_kinds(size_t *ret_count)
{
	static struct store_kind kinds[KIND_MAX];

	for (int i = 0; !kinds[0].kind && i < KIND_MAX; i++) {
		/* From the last to the first: the first one says that all are there. */
		int k = KIND_MAX - 1 - i;
		const struct kind_info *info = kind_info((enum kind)k);

		kinds[k] = (struct store_kind){ .id = (enum kind)k,
						.group = info->group,
						.version = info->version,
						.kind = info->kind,
						.plural = info->plural,
						.namespaced = info->namespaced };
	}
	*ret_count = KIND_MAX;
	return kinds;
}

const struct store_kind *store_kind(enum kind kind)
{
	size_t count;

	return &store_kinds(&count)[kind];
}

const char *store_kind_api_version(const struct store_kind *kind, char *text)
{
	snprintf(text, 80, "%s%s%s", kind->group, *kind->group ? "/" : "", kind->version);
	return text;
}

const struct store_kind *store_kind_find(const char *api_version, const char *kind)
{
	enum kind id;

	return kind_find(api_version, kind, &id) < 0 ? NULL : store_kind(id);
}

bool store_kind_equal(const struct store_kind *a, const struct store_kind *b)
{
	return a == b || (!strcmp(a->kind, b->kind) && !strcmp(a->group, b->group));
}
