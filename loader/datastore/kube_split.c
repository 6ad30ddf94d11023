/* SPDX-License-Identifier: Apache-2.0 */
#include "datastore/kube_split.h"

#include <errno.h>
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/yaml.h"

/* The list, its array, and what an item may have. */
#define DEPTH_MAX (DOC_DEPTH_MAX + 2)
#define ITEMS "\"items\""

/* Where a byte belongs. */
enum place { PLACE_NOWHERE, PLACE_FRAME, PLACE_PIECE, PLACE_PIECE_END };

void kube_text_add(struct kube_text *text, const char *data, size_t size)
{
	if (text->room - text->size < size) {
		text->room = text->room ? text->room : 512;
		while (text->room - text->size < size)
			text->room *= 2;
		text->v = xrealloc(text->v, text->room, 1);
	}
	if (size)
		memcpy(text->v + text->size, data, size);
	text->size += size;
}

void kube_text_done(struct kube_text *text)
{
	free(text->v);
	*text = (struct kube_text){ 0 };
}

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* The depth on which pieces begin and end. */
static unsigned int piece_depth(const struct kube_split *split)
{
	return split->form == KUBE_SPLIT_DOCUMENTS ? 0 : 2;
}

static bool between_pieces(const struct kube_split *split)
{
	return split->depth == piece_depth(split) &&
	       (split->form == KUBE_SPLIT_DOCUMENTS || split->in_items);
}

static enum place place_of(const struct kube_split *split)
{
	return split->form == KUBE_SPLIT_DOCUMENTS || split->in_items ? PLACE_PIECE : PLACE_FRAME;
}

/* Within a string. */
static void step_string(struct kube_split *split, char c)
{
	if (split->escaped) {
		split->escaped = false;
	} else if (c == '\\') {
		split->escaped = true;
	} else if (c == '"') {
		split->in_string = false;
		if (split->depth == 1 && split->form == KUBE_SPLIT_LIST)
			split->is_items =
				split->frame.size - split->text_at == strlen(ITEMS) - 1 &&
				!memcmp(split->frame.v + split->text_at, ITEMS, strlen(ITEMS) - 1);
	}
}

static int step_between(struct kube_split *split, char c, enum place *ret_place)
{
	*ret_place = PLACE_NOWHERE;
	if (c == '{') {
		split->depth++;
		*ret_place = PLACE_PIECE;
	} else if (c == ']' && split->in_items) {
		split->in_items = false;
		split->depth--;
		*ret_place = PLACE_FRAME;
	} else if (!is_space(c) && !(c == ',' && split->in_items)) {
		return -EBADMSG;
	}
	return 0;
}

static int step_open(struct kube_split *split, char c)
{
	if (split->form == KUBE_SPLIT_LIST && !split->depth && c != '{')
		return -EBADMSG;
	if (split->depth == DEPTH_MAX)
		return -E2BIG;
	split->in_items = split->in_items || (split->depth == 1 && c == '[' && split->is_items);
	split->depth++;
	return 0;
}

static void step_close(struct kube_split *split, enum place *place)
{
	split->depth--;
	if (*place == PLACE_PIECE && between_pieces(split))
		*place = PLACE_PIECE_END;
	split->over = !split->depth && split->form == KUBE_SPLIT_LIST;
}

/* One byte: where it belongs. */
static int step(struct kube_split *split, char c, enum place *ret_place)
{
	int r = 0;

	if (split->in_string) {
		*ret_place = place_of(split);
		step_string(split, c);
		return 0;
	}
	if (between_pieces(split))
		return step_between(split, c, ret_place);
	*ret_place = place_of(split);
	if (split->over || !split->depth) {
		if (is_space(c)) {
			*ret_place = PLACE_NOWHERE;
			return 0;
		}
		if (split->over || c != '{')
			return -EBADMSG;
	}
	switch (c) {
	case '"':
		split->in_string = true;
		split->text_at = split->frame.size;
		break;
	case ',':
		split->is_items = split->is_items && split->depth != 1;
		break;
	case '{':
	case '[':
		/* the bracket of the items itself is the frame's */
		r = step_open(split, c);
		break;
	case '}':
	case ']':
		step_close(split, ret_place);
		break;
	}
	return r;
}

static int put(struct kube_split *split, enum place place, char c)
{
	struct kube_text *text = place == PLACE_FRAME ? &split->frame : &split->piece;
	size_t max = place == PLACE_FRAME ? KUBE_FRAME_MAX : KUBE_ITEM_MAX;
	int r;

	if (place == PLACE_NOWHERE)
		return 0;
	if (text->size == max)
		return -E2BIG;
	if (text->size == text->room)
		kube_text_add(text, &c, 1);
	else
		text->v[text->size++] = c;
	if (place != PLACE_PIECE_END)
		return 0;
	r = split->fn(split->piece.v, split->piece.size, split->arg);
	split->piece.size = 0;
	return r;
}

int kube_split_feed(struct kube_split *split, const char *data, size_t size, struct err *err)
{
	for (size_t i = 0; i < size; i++) {
		enum place place = PLACE_NOWHERE;
		int r = step(split, data[i], &place);

		if (r < 0)
			return err_set(err, r,
				       r == -E2BIG ? "the answer is nested too deeply"
						   : "the answer is not JSON of its kind");
		r = put(split, place, data[i]);
		if (r == -E2BIG)
			return err_set(err, r, "an object of the answer is larger than %u bytes",
				       place == PLACE_FRAME ? KUBE_FRAME_MAX : KUBE_ITEM_MAX);
		if (r)
			return r;
	}
	return 0;
}

bool kube_split_whole(const struct kube_split *split)
{
	return split->form == KUBE_SPLIT_LIST ? split->over : !split->depth;
}

void kube_split_done(struct kube_split *split)
{
	kube_text_done(&split->piece);
	kube_text_done(&split->frame);
}
