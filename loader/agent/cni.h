/* SPDX-License-Identifier: Apache-2.0 */
/* The handler of /run/margay/cni.sock; context is the agent. */
#ifndef MARGAY_AGENT_CNI_H
#define MARGAY_AGENT_CNI_H

#include "agent/agent.h"

/* CNI error codes (spec 1.1, section "Error") and our own from 100. */
enum cni_code {
	CNI_UNKNOWN_CONTAINER = 3,
	CNI_DECODE = 6,
	CNI_INVALID_CONFIG = 7,
	CNI_TRY_AGAIN = 11,
	CNI_NO_ADDRESS_LEFT = 50,
	CNI_LIMITED = 51,
	CNI_NO_ADDRESS = 100,
	CNI_NAME_TAKEN = 101,
	CNI_UNSUPPORTED = 1,
};

void cni_handle(void *context, struct server_call *call, json_t *request);

#endif
