/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Namespaces and service accounts: what their labels add to the facts of pods.
 */
#include <string.h>

#include "policy/hmap.h"
#include "state/internal.h"

struct space *space_get(struct state *state, const char *name)
{
	struct space *space;

	HASH_FIND_STR(state->spaces, name, space);
	if (space)
		return space;
	space = xcalloc(1, sizeof(*space));
	space->name = xstrdup(name);
	HASH_ADD_KEYPTR(hh, state->spaces, space->name, strlen(space->name), space);
	return space;
}

void space_set(struct state *state, const char *name, const struct object *object)
{
	struct space *space = space_get(state, name);

	object_unref((struct object *)space->object);
	space->object = object ? object_ref(object) : NULL;
	space_refresh(state, space);
	netsets_refresh(state, name);
}

/* A namespace without an object exists: with its name as the one label the API promises. */
struct engine_labels space_labels(const struct space *space, struct space_labels *of)
{
	if (space->object)
		return to_engine_labels(&space->object->labels);
	of->name = (struct label){ .key = LABEL_METADATA_NAME, .value = space->name };
	of->labels = (struct labels){ .count = 1, .v = &of->name };
	return to_engine_labels(&of->labels);
}

/* Walks all owners: some milliseconds with 50,000 pods, where lists by namespace would cost each
 * pod 16 bytes for a change that is rare. */
void space_refresh(struct state *state, const struct space *space)
{
	if (!space->items)
		return;
	index_for_each(&state->owners, word)
	{
		const struct item *item = (const struct item *)word;

		if (item->space == space)
			owner_tell(state, item);
	}
}

void spaces_free(struct state *state)
{
	struct space *space, *next;

	HASH_ITER(hh, state->spaces, space, next) {
		HASH_DEL(state->spaces, space);
		object_unref((struct object *)space->object);
		free(space->name);
		free(space);
	}
}

/* --- service accounts ---------------------------------------------------------------------- */

static uint32_t account_hash(const struct space *space, const char *name)
{
	return hash_text(name, hash_u64((uintptr_t)space, 2));
}

static uint32_t word_hash(const void *context, uintptr_t word)
{
	const struct account *account = (const struct account *)word;

	(void)context;
	return account_hash(account->space, account->name);
}

static struct account *account_find(const struct state *state, const struct space *space,
				    const char *name)
{
	index_for_each_of(&state->accounts, account_hash(space, name), word)
	{
		struct account *account = (struct account *)word;

		if (account->space == space && !strcmp(account->name, name))
			return account;
	}
	return NULL;
}

const struct labels *account_labels(const struct state *state, const struct space *space,
				    const char *name)
{
	const struct account *account = account_find(state, space, name);

	return account ? &account->profile->labels : NULL;
}

static struct account *account_new(struct state *state, struct space *space, const char *name)
{
	struct account *account = slab_alloc(&state->slab, sizeof(*account) + strlen(name) + 1);

	account->space = space;
	memcpy(account->name, name, strlen(name) + 1);
	index_add(&state->accounts, (uintptr_t)account);
	return account;
}

static void account_free(struct state *state, struct account *account)
{
	profile_unref(state, account->profile);
	slab_free(&state->slab, account, sizeof(*account) + strlen(account->name) + 1);
}

void account_set(struct state *state, const char *ns, const char *name, const struct object *object)
{
	struct space *space = space_get(state, ns);
	struct account *account = account_find(state, space, name);
	struct profile *before = account ? account->profile : NULL;

	if (!object && !account)
		return;
	if (object) {
		if (!account)
			account = account_new(state, space, name);
		account->profile =
			profile_get(state, &(struct profile){ .labels = object->labels });
		profile_unref(state, before);
		if (before == account->profile)
			return;
	} else {
		index_del(&state->accounts, (uintptr_t)account);
		account_free(state, account);
	}
	space_refresh(state, space);
}

void accounts_init(struct state *state)
{
	state->accounts.hash = word_hash;
}

void accounts_free(struct state *state)
{
	index_for_each(&state->accounts, word) account_free(state, (struct account *)word);
	index_done(&state->accounts);
}
