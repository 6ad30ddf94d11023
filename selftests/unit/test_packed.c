/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/json.h"
#include "base/packed.h"

static void gives_back_what_it_took(void **state)
{
	_cleanup_json_ json_t *tree = json_pack("{s:[i,s,n],s:{}}", "list", 7, "text", "none"),
			      *other = json_pack("{s:{},s:[i,s,n]}", "none", "list", 7, "text"),
			      *back = NULL;
	_cleanup_free_ struct packed *a = packed_make(tree), *b = packed_make(other),
				     *c = packed_copy(a);

	(void)state;
	back = packed_tree(a);
	assert_true(json_equal(back, tree));
	assert_true(packed_equal(a, b) && packed_equal(a, c) && packed_equal(NULL, NULL));
	assert_false(packed_equal(a, NULL) || packed_equal(NULL, a));
	json_object_set_new(tree, "more", json_true());
	free(TAKE_PTR(b));
	b = packed_make(tree);
	assert_false(packed_equal(a, b));
}

static void takes_much(void **state)
{
	_cleanup_json_ json_t *tree = json_array(), *back = NULL;
	_cleanup_free_ struct packed *packed = NULL;

	(void)state;
	for (int i = 0; i < 50000; i++)
		json_array_append_new(tree, json_integer(i * 7919 % 65537));
	packed = packed_make(tree);
	back = packed_tree(packed);
	assert_true(json_equal(back, tree));
	assert_true(packed->size < packed->plain);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(gives_back_what_it_took),
		cmocka_unit_test(takes_much),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
