/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/facts.h"

#include <string.h>

#include "model/selector.h"

/* --- labels -------------------------------------------------------------------------------- */

static uint32_t tag_hash(const char *key, const char *value)
{
	return hash_text(value, hash_text(key, 0));
}

struct tag *tag_find(const struct facts_table *table, const char *key, const char *value)
{
	struct hnode *node = hmap_first(&table->labels, tag_hash(key, value));

	for (; node; node = hmap_same(node)) {
		struct tag *label = (struct tag *)node;

		if (!strcmp(label->key, key) && !strcmp(label->value, value))
			return label;
	}
	return NULL;
}

struct tag *tag_intern(struct facts_table *table, const char *key, const char *value)
{
	struct tag *label = tag_find(table, key, value);
	size_t key_size = strlen(key) + 1, value_size = strlen(value) + 1;

	if (label) {
		label->refs++;
		return label;
	}
	label = xcalloc(1, sizeof(*label) + key_size + value_size);
	label->refs = 1;
	memcpy(label->key, key, key_size);
	memcpy(label->key + key_size, value, value_size);
	label->value = label->key + key_size;
	hmap_add(&table->labels, &label->node, tag_hash(key, value));
	return label;
}

void tag_unref(struct facts_table *table, struct tag *label)
{
	if (!label || --label->refs)
		return;
	hmap_del(&table->labels, &label->node);
	vec_done(&label->anchored);
	vec_done(&label->bearers);
	free(label);
}

/* --- sets ---------------------------------------------------------------------------------- */

typedef VEC(struct tag *) tag_vec;

static int tag_cmp(const void *a, const void *b)
{
	const struct tag *x = *(struct tag *const *)a, *y = *(struct tag *const *)b;

	return strcmp(x->key, y->key);
}

/* Takes the labels' references over; of one key the first that was pushed stays. */
static struct tag_set *set_intern(struct facts_table *table, tag_vec *labels)
{
	struct tag_set *set;
	struct hnode *node;
	uint32_t hash;
	size_t n = 0;

	for (size_t i = 0; i < labels->n; i++) {
		size_t same = 0;

		while (same < n && strcmp(labels->v[same]->key, labels->v[i]->key))
			same++;
		if (same < n)
			tag_unref(table, labels->v[i]);
		else
			labels->v[n++] = labels->v[i];
	}
	labels->n = n;
	if (n)
		qsort(labels->v, n, sizeof(*labels->v), tag_cmp);
	hash = hash_bytes(labels->v, n * sizeof(*labels->v), 0);
	for (node = hmap_first(&table->sets, hash); node; node = hmap_same(node)) {
		set = (struct tag_set *)node;
		if (set->count != n || (n && memcmp(set->label, labels->v, n * sizeof(*labels->v))))
			continue;
		for (size_t i = 0; i < n; i++)
			tag_unref(table, labels->v[i]);
		set->refs++;
		return set;
	}
	set = xcalloc(1, sizeof(*set) + n * sizeof(set->label[0]));
	set->refs = 1;
	set->count = n;
	if (n)
		memcpy(set->label, labels->v, n * sizeof(*labels->v));
	hmap_add(&table->sets, &set->node, hash);
	return set;
}

static void set_unref(struct facts_table *table, struct tag_set *set)
{
	if (--set->refs)
		return;
	for (uint32_t i = 0; i < set->count; i++)
		tag_unref(table, set->label[i]);
	hmap_del(&table->sets, &set->node);
	free(set);
}

static void push(struct facts_table *table, tag_vec *labels, const char *prefix, const char *key,
		 const char *value)
{
	_cleanup_free_ char *full = xasprintf("%s%s", prefix, key);

	vec_push(labels, tag_intern(table, full, value));
}

static void push_all(struct facts_table *table, tag_vec *labels, const char *prefix,
		     const struct engine_labels *from)
{
	for (size_t i = 0; i < from->count; i++)
		push(table, labels, prefix, from->label[i].key, from->label[i].value);
}

static struct tag_set *namespace_set(struct facts_table *table, const struct engine_facts *from)
{
	tag_vec labels = {};
	struct tag_set *set;

	if (from->kind == ENGINE_POD)
		push(table, &labels, "", TAG_ORCHESTRATOR, "k8s");
	if (from->namespace && *from->namespace) {
		push(table, &labels, "", LABEL_NAMESPACE, from->namespace);
		push(table, &labels, PREFIX_NAMESPACE, TAG_NAME, from->namespace);
		push_all(table, &labels, PREFIX_NAMESPACE, &from->namespace_labels);
		push(table, &labels, PREFIX_NAMESPACE, TAG_METADATA_NAME, from->namespace);
	}
	set = set_intern(table, &labels);
	vec_done(&labels);
	return set;
}

static struct tag_set *account_set(struct facts_table *table, const struct engine_facts *from)
{
	tag_vec labels = {};
	struct tag_set *set;

	if (from->service_account && *from->service_account) {
		push(table, &labels, "", TAG_SERVICE_ACCOUNT, from->service_account);
		push(table, &labels, PREFIX_SERVICE_ACCOUNT, TAG_NAME, from->service_account);
		push_all(table, &labels, PREFIX_SERVICE_ACCOUNT, &from->service_account_labels);
	}
	set = set_intern(table, &labels);
	vec_done(&labels);
	return set;
}

/* Labels that only the namespace, the service account or we may give. */
static bool reserved(const char *key)
{
	return !strncmp(key, PREFIX_NAMESPACE, strlen(PREFIX_NAMESPACE)) ||
	       !strncmp(key, PREFIX_SERVICE_ACCOUNT, strlen(PREFIX_SERVICE_ACCOUNT)) ||
	       !strcmp(key, LABEL_NAMESPACE) || !strcmp(key, TAG_ORCHESTRATOR) ||
	       !strcmp(key, TAG_SERVICE_ACCOUNT);
}

static struct tag_set *own_set(struct facts_table *table, const struct engine_facts *from)
{
	tag_vec labels = {};
	struct tag_set *set;

	for (size_t i = 0; i < from->labels.count; i++)
		if (!reserved(from->labels.label[i].key))
			push(table, &labels, "", from->labels.label[i].key,
			     from->labels.label[i].value);
	set = set_intern(table, &labels);
	vec_done(&labels);
	return set;
}

/* --- facts --------------------------------------------------------------------------------- */

static int port_cmp(const void *a, const void *b)
{
	const struct facts_port *x = a, *y = b;

	if (x->name != y->name)
		return x->name < y->name ? -1 : 1;
	return (x->proto << 16 | x->number) - (y->proto << 16 | y->number);
}

static struct facts *facts_draft(struct facts_table *table, const struct engine_facts *from)
{
	struct facts *facts =
		xcalloc(1, sizeof(*facts) + from->port_count * sizeof(struct facts_port));

	facts->kind = from->kind;
	facts->set[0] = namespace_set(table, from);
	facts->set[1] = account_set(table, from);
	facts->set[2] = own_set(table, from);
	facts->port_count = from->port_count;
	for (size_t i = 0; i < from->port_count; i++) {
		facts->port[i].name = tag_intern(table, from->ports[i].name, "");
		facts->port[i].number = from->ports[i].number;
		facts->port[i].proto = from->ports[i].proto;
	}
	if (from->port_count)
		qsort(facts->port, from->port_count, sizeof(facts->port[0]), port_cmp);
	return facts;
}

static uint32_t facts_hash(const struct facts *facts)
{
	uint32_t hash = hash_bytes(facts->set, sizeof(facts->set), facts->kind);

	for (uint32_t i = 0; i < facts->port_count; i++)
		hash = hash_u64((uintptr_t)facts->port[i].name ^ (uint64_t)facts->port[i].number
									 << 48,
				hash + facts->port[i].proto);
	return hash;
}

static bool facts_equal(const struct facts *a, const struct facts *b)
{
	if (a->kind != b->kind || a->port_count != b->port_count ||
	    memcmp(a->set, b->set, sizeof(a->set)))
		return false;
	for (uint32_t i = 0; i < a->port_count; i++)
		if (port_cmp(&a->port[i], &b->port[i]))
			return false;
	return true;
}

static void facts_free(struct facts_table *table, struct facts *facts)
{
	for (int i = 0; i < 3; i++)
		set_unref(table, facts->set[i]);
	for (uint32_t i = 0; i < facts->port_count; i++)
		tag_unref(table, facts->port[i].name);
	truth_unref(table->truths, facts->truth);
	free(facts);
}

static uint32_t facts_place(struct facts_table *table, struct facts *facts)
{
	if (table->free.n) {
		facts->index = table->free.v[--table->free.n];
		table->by_index.v[facts->index] = facts;
	} else {
		facts->index = table->by_index.n;
		vec_push(&table->by_index, facts);
	}
	return facts->index;
}

struct facts *facts_intern(struct facts_table *table, const struct engine_facts *from)
{
	struct facts *facts = facts_draft(table, from);
	uint32_t hash = facts_hash(facts);
	struct hnode *node = hmap_first(&table->by_content, hash);

	for (; node; node = hmap_same(node)) {
		struct facts *old = (struct facts *)node;

		if (!facts_equal(old, facts))
			continue;
		facts_free(table, facts);
		old->refs++;
		return old;
	}
	facts->refs = 1;
	facts_place(table, facts);
	hmap_add(&table->by_content, &facts->node, hash);
	vec_push(&table->fresh, facts);
	return facts;
}

void facts_unref(struct facts_table *table, struct facts *facts)
{
	if (!facts || --facts->refs)
		return;
	for (size_t i = 0; !facts->truth && i < table->fresh.n; i++)
		if (table->fresh.v[i] == facts)
			table->fresh.v[i--] = table->fresh.v[--table->fresh.n];
	hmap_del(&table->by_content, &facts->node);
	table->by_index.v[facts->index] = NULL;
	vec_push(&table->free, facts->index);
	facts_free(table, facts);
}

const char *tag_set_lookup(const struct tag_set *set, const char *key)
{
	size_t low = 0, high = set->count;

	while (low < high) {
		size_t mid = (low + high) / 2;
		int order = strcmp(set->label[mid]->key, key);

		if (!order)
			return set->label[mid]->value;
		if (order < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return NULL;
}

const char *facts_lookup(void *ctx, const char *key)
{
	const struct facts *facts = ctx;
	const char *value = NULL;

	for (int i = 0; !value && i < 3; i++)
		value = tag_set_lookup(facts->set[i], key);
	return value;
}

void facts_table_init(struct facts_table *table, struct truths *truths)
{
	*table = (struct facts_table){ .truths = truths };
}

void facts_table_done(struct facts_table *table)
{
	for (size_t i = 0; i < table->by_index.n; i++)
		if (table->by_index.v[i])
			facts_free(table, table->by_index.v[i]);
	hmap_done(&table->labels);
	hmap_done(&table->sets);
	hmap_done(&table->by_content);
	vec_done(&table->by_index);
	vec_done(&table->free);
	vec_done(&table->fresh);
}
