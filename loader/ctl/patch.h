/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Patches of objects (pure): RFC 7386 (merge), RFC 6902 (JSON patch), Kubernetes' strategic merge
 * patch, and the three-way merge of `kubectl apply`.
 */
#ifndef MARGAY_CTL_PATCH_H
#define MARGAY_CTL_PATCH_H

#include <jansson.h>

struct err;

/* All return a new tree and change none. */
json_t *patch_merge(const json_t *target, const json_t *patch);

/* -EINVAL: wrong patch; -ENOENT: a path leads nowhere; -ESTALE: a test failed. */
int patch_json(const json_t *target, const json_t *patch, json_t **ret_result, struct err *err);

/* Lists whose elements Kubernetes merges by a key (containers by name ...) are merged; all others
 * are replaced. $patch: replace and delete, $deleteFromPrimitiveList and $retainKeys are known. */
json_t *patch_strategic(const json_t *target, const json_t *patch);

/* current, with what was in last and is not in wanted removed, and wanted put over it. Lists are
 * replaced whole, as kubectl does for custom resources. last may be NULL. */
json_t *patch_three_way(const json_t *current, const json_t *last, const json_t *wanted);

#endif
