/* SPDX-License-Identifier: Apache-2.0 */
/* The selector grammar of projectcalico.org/v3: who matches, what is refused and where. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/err.h"
#include "model/selector.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* Labels of the endpoint that every row is tried on. */
static const char *lookup(void *ctx, const char *key)
{
	static const char *const labels[][2] = {
		{ "a", "b" },
		{ "env", "production" },
		{ "empty", "" },
		{ "app.kubernetes.io/name", "front-end_1" },
		{ "quote", "it's" },
		{ "has", "x" },
		{ "in", "y" },
		{ "all", "z" },
		{ "not", "n" },
		{ "double", "say \"x\"" },
		{ "contains", "in contains" },
	};

	(void)ctx;
	for (size_t i = 0; i < COUNT(labels); i++)
		if (!strcmp(labels[i][0], key))
			return labels[i][1];
	return NULL;
}

struct match_case {
	const char *text;
	bool want;
};

static void check_matches(const struct match_case *cases, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		_cleanup_arena_ struct arena *arena = arena_new();
		const struct selector *selector, *again;
		struct err err = { 0 };
		const char *text;

		if (selector_parse(arena, cases[i].text, &selector, &err))
			fail_msg("%s: %s", cases[i].text, err.text);
		if (selector_eval(selector, lookup, NULL) != cases[i].want)
			fail_msg("%s: expected %d", cases[i].text, cases[i].want);
		text = selector_text(arena, selector);
		if (selector_parse(arena, text, &again, &err))
			fail_msg("canonical text %s of %s: %s", text, cases[i].text, err.text);
		assert_int_equal(selector_cmp(selector, again), 0);
		assert_string_equal(selector_text(arena, again), text);
	}
}

static void test_operators(void **state)
{
	static const struct match_case cases[] = {
		{ "", true },
		{ " \t", true },
		{ "all()", true },
		{ "all( )", true },
		{ "!all()", false },
		{ "global()", true }, /* the endpoint has no namespace label */
		{ "has(a)", true },
		{ "has( a )", true },
		{ "has(nope)", false },
		{ "!has(nope)", true },
		{ "a == 'b'", true },
		{ "a==\"b\"", true },
		{ "a == 'c'", false },
		{ "nope == 'b'", false },
		{ "empty == ''", true },
		{ "nope == ''", false },
		{ "a != 'b'", false },
		{ "a != 'c'", true },
		{ "nope != 'b'", true }, /* absent: != holds */
		{ "a in {'b'}", true },
		{ "a in {'x', \"b\" ,'y'}", true },
		{ "a in{'x','y'}", false },
		{ "a in {}", false },
		{ "a in {'b',}", true },
		{ "nope in {'b'}", false },
		{ "a not in {'b'}", false },
		{ "a notin {'c'}", true },
		{ "a not  in {'c', 'd'}", true },
		{ "a not in {}", true },
		{ "nope not in {'b'}", true }, /* absent: not in holds */
		{ "env contains 'duct'", true },
		{ "env contains 'Duct'", false },
		{ "nope contains ''", false },
		{ "env contains ''", true },
		{ "env starts with 'prod'", true },
		{ "env startswith 'prod'", true },
		{ "env starts with 'rod'", false },
		{ "nope starts with ''", false },
		{ "env ends with 'tion'", true },
		{ "env endswith 'tion'", true },
		{ "env ends with 'production!'", false },
		{ "app.kubernetes.io/name == 'front-end_1'", true },
		{ "quote == \"it's\"", true },
		{ "double == 'say \"x\"'", true },
	};

	(void)state;
	check_matches(cases, COUNT(cases));
}

static void test_precedence(void **state)
{
	static const struct match_case cases[] = {
		/* && binds tighter than ||: true || (x && false), not (true || x) && false. */
		{ "a == 'b' || has(a) && a == 'c'", true },
		{ "(a == 'b' || has(a)) && a == 'c'", false },
		{ "a == 'c' && has(nope) || has(a)", true },
		{ "a == 'c' && (has(nope) || has(a))", false },
		/* ! takes the one operand behind it. */
		{ "!has(nope) && has(a)", true },
		{ "!(has(nope) && has(a))", true },
		{ "!has(a) || has(a)", true },
		{ "! a == 'c'", true },
		{ "!!has(a)", true },
		{ "!!!has(a)", false },
		{ "! ! (has(a) || all())", true },
		{ "!(a in {'b'})", false },
		{ "!a not in {'b'}", true },
		{ "has(a)&&has(env)&&has(empty)", true },
		{ "has(a)&&has(env)&&has(nope)", false },
		{ "has(nope)||has(nope2)||has(a)", true },
		{ "((((a == 'b'))))", true },
	};

	(void)state;
	check_matches(cases, COUNT(cases));
}

static void test_words_as_labels(void **state)
{
	static const struct match_case cases[] = {
		{ "has == 'x'", true },	    { "has(has)", true },
		{ "in in {'y'}", true },    { "all == 'z'", true },
		{ "has(all)", true },	    { "not not in {'n'}", false },
		{ "not == 'n'", true },	    { "contains contains 'contains'", true },
		{ "global == 'g'", false },
	};

	(void)state;
	check_matches(cases, COUNT(cases));
}

static void test_same_text(void **state)
{
	static const char *const groups[][5] = {
		{ "all()", "", "!!all()", "all() && all()", "all() || has(a)" },
		{ "a == \"b\"", "a=='b'", "a in {'b'}", "!(a != 'b')", "(a == 'b') && all()" },
		{ "a != \"b\"", "!a == 'b'", "a not in {'b'}", "a notin {\"b\",'b'}",
		  "!(a in {'b'})" },
		{ "a in {\"b\", \"c\"}", "a in {'c','b'}", "a in {'b','c','b'}",
		  "!(a not in {'b','c'})", "(a in {'c', 'b', })" },
		{ "(has(a) && has(b) && has(c))", "has(c) && has(a) && has(b)",
		  "(has(b) && has(c)) && has(a)", "has(a)&&(has(b)&&(has(c)))",
		  "has(a) && has(b) && has(c) && has(a)" },
		{ "!all()", "a in {}", "!(a not in {})", "has(a) && !all()", "!all() || !all()" },
		{ "!(has(a) || has(b))", "!(has(b)||has(a))", "!!!(has(a) || has(b))",
		  "!((has(a) || has(b)))", "!(has(a) || has(b) || has(a))" },
	};

	(void)state;
	for (size_t g = 0; g < COUNT(groups); g++) {
		for (size_t i = 0; i < 5; i++) {
			_cleanup_arena_ struct arena *arena = arena_new();
			const struct selector *selector;

			assert_int_equal(selector_parse(arena, groups[g][i], &selector, NULL), 0);
			assert_string_equal(selector_text(arena, selector), groups[g][0]);
		}
	}
}

static void test_errors(void **state)
{
	static const struct {
		const char *text;
		const char *says;
	} cases[] = {
		{ "a", "position 2: expected ==" },
		{ "a = 'b'", "position 3: expected ==" },
		{ "a == b", "position 6: expected a quoted string at \"b\"" },
		{ "a == 'b", "position 6: the string has no end" },
		{ "a == 'b\"", "the string has no end" },
		{ "a == 'b' &&", "position 12: expected a label name" },
		{ "a == 'b' & has(c)", "position 10: expected && or ||" },
		{ "a == 'b' has(c)", "position 10: expected && or ||" },
		{ "&& has(a)", "position 1: expected a label name" },
		{ "(has(a)", "expected &&, || or )" },
		{ "has(a))", "position 7: expected && or ||" },
		{ "has()", "position 5: expected a label name" },
		{ "has(a", "expected )" },
		{ "has('a')", "position 5: expected a label name" },
		{ "all(x)", "expected )" },
		{ "a in 'b'", "position 6: expected {" },
		{ "a in {b}", "position 7: expected a quoted string" },
		{ "a in {'b' 'c'}", "position 11: expected , or }" },
		{ "a in {,}", "position 7: expected a quoted string" },
		{ "a in {'b'", "expected , or }" },
		{ "a not 'b'", "position 3: expected ==" },
		{ "a starts 'b'", "position 3: expected ==" },
		{ "a == 'b'\n", "expected && or ||" }, /* white space is space and tab only */
		{ "a\n== 'b'", "position 2: expected ==" },
		{ "ü == 'b'", "position 1: expected a label name" },
		{ "!", "position 2: expected a label name" },
		{ "()", "position 2: expected a label name" },
		{ "1 + 1", "position 3: expected ==" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		_cleanup_arena_ struct arena *arena = arena_new();
		const struct selector *selector = NULL;
		struct err err = { 0 };

		assert_int_equal(selector_parse(arena, cases[i].text, &selector, &err), -EINVAL);
		assert_null(selector);
		if (!strstr(err.text, cases[i].says))
			fail_msg("%s: \"%s\" does not say \"%s\"", cases[i].text, err.text,
				 cases[i].says);
	}
}

static int parse_repeated(const char *before, const char *middle, const char *after, size_t count)
{
	_cleanup_arena_ struct arena *arena = arena_new();
	const struct selector *selector;
	char text[8192] = "";

	for (size_t i = 0; i < count; i++)
		strcat(text, before);
	strcat(text, middle);
	for (size_t i = 0; i < count; i++)
		strcat(text, after);
	return selector_parse(arena, text, &selector, NULL);
}

static void test_limits(void **state)
{
	(void)state;
	assert_int_equal(parse_repeated("(", "has(a)", ")", SELECTOR_DEPTH_MAX), 0);
	assert_int_equal(parse_repeated("(", "has(a)", ")", SELECTOR_DEPTH_MAX + 1), -E2BIG);
	assert_int_equal(parse_repeated("!(", "has(a)", ")", SELECTOR_DEPTH_MAX), 0);
	assert_int_equal(parse_repeated("!", "has(a)", "", 1000), 0);
	assert_int_equal(parse_repeated(" ", "all()", "", SELECTOR_TEXT_MAX - 5), 0);
	assert_int_equal(parse_repeated(" ", "all()", "", SELECTOR_TEXT_MAX - 4), -E2BIG);
	assert_int_equal(parse_repeated("a", "", "", SELECTOR_KEY_MAX + 1), -EINVAL);
	assert_int_equal(parse_repeated("a", " == 'b'", "", SELECTOR_KEY_MAX), 0);
	assert_int_equal(parse_repeated("has(a) && ", "has(a)", "", 100), 0);
}

static void test_prefixed(void **state)
{
	_cleanup_arena_ struct arena *arena = arena_new();
	const struct selector *selector;

	(void)state;
	assert_int_equal(
		selector_parse(arena, "b in {'x','y'} && !has(a) || global()", &selector, NULL), 0);
	assert_string_equal(selector_text(arena, selector_prefixed(arena, selector, "pcns.")),
			    "(global() || (pcns.b in {\"x\", \"y\"} && !has(pcns.a)))");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_operators),	cmocka_unit_test(test_precedence),
		cmocka_unit_test(test_words_as_labels), cmocka_unit_test(test_same_text),
		cmocka_unit_test(test_errors),		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_prefixed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
