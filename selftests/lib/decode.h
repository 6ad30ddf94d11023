/* SPDX-License-Identifier: Apache-2.0 */
/* For tests of typed objects: YAML text into one object, and what to say about its members. */
#ifndef MARGAY_SELFTESTS_DECODE_H
#define MARGAY_SELFTESTS_DECODE_H

#include "abi/addr.h"
#include "model/decode.h"
#include "model/selector.h"

/* Fails the test where the text does not decode. The caller has the reference. */
struct object *decode_yaml(const char *yaml, enum decode_mode mode);

void assert_addr(const union mg_addr *addr, const char *want);
void assert_prefix(const struct mg_prefix *prefix, const char *want);
void assert_selector(const struct selector *selector, const char *want); /* canonical text */

#endif
