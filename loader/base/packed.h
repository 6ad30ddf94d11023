/* SPDX-License-Identifier: Apache-2.0 */
/* A JSON tree as deflated text: some 300 bytes for a policy, whose tree takes ten times as much. */
#ifndef MARGAY_BASE_PACKED_H
#define MARGAY_BASE_PACKED_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

struct packed {
	size_t plain; /* bytes of the text */
	size_t size;
	unsigned char data[];
};

/* Keys sorted, so that equal trees are equal bytes. The caller frees; never NULL. */
struct packed *packed_make(const json_t *tree);
/* New reference; never NULL of what packed_make() gave. */
json_t *packed_tree(const struct packed *packed);
/* NULL equals NULL alone. */
bool packed_equal(const struct packed *a, const struct packed *b);
struct packed *packed_copy(const struct packed *from); /* NULL of NULL */

#endif
