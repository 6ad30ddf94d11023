/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The condition Allocatable in the status of an IPPool (projectcalico.org/v3): False with the
 * reason CIDROverlap while an older pool keeps it out of force, True with OK when that is over. A
 * pool that never was kept out has none, and what others say of it (disabled, terminating) is left
 * alone. Pure.
 */
#ifndef MARGAY_CONTROLLER_POOL_CONDITION_H
#define MARGAY_CONTROLLER_POOL_CONDITION_H

#include <jansson.h>
#include <stdint.h>

/* behind: what keeps the pool out, for people; NULL: it is in force. now: ms since 1970. Returns
 * the pool as its status should be (new reference); NULL: it is so already. */
json_t *pool_condition(const json_t *pool, const char *behind, uint64_t now);

#endif
