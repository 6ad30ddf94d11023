/* SPDX-License-Identifier: Apache-2.0 */
/* Node, in Kubernetes' form (v1) and in Calico's (projectcalico.org/v3). */
#include "model/node.h"

#include <string.h>

#include "base/arena.h"
#include "base/inet.h"
#include "model/decode_kinds.h"

#define NODE_ADDRS_MAX 64

static void add_addr(struct decode *d, struct node *node, const union mg_addr *addr)
{
	if (!node->addrs)
		node->addrs = arena_array(d->arena, NODE_ADDRS_MAX, sizeof(*node->addrs));
	for (size_t i = 0; i < node->addr_count; i++)
		if (!addr_cmp(&node->addrs[i], addr))
			return;
	if (node->addr_count < NODE_ADDRS_MAX)
		node->addrs[node->addr_count++] = *addr;
}

static void take_internal_addr(struct node *node, const union mg_addr *addr)
{
	struct mg_prefix *own = addr_is4(addr) ? &node->v4 : &node->v6;

	if (!own->len)
		*own = (struct mg_prefix){ .len = MG_ADDR_BITS, .addr = *addr };
}

/* [{type: InternalIP, address: 10.0.0.1}, ...]. Names are left out, and so is the length
 * behind an address of Calico's form: it says nothing about the subnet. */
static READER(read_addresses)
{
	const json_t *item;
	size_t index;

	(void)path;
	(void)field;
	json_array_foreach(value, index, item) {
		const char *type = json_string_value(json_object_get(item, "type"));
		const char *text = json_string_value(json_object_get(item, "address"));
		struct mg_prefix prefix;
		union mg_addr addr;

		if (!text || prefix_parse(text, true, &prefix))
			continue;
		addr = prefix.addr;
		add_addr(d, at, &addr);
		if (type && (!strcmp(type, "InternalIP") || !strcmp(type, "CalicoNodeIP")))
			take_internal_addr(at, &addr);
	}
}

static const struct field cidr_field = { .read = read_prefix, .flags = FIELD_DROP };

static READER(read_single_cidr)
{
	struct node *node = at;
	struct mg_prefix *cidr;

	if (node->cidr_count || !json_string_length(value))
		return;
	cidr = arena_alloc(d->arena, sizeof(*cidr));
	(void)field;
	if (read_field(d, path, value, &cidr_field, cidr)) {
		node->pod_cidrs = cidr;
		node->cidr_count = 1;
	}
}

/* A number, or text: "64512" or "1.10". */
READER(read_as_number)
{
	const char *text = json_string_value(value);
	unsigned long long number = 0, high = 0;
	char rest;

	(void)field;
	if (!text) {
		if (int_in_range(d, path, value, 1, UINT32_MAX))
			store_uint(at, sizeof(uint32_t),
				   (unsigned long long)json_integer_value(value));
		return;
	}
	if (sscanf(text, "%5llu.%5llu%c", &high, &number, &rest) == 2 && high <= 65535 &&
	    number <= 65535)
		number |= high << 16;
	else if (sscanf(text, "%10llu%c", &number, &rest) != 1 || number > UINT32_MAX)
		number = 0;
	if (number)
		store_uint(at, sizeof(uint32_t), number);
	else
		complain(d, path, "\"%.64s\" is not an AS number", text);
}

/* --- annotations of Kubernetes' form --------------------------------------------------------- */

#define OWN_PREFIX(annotation, member)                                                             \
	FIELD("projectcalico.org/" annotation, struct node, member, read_prefix,                   \
	      .flags = FIELD_DROP | FIELD_HOST_OK | FIELD_KEEP_HOST)
#define OWN_ADDR(annotation, member)                                                               \
	FIELD("projectcalico.org/" annotation, struct node, member, read_addr, .flags = FIELD_DROP)

static const struct field annotation_fields[] = {
	OWN_PREFIX("IPv4Address", v4),
	OWN_PREFIX("IPv6Address", v6),
	OWN_ADDR("IPv4IPIPTunnelAddr", ipip4),
	OWN_ADDR("IPv6IPIPTunnelAddr", ipip6),
	OWN_ADDR("IPv4VXLANTunnelAddr", vxlan4),
	OWN_ADDR("IPv6VXLANTunnelAddr", vxlan6),
	FIELD("projectcalico.org/VXLANTunnelMACAddr", struct node, vxlan_mac4, read_mac,
	      .flags = FIELD_DROP),
	FIELD("projectcalico.org/VXLANTunnelMACAddrV6", struct node, vxlan_mac6, read_mac,
	      .flags = FIELD_DROP),
	FIELD("projectcalico.org/ASNumber", struct node, as_number, read_as_number,
	      .flags = FIELD_DROP),
	FIELD("projectcalico.org/RouteReflectorClusterID", struct node, route_reflector_id,
	      read_text, .flags = FIELD_DROP),
	FIELD_END
};
static const struct shape annotation_shape = { .fields = annotation_fields, .open = true };

/* The node's own addresses are among those it lists. */
static void add_own_addrs(struct decode *d, struct node *node)
{
	const struct mg_prefix *own[] = { &node->v4, &node->v6 };

	for (size_t i = 0; i < 2; i++) {
		union mg_addr addr = own[i]->addr;

		if (own[i]->len)
			add_addr(d, node, &addr);
	}
}

static void check_node(struct decode *d, const struct path *path, const json_t *value, void *at)
{
	const json_t *metadata = json_object_get(value, "metadata");
	const json_t *annotations = json_object_get(metadata, "annotations");
	const struct path metadata_path = { .up = path, .key = "metadata" };
	const struct path annotations_path = { .up = &metadata_path, .key = "annotations" };

	if (json_is_object(annotations))
		read_shape(d, &annotations_path, annotations, &annotation_shape, at);
	add_own_addrs(d, at);
}

static const struct field node_spec_fields[] = { FIELD_LIST("podCIDRs", struct node, cidr_count,
							    pod_cidrs, &cidr_field, .max = 64),
						 { .name = "podCIDR", .read = read_single_cidr },
						 FIELD_END };
static const struct shape node_spec_shape = { .fields = node_spec_fields, .open = true };
static const struct field node_status_fields[] = { { .name = "addresses", .read = read_addresses },
						   FIELD_END };
static const struct shape node_status_shape = { .fields = node_status_fields, .open = true };
static const struct field node_fields[] = { FIELD_SAME("spec", &node_spec_shape),
					    FIELD_SAME("status", &node_status_shape), FIELD_END };
static const struct shape node_shape = { .fields = node_fields, .open = true, .check = check_node };

static void node_defaults(struct decode *d, void *object)
{
	(void)d;
	((struct node *)object)->route_reflector_id = "";
}

const struct decoder decoder_node = { .size = sizeof(struct node),
				      .shape = &node_shape,
				      .defaults = node_defaults };

/* --- Calico's form -------------------------------------------------------------------------- */

static const struct field bgp_fields[] = {
	FIELD("asNumber", struct node, as_number, read_as_number, .flags = FIELD_DROP),
	FIELD("ipv4Address", struct node, v4, read_prefix,
	      .flags = FIELD_DROP | FIELD_HOST_OK | FIELD_KEEP_HOST),
	FIELD("ipv6Address", struct node, v6, read_prefix,
	      .flags = FIELD_DROP | FIELD_HOST_OK | FIELD_KEEP_HOST),
	FIELD("ipv4IPIPTunnelAddr", struct node, ipip4, read_addr, .flags = FIELD_DROP),
	FIELD("ipv6IPIPTunnelAddr", struct node, ipip6, read_addr, .flags = FIELD_DROP),
	FIELD("routeReflectorClusterID", struct node, route_reflector_id, read_text,
	      .flags = FIELD_DROP),
	FIELD_END
};
static const struct shape bgp_shape = { .fields = bgp_fields };

/* bgp comes before addresses, which fill what it leaves open. */
static const struct field calico_spec_fields[] = {
	FIELD_SAME("bgp", &bgp_shape),
	{ .name = "addresses", .read = read_addresses },
	FIELD("ipv4VXLANTunnelAddr", struct node, vxlan4, read_addr, .flags = FIELD_DROP),
	FIELD("ipv6VXLANTunnelAddr", struct node, vxlan6, read_addr, .flags = FIELD_DROP),
	FIELD("vxlanTunnelMACAddr", struct node, vxlan_mac4, read_mac, .flags = FIELD_DROP),
	FIELD("vxlanTunnelMACAddrV6", struct node, vxlan_mac6, read_mac, .flags = FIELD_DROP),
	FIELD_KNOWN("orchRefs"),
	FIELD_KNOWN("wireguard"),
	FIELD_END
};
static const struct shape calico_spec_shape = { .fields = calico_spec_fields };
static const struct field calico_status_fields[] = {
	FIELD_LIST("podCIDRs", struct node, cidr_count, pod_cidrs, &cidr_field, .max = 64),
	FIELD_KNOWN("wireguardPublicKey"), FIELD_KNOWN("wireguardPublicKeyV6"), FIELD_END
};
static const struct shape calico_status_shape = { .fields = calico_status_fields };

static void check_calico_node(struct decode *d, const struct path *path, const json_t *value,
			      void *at)
{
	(void)path;
	(void)value;
	add_own_addrs(d, at);
}

static const struct field calico_node_fields[] = { FIELD_SAME("spec", &calico_spec_shape),
						   FIELD_SAME("status", &calico_status_shape),
						   FIELD_END };
static const struct shape calico_node_shape = { .fields = calico_node_fields,
						.check = check_calico_node };

const struct decoder decoder_calico_node = { .size = sizeof(struct node),
					     .shape = &calico_node_shape,
					     .defaults = node_defaults };
