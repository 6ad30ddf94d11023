/* SPDX-License-Identifier: Apache-2.0 */
/* Columns of `get` by kind: calicoctl's for Calico's kinds (calicoctl reference), kubectl's for
 * Kubernetes' as far as they make sense without a cluster. */
#ifndef MARGAY_CTL_COLUMNS_H
#define MARGAY_CTL_COLUMNS_H

#include "ctl/table.h"
#include "model/kind.h"

#define COLUMNS_ALL_MAX 24

struct columns {
	struct table_column list[COLUMNS_ALL_MAX];
	size_t count;
};

struct columns_args {
	enum kind kind;
	bool ns;     /* begin with NAMESPACE */
	bool group;  /* a bare name was used in several groups: GROUP follows the name */
	bool labels; /* end with LABELS */
};
void columns_of(const struct columns_args *args, struct columns *columns);

#endif
