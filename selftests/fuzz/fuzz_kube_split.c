/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as an answer of the API server: the first one says which form, the second how large the
 * portions are. Cut in portions the pieces are those of the whole; and of what is JSON indeed, they
 * are its members.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "datastore/kube_split.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct sum {
	size_t count, bytes;
	uint64_t hash;
};

static int add(const char *text, size_t size, void *arg)
{
	struct sum *sum = arg;

	if (size < 2 || text[0] != '{' || (text[size - 1] != '}' && text[size - 1] != ']'))
		abort();
	sum->count++;
	sum->bytes += size;
	for (size_t i = 0; i < size; i++)
		sum->hash = (sum->hash ^ (unsigned char)text[i]) * 0x100000001b3;
	return 0;
}

static int feed(enum kube_split_form form, const char *text, size_t size, size_t portion,
		struct sum *sum)
{
	struct kube_split split = { .form = form, .fn = add, .arg = sum };
	int r = 0;

	for (size_t at = 0; !r && at < size; at += portion)
		r = kube_split_feed(&split, text + at, size - at < portion ? size - at : portion,
				    NULL);
	if (!r && !kube_split_whole(&split))
		r = 1;
	kube_split_done(&split);
	return r;
}

/* Unless "items" is written in another way, or its members are no objects. */
static void compare(const char *text, size_t size, int r, const struct sum *sum)
{
	json_t *root = json_loadb(text, size, JSON_REJECT_DUPLICATES, NULL);
	json_t *items = json_object_get(root, "items"), *item;
	size_t i;

	json_array_foreach(items, i, item)
		if (!json_is_object(item))
			r = 1;
	if (json_is_object(root) && !r && !memchr(text, '\\', size) &&
	    sum->count != json_array_size(items))
		abort();
	json_decref(root);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sum whole = { 0 }, cut = { 0 };
	enum kube_split_form form;
	const char *text;
	int r;

	if (size < 2)
		return 0;
	form = data[0] & 1 ? KUBE_SPLIT_LIST : KUBE_SPLIT_DOCUMENTS;
	text = (const char *)data + 2;
	r = feed(form, text, size - 2, size, &whole);
	if (feed(form, text, size - 2, (size_t)data[1] % 64 + 1, &cut) != r ||
	    whole.count != cut.count || whole.hash != cut.hash || whole.bytes > size)
		abort();
	if (form == KUBE_SPLIT_LIST)
		compare(text, size - 2, r, &whole);
	return 0;
}
