/* SPDX-License-Identifier: Apache-2.0 */
#include "datastore/labels.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "base/err.h"

#define SELECTOR_MAX 4096

struct cursor {
	const char *start, *p;
	const json_t *labels;
	const char *expected; /* set when the text is wrong */
};

struct word {
	const char *text;
	size_t size;
};

static void skip_space(struct cursor *c)
{
	while (*c->p == ' ' || *c->p == '\t')
		c->p++;
}

static bool accept(struct cursor *c, const char *text)
{
	skip_space(c);
	if (strncmp(c->p, text, strlen(text)))
		return false;
	c->p += strlen(text);
	return true;
}

static struct word take_word(struct cursor *c)
{
	struct word word;

	skip_space(c);
	word.text = c->p;
	while (isalnum((unsigned char)*c->p) || (*c->p && strchr("-_./", *c->p)))
		c->p++;
	word.size = (size_t)(c->p - word.text);
	return word;
}

static bool word_is(const struct word *word, const char *text)
{
	return word->size == strlen(text) && !memcmp(word->text, text, word->size);
}

static const char *value_of(const struct cursor *c, const struct word *key)
{
	char name[512];

	if (key->size >= sizeof(name))
		return NULL;
	memcpy(name, key->text, key->size);
	name[key->size] = 0;
	return json_string_value(json_object_get(c->labels, name));
}

/* "(a, b)": is value one of them? */
static bool parse_set(struct cursor *c, const char *value)
{
	bool hit = false;

	if (!accept(c, "(")) {
		c->expected = "'('";
		return false;
	}
	do {
		struct word word = take_word(c);

		hit |= value && word_is(&word, value);
	} while (accept(c, ","));
	if (!accept(c, ")"))
		c->expected = "',' or ')'";
	return hit;
}

static bool parse_operator(struct cursor *c, const char *value)
{
	struct cursor ahead = *c;
	struct word word = take_word(&ahead);

	if (word_is(&word, "in") || word_is(&word, "notin")) {
		*c = ahead;
		return parse_set(c, value) == word_is(&word, "in");
	}
	if (accept(c, "!=")) {
		word = take_word(c);
		return !value || !word_is(&word, value);
	}
	if (accept(c, "==") || accept(c, "=")) {
		word = take_word(c);
		return value && word_is(&word, value);
	}
	return value;
}

static bool parse_term(struct cursor *c)
{
	bool absent = accept(c, "!");
	struct word key = take_word(c);

	if (!key.size) {
		c->expected = "a label's name";
		return false;
	}
	if (absent)
		return !value_of(c, &key);
	return parse_operator(c, value_of(c, &key));
}

static bool parse(struct cursor *c)
{
	bool all = true;

	skip_space(c);
	if (!*c->p)
		return true;
	do
		all &= parse_term(c);
	while (!c->expected && accept(c, ","));
	skip_space(c);
	if (!c->expected && *c->p)
		c->expected = "',' or the end";
	return all;
}

int query_labels_check(const char *selector, struct err *err)
{
	struct cursor c = { .start = selector, .p = selector };

	if (strlen(selector) > SELECTOR_MAX)
		return err_set(err, -EINVAL, "label selector: longer than %d bytes", SELECTOR_MAX);
	parse(&c);
	if (!c.expected)
		return 0;
	return err_set(err, -EINVAL, "label selector \"%.80s\": expected %s at character %zu",
		       selector, c.expected, (size_t)(c.p - c.start) + 1);
}

bool query_labels_match(const char *selector, const json_t *labels)
{
	struct cursor c = { .start = selector, .p = selector, .labels = labels };

	if (!selector || !*selector)
		return true;
	return parse(&c) && !c.expected;
}
