/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/trace_flow.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "base/err.h"
#include "base/inet.h"
#include "base/json.h"
#include "dataplane/load.h"
#include "dataplane/trace.h"

#define TRANSLATED (MG_FLOW_SNAT | MG_FLOW_DNAT)

static const char *const tables[] = { "mg_flow_e", "mg_flow_t" };

/* --- finding ------------------------------------------------------------------------------- */

struct search {
	const struct trace_flow *wanted;
	struct mg_flow_key key; /* of the latest row that fits */
	struct mg_flow row;
	bool from_b; /* its packets in question are from that end */
	bool found;
};

static bool is_icmp(uint8_t proto)
{
	return proto == IPPROTO_ICMP || proto == IPPROTO_ICMPV6;
}

static bool port_fits(uint16_t wanted, __be16 port)
{
	return !wanted || htons(wanted) == port;
}

/* Are packets from one end of the key, a or b, the ones asked about? */
static bool end_fits(const struct trace_flow *flow, const struct mg_flow_key *key, bool from_b)
{
	const union mg_addr *src = from_b ? &key->b : &key->a, *dst = from_b ? &key->a : &key->b;
	__be16 sport = from_b ? key->port_b : key->port_a;
	__be16 dport = from_b ? key->port_a : key->port_b;

	if (memcmp(src, &flow->src, sizeof(*src)) || memcmp(dst, &flow->dst, sizeof(*dst)))
		return false;
	return port_fits(flow->sport, sport) &&
	       (is_icmp(flow->proto) || port_fits(flow->dport, dport));
}

static int look(const void *at, const void *value, void *data)
{
	struct search *search = data;
	struct mg_flow_key key;
	struct mg_flow row;
	bool from_b;

	memcpy(&key, at, sizeof(key));
	memcpy(&row, value, sizeof(row));
	if (key.proto != search->wanted->proto || key.space)
		return 0;
	/* the packets of a translated row are from one end alone */
	if (row.flags & TRANSLATED)
		from_b = row.flags & MG_FLOW_FROM_B;
	else
		from_b = !end_fits(search->wanted, &key, false);
	if (!end_fits(search->wanted, &key, from_b) ||
	    (search->found && (__s32)(row.seen - search->row.seen) < 0))
		return 0;
	*search = (struct search){ search->wanted, key, row, from_b, true };
	return 0;
}

int trace_flow_find(struct agent *agent, struct trace_flow *flow)
{
	struct search search = { .wanted = flow };

	for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++)
		dp_map_each(dp_get_map(agent->dp, tables[i]), look, &search);
	if (!search.found)
		return -ENOENT;
	flow->row = search.row;
	flow->sport = ntohs(search.from_b ? search.key.port_b : search.key.port_a);
	flow->dport = ntohs(search.from_b ? search.key.port_a : search.key.port_b);
	return 0;
}

/* --- copying ------------------------------------------------------------------------------- */

/* abi/flow.h: the lower end stands as a. */
static struct mg_flow_key key_of(const struct trace_flow *flow)
{
	__be16 sport = htons(flow->sport), dport = htons(flow->dport);
	int order = memcmp(&flow->src, &flow->dst, sizeof(flow->src));
	bool swapped = order ? order > 0 : memcmp(&sport, &dport, sizeof(sport)) > 0;

	return (struct mg_flow_key){ .a = swapped ? flow->dst : flow->src,
				     .b = swapped ? flow->src : flow->dst,
				     .port_a = swapped ? dport : sport,
				     .port_b = swapped ? sport : dport,
				     .proto = flow->proto };
}

/* 1: there was one. */
static int copy_row(struct agent *agent, const struct trace_flow *flow, struct mg_flow *ret_row)
{
	struct mg_flow_key key = key_of(flow);

	for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
		int r = dp_map_get(dp_get_map(agent->dp, tables[i]), &key, ret_row);

		if (r == -ENOENT)
			continue;
		if (!r)
			r = dp_trace_set_flow(agent->trace, &key, ret_row, !i);
		return r ? r : 1;
	}
	return 0;
}

/* The tuple as it leaves translated: its turned key is the partner's. */
static struct trace_flow partner_of(const struct trace_flow *flow, const struct mg_flow *row)
{
	struct trace_flow partner = *flow;
	uint16_t port = ntohs((__be16)row->way[1]);

	if (row->flags & MG_FLOW_SNAT) {
		if (!addr_cmp(&row->xlat, &flow->dst)) /* a pod and itself: the ends' places */
			partner.dst = flow->src;
		partner.src = row->xlat;
		partner.sport = port;
	} else {
		if (!addr_cmp(&row->xlat, &flow->src))
			partner.src = flow->dst;
		partner.dst = row->xlat;
		partner.dport = port;
	}
	if (is_icmp(flow->proto))
		partner.sport = partner.dport = port;
	return partner;
}

int trace_flow_copy(struct agent *agent, const struct trace_flow *flow)
{
	struct trace_flow partner;
	struct mg_flow row;
	int r = copy_row(agent, flow, &row);

	if (r <= 0 || !(row.flags & TRANSLATED))
		return r < 0 ? r : 0;
	partner = partner_of(flow, &row);
	r = copy_row(agent, &partner, &row);
	return r < 0 ? r : 0;
}

/* --- from node to node ----------------------------------------------------------------------- */

json_t *trace_flow_json(const struct trace_flow *flow)
{
	char src[ADDR_TEXT_MAX], dst[ADDR_TEXT_MAX];

	return json_pack("{s:s,s:s,s:i,s:i,s:i}", "src", addr_format(&flow->src, src), "dst",
			 addr_format(&flow->dst, dst), "proto", flow->proto, "sport", flow->sport,
			 "dport", flow->dport);
}

static uint16_t number_of(const json_t *json, const char *key)
{
	return (uint16_t)json_integer_value(json_object_get(json, key));
}

int trace_tuple_read(const json_t *json, struct trace_flow *ret_flow)
{
	struct trace_flow flow = { .proto = (uint8_t)number_of(json, "proto"),
				   .sport = number_of(json, "sport"),
				   .dport = number_of(json, "dport") };

	if (addr_parse(json_text_or(json, "src", ""), &flow.src) ||
	    addr_parse(json_text_or(json, "dst", ""), &flow.dst))
		return -EINVAL;
	*ret_flow = flow;
	return 0;
}

int trace_flow_read(struct agent *agent, const json_t *request, struct trace_flow *ret_flow,
		    struct err *err)
{
	const json_t *json = json_object_get(request, "flow");
	struct trace_flow flow;

	if (!json_is_object(json))
		return 0;
	if (trace_tuple_read(json, &flow) < 0)
		return err_set(err, -EINVAL, "flow: src and dst must be addresses");
	trace_flow_find(agent, &flow); /* without a row the programs will say so */
	*ret_flow = flow;
	return 0;
}
