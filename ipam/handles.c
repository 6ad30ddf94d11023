/* SPDX-License-Identifier: Apache-2.0 */
/* IPAMHandle objects: which blocks hold addresses of a handle, and how many. */
#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "base/arena.h"
#include "base/inet.h"
#include "base/json.h"
#include "ipam/internal.h"

struct handle_note *handle_note(struct ipam *ipam, const char *id)
{
	struct handle_note *note;

	HASH_FIND_STR(ipam->handles, id, note);
	if (note)
		return note;
	note = xcalloc(1, sizeof(*note));
	note->id = xstrdup(id);
	HASH_ADD_KEYPTR(hh, ipam->handles, note->id, strlen(note->id), note);
	return note;
}

void handle_touch(struct ipam *ipam, const char *id, bool guess)
{
	struct handle_note *note;

	HASH_FIND_STR(ipam->handles, id, note);
	if (!note) {
		note = handle_note(ipam, id);
		note->guessed = guess;
	}
	note->dirty = note->touched = true;
}

static void note_free(struct ipam *ipam, struct handle_note *note)
{
	HASH_DEL(ipam->handles, note);
	free(note->id);
	free(note->counts);
	free(note);
}

void handles_clear(struct ipam *ipam)
{
	struct handle_note *note, *next;

	HASH_ITER(hh, ipam->handles, note, next)
		note_free(ipam, note);
}

void handle_name(const char *id, char *text)
{
	size_t i;

	for (i = 0; id[i] && i < IPAM_HANDLE_MAX - 1; i++) {
		char c = (char)tolower((unsigned char)id[i]);

		text[i] = isalnum((unsigned char)c) || c == '.' ? c : '-';
	}
	text[i] = 0;
}

static int look(struct ipam *ipam, struct handle_note *note, struct err *err)
{
	_cleanup_json_ json_t *object = NULL;
	char name[IPAM_HANDLE_MAX];
	int r;

	handle_name(note->id, name);
	r = get_object(ipam, "IPAMHandle", name, &object, err);
	if (r < 0 && r != -ENOENT)
		return r;
	note->stored = !r;
	note->guessed = false;
	return 0;
}

int handles_look(struct ipam *ipam, struct err *err)
{
	struct handle_note *note, *next;
	int r = 0;

	HASH_ITER(hh, ipam->handles, note, next)
		if (!r && note->dirty && note->guessed)
			r = look(ipam, note, err);
	return r;
}

void handles_prune(struct ipam *ipam)
{
	struct handle_note *note, *next;

	HASH_ITER(hh, ipam->handles, note, next)
		if (!note->stored && !note->guessed && !note->dirty)
			note_free(ipam, note);
}

/* What the store shall say of the entry once the commit in work is done; NULL: free. */
static const char *handle_after(const struct ipam *ipam, const struct entry *entry)
{
	switch (entry->state) {
	case ENTRY_RESERVE:
		return ipam->reserve_handle;
	case ENTRY_LIVE:
		return entry_handle(entry);
	case ENTRY_TAKEN:
		return entry->in_batch ? entry_handle(entry) : ipam->reserve_handle;
	case ENTRY_RELEASING:
		return entry->in_batch ? NULL : entry_handle(entry);
	case ENTRY_UNRESERVING:
		return entry->in_batch ? NULL : ipam->reserve_handle;
	}
	return NULL;
}

void handle_count_one(json_t *counts, const struct mg_prefix *cidr)
{
	char text[PREFIX_TEXT_MAX];
	json_int_t count;

	prefix_format(cidr, text);
	count = json_integer_value(json_object_get(counts, text));
	json_object_set_new(counts, text, json_integer(count + 1));
}

json_t *handle_counts(struct ipam *ipam, const char *id)
{
	json_t *counts = json_object();
	struct entry *entry, *next;

	HASH_ITER(hh, ipam->entries, entry, next) {
		const char *after = handle_after(ipam, entry);

		if (after && !strcmp(after, id))
			handle_count_one(counts, &entry->block);
	}
	return counts;
}

json_t *handle_object(const char *id, json_t *counts)
{
	char name[IPAM_HANDLE_MAX];

	handle_name(id, name);
	return json_pack("{s:s, s:s, s:{s:s}, s:{s:s, s:O, s:b}}", "apiVersion", CALICO_V3, "kind",
			 "IPAMHandle", "metadata", "name", name, "spec", "handleID", id, "block",
			 counts, "deleted", 0);
}
