/* SPDX-License-Identifier: Apache-2.0 */
/* The result of ADD in the form that each version of the specification prints. */
#ifndef MARGAY_CNI_RESULT_H
#define MARGAY_CNI_RESULT_H

#include <jansson.h>

struct attachment;
struct cni_config;

/* What a former plugin of the chain made (prevResult) comes first. Never NULL; the caller's. */
json_t *result_build(const struct cni_config *config, const struct attachment *attachment);

#endif
