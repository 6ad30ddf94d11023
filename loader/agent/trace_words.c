/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/trace_words.h"

#include "abi/reason.h"
#include "abi/service.h"
#include "agent/hosts.h"
#include "agent/show.h"
#include "base/arena.h"
#include "base/inet.h"
#include "dataplane/names.h"

static char *slot_text(const struct agent *agent, uint32_t slot)
{
	const struct endpoint *ep = slot < agent->slots ? agent->by_slot[slot] : NULL;

	return ep ? xasprintf("%s/%s", ep->ns, ep->pod) : xasprintf("slot %u", slot);
}

static char *rule_words(const struct agent *agent, uint32_t number)
{
	struct engine_rule rule;

	if (!number || engine_rule_get(agent->engine, number, &rule) < 0)
		return NULL;
	return xasprintf("%s %s/%s, %s rule %u%s%s", rule.policy->kind, rule.policy->namespace,
			 rule.policy->name, rule.direction == POLICY_IN ? "ingress" : "egress",
			 rule.index, rule.text ? ": " : "", rule.text ? rule.text : "");
}

struct names {
	FILE *out;
	unsigned int count;
};

static void add_name(void *context, const struct policy *policy)
{
	struct names *names = context;

	if (policy->staged != POLICY_ENFORCED)
		return;
	fprintf(names->out, "%s%s %s/%s", names->count++ ? ", " : "", policy->kind,
		policy->namespace, policy->name);
}

/* A denial without a rule: the policies that apply, none of which allows it. */
static char *no_rule_words(const struct agent *agent, uint32_t slot, enum policy_direction way)
{
	char *text = NULL;
	size_t size;
	struct names names = { .out = open_memstream(&text, &size) };

	if (!names.out)
		abort();
	fputs("no rule of ", names.out);
	engine_endpoint_policies(agent->engine, slot, way, add_name, &names);
	fputs(names.count ? " allows it" : "any policy decides", names.out);
	fclose(names.out);
	return text;
}

static bool verdict_allows(const struct agent *agent, uint32_t number)
{
	struct mg_verdict verdict;

	if (number < MG_VERDICT_FIRST)
		return number == MG_VERDICT_ALLOW;
	return !dp_map_get(dp_get_map(agent->dp, "mg_verdicts"), &number, &verdict) &&
	       verdict.action == MG_ACTION_ALLOW;
}

static void note_denial(struct trace_walk *walk, uint32_t slot, enum mg_stage stage, bool allowed)
{
	walk->denied = (struct nearest_question){ 0 };
	if (allowed)
		return;
	walk->denied = walk->connection;
	walk->denied.slot = slot;
	walk->denied.stage = stage;
}

static char *judgement(const struct agent *agent, const struct mg_step *step, uint32_t slot,
		       enum policy_direction way, struct trace_walk *walk)
{
	bool allowed = verdict_allows(agent, step->b);
	_cleanup_free_ char *who = slot_text(agent, slot);
	_cleanup_free_ char *rule = rule_words(agent, step->c);

	note_denial(walk, slot, way == POLICY_IN ? MG_STAGE_WORKLOAD_IN : MG_STAGE_WORKLOAD_OUT,
		    allowed);
	if (!rule && allowed)
		rule = step->a == MG_SET_ALLOW_ALL ? xasprintf("no policy selects it")
						   : xasprintf("without a rule");
	if (!rule)
		rule = no_rule_words(agent, slot, way);
	return xasprintf("%s of %s: %s (%s)", way == POLICY_IN ? "ingress" : "egress", who,
			 allowed ? "allowed" : "denied", rule);
}

static const char *stage_text(uint32_t stage)
{
	switch ((enum mg_stage)stage) {
	case MG_STAGE_UNTRACKED_IN:
		return "untracked ingress";
	case MG_STAGE_UNTRACKED_OUT:
		return "untracked egress";
	case MG_STAGE_PREDNAT:
		return "pre-DNAT ingress";
	case MG_STAGE_FORWARD_IN:
		return "forward ingress";
	case MG_STAGE_FORWARD_OUT:
		return "forward egress";
	case MG_STAGE_NORMAL_IN:
		return "ingress";
	case MG_STAGE_NORMAL_OUT:
		return "egress";
	case MG_STAGE_WORKLOAD_IN:
	case MG_STAGE_WORKLOAD_OUT:
	case MG_STAGE_STAGED_IN:
	case MG_STAGE_STAGED_OUT:
	case MG_STAGE_MAX:
		break;
	}
	return "?";
}

static char *host_judgement(const struct agent *agent, const struct mg_step *step,
			    struct trace_walk *walk)
{
	bool allowed = verdict_allows(agent, step->b);
	_cleanup_free_ char *rule = rule_words(agent, step->c);

	const char *name = hosts_name_of_slot(agent, (uint16_t)step->a);

	note_denial(walk, step->a & 0xffff, (enum mg_stage)(step->a >> 16), allowed);
	if (!rule)
		rule = xstrdup(allowed ? "no rule decides" : "no rule allows it");
	return xasprintf("%s of host endpoint %s: %s (%s)", stage_text(step->a >> 16),
			 name ? name : "?", allowed ? "allowed" : "denied", rule);
}

/* What would be if staged policies were in force. */
static char *staged_judgement(const struct agent *agent, const struct mg_step *step, uint32_t slot,
			      enum policy_direction way)
{
	bool allowed = verdict_allows(agent, step->b);
	_cleanup_free_ char *who = slot_text(agent, slot);
	_cleanup_free_ char *rule = rule_words(agent, step->c);

	return xasprintf("%s of %s: would be %s (%s)", way == POLICY_IN ? "ingress" : "egress", who,
			 allowed ? "allowed" : "denied", rule ? rule : "without a rule");
}

static char *identity_words(const struct agent *agent, const char *what, uint32_t identity,
			    uint32_t node)
{
	const char *name = state_peer_name(agent->state, (uint16_t)node);

	return xasprintf("%s: identity %u%s%s", what, identity, name ? ", node " : "",
			 name ? name : "");
}

/* A flow that is known passes without a judgement: by the rules of the last one. */
static char *flow_words(const struct agent *agent, const struct mg_step *step,
			const struct trace_walk *walk)
{
	static const char *const tables[] = { "no flow yet", "known, transient",
					      "known, established" };
	const char *what = step->a < 3 ? tables[step->a] : "?";
	_cleanup_free_ char *out = NULL, *in = NULL;

	if (step->c || !step->a || !walk->flow)
		return xasprintf("%s%s", what, step->c ? ", judged again" : "");
	out = rule_words(agent, show_side(&walk->flow->row, 0).rule);
	in = rule_words(agent, show_side(&walk->flow->row, 1).rule);
	return xasprintf("%s%s%s%s%s", what, out ? "; allowed by " : "", out ? out : "",
			 in ? "; allowed by " : "", in ? in : "");
}

static char *service_words(const struct agent *agent, const struct mg_step *step,
			   struct trace_walk *walk)
{
	const struct mg_back_key key = { .set = step->a, .slot = step->b };
	char text[ADDR_TEXT_MAX] = "?";
	struct mg_back back;

	if (!dp_map_get(dp_get_map(agent->dp, "mg_backs"), &key, &back)) {
		addr_format(&back.addr, text);
		walk->connection.dst = back.addr;
		walk->connection.dport = (uint16_t)step->c;
	}
	return xasprintf("a service: backend %s port %u", text, step->c);
}

char *trace_words(const struct agent *agent, const struct mg_step *step, struct trace_walk *walk)
{
	static const char *const ways[] = { "", "to the pod's side of its veth",
					    "to the host's side of its veth",
					    "to the host's stack" };
	const char *node;

	switch ((enum mg_step_kind)step->kind) {
	case MG_STEP_ENTRY:
		return xasprintf("%s at interface %u", dp_hook_name(step->a), step->b);
	case MG_STEP_ENDPOINT:
		walk->src_slot = step->a;
		return slot_text(agent, step->a);
	case MG_STEP_FLOW:
		return flow_words(agent, step, walk);
	case MG_STEP_SOURCE:
		return identity_words(agent, "source", step->a, step->b);
	case MG_STEP_DESTINATION:
		walk->dst_slot = step->b & 0xffff;
		return identity_words(agent, "destination", step->a, step->b >> 16);
	case MG_STEP_EGRESS:
		return judgement(agent, step, walk->src_slot, POLICY_OUT, walk);
	case MG_STEP_INGRESS:
		return judgement(agent, step, walk->dst_slot, POLICY_IN, walk);
	case MG_STEP_STAGED_EGRESS:
		return staged_judgement(agent, step, walk->src_slot, POLICY_OUT);
	case MG_STEP_STAGED_INGRESS:
		return staged_judgement(agent, step, walk->dst_slot, POLICY_IN);
	case MG_STEP_NAT:
		return xasprintf("source becomes %u.%u.%u.%u port %u", step->b >> 24,
				 step->b >> 16 & 255, step->b >> 8 & 255, step->b & 255, step->a);
	case MG_STEP_ENCAP:
		walk->next_node = step->b;
		node = state_peer_name(agent->state, (uint16_t)step->b);
		return xasprintf("%s to node %s", step->a == 17 ? "VXLAN" : "IP-in-IP",
				 node ? node : "?");
	case MG_STEP_DECAP:
		node = state_peer_name(agent->state, (uint16_t)step->b);
		return xasprintf("%s from node %s", step->a == 17 ? "VXLAN" : "IP-in-IP",
				 node ? node : "?");
	case MG_STEP_DELIVER:
		if (!walk->dst_slot)
			walk->dst_slot = step->a;
		{
			_cleanup_free_ char *who = slot_text(agent, step->a);

			return xasprintf("%s %s", who, step->c < 4 ? ways[step->c] : "");
		}
	case MG_STEP_FORWARD:
		if (step->b)
			walk->next_node = step->b;
		node = state_peer_name(agent->state, (uint16_t)step->b);
		return xasprintf("out of interface %u%s%s", step->a, node ? " to node " : "",
				 node ? node : "");
	case MG_STEP_DROP:
		walk->reason = step->a;
		return xasprintf("%s: %s", dp_reason_name(step->a), dp_reason_help(step->a));
	case MG_STEP_RESET:
		return xstrdup("the sender is told by a TCP reset");
	case MG_STEP_HOST:
		return host_judgement(agent, step, walk);
	case MG_STEP_FAILSAFE:
		return xasprintf("failsafe port %u of %s", step->a,
				 step->c ? "the far end" : "this node");
	case MG_STEP_SERVICE:
		return service_words(agent, step, walk);
	case MG_STEP_MAX:
		break;
	}
	return xasprintf("step %u", step->kind);
}
