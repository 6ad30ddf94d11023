/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/domains.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/inet.h"

struct domain_pattern {
	struct hnode node;
	VEC(struct domain_list *) list;
	char text[];
};

/* --- matching ------------------------------------------------------------------------------ */

static size_t label_length(const char *text)
{
	return strcspn(text, ".");
}

static const char *behind(const char *text)
{
	text += label_length(text);
	return *text ? text + 1 : text;
}

static bool is_star(const char *label)
{
	return label[0] == '*' && (!label[1] || label[1] == '.');
}

static bool same_label(const char *a, const char *b)
{
	size_t length = label_length(a);

	return length == label_length(b) && !memcmp(a, b, length);
}

/* The last star takes more when what is behind it does not fit: stars before it need not. */
bool domain_matches(const char *pattern, const char *name)
{
	const char *star = NULL, *taken = NULL;

	for (;;) {
		if (!*name)
			return !*pattern;
		if (*pattern && is_star(pattern)) {
			star = pattern = behind(pattern);
			taken = name = behind(name);
		} else if (*pattern && same_label(pattern, name)) {
			pattern = behind(pattern);
			name = behind(name);
		} else {
			if (!star)
				return false;
			pattern = star;
			taken = name = behind(taken);
		}
	}
}

/* --- texts --------------------------------------------------------------------------------- */

static int text_cmp(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static const char *plain(struct arena *arena, const char *pattern)
{
	char *text = arena_strdup(arena, pattern);
	size_t length = strlen(text);

	if (length && text[length - 1] == '.')
		text[length - 1] = '\0';
	for (char *at = text; *at; at++)
		*at = (char)tolower((unsigned char)*at);
	return text;
}

char *domain_text(struct arena *arena, const char *const *pattern, size_t count)
{
	const char **sorted = arena_array(arena, count, sizeof(*sorted));
	size_t size = 1;
	char *text, *at;

	for (size_t i = 0; i < count; i++) {
		sorted[i] = plain(arena, pattern[i]);
		size += strlen(sorted[i]) + 1;
	}
	if (count)
		qsort(sorted, count, sizeof(*sorted), text_cmp);
	at = text = arena_array(arena, size, 1);
	for (size_t i = 0; i < count; i++) {
		if (i && !strcmp(sorted[i - 1], sorted[i]))
			continue;
		if (at != text)
			*at++ = ',';
		at = stpcpy(at, sorted[i]);
	}
	return text;
}

/* --- patterns ------------------------------------------------------------------------------ */

static struct domain_pattern *pattern_find(const struct domains *d, const char *text, size_t length)
{
	struct hnode *node = hmap_first(&d->patterns, hash_bytes(text, length, 0));

	for (; node; node = hmap_same(node)) {
		struct domain_pattern *pattern = (struct domain_pattern *)node;

		if (!strncmp(pattern->text, text, length) && !pattern->text[length])
			return pattern;
	}
	return NULL;
}

static void pattern_use(struct domains *d, struct domain_list *list, const char *text,
			size_t length)
{
	struct domain_pattern *pattern = pattern_find(d, text, length);

	if (!pattern) {
		pattern = xcalloc(1, sizeof(*pattern) + length + 1);
		memcpy(pattern->text, text, length);
		hmap_add(&d->patterns, &pattern->node, hash_bytes(text, length, 0));
		if (strchr(pattern->text, '*'))
			vec_push(&d->wild, pattern);
	}
	vec_push(&pattern->list, list);
	vec_push(&list->pattern, pattern);
}

static void pattern_free(struct domains *d, struct domain_pattern *pattern)
{
	for (size_t i = 0; i < d->wild.n; i++)
		if (d->wild.v[i] == pattern)
			d->wild.v[i--] = d->wild.v[--d->wild.n];
	hmap_del(&d->patterns, &pattern->node);
	vec_done(&pattern->list);
	free(pattern);
}

static void pattern_leave(struct domains *d, struct domain_list *list,
			  struct domain_pattern *pattern)
{
	for (size_t i = 0; i < pattern->list.n; i++)
		if (pattern->list.v[i] == list)
			pattern->list.v[i--] = pattern->list.v[--pattern->list.n];
	if (!pattern->list.n)
		pattern_free(d, pattern);
}

/* --- lists --------------------------------------------------------------------------------- */

static uint32_t addr_hash(const union mg_addr *addr)
{
	return hash_bytes(addr, sizeof(*addr), 0);
}

static struct domain_member *member_find(const struct domain_list *list, const union mg_addr *addr)
{
	struct hnode *node = hmap_first(&list->members, addr_hash(addr));

	while (node && addr_cmp(&((struct domain_member *)node)->addr, addr))
		node = hmap_same(node);
	return (struct domain_member *)node;
}

/* True: the list did not have it. */
static bool member_add(struct domain_list *list, const union mg_addr *addr)
{
	struct domain_member *member = member_find(list, addr);

	if (member) {
		member->refs++;
		return false;
	}
	member = xcalloc(1, sizeof(*member));
	member->addr = *addr;
	member->refs = 1;
	hmap_add(&list->members, &member->node, addr_hash(addr));
	return true;
}

static bool member_remove(struct domain_list *list, const union mg_addr *addr)
{
	struct domain_member *member = member_find(list, addr);

	if (!member || --member->refs)
		return false;
	hmap_del(&list->members, &member->node);
	free(member);
	return true;
}

static bool list_matches(const struct domain_list *list, const char *name)
{
	for (size_t i = 0; i < list->pattern.n; i++)
		if (domain_matches(list->pattern.v[i]->text, name))
			return true;
	return false;
}

struct domain_list *domain_list_new(struct domains *d, const char *text)
{
	struct domain_list *list = xcalloc(1, sizeof(*list));

	list->domains = d;
	while (*text) {
		size_t length = strcspn(text, ",");

		pattern_use(d, list, text, length);
		text += length + (text[length] == ',');
	}
	d->lists++;
	hmap_for_each(&d->names, i, node, after)
	{
		const struct domain_name *name = (const struct domain_name *)node;

		for (size_t k = 0; list_matches(list, name->text) && k < name->addr.n; k++)
			member_add(list, &name->addr.v[k]);
	}
	return list;
}

void domain_list_free(struct domain_list *list)
{
	if (!list)
		return;
	list->domains->lists--;
	for (size_t i = 0; i < list->pattern.n; i++)
		pattern_leave(list->domains, list, list->pattern.v[i]);
	hmap_for_each(&list->members, i, node, after) free(node);
	hmap_done(&list->members);
	vec_done(&list->pattern);
	free(list);
}

void domain_list_each(const struct domain_list *list,
		      void (*each)(void *ctx, const struct domain_list *list,
				   const union mg_addr *addr, bool add),
		      void *ctx, bool add)
{
	hmap_for_each(&list->members, i, node, after)
		each(ctx, list, &((struct domain_member *)node)->addr, add);
}

/* --- names --------------------------------------------------------------------------------- */

static struct domain_name *name_find(const struct domains *d, const char *text)
{
	struct hnode *node = hmap_first(&d->names, hash_text(text, 0));

	while (node && strcmp(((struct domain_name *)node)->text, text))
		node = hmap_same(node);
	return (struct domain_name *)node;
}

static struct domain_name *name_get(struct domains *d, const char *text)
{
	struct domain_name *name = name_find(d, text);
	size_t size;

	if (name)
		return name;
	size = strlen(text) + 1;
	name = xcalloc(1, sizeof(*name) + size);
	memcpy(name->text, text, size);
	hmap_add(&d->names, &name->node, hash_text(text, 0));
	return name;
}

static void name_free(struct domains *d, struct domain_name *name)
{
	hmap_del(&d->names, &name->node);
	vec_done(&name->addr);
	free(name);
}

static size_t addr_place(const struct domain_name *name, const union mg_addr *addr)
{
	size_t i = 0;

	while (i < name->addr.n && addr_cmp(&name->addr.v[i], addr))
		i++;
	return i;
}

typedef void (*on_list_fn)(struct domain_list *list, const union mg_addr *addr);

/* A list with several patterns that match the name has its addresses once. */
static void of_pattern(struct domain_pattern *pattern, const union mg_addr *addr, on_list_fn on)
{
	for (size_t i = 0; i < pattern->list.n; i++) {
		struct domain_list *list = pattern->list.v[i];

		if (list->stamp == list->domains->stamp)
			continue;
		list->stamp = list->domains->stamp;
		on(list, addr);
	}
}

static void of_lists(struct domains *d, const char *name, const union mg_addr *addr, on_list_fn on)
{
	struct domain_pattern *exact = pattern_find(d, name, strlen(name));

	d->stamp++;
	if (exact)
		of_pattern(exact, addr, on);
	for (size_t i = 0; i < d->wild.n; i++)
		if (domain_matches(d->wild.v[i]->text, name))
			of_pattern(d->wild.v[i], addr, on);
}

static void list_gets(struct domain_list *list, const union mg_addr *addr)
{
	if (member_add(list, addr))
		list->domains->changed(list->domains->ctx, list, addr, true);
}

static void list_loses(struct domain_list *list, const union mg_addr *addr)
{
	if (member_remove(list, addr))
		list->domains->changed(list->domains->ctx, list, addr, false);
}

void domains_add(struct domains *d, const char *text, const union mg_addr *addr)
{
	struct domain_name *name = name_get(d, text);

	if (addr_place(name, addr) < name->addr.n)
		return;
	vec_push(&name->addr, *addr);
	of_lists(d, text, addr, list_gets);
}

void domains_remove(struct domains *d, const char *text, const union mg_addr *addr)
{
	struct domain_name *name = name_find(d, text);
	const union mg_addr gone = *addr;
	size_t place = name ? addr_place(name, addr) : 0;

	if (!name || place == name->addr.n)
		return;
	name->addr.v[place] = name->addr.v[--name->addr.n];
	of_lists(d, text, &gone, list_loses);
	if (!name->addr.n)
		name_free(d, name);
}

bool domains_want(struct domains *d, const char *name)
{
	if (pattern_find(d, name, strlen(name)))
		return true;
	for (size_t i = 0; i < d->wild.n; i++)
		if (domain_matches(d->wild.v[i]->text, name))
			return true;
	return false;
}

void domains_done(struct domains *d)
{
	hmap_for_each(&d->names, i, node, after)
	{
		vec_done(&((struct domain_name *)node)->addr);
		free(node);
	}
	hmap_done(&d->names);
	hmap_done(&d->patterns);
	vec_done(&d->wild);
}
