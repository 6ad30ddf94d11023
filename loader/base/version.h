/* SPDX-License-Identifier: Apache-2.0 */
/* The version of this build, as the source tree names it: "v1.2-3-gabcdef". */
#ifndef MARGAY_BASE_VERSION_H
#define MARGAY_BASE_VERSION_H

extern const char margay_version[];

#endif
