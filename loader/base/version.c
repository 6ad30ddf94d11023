/* SPDX-License-Identifier: Apache-2.0 */
#include "base/version.h"

#ifndef MARGAY_VERSION
#define MARGAY_VERSION "unknown"
#endif

const char margay_version[] = MARGAY_VERSION;
