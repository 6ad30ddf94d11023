/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Front ends: from the object of any policy kind to the engine's neutral form. A policy is known
 * to the engine by its kind's group and name (kind_info()), namespace and name.
 */
#ifndef MARGAY_POLICY_FRONT_H
#define MARGAY_POLICY_FRONT_H

#include "model/object.h"
#include "policy/rule.h"

struct engine;

bool front_is_policy(enum kind kind);

/* One reference: for engine_policy_set(). NULL: no policy, or one that judges nothing. */
struct policy *front_policy(const struct object *object);

/* An object of a policy kind came or changed, or went. */
void front_set(struct engine *engine, const struct object *object);
void front_del(struct engine *engine, enum kind kind, const char *ns, const char *name);

#endif
