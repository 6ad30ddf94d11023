/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kinds that have no effect yet: known by name, stored, and checked where a mistake would
 * surprise later (selectors, nets, enums). Their structs are private until something reads them.
 */
#include <stdlib.h>
#include <string.h>

#include "abi/addr.h"
#include "base/inet.h"
#include "model/decode_kinds.h"
#include "model/names.h"
#include "model/selector.h"

static const struct field no_fields[] = { FIELD_END };
static const struct shape generic_shape = { .fields = no_fields, .open = true };

const struct decoder decoder_generic = { .size = sizeof(struct object), .shape = &generic_shape };

/* --- BGP ------------------------------------------------------------------------------------ */

struct bgp_config {
	struct object base;
	bool mesh;
	uint16_t port;
	uint32_t as_number;
	int severity, aggregation, bind, program_routes;
	size_t net_count;
	struct mg_prefix *nets;
	union mg_addr peering;
	uint32_t priority;
};

static const struct enum_text severities[] = { { "Trace", 0 },	 { "Debug", 0 }, { "Info", 0 },
					       { "Warning", 0 }, { "Error", 0 }, { "Fatal", 0 },
					       { NULL, 0 } };
static const struct enum_text switches[] = { { "Enabled", 1 }, { "Disabled", 0 }, { NULL, 0 } };
static const struct enum_text bind_modes[] = { { "None", 0 }, { "NodeIP", 1 }, { NULL, 0 } };
static const struct enum_text route_programs[] = { { "Enabled", 0 },
						   { "Disabled", 0 },
						   { "EnabledIPIPOnly", 0 },
						   { "EnabledNoEncapOnly", 0 },
						   { NULL, 0 } };

struct bgp_net {
	struct mg_prefix cidr;
};

static const struct field bgp_net_fields[] = {
	FIELD("cidr", struct bgp_net, cidr, read_prefix, .flags = FIELD_REQUIRED), FIELD_END
};
static const struct shape bgp_net_shape = { .fields = bgp_net_fields };
static const struct field bgp_net_field = { .read = read_object, .shape = &bgp_net_shape };

#define BGP_NETS(name) FIELD_LIST(name, struct bgp_config, net_count, nets, &bgp_net_field)

static const struct field bgp_config_spec_fields[] = {
	FIELD("logSeverityScreen", struct bgp_config, severity, read_enum, .enums = severities,
	      .flags = FIELD_ANY_CASE),
	FIELD("nodeToNodeMeshEnabled", struct bgp_config, mesh, read_bool),
	FIELD("asNumber", struct bgp_config, as_number, read_as_number),
	BGP_NETS("serviceClusterIPs"),
	BGP_NETS("serviceExternalIPs"),
	BGP_NETS("serviceLoadBalancerIPs"),
	FIELD("serviceLoadBalancerAggregation", struct bgp_config, aggregation, read_enum,
	      .enums = switches),
	FIELD("listenPort", struct bgp_config, port, read_int, .min = 1, .max = 65535),
	FIELD("bindMode", struct bgp_config, bind, read_enum, .enums = bind_modes),
	FIELD("localWorkloadPeeringIPV4", struct bgp_config, peering, read_addr),
	FIELD("localWorkloadPeeringIPV6", struct bgp_config, peering, read_addr),
	FIELD("programClusterRoutes", struct bgp_config, program_routes, read_enum,
	      .enums = route_programs),
	FIELD("ipv4NormalRoutePriority", struct bgp_config, priority, read_int, .max = INT32_MAX),
	FIELD("ipv6NormalRoutePriority", struct bgp_config, priority, read_int, .max = INT32_MAX),
	FIELD_KNOWN("nodeMeshPassword"),
	FIELD_KNOWN("nodeMeshMaxRestartTime"),
	FIELD_KNOWN("communities"),
	FIELD_KNOWN("prefixAdvertisements"),
	FIELD_KNOWN("ignoredInterfaces"),
	FIELD_END
};

/* "default" for all nodes, "node.NAME" for one: as FelixConfiguration. The mesh is the cluster's.
 */
static void check_bgp_config(struct decode *d, const struct path *path, const json_t *value,
			     void *at)
{
	static const char *const of_mesh[] = { "nodeToNodeMeshEnabled", "nodeMeshPassword",
					       "nodeMeshMaxRestartTime" };
	const struct path metadata = { .up = path, .key = "metadata" };
	const struct path name = { .up = &metadata, .key = "name" };
	const struct path spec = { .up = path, .key = "spec" };
	const struct object *object = at;

	if (!strcmp(object->name, "default"))
		return;
	if (strncmp(object->name, "node.", 5) || !object->name[5])
		complain(d, &name, "\"%.64s\" is neither default nor node.NAME", object->name);
	for (size_t i = 0; i < sizeof(of_mesh) / sizeof(of_mesh[0]); i++) {
		const struct path place = { .up = &spec, .key = of_mesh[i] };

		if (json_object_get(json_object_get(value, "spec"), of_mesh[i]))
			complain(d, &place, "is allowed in the object \"default\" alone");
	}
}

static const struct shape bgp_config_spec_shape = { .fields = bgp_config_spec_fields };
static const struct field bgp_config_fields[] = { FIELD_SAME("spec", &bgp_config_spec_shape),
						  FIELD_END };
static const struct shape bgp_config_shape = { .fields = bgp_config_fields,
					       .check = check_bgp_config };

const struct decoder decoder_bgp_config = { .size = sizeof(struct bgp_config),
					    .shape = &bgp_config_shape };

struct bgp_peer {
	struct object base;
	const struct selector *nodes, *peers, *workloads; /* NULL: not given */
	const char *node;
	const char *address; /* peerIP */
	uint32_t as_number, local_as;
	int next_hop, source, reverse;
	bool keep_next_hop;
	unsigned int hops;
	union mg_addr gateway;
};

/* An address, with a port behind it or not: "10.0.0.1", "10.0.0.1:179", "[fd00::1]:179". */
static READER(read_peer_address)
{
	const char *text = json_string_value(value), *end, *port;
	char host[ADDR_TEXT_MAX] = "";
	union mg_addr addr;
	size_t size;

	if (!text) {
		complain_type(d, path, value, "a string");
		return;
	}
	end = *text == '[' ? strchr(text, ']') : strchr(text, '.') ? strchr(text, ':') : NULL;
	size = end ? (size_t)(end - text) : strlen(text);
	port = end ? end + (*end == ']') : "";
	if (size < sizeof(host))
		memcpy(host, text, size);
	if ((*text == '[' && !end) || addr_parse(host + (*host == '['), &addr) < 0 ||
	    (*port && (port[0] != ':' || !port[1] || strspn(port + 1, "0123456789") > 5 ||
		       port[1 + strspn(port + 1, "0123456789")] || atoi(port + 1) < 1 ||
		       atoi(port + 1) > 65535)))
		complain(d, path, "\"%.64s\" is not an address, or an address with a port", text);
	else
		read_text(d, path, value, field, at);
}

static const struct enum_text next_hops[] = {
	{ "Auto", 0 }, { "Self", 1 }, { "Keep", 2 }, { NULL, 0 }
};
static const struct enum_text sources[] = { { "UseNodeIP", 0 }, { "None", 1 }, { NULL, 0 } };
static const struct enum_text reverses[] = { { "Auto", 0 }, { "Manual", 1 }, { NULL, 0 } };

static const struct field bgp_peer_spec_fields[] = {
	FIELD("node", struct bgp_peer, node, read_text),
	FIELD("nodeSelector", struct bgp_peer, nodes, read_selector),
	FIELD("peerIP", struct bgp_peer, address, read_peer_address, .json = FIELD_JSON_TEXT),
	FIELD("peerSelector", struct bgp_peer, peers, read_selector),
	FIELD("localWorkloadSelector", struct bgp_peer, workloads, read_selector),
	FIELD("asNumber", struct bgp_peer, as_number, read_as_number),
	FIELD("localASNumber", struct bgp_peer, local_as, read_as_number),
	FIELD("keepOriginalNextHop", struct bgp_peer, keep_next_hop, read_bool),
	FIELD("nextHopMode", struct bgp_peer, next_hop, read_enum, .enums = next_hops),
	FIELD("sourceAddress", struct bgp_peer, source, read_enum, .enums = sources),
	FIELD("reversePeering", struct bgp_peer, reverse, read_enum, .enums = reverses),
	FIELD("ttlSecurity", struct bgp_peer, hops, read_int, .max = 255),
	FIELD("numAllowedLocalASNumbers", struct bgp_peer, hops, read_int, .max = INT32_MAX),
	FIELD("reachableBy", struct bgp_peer, gateway, read_addr),
	FIELD_KNOWN("password"),
	FIELD_KNOWN("maxRestartTime"),
	FIELD_KNOWN("keepaliveTime"),
	FIELD_KNOWN("filters"),
	FIELD_END
};

static bool given(const json_t *spec, const char *name)
{
	const char *text = json_string_value(json_object_get(spec, name));

	return text && *text;
}

static void exclude(struct decode *d, const struct path *path, const json_t *spec,
		    const char *const names[2])
{
	if (given(spec, names[0]) && given(spec, names[1]))
		complain(d, path, "has both %s and %s", names[0], names[1]);
}

static void check_bgp_peer(struct decode *d, const struct path *path, const json_t *value, void *at)
{
	static const char *const either[][2] = { { "node", "nodeSelector" },
						 { "peerIP", "peerSelector" },
						 { "peerIP", "localWorkloadSelector" },
						 { "peerSelector", "localWorkloadSelector" } };
	const struct bgp_peer *peer = at;

	for (size_t i = 0; i < sizeof(either) / sizeof(either[0]); i++)
		exclude(d, path, value, either[i]);
	if (given(value, "peerSelector") && peer->as_number)
		complain(d, path, "asNumber is not allowed with peerSelector");
	if (given(value, "localWorkloadSelector") && !peer->as_number)
		complain(d, path, "localWorkloadSelector needs asNumber");
}

static const struct shape bgp_peer_spec_shape = { .fields = bgp_peer_spec_fields,
						  .check = check_bgp_peer };
static const struct field bgp_peer_fields[] = { FIELD_SAME("spec", &bgp_peer_spec_shape),
						FIELD_END };
static const struct shape bgp_peer_shape = { .fields = bgp_peer_fields };

const struct decoder decoder_bgp_peer = { .size = sizeof(struct bgp_peer),
					  .shape = &bgp_peer_shape };
