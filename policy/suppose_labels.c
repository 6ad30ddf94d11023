/* SPDX-License-Identifier: Apache-2.0 */
/* The least difference in labels with which a selector holds, or holds no longer. */
#include <errno.h>
#include <string.h>

#include "model/selector.h"
#include "policy/suppose.h"

#define OTHER "-" /* no valid label value: a value that nobody names */

static bool has_prefix(const char *key, const char *prefix)
{
	return !strncmp(key, prefix, strlen(prefix));
}

static enum suppose_what what_of(const char *key)
{
	if (!strcmp(key, TAG_ORCHESTRATOR))
		return SUPPOSE_ENDPOINT;
	if (!strcmp(key, LABEL_NAMESPACE) || has_prefix(key, PREFIX_NAMESPACE))
		return SUPPOSE_NAMESPACE;
	if (!strcmp(key, TAG_SERVICE_ACCOUNT) || has_prefix(key, PREFIX_SERVICE_ACCOUNT))
		return SUPPOSE_ACCOUNT;
	return SUPPOSE_LABEL;
}

static bool names_namespace(const char *key)
{
	return !strcmp(key, LABEL_NAMESPACE) || !strcmp(key, PREFIX_NAMESPACE TAG_NAME) ||
	       !strcmp(key, PREFIX_NAMESPACE TAG_METADATA_NAME);
}

/* Labels of a namespace by the pods that are known to be in it. */
static const struct tag_set *labels_of_namespace(const struct engine *e, const char *name)
{
	for (size_t i = 0; i < e->facts.by_index.n; i++) {
		const struct facts *facts = e->facts.by_index.v[i];
		const char *ns = facts && facts->kind == ENGINE_POD
					 ? tag_set_lookup(facts->set[0], LABEL_NAMESPACE)
					 : NULL;

		if (ns && !strcmp(ns, name))
			return facts->set[0];
	}
	return NULL;
}

static void set_namespace(struct supposed_end *end, const char *name)
{
	end->ns = name;
	end->ns_labels = labels_of_namespace(end->engine, name);
}

static int set_label(struct supposed_end *end, const char *key, const char *value)
{
	unsigned int i = 0;

	if (names_namespace(key)) {
		if (value)
			set_namespace(end, value);
		return value ? 0 : -ENOENT;
	}
	while (i < end->label_count && strcmp(end->label[i].key, key))
		i++;
	if (i == SUPPOSE_LABELS)
		return -ENOENT;
	if (i == end->label_count)
		end->label_count++;
	end->label[i] = (struct supposed_label){ key, value };
	return 0;
}

static bool eval(const struct supposed_end *end, const struct selector *selector)
{
	return selector_eval(selector, suppose_lookup, (void *)end);
}

/* A value of the label with which it holds, and all that was asked before. */
static int leaf(struct supposition *s, bool dst, const struct selector *test, bool want)
{
	const struct supposed_need need = {
		.what = what_of(test->key), .dst = dst, .holds = want, .test = test
	};
	const struct supposed_end before = s->end[dst];

	if (suppose_need(s, &need) < 0)
		return -ENOENT;
	for (unsigned int i = 0; i < test->count + 2; i++) {
		const char *value = i < test->count ? test->values[i] : OTHER;

		s->end[dst] = before;
		if (set_label(&s->end[dst], test->key, i <= test->count ? value : NULL) == 0 &&
		    suppose_needs_hold(s))
			return 0;
	}
	return -ENOENT;
}

static int solve(struct supposition *s, bool dst, const struct selector *selector, bool want);

/* What says most of a label comes first: a value, then that there is one. */
static int solve_all(struct supposition *s, bool dst, const struct selector *selector, bool want)
{
	for (int loose = 0; loose < 2; loose++)
		for (unsigned int i = 0; i < selector->count; i++)
			if ((selector->kids[i]->op != SELECTOR_IN) == loose &&
			    solve(s, dst, selector->kids[i], want) < 0)
				return -ENOENT;
	return 0;
}

static int solve_any(struct supposition *s, bool dst, const struct selector *selector, bool want)
{
	struct supposed_best best = { .found = false };

	for (unsigned int i = 0; i < selector->count; i++) {
		struct supposition trial = *s;

		if (solve(&trial, dst, selector->kids[i], want) == 0)
			suppose_offer(&best, &trial);
	}
	return suppose_take(&best, s);
}

static int solve(struct supposition *s, bool dst, const struct selector *selector, bool want)
{
	if (eval(&s->end[dst], selector) == want)
		return 0;
	switch (selector->op) {
	case SELECTOR_ALL:
	case SELECTOR_NONE:
	case SELECTOR_GLOBAL:
		return -ENOENT;
	case SELECTOR_NOT:
		return solve(s, dst, selector->kids[0], !want);
	case SELECTOR_AND:
		return want ? solve_all(s, dst, selector, want) : solve_any(s, dst, selector, want);
	case SELECTOR_OR:
		return want ? solve_any(s, dst, selector, want) : solve_all(s, dst, selector, want);
	case SELECTOR_HAS:
	case SELECTOR_IN:
	case SELECTOR_NOT_IN:
	case SELECTOR_CONTAINS:
	case SELECTOR_STARTS_WITH:
	case SELECTOR_ENDS_WITH:
		break;
	}
	return leaf(s, dst, selector, want);
}

int suppose_selector(struct supposition *s, bool dst, const struct selector *selector, bool want)
{
	const struct supposed_need known = { .what = SUPPOSE_ENDPOINT, .dst = dst, .holds = true };
	const unsigned int before = s->need_count;

	if (suppose_holds(&s->end[dst], selector) == want)
		return 0;
	if (s->end[dst].fixed)
		return -ENOENT;
	if (want)
		s->end[dst].endpoint = true;
	if (solve(s, dst, selector, want) < 0)
		return -ENOENT;
	/* All that it asks is that somebody be there. */
	if (want && s->need_count == before && suppose_need(s, &known) < 0)
		return -ENOENT;
	return suppose_holds(&s->end[dst], selector) == want ? 0 : -ENOENT;
}
