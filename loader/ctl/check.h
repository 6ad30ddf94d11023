/* SPDX-License-Identifier: Apache-2.0 */
/* The model's opinion of an object, as messages for people. */
#ifndef MARGAY_CTL_CHECK_H
#define MARGAY_CTL_CHECK_H

#include <jansson.h>

#include "ctl/ctl.h"

struct doc;

/* For the store's option check: can it be decoded at all (design section 7, case 3)? */
int check_decodes(const json_t *object, struct err *err);

/* Everything that is wrong with the object is printed: "file:line: kind/name: field: what was
 * expected". doc may be NULL (line is that of the object then). -EINVAL: it is refused, as is one
 * with unknown fields where ctl->unknown says so. */
struct check_place {
	const char *file;
	const struct doc *doc;
	unsigned int line;
};
int check_object(struct ctl *ctl, const json_t *object, const struct check_place *place);

#endif
