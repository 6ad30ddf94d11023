/* SPDX-License-Identifier: Apache-2.0 */
/* The handler of /run/margay/cni.sock; context is the agent. */
#ifndef MARGAY_AGENT_CNI_H
#define MARGAY_AGENT_CNI_H

#include "agent/agent.h"

void cni_handle(void *context, struct server_call *call, json_t *request);

#endif
