/* SPDX-License-Identifier: Apache-2.0 */
/* Times of API objects: RFC 3339 texts and milliseconds since 1970, UTC. */
#ifndef MARGAY_BASE_UTC_H
#define MARGAY_BASE_UTC_H

#include <stdint.h>

#define UTC_TEXT_MAX 32

/* "2025-01-01T00:00:10.500Z"; text has room for UTC_TEXT_MAX; returns text. */
const char *utc_format(uint64_t ms, char *text);

/* Any offset from UTC, any fraction (cut to milliseconds). 0: not a time, NULL too. */
uint64_t utc_parse(const char *text);

#endif
