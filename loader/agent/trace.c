/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/trace.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <string.h>
#include <strings.h>

#include "abi/reason.h"
#include "agent/endpoint.h"
#include "agent/packet.h"
#include "agent/server.h"
#include "agent/show.h"
#include "agent/trace_flow.h"
#include "agent/trace_nearest.h"
#include "agent/trace_words.h"
#include "agent/uplink.h"
#include "base/arena.h"
#include "base/hex.h"
#include "base/inet.h"
#include "base/log.h"
#include "base/rpc.h"
#include "dataplane/names.h"
#include "dataplane/trace.h"

#define IDLE_SECONDS 60
#define FRAME_MAX 2048
#define SOURCE_PORT 51234 /* of a question that names none: any client's */

#define CODE_BAD_REQUEST 7
#define CODE_TRY_AGAIN 11

/* A question: the packet, the live flow that it is one of (proto 0: none), and what policy sees. */
struct question {
	struct dp_trace_packet packet;
	struct trace_flow flow;
	struct nearest_question connection;
};

static void put_nearest(const struct agent *agent, const struct trace_walk *walk, json_t *answer)
{
	json_t *nearest = walk->denied.slot && walk->denied.proto
				  ? trace_nearest(agent, &walk->denied)
				  : NULL;

	if (nearest)
		json_object_set_new(answer, "nearest", nearest);
}

static json_t *answer_of(const struct agent *agent, const struct dp_trace_result *result,
			 const struct question *question)
{
	const struct trace_flow *flow = question->flow.proto ? &question->flow : NULL;
	struct trace_walk walk = { .flow = flow, .connection = question->connection };
	json_t *steps = json_array(), *answer;
	const char *next;

	for (uint32_t i = 0; i < result->steps.count && i < MG_STEPS_MAX; i++) {
		const struct mg_step *step = &result->steps.step[i];
		_cleanup_free_ char *text = trace_words(agent, step, &walk);

		json_array_append_new(steps, json_pack("{s:s,s:s}", "step",
						       dp_step_name(step->kind), "text", text));
	}
	next = walk.next_node ? state_peer_name(agent->state, (uint16_t)walk.next_node) : NULL;
	answer = json_pack("{s:b,s:s,s:s,s:o}", "ok", 1, "node", agent->config.node, "verdict",
			   walk.reason && walk.reason != MG_DROP_ANSWERED ? "dropped"
			   : next					  ? "forwarded"
									  : "allowed",
			   "steps", steps);
	if (flow)
		json_object_set_new(answer, "flow", trace_flow_json(flow));
	if (walk.reason) {
		json_object_set_new(answer, "reason", json_string(dp_reason_name(walk.reason)));
		put_nearest(agent, &walk, answer);
	}
	if (next && !walk.reason) {
		_cleanup_free_ char *packet = xcalloc(HEX_TEXT_SIZE(result->size), 1);

		json_object_set_new(answer, "next_node", json_string(next));
		json_object_set_new(answer, "packet",
				    json_string(hex_format(result->data, result->size, packet)));
		json_object_set_new(answer, "connection", trace_connection_json(&walk.connection));
	}
	return answer;
}

/* --- questions ----------------------------------------------------------------------------- */

static const char *text_of(const json_t *request, const char *key)
{
	const char *text = json_string_value(json_object_get(request, key));

	return text ? text : "";
}

/* "ns/pod" of any node, or an address. */
static int find_address(const struct agent *agent, const char *who, bool want6,
			union mg_addr *ret_addr, struct err *err)
{
	_cleanup_free_ char *copy = xstrdup(who);
	char *slash = strchr(copy, '/');

	if (!addr_parse(who, ret_addr))
		return 0;
	if (!slash)
		return err_set(err, -EINVAL, "\"%s\": neither an address nor namespace/pod", who);
	*slash = 0;
	if (state_pod_addr(agent->state, copy, slash + 1, want6, ret_addr) < 0)
		return err_set(err, -ENOENT, "pod %s: no IPv%d address is known", who,
			       want6 ? 6 : 4);
	return 0;
}

static int protocol_of(const json_t *request)
{
	const char *name = text_of(request, "protocol");
	static const struct {
		const char *name;
		int number;
	} known[] = { { "", IPPROTO_TCP },	    { "tcp", IPPROTO_TCP },
		      { "udp", IPPROTO_UDP },	    { "icmp", IPPROTO_ICMP },
		      { "icmpv6", IPPROTO_ICMPV6 }, { "sctp", IPPROTO_SCTP } };

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		if (!strcasecmp(known[i].name, name))
			return known[i].number;
	}
	return *name >= '0' && *name <= '9' && atoi(name) < 256 ? atoi(name) : -EINVAL;
}

static const struct endpoint *local_of(const struct agent *agent, const union mg_addr *addr)
{
	for (const struct endpoint *ep = agent->endpoints; ep; ep = ep->hh.next) {
		if (!addr_cmp(&ep->ip4, addr) || !addr_cmp(&ep->ip6, addr))
			return ep;
	}
	return NULL;
}

/* The live connection from spec.src to spec.dst, as far as the question names its ports. */
static int live_connection(struct agent *agent, const json_t *request, struct packet_spec *spec,
			   struct trace_flow *flow, struct err *err)
{
	bool icmp = spec->proto == IPPROTO_ICMP || spec->proto == IPPROTO_ICMPV6;

	*flow = (struct trace_flow){
		.src = spec->src,
		.dst = spec->dst,
		.proto =
			icmp ? (addr_is4(&spec->src) ? IPPROTO_ICMP : IPPROTO_ICMPV6) : spec->proto,
		.sport = (uint16_t)json_integer_value(json_object_get(request, "source_port")),
		.dport = spec->dport
	};
	if (trace_flow_find(agent, flow) < 0)
		return err_set(err, -ENOENT, "node %s knows no such connection from %s to %s",
			       agent->config.node, text_of(request, "src"),
			       text_of(request, "dst"));
	spec->sport = flow->sport;
	spec->dport = flow->dport;
	spec->later = true;
	return 0;
}

static bool is_own(const struct agent *agent, const union mg_addr *addr)
{
	for (unsigned int i = 0; i < agent->uplink_count; i++) {
		if (!addr_cmp(&agent->uplinks[i].row.ip4, addr) ||
		    !addr_cmp(&agent->uplinks[i].row.ip6, addr))
			return true;
	}
	return !addr_cmp(&agent->own4, addr) || !addr_cmp(&agent->own6, addr);
}

/* Where a packet enters our programs: at the sending pod, or, of a connection of the node itself,
 * at the uplink by which it goes or comes. */
static int place_of(struct agent *agent, const json_t *request, struct packet_spec *spec,
		    struct dp_trace_packet *packet, struct err *err)
{
	const struct endpoint *ep = local_of(agent, &spec->src);
	const bool out = is_own(agent, &spec->src);
	struct net_route route;
	int r;

	if (ep) {
		memcpy(spec->src_mac, ep->mac, sizeof(spec->src_mac));
		memcpy(spec->dst_mac, ep->host_mac, sizeof(spec->dst_mac));
		packet->prog = "from_pod";
		packet->ifindex = ep->ifindex;
		return 0;
	}
	if (!out && !is_own(agent, &spec->dst))
		return err_set(err, -ENOENT, "%s is no pod of node %s: ask on its node",
			       text_of(request, "src"), agent->config.node);
	r = net_route_lookup(agent->net, out ? &spec->dst : &spec->src, &route, err);
	if (r < 0)
		return r;
	if (!uplink_mtu(agent, route.ifindex))
		return err_set(err, -ENOENT, "interface %d, by which it goes, is no uplink",
			       route.ifindex);
	packet->prog = out ? "to_netdev" : "from_netdev";
	packet->from_socket = out;
	packet->ifindex = (uint32_t)route.ifindex;
	return 0;
}

/* Data has room for FRAME_MAX. */
static int from_here(struct agent *agent, const json_t *request, uint8_t *data,
		     struct question *question, struct err *err)
{
	struct dp_trace_packet *packet = &question->packet;
	bool want6 = json_integer_value(json_object_get(request, "family")) == 6;
	struct packet_spec spec = { .sport = SOURCE_PORT };
	int protocol = protocol_of(request), r;

	if (protocol < 0)
		return err_set(err, -EINVAL, "protocol \"%s\" is not known",
			       text_of(request, "protocol"));
	r = find_address(agent, text_of(request, "src"), want6, &spec.src, err);
	if (!r)
		r = find_address(agent, text_of(request, "dst"), !addr_is4(&spec.src), &spec.dst,
				 err);
	if (r < 0)
		return r;
	*packet = (struct dp_trace_packet){ .data = data };
	r = place_of(agent, request, &spec, packet, err);
	if (r < 0)
		return r;
	if (addr_is4(&spec.src) != addr_is4(&spec.dst))
		return err_set(err, -EINVAL, "the two addresses are not of one family");
	spec.proto = (uint8_t)protocol;
	spec.dport = (uint16_t)json_integer_value(json_object_get(request, "port"));
	if (json_is_true(json_object_get(request, "flow"))) {
		r = live_connection(agent, request, &spec, &question->flow, err);
		if (r < 0)
			return r;
	}
	packet->size = packet_build(&spec, data);
	trace_connection_of(&spec, &question->connection);
	return 0;
}

static int arrived(struct agent *agent, const json_t *request, uint8_t *data,
		   struct question *question, struct err *err)
{
	const char *hex = text_of(request, "packet");
	size_t size = strlen(hex) / 2;

	if (strlen(hex) % 2 || size > FRAME_MAX || size < 14)
		return err_set(err, -EINVAL, "packet: must be 14 to %d bytes in hexadecimal",
			       FRAME_MAX);
	for (size_t i = 0; i < size; i++) {
		unsigned int byte;

		if (sscanf(hex + i * 2, "%2x", &byte) != 1)
			return err_set(err, -EINVAL, "packet: not hexadecimal");
		data[i] = (uint8_t)byte;
	}
	if (!agent->uplink_count)
		return err_set(err, -ENODEV, "no uplink for a packet to come in");
	question->packet = (struct dp_trace_packet){ .prog = "from_netdev",
						     .ifindex = (uint32_t)agent->uplinks[0].ifindex,
						     .data = data,
						     .size = size };
	trace_connection_read(request, &question->connection);
	return trace_flow_read(agent, request, &question->flow, err);
}

static void on_idle(evutil_socket_t fd, short what, void *context)
{
	struct agent *agent = context;

	(void)fd;
	(void)what;
	dp_trace_free(agent->trace);
	agent->trace = NULL;
}

static int load(struct agent *agent, struct err *err)
{
	const struct timeval idle = { .tv_sec = IDLE_SECONDS };

	if (!agent->trace_event)
		agent->trace_event = evtimer_new(agent->base, on_idle, agent);
	event_add(agent->trace_event, &idle);
	return agent->trace ? 0 : dp_trace_load(agent->dp, &agent->trace, err);
}

static int run(struct agent *agent, const struct question *question,
	       struct dp_trace_result *ret_result, struct err *err)
{
	int r = question->flow.proto ? trace_flow_copy(agent, &question->flow) : 0;

	r = r ? err_errno(err, r, "trace: copying the flow")
	      : dp_trace_run(agent->trace, &question->packet, ret_result, err);
	dp_trace_clear(agent->trace);
	return r;
}

int trace_ask(struct agent *agent, const json_t *request, json_t **ret_answer, struct err *err)
{
	uint8_t data[FRAME_MAX], out[FRAME_MAX];
	struct dp_trace_result result = { .data = out, .data_room = sizeof(out) };
	struct question question = { 0 };
	int r;

	r = json_object_get(request, "packet") ? arrived(agent, request, data, &question, err)
					       : from_here(agent, request, data, &question, err);
	if (!r)
		r = load(agent, err);
	if (!r)
		r = run(agent, &question, &result, err);
	if (r < 0)
		return r;
	*ret_answer = answer_of(agent, &result, &question);
	return 0;
}

void trace_handle(struct agent *agent, struct server_call *call, const json_t *request)
{
	json_t *answer = NULL;
	struct err err = { 0 };
	int r = trace_ask(agent, request, &answer, &err);

	if (r < 0)
		server_fail(call, r == -EINVAL || r == -ENOENT ? CODE_BAD_REQUEST : CODE_TRY_AGAIN,
			    "%s", err.text);
	else
		server_answer(call, answer);
}

/* --- questions of other nodes --------------------------------------------------------------- */

/* Somebody on another node asks by an object: the answer is written into its status. Whoever asked
 * removes the object. */
void trace_object(struct agent *agent, const json_t *object)
{
	const json_t *spec = json_object_get(object, "spec");
	_cleanup_json_ json_t *answered = NULL;
	json_t *answer = NULL;
	struct err err = { 0 };

	if (strcmp(text_of(spec, "node"), agent->config.node) || json_object_get(object, "status"))
		return;
	if (trace_ask(agent, spec, &answer, &err) < 0)
		answer = rpc_failure(CODE_TRY_AGAIN, err.text, NULL);
	answered = json_deep_copy(object);
	json_object_set_new(answered, "status", answer);
	if (store_update(agent->store, answered, NULL, &err) < 0)
		log_warning("trace", "why", err.text, NULL);
}

void trace_stop(struct agent *agent)
{
	dp_trace_free(agent->trace);
	if (agent->trace_event)
		event_free(agent->trace_event);
}
