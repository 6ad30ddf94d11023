/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Profiles: labels, service account and named ports, each different content kept once.
 */
#include <string.h>

#include "policy/hmap.h"
#include "state/internal.h"

static uint32_t profile_hash(const struct profile *profile)
{
	uint32_t hash = hash_text(profile->service_account ? profile->service_account : "", 1);

	for (size_t i = 0; i < profile->labels.count; i++)
		hash = hash_text(profile->labels.v[i].value,
				 hash_text(profile->labels.v[i].key, hash));
	for (size_t i = 0; i < profile->port_count; i++)
		hash = hash_text(
			profile->ports[i].name,
			hash_u64((uint64_t)profile->ports[i].proto << 16 | profile->ports[i].number,
				 hash));
	return hash;
}

static uint32_t word_hash(const void *context, uintptr_t word)
{
	(void)context;
	return profile_hash((const struct profile *)word);
}

static bool same_text(const char *a, const char *b)
{
	return a && b ? !strcmp(a, b) : a == b;
}

static bool profile_equal(const struct profile *a, const struct profile *b)
{
	if (a->port_count != b->port_count || !same_text(a->service_account, b->service_account) ||
	    !labels_equal(&a->labels, &b->labels))
		return false;
	for (size_t i = 0; i < a->port_count; i++) {
		const struct engine_port *x = &a->ports[i], *y = &b->ports[i];

		if (x->number != y->number || x->proto != y->proto || strcmp(x->name, y->name))
			return false;
	}
	return true;
}

static size_t text_size(const char *text)
{
	return text ? strlen(text) + 1 : 0;
}

static size_t profile_size(const struct profile *like)
{
	size_t size = sizeof(*like) + like->labels.count * sizeof(*like->labels.v) +
		      like->port_count * sizeof(*like->ports) + text_size(like->service_account);

	for (size_t i = 0; i < like->labels.count; i++)
		size += text_size(like->labels.v[i].key) + text_size(like->labels.v[i].value);
	for (size_t i = 0; i < like->port_count; i++)
		size += text_size(like->ports[i].name);
	return size;
}

static const char *copy_text(char **at, const char *text)
{
	char *copy = *at;

	if (!text)
		return NULL;
	*at += text_size(text);
	return memcpy(copy, text, text_size(text));
}

static struct profile *profile_copy(struct state *state, const struct profile *like)
{
	size_t size = profile_size(like);
	struct profile *profile = slab_alloc(&state->slab, size);
	char *at;

	profile->refs = 1;
	profile->size = (uint32_t)size;
	profile->labels =
		(struct labels){ .count = like->labels.count, .v = (void *)(profile + 1) };
	profile->ports = (void *)(profile->labels.v + like->labels.count);
	profile->port_count = like->port_count;
	at = (char *)(profile->ports + like->port_count);
	profile->service_account = copy_text(&at, like->service_account);
	for (size_t i = 0; i < like->labels.count; i++)
		profile->labels.v[i] =
			(struct label){ .key = copy_text(&at, like->labels.v[i].key),
					.value = copy_text(&at, like->labels.v[i].value) };
	for (size_t i = 0; i < like->port_count; i++) {
		profile->ports[i] = like->ports[i];
		profile->ports[i].name = copy_text(&at, like->ports[i].name);
	}
	return profile;
}

struct profile *profile_get(struct state *state, const struct profile *like)
{
	struct profile *profile;

	state->profiles.hash = word_hash;
	index_for_each_of(&state->profiles, profile_hash(like), word)
	{
		profile = (struct profile *)word;
		if (profile_equal(profile, like)) {
			profile->refs++;
			return profile;
		}
	}
	profile = profile_copy(state, like);
	index_add(&state->profiles, (uintptr_t)profile);
	return profile;
}

void profile_unref(struct state *state, struct profile *profile)
{
	if (!profile || --profile->refs)
		return;
	index_del(&state->profiles, (uintptr_t)profile);
	slab_free(&state->slab, profile, profile->size);
}
