/* SPDX-License-Identifier: Apache-2.0 */
#include "ipam/internal.h"

#define LISTS_MAX 4

int put_object(struct ipam *ipam, enum store_op op, json_t *object, json_t **ret_stored,
	       struct err *err)
{
	struct store_write write = { .op = op, .object = object };
	int r = store_commit(ipam->store, &write, 1, err);

	if (!r && ret_stored)
		*ret_stored = json_incref(write.stored);
	store_writes_done(&write, 1);
	return r;
}

int delete_object(struct ipam *ipam, const char *kind, const char *name, const char *expect,
		  struct err *err)
{
	struct store_write write = {
		.op = STORE_DELETE,
		.key = { .kind = store_kind_find(CALICO_V3, kind), .name = name },
		.expect = expect,
	};
	int r = store_commit(ipam->store, &write, 1, err);

	store_writes_done(&write, 1);
	return r;
}

int list_kinds(struct ipam *ipam, const char *const *kinds, size_t count,
	       struct store_list *ret_lists, struct err *err)
{
	struct store_query queries[LISTS_MAX] = {};

	for (size_t i = 0; i < count && i < LISTS_MAX; i++)
		queries[i].kind = store_kind_find(CALICO_V3, kinds[i]);
	return store_list(ipam->store, queries, count, ret_lists, err);
}

int get_object(struct ipam *ipam, const char *kind, const char *name, json_t **ret_object,
	       struct err *err)
{
	struct store_key key = { .kind = store_kind_find(CALICO_V3, kind), .name = name };

	return store_get(ipam->store, &key, ret_object, err);
}
