/* SPDX-License-Identifier: Apache-2.0 */
/* YAML and JSON text into trees, lines of paths, limits, and the way back to YAML. */
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
#include "base/json.h"
#include "base/yaml.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static struct docs *read_ok(const char *text)
{
	struct docs *docs = NULL;
	struct err err = { 0 };

	if (docs_read(text, strlen(text), &docs, &err))
		fail_msg("%s: %s", text, err.text);
	return docs;
}

/* The document as compact JSON, keys as they came. */
static void check_json(const char *yaml, const char *want)
{
	_cleanup_docs_ struct docs *docs = read_ok(yaml);
	_cleanup_free_ char *text = NULL;

	assert_int_equal(docs->count, 1);
	text = json_dumps(docs->v[0].root, JSON_COMPACT | JSON_ENCODE_ANY);
	assert_string_equal(text, want);
}

static void test_scalars(void **state)
{
	static const struct {
		const char *yaml;
		const char *json;
	} cases[] = {
		{ "a", "\"a\"" },
		{ "true", "true" },
		{ "True", "true" },
		{ "tRue", "\"tRue\"" },
		{ "yes", "true" },
		{ "on", "true" },
		{ "OFF", "false" },
		{ "n", "false" },
		{ "'yes'", "\"yes\"" },
		{ "\"true\"", "\"true\"" },
		{ "12", "12" },
		{ "-12", "-12" },
		{ "+12", "12" },
		{ "0x1F", "31" },
		{ "0b101", "5" },
		{ "0o17", "15" },
		{ "017", "15" },
		{ "0", "0" },
		{ "08", "8" }, /* not octal, but a float without fraction */
		{ "1_000", "1000" },
		{ "1.5", "1.5" },
		{ "1e999", "\"1e999\"" },
		{ "99999999999999999999", "1e20" },
		{ "1e3", "1000" },
		{ ".5", "0.5" },
		{ "1.", "1" },
		{ "9223372036854775807", "9223372036854775807" },
		{ "-9223372036854775808", "-9223372036854775808" },
		{ "1.2.3", "\"1.2.3\"" },
		{ "10.0.0.0/8", "\"10.0.0.0/8\"" },
		{ "1:30", "\"1:30\"" },
		{ "2026-11-20", "\"2026-11-20\"" },
		{ "2026-11-20T10:00:00Z", "\"2026-11-20T10:00:00Z\"" },
		{ "0x", "\"0x\"" },
		{ "0xZZ", "\"0xZZ\"" },
		{ "0x0x1", "\"0x0x1\"" },
		{ "1e", "\"1e\"" },
		{ "-x", "\"-x\"" },
		{ "!!str 5", "\"5\"" },
		{ "! 5", "\"5\"" },
		{ "!!int 5", "5" },
		{ "!!bool yes", "true" },
		{ "ff:ff", "\"ff:ff\"" },
		{ "fd00::1", "\"fd00::1\"" },
		{ "a b  c", "\"a b  c\"" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		_cleanup_free_ char *yaml = xasprintf("v: %s\n", cases[i].yaml);
		_cleanup_free_ char *json = xasprintf("{\"v\":%s}", cases[i].json);

		check_json(yaml, json);
	}
	check_json("v: ~\nw:\nx: null\n", "{\"v\":null,\"w\":null,\"x\":null}");
}

static void test_structures(void **state)
{
	(void)state;
	check_json("b: 1\na: 2\n", "{\"b\":1,\"a\":2}"); /* order as given */
	check_json("a:\n- 1\n- x: {q: [z, 2]}\n- - m\n",
		   "{\"a\":[1,{\"x\":{\"q\":[\"z\",2]}},[\"m\"]]}");
	/* As sigs.k8s.io/yaml: bools first, then their text. */
	check_json("y: 1\nn: 2\n'y': 3\n", "{\"true\":1,\"false\":2,\"y\":3}");
	check_json("1: a\ntrue: b\n1.5: c\n", "{\"1\":\"a\",\"true\":\"b\",\"1.5\":\"c\"}");
	check_json("a: |\n  x\n  y\nb: >-\n  x\n  y\n", "{\"a\":\"x\\ny\\n\",\"b\":\"x y\"}");
	check_json("# only a comment\n---\na: 1 # here\n...\n", "{\"a\":1}");
	check_json("a: &x {b: [1, 2]}\nc: *x\nd: [*x]\n",
		   "{\"a\":{\"b\":[1,2]},\"c\":{\"b\":[1,2]},\"d\":[{\"b\":[1,2]}]}");
	check_json("a: &x 5\nb: *x\n", "{\"a\":5,\"b\":5}");
	check_json("\xef\xbb\xbf{\"a\": \"\\u00fc\"}", "{\"a\":\"\xc3\xbc\"}");
	check_json("{\"a\":true,\"b\":[1.5,null,\"yes\"]}",
		   "{\"a\":true,\"b\":[1.5,null,\"yes\"]}");
}

static void test_documents(void **state)
{
	static const struct {
		const char *text;
		size_t count;
	} cases[] = {
		{ "", 0 },
		{ "# nothing\n", 0 },
		{ "---\n---\n", 0 },
		{ "a: 1\n---\nb: 2\n", 2 },
		{ "---\na: 1\n---\n# empty\n---\nb: 2\n---\n", 2 },
		{ "{\"a\":1}", 1 },
		{ " {\"a\":1}\n{\"b\":2} {\"c\":3}\n", 3 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		_cleanup_docs_ struct docs *docs = read_ok(cases[i].text);

		assert_int_equal(docs->count, cases[i].count);
	}
}

static void test_errors(void **state)
{
	static const struct {
		const char *text;
		int code;
		const char *says;
	} cases[] = {
		{ "a: 1\nb: 2\na: 3\n", -EINVAL, "line 3: key \"a\" is given twice" },
		{ "a: {x: 1, x: 2}\n", -EINVAL, "line 1: key \"x\" is given twice" },
		{ "a: [1, 2\n", -EINVAL, "line 2: " },
		{ "a: 1\n b: 2\n", -EINVAL, "line 2: " },
		{ "a:\n\t- 1\n", -EINVAL, "line 2: " },
		{ "a: *nope\n", -EINVAL, "line 1: no anchor &nope" },
		{ "a: &x [*x]\n", -EINVAL, "no anchor &x" },
		{ "? [a]\n: 1\n", -EINVAL, "as a key" },
		{ "~: 1\n", -EINVAL, "null as a key" },
		{ "a: &x {b: 1}\nc:\n  <<: *x\n", -EINVAL, "line 3: merge keys" },
		{ "a: .inf\n", -EINVAL, "has no place in JSON" },
		{ "a: -.Inf\n", -EINVAL, "has no place in JSON" },
		{ "a: .nan\n", -EINVAL, "has no place in JSON" },
		{ "a: !!python/object:os.system x\n", -EINVAL, "tag" },
		{ "a: !mine x\n", -EINVAL, "tag" },
		{ "a: !!int x\n", -EINVAL, "tag" },
		{ "a: \"x\\0y\"\n", -EINVAL, "NUL" },
		{ "a: \"\xff\"\n", -EINVAL, "" },
		{ "a: b: c\n", -EINVAL, "line 1" },
		{ "{\"a\": 1,\n\"a\": 2}", -EINVAL, "line 2: duplicate object key" },
		{ "{\"a\": 1}\n{\"b\": }", -EINVAL, "line 2: " },
		{ "{\"a\": 1", -EINVAL, "line 1: " },
		{ "{a: 1}", -EINVAL, "line 1: " },
		{ "{\"a\":\"x\\u0000y\"}", -EINVAL, "line 1: " },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct docs *docs = NULL;
		struct err err = { 0 };

		if (docs_read(cases[i].text, strlen(cases[i].text), &docs, &err) != cases[i].code)
			fail_msg("%s: code %d, %s", cases[i].text, err.code, err.text);
		assert_null(docs);
		if (!strstr(err.text, cases[i].says))
			fail_msg("%s: \"%s\" does not say \"%s\"", cases[i].text, err.text,
				 cases[i].says);
	}
}

/* before x count, middle, after x count. */
static int read_repeated(const char *before, const char *middle, const char *after, size_t count)
{
	_cleanup_docs_ struct docs *docs = NULL;
	_cleanup_free_ char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	for (size_t i = 0; i < count; i++)
		fputs(before, out);
	fputs(middle, out);
	for (size_t i = 0; i < count; i++)
		fputs(after, out);
	fclose(out);
	return docs_read(text, size, &docs, NULL);
}

static void test_limits(void **state)
{
	(void)state;
	assert_int_equal(read_repeated("[", "", "]", DOC_DEPTH_MAX), 0);
	assert_int_equal(read_repeated("[", "", "]", DOC_DEPTH_MAX + 1), -E2BIG);
	assert_int_equal(read_repeated("[", "", "]", 100000), -E2BIG);
	assert_int_equal(read_repeated("{\"a\":", "1", "}", DOC_DEPTH_MAX), 0);
	assert_int_equal(read_repeated("{\"a\":", "1", "}", DOC_DEPTH_MAX + 1), -E2BIG);
	assert_int_equal(read_repeated("{\"a\":", "1", "}", 1500), -E2BIG);
	assert_int_equal(read_repeated("a: b\n---\n", "", "", DOC_COUNT_MAX), 0);
	assert_int_equal(read_repeated("a: b\n---\n", "", "", DOC_COUNT_MAX + 1), -E2BIG);
	assert_int_equal(read_repeated("{}", "", "", DOC_COUNT_MAX), 0);
	assert_int_equal(read_repeated("{}", "", "", DOC_COUNT_MAX + 1), -E2BIG);
	assert_int_equal(read_repeated("- a\n", "", "", DOC_NODES_MAX + 1), -E2BIG);
	assert_int_equal(read_repeated("#\n", "", "", DOC_BYTES_MAX / 2), 0);
	assert_int_equal(read_repeated("#\n", "#", "", DOC_BYTES_MAX / 2), -E2BIG);
}

/* A few lines that would become 10^9 values, and aliases that would nest too deep. */
static void test_alias_bombs(void **state)
{
	_cleanup_docs_ struct docs *docs = NULL;
	const char *laughs = "a: &a [x,x,x,x,x,x,x,x,x,x]\n"
			     "b: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]\n"
			     "c: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]\n"
			     "d: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c,*c]\n"
			     "e: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d,*d]\n"
			     "f: &f [*e,*e,*e,*e,*e,*e,*e,*e,*e,*e]\n";
	_cleanup_free_ char *deep = NULL;
	size_t size;
	FILE *out = open_memstream(&deep, &size);

	(void)state;
	assert_int_equal(docs_read(laughs, strlen(laughs), &docs, NULL), -E2BIG);
	fputs("a0: &a0 [x]\n", out);
	for (int i = 1; i < 80; i++)
		fprintf(out, "a%d: &a%d [*a%d]\n", i, i, i - 1);
	fclose(out);
	assert_int_equal(docs_read(deep, size, &docs, NULL), -E2BIG);
	assert_null(docs);
}

static void check_lines(const char *text, size_t doc)
{
	_cleanup_docs_ struct docs *docs = read_ok(text);
	const struct doc *d = &docs->v[doc];

	assert_int_equal(d->line, 3);
	assert_int_equal(doc_line(d, ""), 3);
	assert_int_equal(doc_line(d, "kind"), 3);
	assert_int_equal(doc_line(d, "spec.ingress[0].ports[1].port"), 9);
	assert_int_equal(doc_line(d, "spec.ingress[0].ports[0].port"), 8);
	assert_int_equal(doc_line(d, "spec.ingress[0].ports[7].port"), 6); /* leads nowhere */
	assert_int_equal(doc_line(d, "metadata.labels[\"a.b/c\"]"), 10);
	assert_int_equal(doc_line(d, "metadata.labels[\"a.b/c\"].x"), 10);
}

static void test_lines(void **state)
{
	(void)state;
	check_lines("a: 1\n"
		    "---\n"
		    "kind: X\n"
		    "spec:\n"
		    "  ingress:\n"
		    "  - ports:\n"
		    "    # the first line of the list's first item\n"
		    "    - port: 1\n"
		    "    - port: 2\n"
		    "metadata: {labels: {a.b/c: d}}\n",
		    1);
}

static void test_lines_json(void **state)
{
	_cleanup_docs_ struct docs *docs = read_ok("{\"a\":1}\n"
						   "{\n"
						   "\"b\": [\n"
						   "1,\n"
						   "{\"c\": \"]}\\\"\",\n"
						   "\"d\":\n2}]}\n");

	(void)state;
	assert_int_equal(docs->v[0].line, 1);
	assert_int_equal(docs->v[1].line, 2);
	assert_int_equal(doc_line(&docs->v[1], "b"), 3);
	assert_int_equal(doc_line(&docs->v[1], "b[0]"), 4);
	assert_int_equal(doc_line(&docs->v[1], "b[1]"), 5);
	assert_int_equal(doc_line(&docs->v[1], "b[1].d"), 7);
}

static void test_lists(void **state)
{
	_cleanup_docs_ struct docs *docs = read_ok("kind: List\n"
						   "items:\n"
						   "- kind: A\n"
						   "  v: 1\n"
						   "- kind: B\n"
						   "---\n"
						   "kind: C\n"
						   "---\n"
						   "kind: PodList\nitems: []\n");

	(void)state;
	docs_flatten_lists(docs);
	assert_int_equal(docs->count, 3);
	assert_string_equal(json_text_at(docs->v[0].root, "kind"), "A");
	assert_int_equal(doc_line(&docs->v[0], "v"), 4);
	assert_int_equal(docs->v[1].line, 5);
	assert_string_equal(json_text_at(docs->v[2].root, "kind"), "C");
}

/* JSON to YAML text as `kubectl get -o yaml` prints it. */
static void test_write(void **state)
{
	static const struct {
		const char *json;
		const char *yaml;
	} cases[] = {
		{ "{\"apiVersion\":\"v1\",\"kind\":\"Pod\"}", "apiVersion: v1\nkind: Pod\n" },
		{ "{\"a\":{},\"b\":[],\"c\":null}", "a: {}\nb: []\nc: null\n" },
		{ "{\"ports\":[{\"port\":80,\"p\":\"TCP\"},{\"port\":\"http\"}]}",
		  "ports:\n- port: 80\n  p: TCP\n- port: http\n" },
		{ "{\"v\":[\"true\",\"80\",\"1.5\",\"null\",\"\",\"yes\",\"~\"]}",
		  "v:\n- \"true\"\n- \"80\"\n- \"1.5\"\n- \"null\"\n- \"\"\n- \"yes\"\n- \"~\"\n" },
		{ "{\"v\":[true,1,1.5,-3]}", "v:\n- true\n- 1\n- 1.5\n- -3\n" },
		{ "{\"v\":\"2026-11-20T10:00:00Z\"}", "v: \"2026-11-20T10:00:00Z\"\n" },
		{ "{\"v\":\"a == 'b' && has(c)\"}", "v: a == 'b' && has(c)\n" },
		{ "{\"v\":\"*\"}", "v: '*'\n" },
		{ "{\"v\":\"a: b\"}", "v: 'a: b'\n" },
		{ "{\"v\":\"x\\ny\\n\"}", "v: |\n  x\n  y\n" },
		{ "{\"v\":\"10.0.0.0/8\"}", "v: 10.0.0.0/8\n" },
		{ "{\"v\":\"\xc3\xbc\"}", "v: \xc3\xbc\n" },
		{ "{\"80\":\"a\"}", "\"80\": a\n" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		json_t *root = json_loads(cases[i].json, 0, NULL);
		_cleanup_docs_ struct docs *docs = NULL;
		_cleanup_free_ char *yaml = NULL;

		assert_non_null(root);
		assert_int_equal(yaml_write(root, &yaml), 0);
		assert_string_equal(yaml, cases[i].yaml);
		docs = read_ok(yaml);
		assert_true(json_equal(docs->v[0].root, root));
		json_decref(root);
	}
}

/* Every text survives the way out and back as a string. */
static void test_write_reads_back(void **state)
{
	static const char *const texts[] = { "",
					     "-",
					     "- a",
					     "a #b",
					     "#a",
					     "a:",
					     " a",
					     "a ",
					     "'",
					     "\"",
					     "''",
					     "&a",
					     "*a",
					     "!a",
					     "%a",
					     "@a",
					     "`a",
					     "{a",
					     "}",
					     "[a]",
					     ",a",
					     "?",
					     "? a",
					     "|",
					     ">",
					     "=",
					     "<<",
					     "---",
					     "...",
					     "--- a",
					     "a\nb",
					     "\n",
					     "a\n",
					     "a\n\n",
					     "\na",
					     " a\n b\n",
					     "a\tb",
					     "\ta",
					     "a\\b",
					     "\x7f",
					     "12:34",
					     "0x1f",
					     "1_000",
					     "+1",
					     "1e5",
					     ".5",
					     "1.",
					     "0o7",
					     "NULL",
					     "on",
					     "Off",
					     "nan",
					     ".nan",
					     "-.inf",
					     "a\r\nb",
					     "\xe2\x80\xa8",
					     "\xf0\x9f\x90\x88",
					     "a: b\nc: d\n",
					     "  leading\nx",
					     "trailing \nx",
					     "\xef\xbb\xbf" };

	(void)state;
	for (size_t i = 0; i < COUNT(texts); i++) {
		json_t *root = json_pack("{s:s, s:[s]}", "k", texts[i], "l", texts[i]);
		_cleanup_docs_ struct docs *docs = NULL;
		_cleanup_free_ char *yaml = NULL;

		assert_int_equal(yaml_write(root, &yaml), 0);
		docs = read_ok(yaml);
		if (!json_equal(docs->v[0].root, root))
			fail_msg("\"%s\" came back differently from:\n%s", texts[i], yaml);
		json_decref(root);
	}
}

static void test_json_readers(void **state)
{
	const char *text = "{\"a\":{\"b\":\"x\",\"c\":true},\"d\":[1]}";
	json_t *root = json_read(text, strlen(text));

	(void)state;
	assert_non_null(root);
	assert_string_equal(json_text_at(root, "a.b"), "x");
	assert_null(json_text_at(root, "a.c"));
	assert_null(json_text_at(root, "d.x"));
	assert_string_equal(json_text_or(root, "a.z", "none"), "none");
	assert_true(json_bool_or(root, "a.c", false));
	assert_true(json_bool_or(root, "a.z", true));
	assert_true(json_at(root, "") == root);
	json_decref(root);
	assert_null(json_read("{} {}", 5));
	assert_null(json_read("", 0));
	assert_null(json_read("{", 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_scalars),
		cmocka_unit_test(test_structures),
		cmocka_unit_test(test_documents),
		cmocka_unit_test(test_errors),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_alias_bombs),
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_lines_json),
		cmocka_unit_test(test_lists),
		cmocka_unit_test(test_write),
		cmocka_unit_test(test_write_reads_back),
		cmocka_unit_test(test_json_readers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
