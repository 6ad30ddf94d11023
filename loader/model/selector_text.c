/* SPDX-License-Identifier: Apache-2.0 */
/* The text of a selector, both ways: canonical text out of a tree, a tree out of text. */
#include "model/selector.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/err.h"

/* --- tree to text --------------------------------------------------------------------------- */

static void put_value(FILE *out, const char *value)
{
	const char quote = strchr(value, '"') ? '\'' : '"';

	fprintf(out, "%c%s%c", quote, value, quote);
}

static void put_set(FILE *out, const struct selector *node)
{
	if (node->count == 1) {
		fprintf(out, "%s %s ", node->key, node->op == SELECTOR_IN ? "==" : "!=");
		put_value(out, node->values[0]);
		return;
	}
	fprintf(out, "%s %s {", node->key, node->op == SELECTOR_IN ? "in" : "not in");
	for (unsigned int i = 0; i < node->count; i++) {
		fputs(i ? ", " : "", out);
		put_value(out, node->values[i]);
	}
	fputc('}', out);
}

static void put_test(FILE *out, const struct selector *node, const char *word)
{
	fprintf(out, "%s %s ", node->key, word);
	put_value(out, node->values[0]);
}

static void put_node(FILE *out, const struct selector *node);

static void put_kids(FILE *out, const struct selector *node, const char *between)
{
	fputc('(', out);
	for (unsigned int i = 0; i < node->count; i++) {
		fputs(i ? between : "", out);
		put_node(out, node->kids[i]);
	}
	fputc(')', out);
}

static void put_node(FILE *out, const struct selector *node)
{
	switch (node->op) {
	case SELECTOR_ALL:
		fputs("all()", out);
		break;
	case SELECTOR_NONE:
		fputs("!all()", out);
		break;
	case SELECTOR_GLOBAL:
		fputs("global()", out);
		break;
	case SELECTOR_HAS:
		fprintf(out, "has(%s)", node->key);
		break;
	case SELECTOR_IN:
	case SELECTOR_NOT_IN:
		put_set(out, node);
		break;
	case SELECTOR_CONTAINS:
		put_test(out, node, "contains");
		break;
	case SELECTOR_STARTS_WITH:
		put_test(out, node, "starts with");
		break;
	case SELECTOR_ENDS_WITH:
		put_test(out, node, "ends with");
		break;
	case SELECTOR_NOT:
		fputc('!', out);
		put_node(out, node->kids[0]);
		break;
	case SELECTOR_AND:
		put_kids(out, node, " && ");
		break;
	case SELECTOR_OR:
		put_kids(out, node, " || ");
		break;
	}
}

const char *selector_text(struct arena *arena, const struct selector *selector)
{
	_cleanup_free_ char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		abort();
	put_node(out, selector);
	if (fclose(out))
		abort();
	return arena_strdup(arena, text);
}

/* --- text to tree --------------------------------------------------------------------------- */

struct parser {
	struct arena *arena;
	const char *text;
	const char *at;
	struct err *err;
	unsigned int depth;
};

struct kids {
	const struct selector **v;
	size_t count;
	size_t room;
};

static void kids_done(struct kids *kids)
{
	free(kids->v);
}

static void kids_push(struct kids *kids, const struct selector *kid)
{
	if (kids->count == kids->room) {
		kids->room = kids->room ? kids->room * 2 : 4;
		kids->v = xrealloc(kids->v, kids->room, sizeof(*kids->v));
	}
	kids->v[kids->count++] = kid;
}

static int fail(struct parser *p, const char *what)
{
	if (!*p->at)
		return err_set(p->err, -EINVAL, "position %zu: %s, not the end of the selector",
			       (size_t)(p->at - p->text) + 1, what);
	return err_set(p->err, -EINVAL, "position %zu: %s at \"%.16s\"",
		       (size_t)(p->at - p->text) + 1, what, p->at);
}

static void skip_space(struct parser *p)
{
	p->at += strspn(p->at, " \t");
}

/* Takes a fixed text if it is next, white space before it aside. */
static bool take(struct parser *p, const char *token)
{
	skip_space(p);
	if (strncmp(p->at, token, strlen(token)))
		return false;
	p->at += strlen(token);
	return true;
}

static size_t key_length(const char *text)
{
	return strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./-");
}

static int take_key(struct parser *p, const char **ret_key)
{
	size_t length;

	skip_space(p);
	length = key_length(p->at);
	if (!length)
		return fail(p, "expected a label name");
	if (length > SELECTOR_KEY_MAX)
		return fail(p, "the label name is longer than 512 characters");
	*ret_key = arena_printf(p->arena, "%.*s", (int)length, p->at);
	p->at += length;
	return 0;
}

static int take_string(struct parser *p, const char **ret_value)
{
	const char *end;

	skip_space(p);
	if (*p->at != '\'' && *p->at != '"')
		return fail(p, "expected a quoted string");
	end = strchr(p->at + 1, *p->at);
	if (!end)
		return fail(p, "the string has no end");
	*ret_value = arena_printf(p->arena, "%.*s", (int)(end - p->at - 1), p->at + 1);
	p->at = end + 1;
	return 0;
}

/* The rest of "k in {": strings with commas, perhaps none, and "}". */
static int take_set(struct parser *p, const char *key, const struct selector **ret_node)
{
	_cleanup_(kids_done) struct kids values = { 0 }; /* of strings: same growth */
	const char *value;
	int r;

	if (!take(p, "{"))
		return fail(p, "expected {");
	while (!take(p, "}")) {
		if (values.count && !take(p, ","))
			return fail(p, "expected , or }");
		if (values.count && take(p, "}"))
			break;
		r = take_string(p, &value);
		if (r)
			return r;
		kids_push(&values, (const void *)value);
	}
	*ret_node = selector_in(p->arena, key, (const char *const *)(void *)values.v, values.count);
	return 0;
}

/* "word" or, for two words, with or without white space between them. */
static bool take_words(struct parser *p, const char *first, const char *second)
{
	const char *start = p->at;

	if (take(p, first) && take(p, second))
		return true;
	p->at = start;
	return false;
}

static int take_text_test(struct parser *p, enum selector_op op, const char *key,
			  const struct selector **ret_node)
{
	const char *value;
	int r = take_string(p, &value);

	if (r)
		return r;
	*ret_node = selector_text_test(p->arena, op, key, value);
	return 0;
}

static int take_comparison(struct parser *p, const char *key, bool equal,
			   const struct selector **ret_node)
{
	const struct selector *node;
	const char *value;
	int r = take_string(p, &value);

	if (r)
		return r;
	node = selector_in(p->arena, key, &value, 1);
	*ret_node = equal ? node : selector_not(p->arena, node);
	return 0;
}

static int take_label_test(struct parser *p, const struct selector **ret_node)
{
	const struct selector *node;
	const char *key;
	int r = take_key(p, &key);

	if (r)
		return r;
	if (take(p, "=="))
		return take_comparison(p, key, true, ret_node);
	if (take(p, "!="))
		return take_comparison(p, key, false, ret_node);
	if (take_words(p, "not", "in")) {
		r = take_set(p, key, &node);
		if (!r)
			*ret_node = selector_not(p->arena, node);
		return r;
	}
	if (take(p, "in"))
		return take_set(p, key, ret_node);
	if (take(p, "contains"))
		return take_text_test(p, SELECTOR_CONTAINS, key, ret_node);
	if (take_words(p, "starts", "with"))
		return take_text_test(p, SELECTOR_STARTS_WITH, key, ret_node);
	if (take_words(p, "ends", "with"))
		return take_text_test(p, SELECTOR_ENDS_WITH, key, ret_node);
	return fail(p, "expected ==, !=, in, not in, contains, starts with or ends with");
}

/* A function name counts only with its parenthesis: a label may be called "has". */
static int take_function(struct parser *p, const struct selector **ret_node)
{
	const struct selector *node = NULL;
	const char *key;
	int r;

	if (take(p, "has(")) {
		r = take_key(p, &key);
		if (r)
			return r;
		node = selector_has(p->arena, key);
	} else if (take(p, "all(")) {
		node = selector_all();
	} else if (take(p, "global(")) {
		struct selector *global = arena_alloc(p->arena, sizeof(*global));

		global->op = SELECTOR_GLOBAL;
		node = global;
	} else {
		return take_label_test(p, ret_node);
	}
	if (!take(p, ")"))
		return fail(p, "expected )");
	*ret_node = node;
	return 0;
}

static int take_or(struct parser *p, const struct selector **ret_node);

static int take_operand(struct parser *p, const struct selector **ret_node)
{
	const struct selector *node;
	bool negate = false;
	int r;

	while (take(p, "!"))
		negate = !negate;
	if (take(p, "(")) {
		if (++p->depth > SELECTOR_DEPTH_MAX)
			return err_set(p->err, -E2BIG, "position %zu: more than %d parentheses",
				       (size_t)(p->at - p->text), SELECTOR_DEPTH_MAX);
		r = take_or(p, &node);
		if (!r && !take(p, ")"))
			r = fail(p, "expected &&, || or )");
		p->depth--;
	} else {
		r = take_function(p, &node);
	}
	if (r)
		return r;
	*ret_node = negate ? selector_not(p->arena, node) : node;
	return 0;
}

static int take_and(struct parser *p, const struct selector **ret_node)
{
	_cleanup_(kids_done) struct kids kids = { 0 };
	const struct selector *kid = NULL;
	int r;

	do {
		r = take_operand(p, &kid);
		if (r)
			return r;
		kids_push(&kids, kid);
	} while (take(p, "&&"));
	*ret_node = selector_join(p->arena, SELECTOR_AND, kids.v, kids.count);
	return 0;
}

static int take_or(struct parser *p, const struct selector **ret_node)
{
	_cleanup_(kids_done) struct kids kids = { 0 };
	const struct selector *kid = NULL;
	int r;

	do {
		r = take_and(p, &kid);
		if (r)
			return r;
		kids_push(&kids, kid);
	} while (take(p, "||"));
	*ret_node = selector_join(p->arena, SELECTOR_OR, kids.v, kids.count);
	return 0;
}

int selector_parse(struct arena *arena, const char *text, const struct selector **ret_selector,
		   struct err *err)
{
	struct parser p = { .arena = arena, .text = text, .at = text, .err = err };
	const struct selector *node;
	int r;

	if (strlen(text) > SELECTOR_TEXT_MAX)
		return err_set(err, -E2BIG, "the selector is longer than %d characters",
			       SELECTOR_TEXT_MAX);
	skip_space(&p);
	if (!*p.at) {
		*ret_selector = selector_all();
		return 0;
	}
	r = take_or(&p, &node);
	if (r)
		return r;
	skip_space(&p);
	if (*p.at)
		return fail(&p, "expected && or ||");
	*ret_selector = node;
	return 0;
}
