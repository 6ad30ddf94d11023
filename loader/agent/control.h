/* SPDX-License-Identifier: Apache-2.0 */
/*
 * margayctl's requests on /run/margay/ctl.sock: {"version":1,"op":...}, answered by one JSON
 * object with stable names ({"ok":true,...}); docs/control-socket.md. Context is the agent.
 */
#ifndef MARGAY_AGENT_CONTROL_H
#define MARGAY_AGENT_CONTROL_H

#include "agent/agent.h"

#define CONTROL_REQUEST_MAX (8 * 1024 * 1024) /* bytes: a folder of policies to compare */

void control_handle(void *context, struct server_call *call, json_t *request);

#endif
