/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What one object alone cannot tell: whether it may take the place of its former content, and
 * whether it may stand beside the others. For who writes objects (margayctl, admission).
 */
#ifndef MARGAY_MODEL_UPDATE_H
#define MARGAY_MODEL_UPDATE_H

#include "model/decode.h"
#include "model/object.h"

/* -EINVAL and problems where a field that must stay (IPPool: cidr, blockSize) differs. Both are
 * of one kind and key. */
int object_check_update(const struct object *former, const struct object *object,
			struct problems *problems);

/* -EINVAL and a problem where the two cannot stand together: IPPools that overlap. Objects of
 * different kinds, and an object and itself, always can. */
int object_check_beside(const struct object *object, const struct object *other,
			struct problems *problems);

#endif
