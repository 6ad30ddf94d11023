/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes as hexadecimal digits, two a byte, small letters. */
#ifndef MARGAY_BASE_HEX_H
#define MARGAY_BASE_HEX_H

#include <stddef.h>

#define HEX_TEXT_SIZE(bytes) (2 * (bytes) + 1)

/* text has room for HEX_TEXT_SIZE(size); returns text. */
char *hex_format(const void *data, size_t size, char *text);

#endif
