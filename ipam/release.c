/* SPDX-License-Identifier: Apache-2.0 */
#include "ipam/release.h"

#include <errno.h>
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/inet.h"
#include "base/json.h"
#include "ipam/internal.h"

#define FREE_TRIES 20

/* The block that has the address; its size is not known, so all sizes are tried. */
static int find_block(struct ipam *ipam, const union mg_addr *addr, struct block **ret_block,
		      struct err *err)
{
	char text[ADDR_TEXT_MAX];

	for (__u32 len = MG_ADDR_BITS; len >= MG_ADDR_BITS - 12; len--) {
		struct mg_prefix cidr = { .len = len, .addr = *addr };
		_cleanup_json_ json_t *object = NULL;
		char name[BLOCK_NAME_MAX];
		int r;

		prefix_mask(&cidr);
		r = get_object(ipam, "IPAMBlock", block_name(&cidr, name), &object, err);
		if (r == -ENOENT)
			continue;
		return r < 0 ? r : block_parse(object, ret_block, err);
	}
	return err_set(err, -ENOENT, "%s lies in no block", addr_format(addr, text));
}

static int judge(const struct ipam_free *what, const struct block *block, unsigned int ordinal,
		 struct err *err)
{
	const char *handle = block_handle(block, ordinal);
	char text[ADDR_TEXT_MAX];

	addr_format(&what->addr, text);
	if (!handle)
		return err_set(err, -ENOENT, "%s is not allocated", text);
	if (!strncmp(handle, RESERVE_HANDLE, strlen(RESERVE_HANDLE)) && !what->reserve)
		return err_set(err, -EBUSY, "%s is in the reserve of node %s", text,
			       handle + strlen(RESERVE_HANDLE));
	if (what->handle && strcmp(handle, what->handle) != 0)
		return err_set(err, -ESTALE, "%s is held by %s now", text, handle);
	if (what->sequence && block->sequences[ordinal] != what->sequence)
		return err_set(err, -ESTALE, "%s was given anew meanwhile", text);
	return 0;
}

/* Its object with one address less, or its end. -ENOENT: there is no such object. */
static int shrink_handle(struct ipam *ipam, const char *id, const struct mg_prefix *cidr,
			 struct err *err)
{
	char name[IPAM_HANDLE_MAX], text[PREFIX_TEXT_MAX];
	_cleanup_json_ json_t *object = NULL, *copy = NULL;
	json_t *counts;
	json_int_t count;
	int r;

	handle_name(id, name);
	r = get_object(ipam, "IPAMHandle", name, &object, err);
	if (r < 0)
		return r;
	copy = json_deep_copy(object);
	counts = json_at(copy, "spec.block");
	count = json_integer_value(json_object_get(counts, prefix_format(cidr, text)));
	if (count > 1)
		json_object_set_new(counts, text, json_integer(count - 1));
	else
		json_object_del(counts, text);
	if (json_object_size(counts))
		return put_object(ipam, STORE_UPDATE, copy, NULL, err);
	return delete_object(ipam, "IPAMHandle", name,
			     json_text_at(object, "metadata.resourceVersion"), err);
}

static int free_once(struct ipam *ipam, const struct ipam_free *what, char **ret_handle,
		     struct mg_prefix *ret_cidr, struct err *err)
{
	_cleanup_block_ struct block *block = NULL;
	_cleanup_json_ json_t *object = NULL;
	unsigned int ordinal = 0;
	int r;

	r = find_block(ipam, &what->addr, &block, err);
	if (r < 0)
		return r;
	block_contains(block, &what->addr, &ordinal);
	r = judge(what, block, ordinal, err);
	if (r < 0)
		return r;
	*ret_handle = xstrdup(block_handle(block, ordinal));
	*ret_cidr = block->cidr;
	block_cool(block, ordinal, what->now_ms);
	object = block_encode(block);
	r = put_object(ipam, STORE_UPDATE, object, NULL, err);
	if (r < 0)
		free(TAKE_PTR(*ret_handle));
	return r == -ESTALE ? -EAGAIN : r;
}

int ipam_free_addr(struct store *store, const struct ipam_free *what, struct err *err)
{
	struct ipam ipam = { .store = store };
	_cleanup_free_ char *handle = NULL;
	struct mg_prefix cidr;
	int r = -EAGAIN;

	for (int i = 0; r == -EAGAIN && i < FREE_TRIES; i++)
		r = free_once(&ipam, what, &handle, &cidr, err);
	if (r < 0)
		return r;
	r = -ESTALE;
	for (int i = 0; r == -ESTALE && i < FREE_TRIES; i++)
		r = shrink_handle(&ipam, handle, &cidr, err);
	return r == -ENOENT ? 0 : r;
}
