/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/event_json.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "abi/reason.h"
#include "agent/show.h"
#include "base/arena.h"
#include "base/hex.h"
#include "base/inet.h"
#include "dataplane/names.h"

static const char *kind_text(unsigned int kind)
{
	switch ((enum mg_event_kind)kind) {
	case MG_EVENT_DROP:
		return "drop";
	case MG_EVENT_FLOW:
		return "flow";
	case MG_EVENT_LOG:
		return "log";
	}
	return "unknown";
}

char *event_end(const struct agent *agent, const union mg_addr *addr)
{
	char text[ADDR_TEXT_MAX];
	char *owner = state_addr_owner(agent->state, addr);

	return owner ? owner : xstrdup(addr_format(addr, text));
}

bool event_dropped(const struct mg_event *event)
{
	return event->reason != MG_DROP_NONE;
}

static char *captured_hex(const struct mg_event *event)
{
	unsigned int size = event->captured < MG_EVENT_BYTES ? event->captured : MG_EVENT_BYTES;

	return hex_format(event->data, size, xcalloc(HEX_TEXT_SIZE(size), 1));
}

static bool policy_denied(const struct mg_event *event)
{
	return event->reason == MG_DROP_POLICY_EGRESS || event->reason == MG_DROP_POLICY_INGRESS ||
	       event->reason == MG_DROP_UNKNOWN_PEER;
}

/* The Log rules that saw it; NULL: none did. */
static json_t *log_rules(struct agent *agent, const struct mg_event *event)
{
	json_t *list;

	if (event->log_rule[0] == MG_RULE_NONE)
		return NULL;
	list = json_array();
	for (unsigned int i = 0; i < MG_LOG_RULES && event->log_rule[i]; i++)
		json_array_append_new(list, show_rule(agent, event->log_rule[i]));
	return list;
}

/* Of the host endpoint for all interfaces, at a pod's side; NULL: none. */
static json_t *host_rule(struct agent *agent, const struct mg_event *event)
{
	for (unsigned int side = 0; side < 2; side++) {
		const struct mg_judged *judged = &event->judged[side];

		if (judged->set && !judged->staged_set && judged->staged_rule)
			return show_rule(agent, judged->staged_rule);
	}
	return NULL;
}

json_t *event_json(struct agent *agent, const struct mg_event *event)
{
	json_t *staged = show_staged(agent, event->judged, policy_denied(event));
	_cleanup_free_ char *from = event_end(agent, &event->src),
			    *to = event_end(agent, &event->dst);
	_cleanup_free_ char *data = captured_hex(event);
	char src[ADDR_TEXT_MAX], dst[ADDR_TEXT_MAX];

	return json_pack("{s:s,s:I,s:s,s:s,s:s,s:s,s:s,s:s,s:i,s:i,s:i,s:i,s:i,s:o,s:o,s:o*,s:o*,s:"
			 "o*,s:i,s:s}",
			 "kind", kind_text(event->kind), "time", (json_int_t)event->time, "hook",
			 dp_hook_name(event->hook), "reason", dp_reason_name(event->reason), "from",
			 from, "to", to, "src", addr_format(&event->src, src), "dst",
			 addr_format(&event->dst, dst), "proto", event->proto, "sport",
			 ntohs(event->sport), "dport", ntohs(event->dport), "length",
			 (int)event->length, "ifindex", (int)event->ifindex, "egress_rule",
			 show_rule(agent, event->judged[0].rule), "ingress_rule",
			 show_rule(agent, event->judged[1].rule), "host_rule",
			 host_rule(agent, event), "log", log_rules(agent, event), "staged", staged,
			 "l3_offset", event->l3_offset, "data", data);
}
