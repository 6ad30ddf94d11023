/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/control.h"

#include <string.h>

#include "agent/history.h"
#include "agent/monitor.h"
#include "agent/policy_diff.h"
#include "agent/server.h"
#include "agent/show.h"
#include "agent/trace.h"

#define PROTOCOL_VERSION 1
#define CODE_UNKNOWN_OP 1

/* The member of the answer that carries it has the op's name. */
static const struct op {
	const char *name;
	json_t *(*show)(struct agent *agent);
} ops[] = {
	{ "status", show_status },	   { "endpoints", show_endpoints },
	{ "drops", show_drops },	   { "flows", show_flows },
	{ "identities", show_identities }, { "routes", show_routes },
	{ "history", history_show },	   { "services", show_services },
	{ "counters", show_counters },
};

void control_handle(void *context, struct server_call *call, json_t *request)
{
	const char *name = json_string_value(json_object_get(request, "op"));

	if (json_integer_value(json_object_get(request, "version")) != PROTOCOL_VERSION) {
		server_fail(call, CODE_UNKNOWN_OP, "the agent speaks version %d of the protocol",
			    PROTOCOL_VERSION);
		return;
	}
	if (name && !strcmp(name, "trace")) {
		trace_handle(context, call, request);
		return;
	}
	if (name && !strcmp(name, "policy-diff")) {
		policy_diff_handle(context, call, request);
		return;
	}
	if (name && !strcmp(name, "policy-rollback")) {
		history_rollback_handle(context, call, request);
		return;
	}
	if (name && !strcmp(name, "policy-resume")) {
		history_resume_handle(context, call);
		return;
	}
	if (name && !strcmp(name, "policies")) {
		const char *endpoint = json_string_value(json_object_get(request, "endpoint"));

		server_answer(call, json_pack("{s:b,s:o}", "ok", 1, name,
					      show_policies(context, endpoint)));
		return;
	}
	if (name && !strcmp(name, "monitor")) {
		monitor_handle(context, call, request);
		return;
	}
	for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++) {
		if (!name || strcmp(ops[i].name, name))
			continue;
		server_answer(call, json_pack("{s:b,s:o}", "ok", 1, name, ops[i].show(context)));
		return;
	}
	server_fail(call, CODE_UNKNOWN_OP, "op \"%s\" is not known", name ? name : "");
}
