/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any text as a selector. What holds whatever the text: the canonical text parses to an equal
 * tree and is its own canonical text, and both trees match the same labels.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "model/selector.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A label is there, and has a value, by the bits of its name and the turn. */
static const char *lookup(void *ctx, const char *key)
{
	static const char *const values[] = { NULL, "", "a", "b", "ab", "v1", "x y", NULL };
	const unsigned int *turn = ctx;

	return values[(strlen(key) * 3 + (unsigned char)key[0] + *turn) % 8];
}

static void check_tree(struct arena *arena, const struct selector *selector)
{
	const char *text = selector_text(arena, selector);
	const struct selector *again;

	/* Normal form adds parentheses and spaces, so it may be longer than a field may be. */
	if (strlen(text) > SELECTOR_TEXT_MAX)
		return;
	if (selector_parse(arena, text, &again, NULL))
		abort();
	if (selector_cmp(selector, again) || strcmp(selector_text(arena, again), text))
		abort();
	for (unsigned int turn = 0; turn < 8; turn++)
		if (selector_eval(selector, lookup, &turn) != selector_eval(again, lookup, &turn))
			abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_arena_ struct arena *arena = arena_new();
	const struct selector *selector, *negated;
	_cleanup_free_ char *text = NULL;

	text = strndup((const char *)data, size);
	if (!text)
		abort();
	if (selector_parse(arena, text, &selector, NULL))
		return 0;
	check_tree(arena, selector);
	negated = selector_not(arena, selector);
	for (unsigned int turn = 0; turn < 8; turn++)
		if (selector_eval(selector, lookup, &turn) == selector_eval(negated, lookup, &turn))
			abort();
	return 0;
}
