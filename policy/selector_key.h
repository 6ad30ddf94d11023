/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the engine asks of a selector's tree beside its truth.
 */
#ifndef MARGAY_POLICY_SELECTOR_KEY_H
#define MARGAY_POLICY_SELECTOR_KEY_H

#include <stdint.h>

struct selector;

/* Equal trees (selector_cmp() 0) have equal hashes. */
uint32_t selector_hash(const struct selector *selector, uint32_t seed);

/* A `key in {...}` without which the selector cannot hold; NULL: there is none. Of several,
 * one on a label of the endpoint's own is preferred: fewer endpoints bear it. */
const struct selector *selector_anchor(const struct selector *selector);

#endif
