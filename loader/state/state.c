/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The state's face: which file takes an object, and the small rows.
 */
#include "state/state.h"

#include <arpa/inet.h>
#include <string.h>
#include <utlist.h>

#include "base/inet.h"
#include "model/tier.h"
#include "policy/front.h"
#include "state/internal.h"

/* Lifetimes are ticks of 2^20 ns (abi/node.h). */
#define MS_TO_TICKS(ms) ((uint32_t)(((uint64_t)(ms) * 1000000) >> 20))

struct state *state_new(const char *node, struct engine *engine)
{
	struct state *state = xcalloc(1, sizeof(*state));
	const struct engine_services services = { service_members, state };

	engine_services_from(engine, &services);
	state->node = xstrdup(node);
	state->engine = engine;
	state->kept.hash = state->netsets.hash = named_hash;
	state->slices.hash = state->services.hash = named_hash;
	items_init(state);
	accounts_init(state);
	felix_merge(&state->params, NULL, NULL);
	return state;
}

void state_free(struct state *state)
{
	if (!state)
		return;
	peers_leave(state);
	owners_free(state);
	accounts_free(state);
	netsets_free(state);
	hosts_free(state);
	slices_free(state);
	nets_free(state);
	peers_free(state);
	spaces_free(state);
	index_done(&state->addrs);
	index_done(&state->profiles);
	slab_done(&state->slab);
	vec_done(&state->places);
	vec_done(&state->touched);
	object_unref((struct object *)state->felix_default);
	object_unref((struct object *)state->felix_node);
	object_unref((struct object *)state->felix_environment);
	free(state->node);
	free(state);
}

/* --- objects ------------------------------------------------------------------------------- */

static bool limits_node_ports(const struct felix_nets *nets)
{
	return nets->primary || nets->count;
}

static void felix_refresh(struct state *state)
{
	bool limited = limits_node_ports(&state->params.node_port_addresses);

	felix_merge(&state->params, felix_config_of(state->felix_default),
		    felix_config_of(state->felix_node));
	felix_overlay(&state->params, felix_config_of(state->felix_environment));
	if (limited || limits_node_ports(&state->params.node_port_addresses))
		peers_touch(state);
}

void state_environment_set(struct state *state, const struct object *object)
{
	object_unref((struct object *)state->felix_environment);
	state->felix_environment = object_ref(object);
	felix_refresh(state);
}

static void felix_set(struct state *state, const char *name, const struct object *object)
{
	_cleanup_free_ char *own = xasprintf("node.%s", state->node);
	const struct object **slot = NULL;

	if (!strcmp(name, "default"))
		slot = &state->felix_default;
	else if (!strcmp(name, own))
		slot = &state->felix_node;
	if (!slot)
		return;
	object_unref((struct object *)*slot);
	*slot = object ? object_ref(object) : NULL;
	felix_refresh(state);
}

static void tier_set(struct state *state, const struct calico_tier *tier)
{
	engine_tier_set(state->engine, tier->base.name, tier->order,
			tier->end_pass ? RULE_PASS : RULE_DENY);
}

/* What is built in is there without an object. */
static void tier_del(struct state *state, const char *name)
{
	if (!tier_built_in(name))
		engine_tier_del(state->engine, name);
}

void state_object_set(struct state *state, const struct object *object)
{
	if (object->kind == KIND_NAMESPACE)
		space_set(state, object->name, object);
	else if (object->kind == KIND_POD)
		pod_set(state, object);
	else if (object->kind == KIND_SERVICE_ACCOUNT)
		account_set(state, object->ns, object->name, object);
	else if (object->kind == KIND_NODE)
		peer_set(state, node_of(object));
	else if (front_is_policy(object->kind))
		front_set(state->engine, object);
	else if (object->kind == KIND_TIER)
		tier_set(state, tier_of(object));
	else if (network_set_of(object))
		netset_set(state, object);
	else if (object->kind == KIND_HOST_ENDPOINT)
		host_set(state, object);
	else if (object->kind == KIND_ENDPOINT_SLICE)
		slice_set(state, object);
	else if (object->kind == KIND_IP_POOL)
		pool_set(state, object);
	else if (object->kind == KIND_IPAM_BLOCK)
		block_set(state, object);
	else if (object->kind == KIND_WORKLOAD_ENDPOINT)
		wep_set(state, object);
	else if (object->kind == KIND_FELIX_CONFIG)
		felix_set(state, object->name, object);
}

void state_object_del(struct state *state, enum kind kind, const char *ns, const char *name)
{
	if (kind == KIND_NAMESPACE)
		space_set(state, name, NULL);
	else if (kind == KIND_POD)
		pod_del(state, ns, name);
	else if (kind == KIND_SERVICE_ACCOUNT)
		account_set(state, ns, name, NULL);
	else if (kind == KIND_NODE)
		peer_del(state, name);
	else if (front_is_policy(kind))
		front_del(state->engine, kind, ns, name);
	else if (kind == KIND_TIER)
		tier_del(state, name);
	else if (kind == KIND_NETWORK_SET || kind == KIND_GLOBAL_NETWORK_SET)
		netset_del(state, ns, name);
	else if (kind == KIND_HOST_ENDPOINT)
		host_del(state, name);
	else if (kind == KIND_ENDPOINT_SLICE)
		slice_del(state, ns, name);
	else if (kind == KIND_IP_POOL)
		pool_del(state, name);
	else if (kind == KIND_IPAM_BLOCK)
		block_del(state, name);
	else if (kind == KIND_WORKLOAD_ENDPOINT)
		wep_del(state, ns, name);
	else if (kind == KIND_FELIX_CONFIG)
		felix_set(state, name, NULL);
}

const struct felix_params *state_params(const struct state *state)
{
	return &state->params;
}

const struct object *state_namespace(const struct state *state, const char *name)
{
	struct space *space;

	HASH_FIND_STR(state->spaces, name, space);
	return space ? space->object : NULL;
}

/* --- this node ----------------------------------------------------------------------------- */

static bool any_pool(const struct state *state, bool (*pick)(const struct ip_pool *))
{
	for (const struct net *net = state->nets; net; net = net->hh.next) {
		if (net->pool && pick(ip_pool_of(net->pool)))
			return true;
	}
	return false;
}

static bool pool_vxlan(const struct ip_pool *pool)
{
	return pool->vxlan != ENCAP_NEVER;
}

static bool pool_ipip(const struct ip_pool *pool)
{
	return pool->ipip != ENCAP_NEVER;
}

bool state_uses_vxlan(const struct state *state)
{
	return any_pool(state, pool_vxlan);
}

bool state_uses_ipip(const struct state *state)
{
	return any_pool(state, pool_ipip);
}

/* defaultEndpointToHostAction */
static uint32_t to_host_flags(const struct felix_params *params)
{
	switch ((enum felix_to_host)params->to_host) {
	case FELIX_TO_HOST_DROP:
		return MG_LOCAL_POD_HOST_DROP | MG_LOCAL_HOST_POLICY;
	case FELIX_TO_HOST_RETURN:
		return MG_LOCAL_POD_HOST_JUDGE | MG_LOCAL_HOST_POLICY;
	case FELIX_TO_HOST_ACCEPT:
		break;
	}
	return 0;
}

/* Node ports hold at the loopback addresses of a family where none is left out, or its own net is
 * named. */
static uint32_t loopback_flags(const struct felix_nets *nets)
{
	static const struct mg_prefix loopbacks[] = {
		{ .len = MG_V4_PREFIX_BITS + 8,
		  .addr.b = { [10] = 0xff, [11] = 0xff, [12] = 127 } },
		{ .len = MG_ADDR_BITS, .addr.b = { [15] = 1 } },
	};
	uint32_t flags = MG_LOCAL_PORTLESS4 | MG_LOCAL_PORTLESS6;

	if (!limits_node_ports(nets))
		return 0;
	for (size_t i = 0; i < nets->count; i++) {
		bool v4 = prefix_is4(&nets->v[i]);

		if (prefix_overlaps(&nets->v[i], &loopbacks[!v4]))
			flags &= ~(v4 ? MG_LOCAL_PORTLESS4 : MG_LOCAL_PORTLESS6);
	}
	return flags;
}

static uint32_t local_flags(const struct state *state, const struct state_node_facts *facts)
{
	const struct felix_params *params = &state->params;

	return (state_uses_ipip(state) || facts->accept_ipip ? MG_LOCAL_IPIP : 0) |
	       (state_uses_vxlan(state) || facts->accept_vxlan ? MG_LOCAL_VXLAN : 0) |
	       (params->ipip_from_workloads ? MG_LOCAL_POD_IPIP : 0) |
	       (params->vxlan_from_workloads ? MG_LOCAL_POD_VXLAN : 0) |
	       (params->source_spoofing == FELIX_SPOOFING_ANY ? MG_LOCAL_ANY_SOURCE : 0) |
	       (params->nat_exclusions == FELIX_NAT_POOLS_AND_HOSTS ? MG_LOCAL_NAT_SKIP_HOSTS : 0) |
	       (params->revoked_tcp == FELIX_REVOKED_RESET ? MG_LOCAL_RST : 0) |
	       (params->ipv6 ? 0 : MG_LOCAL_NO_IPV6) |
	       (params->connect_time == FELIX_CONNECT_ALL ? MG_LOCAL_CONNECT_UDP : 0) |
	       (facts->flows_new_until ? MG_LOCAL_FLOWS_NEW : 0) |
	       (facts->flow_events ? MG_LOCAL_FLOW_EVENTS : 0) |
	       (facts->host_policy ? MG_LOCAL_HOST_POLICY : 0) | to_host_flags(params) |
	       loopback_flags(&params->node_port_addresses);
}

/* Design section 5: away from node ports (30,000-32,767) and ephemeral ports (32,768-60,999). */
static const struct mg_port_range nat_default[] = { { 10240, 29999 }, { 61000, 65535 } };

static void local_nat(const struct felix_params *params, struct mg_local *row)
{
	if (params->nat_ports.last) {
		row->nat[0] = (struct mg_port_range){ .first = params->nat_ports.first,
						      .last = params->nat_ports.last };
	} else {
		row->nat[0] = nat_default[0];
		row->nat[1] = nat_default[1];
	}
	for (unsigned int i = 0; i < MG_NAT_RANGES; i++) {
		if (row->nat[i].last)
			row->nat_total += (__u16)(row->nat[i].last - row->nat[i].first + 1);
	}
	if (addr_is_zero(&params->nat_address))
		return;
	if (addr_is4(&params->nat_address))
		row->nat4 = params->nat_address;
	else
		row->nat6 = params->nat_address;
}

static void local_timeouts(const struct felix_timeouts *t, struct mg_local *row)
{
	row->timeout[MG_TMO_TCP_SYN] = MS_TO_TICKS(t->tcp_syn_sent);
	row->timeout[MG_TMO_TCP_ESTABLISHED] = MS_TO_TICKS(t->tcp_established);
	row->timeout[MG_TMO_TCP_FIN] = MS_TO_TICKS(t->tcp_fins_seen ? t->tcp_fins_seen : 30000);
	row->timeout[MG_TMO_TCP_RST] = MS_TO_TICKS(t->tcp_reset_seen);
	row->timeout[MG_TMO_UDP] = MS_TO_TICKS(t->udp);
	row->timeout[MG_TMO_ICMP] = MS_TO_TICKS(t->icmp);
	row->timeout[MG_TMO_GENERIC] = MS_TO_TICKS(t->generic);
	row->timeout[MG_TMO_FRAG] = MS_TO_TICKS(30000); /* RFC 791: reassembly gives up */
}

static uint16_t inner_mtu(uint32_t configured, uint32_t uplink, uint32_t overhead)
{
	uint32_t mtu = configured ? configured : (uplink ? uplink : 1500) - overhead;

	return (uint16_t)(mtu > UINT16_MAX ? UINT16_MAX : mtu);
}

void state_local_row(const struct state *state, const struct state_node_facts *facts,
		     struct mg_local *ret_row)
{
	const struct felix_params *params = &state->params;
	const struct peer *self = peer_self(state);

	memset(ret_row, 0, sizeof(*ret_row));
	if (self) {
		ret_row->ip4 = self->v4.addr;
		ret_row->ip6 = self->v6.addr;
		ret_row->node = self->number;
		memcpy(ret_row->vtep_mac, self->mac4, sizeof(ret_row->vtep_mac));
	}
	ret_row->flows_new_until = facts->flows_new_until;
	ret_row->flags = local_flags(state, facts);
	ret_row->vni = params->vxlan_vni;
	ret_row->vxlan_port = htons((uint16_t)params->vxlan_port);
	ret_row->mtu_ipip = inner_mtu(params->ipip_mtu, facts->uplink_mtu, 20);
	ret_row->mtu_vxlan = inner_mtu(params->vxlan_mtu, facts->uplink_mtu, 50);
	ret_row->sport_first = 32768; /* as the kernel's own vxlan device: the ephemeral range */
	ret_row->sport_count = 28232;
	ret_row->vxlan_ifindex = facts->vxlan_ifindex;
	ret_row->host_any = facts->host_any;
	local_nat(params, ret_row);
	local_timeouts(&params->timeouts, ret_row);
}

/* --- failsafe ports ------------------------------------------------------------------------ */

static void tell_failsafe(const struct felix_failsafe *from, uint8_t direction,
			  const struct mg_prefix *net,
			  void (*each)(void *ctx, const struct mg_failsafe_key *key), void *ctx)
{
	const struct mg_failsafe_key key = { .len = MG_FAILSAFE_BITS + net->len,
					     .direction = direction,
					     .proto = from->protocol,
					     .port = htons(from->port),
					     .addr = net->addr };

	each(ctx, &key);
}

void state_failsafes(const struct state *state,
		     void (*each)(void *ctx, const struct mg_failsafe_key *key), void *ctx)
{
	const struct felix_failsafes lists[] = {
		[MG_FAILSAFE_IN] = state->params.failsafe_in,
		[MG_FAILSAFE_OUT] = state->params.failsafe_out,
	};

	for (uint8_t direction = 0; direction < 2; direction++)
		for (size_t i = 0; i < lists[direction].count; i++)
			tell_failsafe(&lists[direction].v[i], direction, &lists[direction].v[i].net,
				      each, ctx);
}
