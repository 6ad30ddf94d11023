/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kinds of objects and the names people give them (kinds.def).
 *
 * One kind may be written in more than one API group: a Node is Kubernetes' (v1) or Calico's
 * (projectcalico.org/v3), and is one object with one key. The two NetworkPolicies are two
 * kinds, since both can exist with one name.
 */
#ifndef MARGAY_MODEL_KIND_H
#define MARGAY_MODEL_KIND_H

#include <stdbool.h>
#include <stddef.h>

#define API_GROUP_CALICO "projectcalico.org"

enum kind {
#define KIND(id, ...) KIND_##id,
#define KIND_FORM(...)
#include "model/kinds.def"
#undef KIND
#undef KIND_FORM
	KIND_MAX
};

struct kind_info {
	const char *kind;    /* "IPPool" */
	const char *plural;  /* "ippools" */
	const char *aliases; /* "ipp ipps pool pools" */
	const char *group;   /* "" is the core group */
	const char *version; /* "v3" */
	const char *api;     /* "projectcalico.org/v3", "v1" */
	bool namespaced;
	bool effect; /* false: stored, has no effect yet */
};

const struct kind_info *kind_info(enum kind kind);

/* From an object's apiVersion and kind. -ENOENT: not known. */
int kind_find(const char *api, const char *name, enum kind *ret_kind);

/* From what a person types, in any case: "ipp", "ippools", "networkpolicy", or with the group,
 * "networkpolicy.projectcalico.org". Writes at most max kinds; the count is the result, 0 where
 * the name is unknown. More than one: the bare name is used in more groups. */
size_t kinds_named(const char *name, enum kind *ret_kinds, size_t max);

#endif
