/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cuts JSON as the API server sends it while it comes: the items of a list one by one, or the
 * documents of a watch. Of a list, what is around its items is kept apart (the frame). At most one
 * item and the frame are in memory. Private to datastore/.
 *
 * It counts brackets and knows strings, nothing else: whether a piece is JSON says who parses it
 * (json_read()). Bytes may come in any portions.
 *
 * Source: kubernetes.io/docs/reference/using-api/api-concepts ("Efficient detection of changes",
 * "Retrieving large results sets in chunks").
 */
#ifndef MARGAY_DATASTORE_KUBE_SPLIT_H
#define MARGAY_DATASTORE_KUBE_SPLIT_H

#include <stdbool.h>
#include <stddef.h>

struct err;

#define KUBE_ITEM_MAX (4U << 20)   /* bytes of an item; what json_read() takes */
#define KUBE_FRAME_MAX (64U << 10) /* bytes of a list less its items */

enum kube_split_form {
	KUBE_SPLIT_LIST,     /* one object; pieces are the members of its "items" */
	KUBE_SPLIT_DOCUMENTS /* objects one after the other; each is a piece */
};

/* A piece, not NUL-terminated, valid until it returns. Not 0 ends kube_split_feed() with it. */
typedef int (*kube_piece_fn)(const char *text, size_t size, void *arg);

struct kube_text {
	char *v;
	size_t size, room;
};

void kube_text_add(struct kube_text *text, const char *data, size_t size);
void kube_text_done(struct kube_text *text);

/* Zero it, set form, fn and arg. The rest is its own, but for reading frame. */
struct kube_split {
	enum kube_split_form form;
	kube_piece_fn fn;
	void *arg;

	struct kube_text piece;
	struct kube_text frame; /* with "items":[]; of documents always empty */
	unsigned int depth;	/* open brackets, the list's included */
	bool in_string, escaped;
	bool in_items;	/* within the array of items */
	bool is_items;	/* the last text on the list's own level is "items" */
	size_t text_at; /* where that text begins in frame */
	bool over;	/* the list is closed */
};

/* -EBADMSG: this cannot be such JSON. -E2BIG: a piece or the frame is larger, or deeper, than the
 * limits. After a failure nothing more is to be fed. */
int kube_split_feed(struct kube_split *split, const char *data, size_t size, struct err *err);

/* Between two pieces (documents), or behind the end (list): nothing was cut off. */
bool kube_split_whole(const struct kube_split *split);
void kube_split_done(struct kube_split *split);

#endif
