/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/atom.h"

#include <string.h>

#include "base/inet.h"
#include "model/selector.h"
#include "policy/domains.h"
#include "policy/selector_key.h"

/* --- interning ----------------------------------------------------------------------------- */

struct atom_key {
	enum atom_kind kind;
	const struct selector *selector;
	const char *name;
	const struct mg_prefix *net;
	uint32_t net_count;
};

static uint32_t key_hash(const struct atom_key *key)
{
	uint32_t hash = key->kind;

	if (key->selector)
		hash = selector_hash(key->selector, hash);
	if (key->name)
		hash = hash_text(key->name, hash);
	if (key->net_count)
		hash = hash_bytes(key->net, key->net_count * sizeof(*key->net), hash);
	return hash;
}

static bool key_equal(const struct atom *atom, const struct atom_key *key)
{
	if (atom->kind != key->kind || atom->net_count != key->net_count ||
	    !atom->selector != !key->selector || !atom->name != !key->name)
		return false;
	return (!key->selector || !selector_cmp(atom->selector, key->selector)) &&
	       (!key->name || !strcmp(atom->name, key->name)) &&
	       (!key->net_count ||
		!memcmp(atom->net, key->net, key->net_count * sizeof(*key->net)));
}

static struct atom *atom_find(const struct atoms *atoms, const struct atom_key *key, uint32_t hash)
{
	struct hnode *node = hmap_first(&atoms->by_content, hash);

	while (node && !key_equal((struct atom *)node, key))
		node = hmap_same(node);
	return (struct atom *)node;
}

static void anchor(struct atoms *atoms, struct atom *atom)
{
	const struct selector *need = atom->selector ? selector_anchor(atom->selector) : NULL;

	if (atom->kind == ATOM_PORT) {
		struct tag *label = tag_intern(atoms->facts, atom->name, "");

		vec_push(&atom->anchors, label);
	} else if (need) {
		for (unsigned int i = 0; i < need->count; i++)
			vec_push(&atom->anchors,
				 tag_intern(atoms->facts, need->key, need->values[i]));
	} else {
		atom->global = true;
		vec_push(&atoms->global, atom);
	}
	for (size_t i = 0; i < atom->anchors.n; i++)
		vec_push(&atom->anchors.v[i]->anchored, atom);
}

static struct atom *atom_make(struct atoms *atoms, const struct atom_key *key, uint32_t hash)
{
	struct atom *atom = xcalloc(1, sizeof(*atom));

	atom->refs = 1;
	atom->kind = key->kind;
	atom->fresh = true;
	atom->selector = key->selector;
	atom->name = key->name;
	if (atoms->free.n) {
		atom->index = atoms->free.v[--atoms->free.n];
		atoms->by_index.v[atom->index] = atom;
	} else {
		atom->index = atoms->by_index.n;
		vec_push(&atoms->by_index, atom);
	}
	hmap_add(&atoms->by_content, &atom->node, hash);
	vec_push(&atoms->fresh, atom);
	atoms->count++;
	if (atom->kind == ATOM_SELECTOR || atom->kind == ATOM_PORT || atom->kind == ATOM_ALLOWED)
		anchor(atoms, atom);
	return atom;
}

static struct atom *atom_get(struct atoms *atoms, struct policy *policy, const struct atom_key *key)
{
	uint32_t hash = key_hash(key);
	struct atom *atom = atom_find(atoms, key, hash);

	if (atom)
		return atom_ref(atom);
	atom = atom_make(atoms, key, hash);
	atom->policy = policy_ref(policy);
	return atom;
}

struct atom *atom_selector(struct atoms *atoms, struct policy *policy,
			   const struct selector *selector)
{
	struct atom_key key = { .kind = ATOM_SELECTOR, .selector = selector };

	return atom_get(atoms, policy, &key);
}

struct atom *atom_port(struct atoms *atoms, struct policy *policy, const struct selector *selector,
		       const char *name)
{
	struct atom_key key = { .kind = ATOM_PORT, .selector = selector, .name = name };

	return atom_get(atoms, policy, &key);
}

struct atom *atom_allowed(struct atoms *atoms, struct policy *policy,
			  const struct selector *selector)
{
	struct atom_key key = { .kind = ATOM_ALLOWED, .selector = selector };

	return atom_get(atoms, policy, &key);
}

struct atom *atom_domains(struct atoms *atoms, struct policy *policy, const char *text)
{
	struct atom_key key = { .kind = ATOM_DOMAINS, .name = text };

	return atom_get(atoms, policy, &key);
}

struct atom *atom_service(struct atoms *atoms, struct policy *policy, const char *name)
{
	struct atom_key key = { .kind = ATOM_SERVICE, .name = name };

	return atom_get(atoms, policy, &key);
}

struct atom *atom_by_service(const struct atoms *atoms, const char *name)
{
	struct atom_key key = { .kind = ATOM_SERVICE, .name = name };

	return atom_find(atoms, &key, key_hash(&key));
}

static int prefix_cmp(const void *a, const void *b)
{
	const struct mg_prefix *x = a, *y = b;
	int order = memcmp(&x->addr, &y->addr, sizeof(x->addr));

	return order ? order : (int)x->len - (int)y->len;
}

struct atom *atom_nets(struct atoms *atoms, const struct rule_nets *nets)
{
	struct atom_key key = { .kind = ATOM_NETS };
	struct mg_prefix *net = xcalloc(nets->count + 1, sizeof(*net));
	struct atom *atom;
	uint32_t hash;

	if (nets->count)
		memcpy(net, nets->net, nets->count * sizeof(*net));
	for (unsigned int i = 0; i < nets->count; i++)
		prefix_mask(&net[i]);
	qsort(net, nets->count, sizeof(*net), prefix_cmp);
	for (unsigned int i = 0; i < nets->count; i++)
		if (!key.net_count || prefix_cmp(&net[key.net_count - 1], &net[i]))
			net[key.net_count++] = net[i];
	key.net = net;
	hash = key_hash(&key);
	atom = atom_find(atoms, &key, hash);
	if (atom) {
		free(net);
		return atom_ref(atom);
	}
	atom = atom_make(atoms, &key, hash);
	atom->net = net;
	atom->net_count = key.net_count;
	return atom;
}

void atom_unref(struct atoms *atoms, struct atom *atom)
{
	if (atom && --atom->refs == 0)
		vec_push(&atoms->dead, atom);
}

/* --- the end of an atom -------------------------------------------------------------------- */

uint64_t *atoms_dead(struct atoms *atoms)
{
	uint64_t *dead = NULL;

	for (size_t i = 0; i < atoms->dead.n; i++) {
		const struct atom *atom = atoms->dead.v[i];

		if (atom->refs)
			continue;
		if (!dead)
			dead = xcalloc(atoms->by_index.n / 64 + 1, sizeof(*dead));
		dead[atom->index / 64] |= 1ULL << atom->index % 64;
	}
	if (!dead)
		atoms->dead.n = 0;
	return dead;
}

static void forget(struct atoms *atoms, struct atom *atom)
{
	for (size_t i = 0; i < atom->anchors.n; i++) {
		struct tag *label = atom->anchors.v[i];

		for (size_t k = 0; k < label->anchored.n; k++)
			if (label->anchored.v[k] == atom)
				label->anchored.v[k--] = label->anchored.v[--label->anchored.n];
		tag_unref(atoms->facts, label);
	}
	for (size_t i = 0; atom->global && i < atoms->global.n; i++)
		if (atoms->global.v[i] == atom)
			atoms->global.v[i--] = atoms->global.v[--atoms->global.n];
	for (size_t i = 0; atom->fresh && i < atoms->fresh.n; i++)
		if (atoms->fresh.v[i] == atom)
			atoms->fresh.v[i--] = atoms->fresh.v[--atoms->fresh.n];
}

static void atom_free(struct atom *atom)
{
	vec_done(&atom->anchors);
	vec_done(&atom->identities);
	vec_done(&atom->new_identities);
	domain_list_free(atom->domains);
	policy_unref(atom->policy);
	free(atom->net);
	free(atom->member);
	free(atom);
}

void atoms_drop(struct atoms *atoms, const uint64_t *dead)
{
	for (uint32_t i = 0; i < atoms->by_index.n; i++) {
		struct atom *atom = atoms->by_index.v[i];

		if (!atom || !(dead[i / 64] >> i % 64 & 1))
			continue;
		forget(atoms, atom);
		hmap_del(&atoms->by_content, &atom->node);
		atoms->by_index.v[i] = NULL;
		vec_push(&atoms->free, i);
		atoms->count--;
		atom_free(atom);
	}
	atoms->dead.n = 0;
}

void atoms_init(struct atoms *atoms, struct facts_table *facts)
{
	*atoms = (struct atoms){ .facts = facts };
}

void atoms_done(struct atoms *atoms)
{
	for (size_t i = 0; i < atoms->by_index.n; i++) {
		if (!atoms->by_index.v[i])
			continue;
		for (size_t k = 0; k < atoms->by_index.v[i]->anchors.n; k++)
			tag_unref(atoms->facts, atoms->by_index.v[i]->anchors.v[k]);
		atom_free(atoms->by_index.v[i]);
	}
	hmap_done(&atoms->by_content);
	vec_done(&atoms->by_index);
	vec_done(&atoms->free);
	vec_done(&atoms->fresh);
	vec_done(&atoms->global);
	vec_done(&atoms->dead);
	vec_done(&atoms->scratch);
	vec_done(&atoms->content);
}

/* --- names --------------------------------------------------------------------------------- */

static char *nets_text(const struct atom *atom)
{
	char text[PREFIX_TEXT_MAX], *all = NULL;
	size_t size;
	FILE *out = open_memstream(&all, &size);

	for (uint32_t i = 0; i < atom->net_count; i++)
		fprintf(out, "%s%s", i ? "," : "nets ", prefix_format(&atom->net[i], text));
	fclose(out);
	return all;
}

char *atom_text(const struct atom *atom)
{
	_cleanup_arena_ struct arena *arena = arena_new();
	const char *selector = atom->selector ? selector_text(arena, atom->selector) : "all()";

	switch (atom->kind) {
	case ATOM_SELECTOR:
	case ATOM_ALLOWED:
		return xstrdup(selector);
	case ATOM_PORT:
		return xasprintf("port %s of %s", atom->name, selector);
	case ATOM_NETS:
		return nets_text(atom);
	case ATOM_SERVICE:
		return xasprintf("service %s", atom->name);
	case ATOM_DOMAINS:
		return xasprintf("domains %s", atom->name);
	}
	return NULL;
}

/* The digest of an identity is a SHA-256 over these; there are ten times as many of them. */
const struct mg_digest *atom_digest(struct atoms *atoms, struct atom *atom)
{
	uint64_t hash[2];

	if (atom->digested)
		return &atom->digest;
	atoms->content.n = 0;
	content_put(&atoms->content, &(uint32_t){ atom->kind }, sizeof(uint32_t));
	content_selector(&atoms->content, atom->selector);
	content_text(&atoms->content, atom->name);
	content_put(&atoms->content, atom->net, atom->net_count * sizeof(*atom->net));
	hash_wide(atoms->content.v, atoms->content.n, hash);
	memcpy(&atom->digest, hash, sizeof(atom->digest));
	atom->digested = true;
	return &atom->digest;
}
