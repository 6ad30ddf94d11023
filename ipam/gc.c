/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "base/arena.h"
#include "base/inet.h"
#include "ipam/internal.h"

/* Handles of the listed owners, with the interface behind a slash: an owner's key. */
struct valid {
	char *key;
	UT_hash_handle hh;
};

static char *owner_key(const struct ipam_owner *owner)
{
	return xasprintf("%s.%s/%s", owner_network(owner), owner->container ? owner->container : "",
			 owner->ifname && *owner->ifname ? owner->ifname : "eth0");
}

static char *entry_key(const struct entry *entry)
{
	return xasprintf("%s/%s", entry_handle(entry), entry_ifname(entry));
}

static void valid_add(struct valid **set, const struct ipam_owner *owner)
{
	_cleanup_free_ char *key = owner_key(owner);
	struct valid *item;

	HASH_FIND_STR(*set, key, item);
	if (item)
		return;
	item = xcalloc(1, sizeof(*item));
	item->key = TAKE_PTR(key);
	HASH_ADD_KEYPTR(hh, *set, item->key, strlen(item->key), item);
}

static void valid_clear(struct valid **set)
{
	struct valid *item, *next;

	HASH_ITER(hh, *set, item, next) {
		HASH_DEL(*set, item);
		free(item->key);
		free(item);
	}
}

/* --- garbage --------------------------------------------------------------------------------- */

/* Addresses with an attribute "type" (tunnels, load balancers) are not of attachments. */
static bool is_attachment(const struct entry *entry, const char *network)
{
	const json_t *secondary = json_object_get(entry->attr, "secondary");
	size_t length = network ? strlen(network) : 0;

	if (json_object_get(secondary, "type"))
		return false;
	if (!network)
		return !json_object_get(secondary, "plugin");
	return !strncmp(entry_handle(entry), network, length) && entry_handle(entry)[length] == '.';
}

static size_t release_unlisted(struct ipam *ipam, struct valid *set, const char *network)
{
	struct entry *entry, *next;
	size_t count = 0;

	HASH_ITER(hh, ipam->entries, entry, next) {
		_cleanup_free_ char *key = entry_key(entry);
		struct valid *item;

		if ((entry->state != ENTRY_TAKEN && entry->state != ENTRY_LIVE) ||
		    !is_attachment(entry, network))
			continue;
		HASH_FIND_STR(set, key, item);
		if (item)
			continue;
		entry_set(ipam, entry, ENTRY_RELEASING, NULL);
		count++;
	}
	return count;
}

/* --- addresses that are in use --------------------------------------------------------------- */

static json_t *adopted_attr(const struct ipam *ipam, const struct ipam_owner *owner)
{
	json_t *secondary = owner_secondary(owner), *attr;
	char *handle = xasprintf("%s.%s", owner_network(owner), owner->container);

	attr = owner_attr(ipam, handle, secondary);
	json_decref(secondary);
	free(handle);
	return attr;
}

static void adopt_unknown(struct ipam *ipam, const union mg_addr *addr, json_t *attr)
{
	const struct pool *pool = pools_of(ipam->pools, addr);
	struct entry like = { .addr = *addr, .state = ENTRY_TAKEN, .attr = attr };

	/* host-local and others: not ours to note. */
	if (!pool)
		return;
	like.block = (struct mg_prefix){ .len = pool->block_len, .addr = *addr };
	prefix_mask(&like.block);
	like.pool = (char *)pool->name;
	entry_add(ipam, &like);
}

enum claim { CLAIM_HELD, CLAIM_OTHERS, CLAIM_OPEN };

/* How the address stands to its owner. One held for an owner that is gone is open. */
static enum claim claim_of(const struct entry *entry, const struct ipam_owner *owner,
			   struct valid *set)
{
	_cleanup_free_ char *want = owner_key(owner), *have = entry ? entry_key(entry) : NULL;
	struct valid *item;

	if (!entry || (entry->state != ENTRY_TAKEN && entry->state != ENTRY_LIVE))
		return CLAIM_OPEN;
	if (!strcmp(have, want))
		return CLAIM_HELD;
	HASH_FIND_STR(set, have, item);
	return item || !is_attachment(entry, NULL) ? CLAIM_OTHERS : CLAIM_OPEN;
}

static void adopt(struct ipam *ipam, const struct ipam_owner *owner, const union mg_addr *addr,
		  struct ipam_gc_report *report)
{
	struct entry *entry = entry_find(ipam, addr);
	json_t *attr;

	attr = adopted_attr(ipam, owner);
	if (entry) {
		handle_touch(ipam, entry_handle(entry), true);
		entry_set(ipam, entry, ENTRY_TAKEN, attr);
	} else {
		adopt_unknown(ipam, addr, attr);
	}
	handle_touch(ipam, json_string_value(json_object_get(attr, "handle_id")), false);
	json_decref(attr);
	report->adopted += entry || entry_find(ipam, addr);
}

static void adopt_all(struct ipam *ipam, const struct ipam_attachment *one, struct valid *set,
		      struct ipam_gc_report *report)
{
	for (size_t i = 0; one->owner.container && i < one->addr_count; i++) {
		const struct entry *entry = entry_find(ipam, &one->addrs[i]);

		switch (claim_of(entry, &one->owner, set)) {
		case CLAIM_HELD:
			break;
		case CLAIM_OTHERS:
			report->conflicts++;
			break;
		case CLAIM_OPEN:
			adopt(ipam, &one->owner, &one->addrs[i], report);
			break;
		}
	}
}

int ipam_collect_garbage(struct ipam *ipam, const struct ipam_gc *gc,
			 struct ipam_gc_report *ret_report, struct err *err)
{
	struct ipam_gc_report report = {};
	struct valid *set = NULL;
	int r;

	for (size_t i = 0; i < gc->count; i++)
		valid_add(&set, &gc->valid[i].owner);
	for (size_t i = 0; i < gc->count; i++)
		adopt_all(ipam, &gc->valid[i], set, &report);
	report.released = release_unlisted(ipam, set, gc->network);
	valid_clear(&set);
	r = ipam_journal_sync(ipam->journal);
	if (r < 0)
		return err_errno(err, r, "the address journal cannot be written");
	ipam->distrust &= gc->network != NULL;
	*ret_report = report;
	return 0;
}
