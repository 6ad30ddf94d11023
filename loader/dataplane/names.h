/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Words for the numbers of abi/reason.h and abi/event.h, made from the same lists. A number that
 * is in none of them is "?". The texts are static.
 */
#ifndef MARGAY_DATAPLANE_NAMES_H
#define MARGAY_DATAPLANE_NAMES_H

const char *dp_reason_name(unsigned int reason); /* "policy-egress" */
const char *dp_reason_help(unsigned int reason); /* "the sender's policy does not allow it" */
const char *dp_hook_name(unsigned int hook);	 /* "from_pod" */
const char *dp_step_name(unsigned int kind);	 /* "egress policy" */

#endif
