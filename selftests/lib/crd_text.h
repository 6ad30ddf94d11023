/* SPDX-License-Identifier: Apache-2.0 */
/* A file of manifests/crds as it is to be, for who writes it and who checks it. */
#ifndef MARGAY_SELFTESTS_CRD_TEXT_H
#define MARGAY_SELFTESTS_CRD_TEXT_H

#include "model/schema.h"

/* Text and path below the folder; the caller frees both. NULL: the kind has no CRD of ours. */
char *crd_text(enum kind kind, const char *folder, char **ret_path);

#endif
