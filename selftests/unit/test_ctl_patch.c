/* SPDX-License-Identifier: Apache-2.0 */
/* Patches: the examples of RFC 7386 and RFC 6902, Kubernetes' strategic merge, kubectl's three
 * ways. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/json.h"
#include "ctl/patch.h"
#include "ctl/path.h"

static json_t *parse(const char *text)
{
	json_t *tree = json_loads(text, JSON_DECODE_ANY, NULL);

	if (!tree)
		fail_msg("not JSON: %s", text);
	return tree;
}

static void assert_tree(const json_t *tree, const char *expected, const char *what)
{
	_cleanup_json_ json_t *want = parse(expected);
	_cleanup_free_ char *text = json_dumps(tree, JSON_ENCODE_ANY | JSON_COMPACT);

	if (!json_equal(tree, want))
		fail_msg("%s: %s, expected %s", what, text, expected);
}

/* RFC 7386, appendix A. */
static void test_merge(void **state)
{
	static const char *const cases[][3] = {
		{ "{\"a\":\"b\"}", "{\"a\":\"c\"}", "{\"a\":\"c\"}" },
		{ "{\"a\":\"b\"}", "{\"b\":\"c\"}", "{\"a\":\"b\",\"b\":\"c\"}" },
		{ "{\"a\":\"b\"}", "{\"a\":null}", "{}" },
		{ "{\"a\":\"b\",\"b\":\"c\"}", "{\"a\":null}", "{\"b\":\"c\"}" },
		{ "{\"a\":[\"b\"]}", "{\"a\":\"c\"}", "{\"a\":\"c\"}" },
		{ "{\"a\":\"c\"}", "{\"a\":[\"b\"]}", "{\"a\":[\"b\"]}" },
		{ "{\"a\":{\"b\":\"c\"}}", "{\"a\":{\"b\":\"d\",\"c\":null}}",
		  "{\"a\":{\"b\":\"d\"}}" },
		{ "{\"a\":[{\"b\":\"c\"}]}", "{\"a\":[1]}", "{\"a\":[1]}" },
		{ "[\"a\",\"b\"]", "[\"c\",\"d\"]", "[\"c\",\"d\"]" },
		{ "{\"a\":\"b\"}", "[\"c\"]", "[\"c\"]" },
		{ "{\"a\":\"foo\"}", "null", "null" },
		{ "{\"a\":\"foo\"}", "\"bar\"", "\"bar\"" },
		{ "{\"e\":null}", "{\"a\":1}", "{\"e\":null,\"a\":1}" },
		{ "[1,2]", "{\"a\":\"b\",\"c\":null}", "{\"a\":\"b\"}" },
		{ "{}", "{\"a\":{\"bb\":{\"ccc\":null}}}", "{\"a\":{\"bb\":{}}}" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		_cleanup_json_ json_t *target = parse(cases[i][0]), *patch = parse(cases[i][1]);
		_cleanup_json_ json_t *result = patch_merge(target, patch);

		assert_tree(result, cases[i][2], cases[i][1]);
		assert_tree(target, cases[i][0], "target");
	}
}

/* RFC 6902, appendix A, and the errors of section 4. */
static void test_json_patch(void **state)
{
	static const struct {
		const char *target, *patch, *result; /* NULL: refused */
	} cases[] = {
		{ "{\"foo\":\"bar\"}", "{\"op\":\"add\",\"path\":\"/baz\",\"value\":\"qux\"}",
		  "{\"baz\":\"qux\",\"foo\":\"bar\"}" },
		{ "{\"foo\":[\"bar\",\"baz\"]}",
		  "{\"op\":\"add\",\"path\":\"/foo/1\",\"value\":\"qux\"}",
		  "{\"foo\":[\"bar\",\"qux\",\"baz\"]}" },
		{ "{\"baz\":\"qux\",\"foo\":\"bar\"}", "{\"op\":\"remove\",\"path\":\"/baz\"}",
		  "{\"foo\":\"bar\"}" },
		{ "{\"foo\":[\"bar\",\"qux\",\"baz\"]}", "{\"op\":\"remove\",\"path\":\"/foo/1\"}",
		  "{\"foo\":[\"bar\",\"baz\"]}" },
		{ "{\"baz\":\"qux\",\"foo\":\"bar\"}",
		  "{\"op\":\"replace\",\"path\":\"/baz\",\"value\":\"boo\"}",
		  "{\"baz\":\"boo\",\"foo\":\"bar\"}" },
		{ "{\"foo\":{\"bar\":\"baz\",\"waldo\":\"fred\"},\"qux\":{\"corge\":\"grault\"}}",
		  "{\"op\":\"move\",\"from\":\"/foo/waldo\",\"path\":\"/qux/thud\"}",
		  "{\"foo\":{\"bar\":\"baz\"},\"qux\":{\"corge\":\"grault\",\"thud\":\"fred\"}}" },
		{ "{\"foo\":[\"all\",\"grass\",\"cows\",\"eat\"]}",
		  "{\"op\":\"move\",\"from\":\"/foo/1\",\"path\":\"/foo/3\"}",
		  "{\"foo\":[\"all\",\"cows\",\"eat\",\"grass\"]}" },
		{ "{\"baz\":\"qux\",\"foo\":[\"a\",2,\"c\"]}",
		  "{\"op\":\"test\",\"path\":\"/foo/1\",\"value\":2}",
		  "{\"baz\":\"qux\",\"foo\":[\"a\",2,\"c\"]}" },
		{ "{\"baz\":\"qux\"}", "{\"op\":\"test\",\"path\":\"/baz\",\"value\":\"bar\"}",
		  NULL },
		{ "{\"foo\":\"bar\"}", "{\"op\":\"add\",\"path\":\"/child\",\"value\":{\"g\":{}}}",
		  "{\"foo\":\"bar\",\"child\":{\"g\":{}}}" },
		{ "{\"foo\":\"bar\"}", "{\"op\":\"add\",\"path\":\"/baz\",\"value\":1,\"xyz\":1}",
		  "{\"foo\":\"bar\",\"baz\":1}" },
		{ "{\"foo\":\"bar\"}", "{\"op\":\"add\",\"path\":\"/baz/bat\",\"value\":\"qux\"}",
		  NULL },
		{ "{\"/\":9,\"~1\":10}", "{\"op\":\"test\",\"path\":\"/~01\",\"value\":10}",
		  "{\"/\":9,\"~1\":10}" },
		{ "{\"/\":9,\"~1\":10}", "{\"op\":\"test\",\"path\":\"/~01\",\"value\":\"10\"}",
		  NULL },
		{ "{\"foo\":[\"bar\"]}", "{\"op\":\"add\",\"path\":\"/foo/-\",\"value\":[1]}",
		  "{\"foo\":[\"bar\",[1]]}" },
		{ "{\"a\":{\"b\":1}}", "{\"op\":\"copy\",\"from\":\"/a\",\"path\":\"/c\"}",
		  "{\"a\":{\"b\":1},\"c\":{\"b\":1}}" },
		{ "{}", "{\"op\":\"remove\",\"path\":\"/a\"}", NULL },
		{ "{}", "{\"op\":\"replace\",\"path\":\"/a\",\"value\":1}", NULL },
		{ "{\"a\":[1]}", "{\"op\":\"add\",\"path\":\"/a/2\",\"value\":1}", NULL },
		{ "{\"a\":[1]}", "{\"op\":\"add\",\"path\":\"/a/01\",\"value\":1}", NULL },
		{ "{\"a\":[1]}", "{\"op\":\"remove\",\"path\":\"/a/-\"}", NULL },
		{ "{\"a\":[1]}", "{\"op\":\"replace\",\"path\":\"/a/-\",\"value\":2}", NULL },
		{ "{}", "{\"op\":\"add\",\"path\":\"/a\"}", NULL },
		{ "{}", "{\"op\":\"add\",\"path\":\"a\",\"value\":1}", NULL },
		{ "{}", "{\"op\":\"nonsense\",\"path\":\"/a\",\"value\":1}", NULL },
		{ "{}", "{\"op\":\"move\",\"from\":\"/a\",\"path\":\"/b\"}", NULL },
		{ "{\"a\":\"x\"}", "{\"op\":\"add\",\"path\":\"/a/b\",\"value\":1}", NULL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		_cleanup_json_ json_t *target = parse(cases[i].target), *result = NULL;
		_cleanup_json_ json_t *step = parse(cases[i].patch),
				      *patch = json_pack("[O]", step);
		struct err err = { 0 };
		int r = patch_json(target, patch, &result, &err);

		if (!r != !!cases[i].result)
			fail_msg("%s: %d %s", cases[i].patch, r, err.text);
		if (!r)
			assert_tree(result, cases[i].result, cases[i].patch);
		else
			assert_non_null(strstr(err.text, "patch[0]"));
		assert_tree(target, cases[i].target, "target");
	}
}

/* kubernetes.io/docs/tasks/manage-kubernetes-objects/update-api-object-kubectl-patch, and the
 * directives of sig-api-machinery's strategic-merge-patch.md. */
static void test_strategic(void **state)
{
	static const char *const cases[][3] = {
		{ "{\"containers\":[{\"name\":\"a\",\"image\":\"1\"}]}",
		  "{\"containers\":[{\"name\":\"b\",\"image\":\"2\"}]}",
		  "{\"containers\":[{\"name\":\"a\",\"image\":\"1\"},{\"name\":\"b\",\"image\":"
		  "\"2\"}]}" },
		{ "{\"containers\":[{\"name\":\"a\",\"image\":\"1\",\"tty\":true}]}",
		  "{\"containers\":[{\"name\":\"a\",\"image\":\"2\"}]}",
		  "{\"containers\":[{\"name\":\"a\",\"image\":\"2\",\"tty\":true}]}" },
		{ "{\"containers\":[{\"name\":\"a\"},{\"name\":\"b\"}]}",
		  "{\"containers\":[{\"name\":\"a\",\"$patch\":\"delete\"}]}",
		  "{\"containers\":[{\"name\":\"b\"}]}" },
		{ "{\"containers\":[{\"name\":\"a\"}]}",
		  "{\"containers\":[{\"name\":\"b\"},{\"$patch\":\"replace\"}]}",
		  "{\"containers\":[{\"name\":\"b\"}]}" },
		{ "{\"tolerations\":[{\"key\":\"a\"}]}", "{\"tolerations\":[{\"key\":\"b\"}]}",
		  "{\"tolerations\":[{\"key\":\"b\"}]}" },
		{ "{\"ports\":[{\"port\":80,\"name\":\"a\"}]}",
		  "{\"ports\":[{\"port\":443},{\"port\":80,\"nodePort\":30000}]}",
		  "{\"ports\":[{\"port\":80,\"name\":\"a\",\"nodePort\":30000},{\"port\":443}]}" },
		{ "{\"m\":{\"a\":1,\"b\":2}}", "{\"m\":{\"$patch\":\"replace\",\"c\":3}}",
		  "{\"m\":{\"c\":3}}" },
		{ "{\"m\":{\"a\":1,\"b\":2}}", "{\"m\":{\"a\":null}}", "{\"m\":{\"b\":2}}" },
		{ "{\"f\":[\"a\",\"b\"]}", "{\"$deleteFromPrimitiveList/f\":[\"a\"]}",
		  "{\"f\":[\"b\"]}" },
		{ "{\"s\":{\"a\":1,\"b\":2}}", "{\"s\":{\"$retainKeys\":[\"b\"],\"b\":3}}",
		  "{\"s\":{\"b\":3}}" },
		/* Rules of policies have no merge key: the list is replaced. */
		{ "{\"ingress\":[{\"action\":\"Allow\"}]}", "{\"ingress\":[{\"action\":\"Deny\"}]}",
		  "{\"ingress\":[{\"action\":\"Deny\"}]}" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		_cleanup_json_ json_t *target = parse(cases[i][0]), *patch = parse(cases[i][1]);
		_cleanup_json_ json_t *result = patch_strategic(target, patch);

		assert_tree(result, cases[i][2], cases[i][1]);
		assert_tree(target, cases[i][0], "target");
	}
}

/* kubernetes.io/docs/tasks/manage-kubernetes-objects/declarative-config, "How apply calculates". */
static void test_three_way(void **state)
{
	static const char *const cases[][4] = {
		/* current, last, wanted, result */
		{ "{\"a\":1,\"b\":2}", "{\"a\":1}", "{\"a\":1}", "{\"a\":1,\"b\":2}" },
		{ "{\"a\":1,\"b\":2}", "{\"a\":1,\"b\":2}", "{\"a\":1}", "{\"a\":1}" },
		{ "{\"a\":1}", "{\"a\":1}", "{\"a\":3,\"c\":4}", "{\"a\":3,\"c\":4}" },
		{ "{\"m\":{\"a\":1,\"x\":9}}", "{\"m\":{\"a\":1}}", "{\"m\":{\"b\":2}}",
		  "{\"m\":{\"x\":9,\"b\":2}}" },
		{ "{\"l\":[1,2,3]}", "{\"l\":[1]}", "{\"l\":[4]}", "{\"l\":[4]}" },
		{ "{\"a\":1}", "null", "{\"b\":2}", "{\"a\":1,\"b\":2}" },
		{ "{\"a\":1}", "{\"a\":1}", "{\"a\":null}", "{}" },
		{ "{\"a\":\"text\"}", "{\"a\":\"text\"}", "{\"a\":{\"b\":1}}",
		  "{\"a\":{\"b\":1}}" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		_cleanup_json_ json_t *current = parse(cases[i][0]), *last = parse(cases[i][1]);
		_cleanup_json_ json_t *wanted = parse(cases[i][2]);
		_cleanup_json_ json_t *result = patch_three_way(current, last, wanted);

		assert_tree(result, cases[i][3], cases[i][2]);
	}
}

/* kubernetes.io/docs/reference/kubectl/jsonpath */
static void test_paths(void **state)
{
	static const char *const cases[][2] = {
		{ ".a.b", "1" },
		{ "{.a.b}", "1" },
		{ "$.a.b", "1" },
		{ "a.b", "1" },
		{ ".l[0].n", "x" },
		{ ".l[-1].n", "y" },
		{ ".l[*].n", "x,y" },
		{ ".l[9].n", "" },
		{ ".a['k.x']", "dot" },
		{ ".a.k\\.x", "dot" },
		{ ".none.at.all", "" },
		{ ".a.t", "true" },
		{ ".l", "[{\"n\":\"x\"},{\"n\":\"y\"}]" },
	};
	static const char *const wrong[] = { ".a[", ".a[x]", ".a['b]", ".a[0", ".a..b" };
	_cleanup_json_ json_t *tree = parse("{\"a\":{\"b\":1,\"k.x\":\"dot\",\"t\":true},"
					    "\"l\":[{\"n\":\"x\"},{\"n\":\"y\"}]}");

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		_cleanup_json_ json_t *values = NULL;
		_cleanup_free_ char *text = NULL;

		if (path_find(tree, cases[i][0], &values, NULL) < 0)
			fail_msg("%s", cases[i][0]);
		text = values_text(values, ",");
		assert_string_equal(text, cases[i][1]);
	}
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		_cleanup_json_ json_t *values = NULL;

		if (path_find(tree, wrong[i], &values, NULL) != -EINVAL)
			fail_msg("%s", wrong[i]);
	}
}

static void test_templates(void **state)
{
	static const char *const wrong[] = { "{.a", "{\"x}", "{range .l[*]}", "{.a[}" };
	_cleanup_json_ json_t *tree = parse("{\"a\":\"v\",\"l\":[1,2]}");
	_cleanup_free_ char *text = NULL;

	(void)state;
	assert_int_equal(template_fill(tree, "a={.a}{\"\\t\"}{.l[*]}{'\\n'}", &text, NULL), 0);
	assert_string_equal(text, "a=v\t1 2\n");
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		char *none = NULL;

		if (template_fill(tree, wrong[i], &none, NULL) != -EINVAL)
			fail_msg("%s", wrong[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_merge),	  cmocka_unit_test(test_json_patch),
		cmocka_unit_test(test_strategic), cmocka_unit_test(test_three_way),
		cmocka_unit_test(test_paths),	  cmocka_unit_test(test_templates),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
