/* SPDX-License-Identifier: Apache-2.0 */
/* Lists and watches of the API server, cut into their pieces while they arrive. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/err.h"
#include "datastore/kube_split.h"

/* Pieces, one behind the other. */
struct pieces {
	char text[4096];
	size_t count;
};

static int add(const char *text, size_t size, void *arg)
{
	struct pieces *pieces = arg;
	size_t used = strlen(pieces->text);

	snprintf(pieces->text + used, sizeof(pieces->text) - used, "%.*s|", (int)size, text);
	pieces->count++;
	return 0;
}

/* In portions of that size. */
static int feed(enum kube_split_form form, const char *text, size_t portion, struct pieces *pieces,
		char **ret_frame)
{
	struct kube_split split = { .form = form, .fn = add, .arg = pieces };
	size_t size = strlen(text);
	int r = 0;

	memset(pieces, 0, sizeof(*pieces));
	for (size_t at = 0; !r && at < size; at += portion)
		r = kube_split_feed(&split, text + at, size - at < portion ? size - at : portion,
				    NULL);
	if (!r && !kube_split_whole(&split))
		r = -ENODATA;
	if (ret_frame)
		*ret_frame = xasprintf("%.*s", (int)split.frame.size, split.frame.v ?: "");
	kube_split_done(&split);
	return r;
}

static void test_list(void **state)
{
	static const char text[] =
		"{\"kind\":\"PodList\", \"items\" : [ {\"a\":\"}]\\\"\",\"items\":[{}]} ,\n{},"
		"{\"b\":[[1],{\"c\":null}]}] ,\"metadata\":{\"resourceVersion\":\"7\",\"items\":"
		"[{\"no\":1}]}}\n";
	struct pieces pieces;

	(void)state;
	for (size_t portion = 1; portion < sizeof(text); portion++) {
		_cleanup_free_ char *frame = NULL;

		assert_int_equal(feed(KUBE_SPLIT_LIST, text, portion, &pieces, &frame), 0);
		assert_string_equal(pieces.text, "{\"a\":\"}]\\\"\",\"items\":[{}]}|{}|"
						 "{\"b\":[[1],{\"c\":null}]}|");
		assert_string_equal(frame, "{\"kind\":\"PodList\", \"items\" : [] ,\"metadata\":"
					   "{\"resourceVersion\":\"7\",\"items\":[{\"no\":1}]}}");
	}
}

static void test_documents(void **state)
{
	static const char text[] = "{\"type\":\"ADDED\",\"object\":{\"x\":\"{\"}}\n"
				   "{\"type\":\"BOOKMARK\"}{}\n";
	struct pieces pieces;

	(void)state;
	for (size_t portion = 1; portion < sizeof(text); portion++) {
		assert_int_equal(feed(KUBE_SPLIT_DOCUMENTS, text, portion, &pieces, NULL), 0);
		assert_string_equal(pieces.text, "{\"type\":\"ADDED\",\"object\":{\"x\":\"{\"}}|"
						 "{\"type\":\"BOOKMARK\"}|{}|");
	}
}

static void test_no_items(void **state)
{
	static const char *const texts[] = { "{}",
					     "{\"items\":null}",
					     "{\"items\":[]}",
					     "{\"items\":{\"items\":[{}]}}",
					     "{\"a\":\"items\",\"b\":[{}]}",
					     "{\"itemsx\":[{}]}" };
	struct pieces pieces;

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		_cleanup_free_ char *frame = NULL;

		assert_int_equal(feed(KUBE_SPLIT_LIST, texts[i], 1, &pieces, &frame), 0);
		assert_int_equal(pieces.count, 0);
		assert_string_equal(frame, texts[i]);
	}
}

static void test_wrong(void **state)
{
	static const struct {
		enum kube_split_form form;
		const char *text;
		int r;
	} cases[] = {
		{ KUBE_SPLIT_LIST, "[]", -EBADMSG },
		{ KUBE_SPLIT_LIST, "404 page not found", -EBADMSG },
		{ KUBE_SPLIT_LIST, "{}{}", -EBADMSG },
		{ KUBE_SPLIT_LIST, "{\"items\":[1]}", -EBADMSG },
		{ KUBE_SPLIT_LIST, "{\"items\":[[]]}", -EBADMSG },
		{ KUBE_SPLIT_LIST, "{\"items\":[{}", -ENODATA },
		{ KUBE_SPLIT_DOCUMENTS, "{} 1", -EBADMSG },
		{ KUBE_SPLIT_DOCUMENTS, "{}{\"a\":\"}", -ENODATA },
	};
	struct pieces pieces;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		if (feed(cases[i].form, cases[i].text, 1, &pieces, NULL) != cases[i].r)
			fail_msg("%s", cases[i].text);
}

/* Neither an object nor what stands around the items grows without end, nor do brackets. */
static void test_limits(void **state)
{
	static const struct {
		const char *begin, *more;
	} cases[] = { { "{\"items\":[{\"a\":\"", "x" }, { "{\"a\":\"", "x" }, { "{\"a\":", "[" } };

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct pieces pieces = { .count = 0 };
		struct kube_split split = { .form = KUBE_SPLIT_LIST, .fn = add, .arg = &pieces };
		struct err err = { 0 };
		int r = kube_split_feed(&split, cases[i].begin, strlen(cases[i].begin), &err);

		for (size_t n = 0; !r && n <= KUBE_ITEM_MAX; n++)
			r = kube_split_feed(&split, cases[i].more, 1, &err);
		assert_int_equal(r, -E2BIG);
		assert_true(split.piece.room <= 2 * KUBE_ITEM_MAX);
		kube_split_done(&split);
	}
}

static int refuse(const char *text, size_t size, void *arg)
{
	(void)text;
	(void)size;
	(void)arg;
	return 7;
}

static void test_reader_ends_it(void **state)
{
	struct kube_split split = { .form = KUBE_SPLIT_DOCUMENTS, .fn = refuse };

	(void)state;
	assert_int_equal(kube_split_feed(&split, "{}{}", 4, NULL), 7);
	kube_split_done(&split);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_list),	 cmocka_unit_test(test_documents),
		cmocka_unit_test(test_no_items), cmocka_unit_test(test_wrong),
		cmocka_unit_test(test_limits),	 cmocka_unit_test(test_reader_ends_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
