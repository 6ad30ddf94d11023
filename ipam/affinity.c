/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A block and its BlockAffinity: pending -> (IPAMBlock exists) -> confirmed. The block's own
 * spec.affinity decides, and only a create or compare-and-swap of it wins.
 */
#include <errno.h>
#include <string.h>

#include "base/arena.h"
#include "base/inet.h"
#include "base/json.h"
#include "ipam/internal.h"

/* --- affinity -------------------------------------------------------------------------------- */

static void affinity_name(const char *node, const struct mg_prefix *cidr, char *text, size_t size)
{
	char block[BLOCK_NAME_MAX];

	snprintf(text, size, "%s-%s", node, block_name(cidr, block));
}

static json_t *affinity_object(const char *node, const struct mg_prefix *cidr, const char *state)
{
	char name[IPAM_NAME_MAX + BLOCK_NAME_MAX], text[PREFIX_TEXT_MAX];

	affinity_name(node, cidr, name, sizeof(name));
	return json_pack("{s:s, s:s, s:{s:s}, s:{s:s, s:s, s:s, s:s}}", "apiVersion", CALICO_V3,
			 "kind", "BlockAffinity", "metadata", "name", name, "spec", "state", state,
			 "node", node, "type", "host", "cidr", prefix_format(cidr, text));
}

int put_affinity(struct ipam *ipam, const struct mg_prefix *cidr, const char *state,
		 struct err *err)
{
	_cleanup_json_ json_t *object = affinity_object(ipam->node, cidr, state);
	int r = put_object(ipam, STORE_CREATE, object, NULL, err);

	return r == -EEXIST ? put_object(ipam, STORE_UPDATE, object, NULL, err) : r;
}

int drop_affinity(struct ipam *ipam, const char *node, const struct mg_prefix *cidr,
		  struct err *err)
{
	char name[IPAM_NAME_MAX + BLOCK_NAME_MAX];
	int r;

	affinity_name(node, cidr, name, sizeof(name));
	r = delete_object(ipam, "BlockAffinity", name, NULL, err);
	return r == -ENOENT ? 0 : r;
}

char *own_affinity(const struct ipam *ipam)
{
	return xasprintf("%s%s", BLOCK_AFFINITY, ipam->node);
}

/* --- claiming one block ---------------------------------------------------------------------- */

static int create_block(struct ipam *ipam, const struct mg_prefix *cidr, json_t **ret_object,
			struct err *err)
{
	_cleanup_free_ char *affinity = own_affinity(ipam);
	_cleanup_block_ struct block *block = block_new(cidr, affinity, ipam->now(ipam->now_arg));
	_cleanup_json_ json_t *object = block_encode(block);
	char name[BLOCK_NAME_MAX];
	int r;

	r = put_object(ipam, STORE_CREATE, object, ret_object, err);
	if (r != -EEXIST)
		return r;
	r = get_object(ipam, "IPAMBlock", block_name(cidr, name), ret_object, err);
	return r == -ENOENT ? -ESTALE : r;
}

/* -EEXIST: it belongs to another (and is not in the cache). */
int claim_block(struct ipam *ipam, const struct mg_prefix *cidr, struct cached_block **ret_cached,
		struct err *err)
{
	_cleanup_json_ json_t *object = NULL;
	struct cached_block *cached;
	int r;

	r = put_affinity(ipam, cidr, "pending", err);
	if (!r)
		r = create_block(ipam, cidr, &object, err);
	if (!r)
		r = take_block(ipam, object, &cached, err);
	if (r < 0)
		return r;
	if (!block_is_of(cached->block, ipam->node)) {
		r = drop_affinity(ipam, ipam->node, cidr, err);
		return r < 0 ? r : -EEXIST;
	}
	r = put_affinity(ipam, cidr, "confirmed", err);
	if (r < 0)
		return r;
	*ret_cached = cached;
	return 0;
}

int give_up_block(struct ipam *ipam, struct cached_block *cached, struct err *err)
{
	const char *version = json_string_value(json_object_get(
		json_object_get(cached->block->object, "metadata"), "resourceVersion"));
	struct mg_prefix cidr = cached->cidr;
	char name[BLOCK_NAME_MAX];
	int r;

	r = delete_object(ipam, "IPAMBlock", block_name(&cidr, name), version, err);
	if (r == -ESTALE) {
		cached->stale = true;
		return 0;
	}
	if (r < 0 && r != -ENOENT)
		return r;
	cached_drop(ipam, cached);
	return drop_affinity(ipam, ipam->node, &cidr, err);
}

/* --- after a cut ----------------------------------------------------------------------------- */

static int mend_one(struct ipam *ipam, const json_t *affinity, struct err *err)
{
	const char *node = json_text_or(affinity, "spec.node", "");
	const char *state = json_text_or(affinity, "spec.state", "");
	const char *type = json_text_or(affinity, "spec.type", "host");
	const char *cidr = json_text_at(affinity, "spec.cidr");
	bool of_us = !strcmp(node, ipam->node);
	struct mg_prefix prefix;

	if (!cidr || prefix_parse(cidr, false, &prefix) < 0 || strcmp(type, "host") != 0)
		return 0;
	if (of_us != is_own(ipam, &prefix))
		return drop_affinity(ipam, node, &prefix, err);
	if (!of_us)
		return 0;
	cached_find(ipam, &prefix)->affine = true;
	return strcmp(state, "confirmed") ? put_affinity(ipam, &prefix, "confirmed", err) : 0;
}

int mend_affinities(struct ipam *ipam, const json_t *affinities, struct err *err)
{
	struct cached_block *cached, *next;
	const json_t *affinity;
	size_t i;
	int r = 0;

	HASH_ITER(hh, ipam->blocks, cached, next)
		cached->affine = false;
	json_array_foreach(affinities, i, affinity) {
		if (r >= 0)
			r = mend_one(ipam, affinity, err);
	}
	HASH_ITER(hh, ipam->blocks, cached, next)
		if (r >= 0 && is_own(ipam, &cached->cidr) && !cached->affine)
			r = put_affinity(ipam, &cached->cidr, "confirmed", err);
	return r;
}
