/* SPDX-License-Identifier: Apache-2.0 */
/* Kinds and objects as people type and read them, in kubectl's forms. */
#ifndef MARGAY_CTL_NAME_H
#define MARGAY_CTL_NAME_H

#include <jansson.h>

#include "ctl/ctl.h"
#include "ctl/options.h"
#include "datastore/store.h"

/* "ippool.projectcalico.org/x", "pod/x"; the caller frees. */
char *name_object(const struct store_kind *kind, const char *name);
/* "ippools.projectcalico.org \"x\"" as in kubectl's errors. */
char *name_resource(const struct store_kind *kind, const char *name);

/* What the arguments select. */
struct target {
	const struct store_kind *kinds[4]; /* several: a bare name used in several groups */
	size_t kind_count;
	const char *name; /* NULL: all of the kind */
};

#define TARGETS_MAX 4096

/* "KIND[,KIND] [NAME...]" or "KIND/NAME..."; targets are the caller's to free (texts belong to the
 * arguments). Arguments that are no names ("a=b", "c-") must be taken out before. */
int name_targets(struct options *options, struct target **ret_targets, size_t *ret_count,
		 struct err *err);

#endif
