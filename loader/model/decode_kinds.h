/* SPDX-License-Identifier: Apache-2.0 */
/* One decoder a kind (and form), named in kinds.def. Private to model/. */
#ifndef MARGAY_MODEL_DECODE_KINDS_H
#define MARGAY_MODEL_DECODE_KINDS_H

#include "model/field.h"

struct decoder {
	size_t size;		   /* of the struct, which begins with struct object */
	const struct shape *shape; /* of the whole object; apiVersion, kind, metadata aside */
	void (*defaults)(struct decode *d, void *object); /* before reading; may be NULL */
};

/* Of a kind's first form. */
const struct decoder *decoder_of_kind(enum kind kind);

/* A shape's check: the one object of its kind is called "default". */
void check_default_name(struct decode *d, const struct path *path, const json_t *value, void *at);

/* uint32_t: an AS number, as a number or "65000" or "1.10". */
READER(read_as_number);

#define KIND(id, kind, plural, further, group, version, scope, effect, which)                      \
	extern const struct decoder decoder_##which;
#define KIND_FORM(id, group, version, which) extern const struct decoder decoder_##which;
#include "model/kinds.def"
#undef KIND
#undef KIND_FORM

#endif
