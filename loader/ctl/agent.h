/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The client of the agent's control socket: one JSON request a line, one JSON answer a line
 * ({"ok":true,...} or {"ok":false,"code":...,"msg":...}). Requests carry "version" and "op".
 */
#ifndef MARGAY_CTL_AGENT_H
#define MARGAY_CTL_AGENT_H

#include <jansson.h>

#include "ctl/ctl.h"

#define AGENT_ANSWER_MAX (64 * 1024 * 1024)
#define AGENT_REQUEST_MAX (8 * 1024 * 1024) /* the agent's limit: agent/control.h */
#define AGENT_TIMEOUT_MS 30000

/* request: the op's arguments, NULL for none; borrowed. -ECONNREFUSED, -ENOENT: no agent there;
 * -EPROTO: it refused, and err says why. */
int agent_call(struct ctl *ctl, const char *op, const json_t *request, json_t **ret_answer,
	       struct err *err);

/* The same for an op that goes on: each line to function, until it returns false or the agent ends
 * the connection (then -ECONNRESET). */
struct agent_reader {
	bool (*function)(void *context, const json_t *line);
	void *context;
};
int agent_stream(struct ctl *ctl, const char *op, const json_t *request,
		 const struct agent_reader *reader, struct err *err);

#endif
