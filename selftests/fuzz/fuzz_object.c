/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any text as YAML or JSON, each document decoded in both modes. What holds whatever the text:
 * strict accepts nothing that lenient refuses, a problem names a line of the text, and a
 * document written as YAML reads back as the same document.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/yaml.h"
#include "model/decode.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_written(const json_t *root)
{
	_cleanup_docs_ struct docs *docs = NULL;
	_cleanup_free_ char *text = NULL;

	if (yaml_write(root, &text))
		abort();
	/* A list or a text at the top may begin with {, and is then no JSON. */
	if (!json_is_object(root) || strlen(text) > DOC_BYTES_MAX)
		return;
	if (docs_read(text, strlen(text), &docs, NULL))
		return; /* a key "<<" or one that only quoting kept apart may be refused */
	if (docs->count != 1 || !json_equal(docs->v[0].root, root))
		abort();
}

static void check_lines(const struct problems *problems, const char *text, size_t size)
{
	size_t lines = 2;

	for (size_t i = 0; i < size; i++)
		lines += text[i] == '\n' || text[i] == '\r' || (uint8_t)text[i] >= 0x80;
	for (size_t i = 0; i < problems->count; i++)
		if (!problems->v[i].line || problems->v[i].line > lines)
			abort();
}

static bool decodes(const struct doc *doc, enum decode_mode mode, struct problems *problems)
{
	const struct decode_options options = { .mode = mode, .doc = doc, .file = "fuzz" };
	const json_t *fixture =
		json_object_get(doc->root, "object"); /* as in the decoder's seeds */
	_cleanup_object_ struct object *object = NULL;

	return !object_decode(fixture ? fixture : doc->root, &options, &object, problems);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_docs_ struct docs *docs = NULL;
	const char *text = (const char *)data;

	if (docs_read(text, size, &docs, NULL))
		return 0;
	docs_flatten_lists(docs);
	for (size_t i = 0; i < docs->count; i++) {
		_cleanup_(problems_done) struct problems problems = { 0 };
		bool strict = decodes(&docs->v[i], DECODE_STRICT, &problems);
		bool lenient = decodes(&docs->v[i], DECODE_LENIENT, &problems);

		if (strict && !lenient)
			abort();
		check_lines(&problems, text, size);
		check_written(docs->v[i].root);
	}
	return 0;
}
