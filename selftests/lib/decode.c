/* SPDX-License-Identifier: Apache-2.0 */
#include "selftests/lib/decode.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/inet.h"
#include "base/yaml.h"

struct object *decode_yaml(const char *yaml, enum decode_mode mode)
{
	_cleanup_(problems_done) struct problems problems = { 0 };
	_cleanup_docs_ struct docs *docs = NULL;
	struct object *object = NULL;
	struct err err = { 0 };

	if (docs_read(yaml, strlen(yaml), &docs, &err))
		fail_msg("%s", err.text);
	assert_int_equal(docs->count, 1);
	if (object_decode(docs->v[0].root,
			  &(struct decode_options){ .mode = mode, .doc = docs->v, .file = "f" },
			  &object, &problems)) {
		for (size_t i = 0; i < problems.count; i++)
			print_error("%s: %s\n", problems.v[i].path, problems.v[i].text);
		fail_msg("does not decode");
	}
	return object;
}

void assert_addr(const union mg_addr *addr, const char *want)
{
	char text[ADDR_TEXT_MAX];

	assert_string_equal(addr_format(addr, text), want);
}

void assert_prefix(const struct mg_prefix *prefix, const char *want)
{
	char text[PREFIX_TEXT_MAX];

	assert_string_equal(prefix_format(prefix, text), want);
}

void assert_selector(const struct selector *selector, const char *want)
{
	_cleanup_arena_ struct arena *arena = arena_new();

	assert_non_null(selector);
	assert_string_equal(selector_text(arena, selector), want);
}
