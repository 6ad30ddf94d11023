/* SPDX-License-Identifier: Apache-2.0 */
/* The addresses of this node in memory, and their lines in the journal. */
#include <errno.h>
#include <string.h>
#include <time.h>

#include "base/arena.h"
#include "base/inet.h"
#include "ipam/internal.h"

static const char *const state_names[] = {
	[ENTRY_RESERVE] = "reserve",
	[ENTRY_TAKEN] = "taken",
	[ENTRY_LIVE] = "live",
	[ENTRY_RELEASING] = "releasing",
	[ENTRY_UNRESERVING] = "unreserving",
};

struct entry *entry_find(struct ipam *ipam, const union mg_addr *addr)
{
	struct entry *entry;

	HASH_FIND(hh, ipam->entries, addr, sizeof(*addr), entry);
	return entry;
}

static void entry_free(struct ipam *ipam, struct entry *entry)
{
	HASH_DEL(ipam->entries, entry);
	json_decref(entry->attr);
	free(entry->pool);
	free(entry);
}

void entries_clear(struct ipam *ipam)
{
	struct entry *entry, *next;

	HASH_ITER(hh, ipam->entries, entry, next)
		entry_free(ipam, entry);
}

static struct entry *entry_insert(struct ipam *ipam, const struct entry *like)
{
	struct entry *entry = entry_find(ipam, &like->addr);
	json_t *attr = json_incref(like->attr);
	char *pool = xstrdup(like->pool);

	if (!entry) {
		entry = xcalloc(1, sizeof(*entry));
		entry->addr = like->addr;
		HASH_ADD(hh, ipam->entries, addr, sizeof(entry->addr), entry);
	}
	json_decref(entry->attr);
	free(entry->pool);
	entry->state = like->state;
	entry->block = like->block;
	entry->pool = pool;
	entry->attr = attr;
	entry->order = ++ipam->order;
	return entry;
}

/* --- journal --------------------------------------------------------------------------------- */

static json_t *entry_record(const struct entry *entry)
{
	char addr[ADDR_TEXT_MAX], block[PREFIX_TEXT_MAX];

	return json_pack("{s:s, s:s, s:s, s:s, s:O}", "addr", addr_format(&entry->addr, addr),
			 "state", state_names[entry->state], "block",
			 prefix_format(&entry->block, block), "pool", entry->pool, "attr",
			 entry->attr);
}

static void entry_note(struct ipam *ipam, const struct entry *entry)
{
	bool durable = false;
	json_t *record;

	switch (entry->state) {
	case ENTRY_TAKEN:
	case ENTRY_RELEASING:
	case ENTRY_UNRESERVING:
		durable = true;
		break;
	case ENTRY_RESERVE:
	case ENTRY_LIVE:
		break;
	}
	if (!ipam->journal)
		return;
	record = entry_record(entry);
	ipam_journal_put(ipam->journal, record, durable);
	json_decref(record);
}

struct entry *entry_add(struct ipam *ipam, const struct entry *like)
{
	struct entry *entry = entry_insert(ipam, like);

	entry_note(ipam, entry);
	return entry;
}

void entry_set(struct ipam *ipam, struct entry *entry, enum entry_state state, json_t *attr)
{
	if (attr) {
		json_incref(attr);
		json_decref(entry->attr);
		entry->attr = attr;
	}
	entry->state = state;
	entry->in_batch = false; /* the commit on its way says something else of it */
	if (state == ENTRY_RESERVE)
		entry->order = ++ipam->order;
	entry_note(ipam, entry);
}

void entry_drop(struct ipam *ipam, struct entry *entry)
{
	char addr[ADDR_TEXT_MAX];
	json_t *record =
		json_pack("{s:s, s:s}", "addr", addr_format(&entry->addr, addr), "state", "gone");

	if (ipam->journal)
		ipam_journal_put(ipam->journal, record, false);
	json_decref(record);
	entry_free(ipam, entry);
}

static int state_parse(const char *text, enum entry_state *ret_state)
{
	for (size_t i = 0; text && i < sizeof(state_names) / sizeof(*state_names); i++)
		if (!strcmp(text, state_names[i])) {
			*ret_state = (enum entry_state)i;
			return 0;
		}
	return -EINVAL;
}

void journal_replay(void *arg, json_t *record)
{
	struct ipam *ipam = arg;
	const char *text = json_string_value(json_object_get(record, "addr"));
	const char *state = json_string_value(json_object_get(record, "state"));
	const char *block = json_string_value(json_object_get(record, "block"));
	struct entry like = {
		.pool = (char *)json_string_value(json_object_get(record, "pool")),
		.attr = json_object_get(record, "attr"),
	};
	struct entry *old;

	if (!text || addr_parse(text, &like.addr) < 0)
		return;
	old = entry_find(ipam, &like.addr);
	if (old && state && !strcmp(state, "gone"))
		entry_free(ipam, old);
	else if (block && like.pool && json_is_object(like.attr) &&
		 !prefix_parse(block, false, &like.block) && !state_parse(state, &like.state))
		entry_insert(ipam, &like);
}

void journal_snapshot(void *arg, struct ipam_journal *journal)
{
	struct ipam *ipam = arg;
	struct entry *entry, *next;

	HASH_ITER(hh, ipam->entries, entry, next) {
		json_t *record = entry_record(entry);

		ipam_journal_put(journal, record, false);
		json_decref(record);
	}
}

/* --- attributes ------------------------------------------------------------------------------ */

const char *entry_handle(const struct entry *entry)
{
	const char *handle = json_string_value(json_object_get(entry->attr, "handle_id"));

	return handle ? handle : "";
}

const char *entry_ifname(const struct entry *entry)
{
	const json_t *map = json_object_get(entry->attr, "secondary");
	const char *ifname = json_string_value(json_object_get(map, "interface"));

	return ifname ? ifname : "eth0";
}

bool entry_is_of(const struct entry *entry, const char *handle, const char *ifname)
{
	return !strcmp(entry_handle(entry), handle) &&
	       (!ifname || !strcmp(entry_ifname(entry), ifname));
}

json_t *reserve_attr(const struct ipam *ipam)
{
	return json_pack("{s:s, s:{s:s}}", "handle_id", ipam->reserve_handle, "secondary", "node",
			 ipam->node);
}

/* As Go prints a time, which is what Calico's attribute holds. */
static void timestamp(__u64 ms, char *text, size_t size)
{
	time_t seconds = (time_t)(ms / 1000);
	struct tm tm;
	char date[24];

	gmtime_r(&seconds, &tm);
	strftime(date, sizeof(date), "%Y-%m-%d %H:%M:%S", &tm);
	snprintf(text, size, "%s.%03u +0000 UTC", date, (unsigned int)(ms % 1000));
}

json_t *owner_attr(const struct ipam *ipam, const char *handle, const json_t *secondary)
{
	json_t *map = json_copy((json_t *)secondary);
	char text[48];

	timestamp(ipam->now(ipam->now_arg), text, sizeof(text));
	json_object_set_new(map, "node", json_string(ipam->node));
	json_object_set_new(map, "timestamp", json_string(text));
	return json_pack("{s:s, s:o}", "handle_id", handle, "secondary", map);
}
