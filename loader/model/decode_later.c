/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kinds that have no effect yet: known by name, stored, and checked where a mistake would
 * surprise later (selectors, nets, enums). Their structs are private until something reads them.
 */
#include <string.h>

#include "abi/addr.h"
#include "model/decode_kinds.h"
#include "model/names.h"
#include "model/selector.h"

static const struct field no_fields[] = { FIELD_END };
static const struct shape generic_shape = { .fields = no_fields, .open = true };

const struct decoder decoder_generic = { .size = sizeof(struct object), .shape = &generic_shape };

/* --- HostEndpoint ---------------------------------------------------------------------------- */

struct host_endpoint {
	struct object base;
	const char *node;
	const char *interface;
	size_t ip_count;
	union mg_addr *ips;
};

static bool is_hep_interface(const char *text)
{
	return !strcmp(text, "*") || name_is_interface(text);
}

static const struct field hep_ip_field = { .read = read_addr };
static const struct field hep_spec_fields[] = {
	FIELD("node", struct host_endpoint, node, read_text,
	      .flags = FIELD_REQUIRED | FIELD_NOT_EMPTY),
	FIELD("interfaceName", struct host_endpoint, interface, read_text,
	      .is_valid = is_hep_interface, .what = "an interface name or *"),
	FIELD_LIST("expectedIPs", struct host_endpoint, ip_count, ips, &hep_ip_field),
	FIELD_KNOWN("profiles"),
	FIELD_KNOWN("ports"),
	FIELD_END
};

static void check_hep(struct decode *d, const struct path *path, const json_t *value, void *at)
{
	const struct host_endpoint *hep = at;

	(void)value;
	if ((!hep->interface || !*hep->interface) && !hep->ip_count)
		complain(d, path, "needs interfaceName or expectedIPs");
}

static const struct shape hep_spec_shape = { .fields = hep_spec_fields, .check = check_hep };
static const struct field hep_fields[] = {
	FIELD_SAME("spec", &hep_spec_shape, .flags = FIELD_REQUIRED), FIELD_END
};
static const struct shape hep_shape = { .fields = hep_fields };

const struct decoder decoder_host_endpoint = { .size = sizeof(struct host_endpoint),
					       .shape = &hep_shape };

/* --- BGP ------------------------------------------------------------------------------------ */

struct bgp {
	struct object base;
	const struct selector *selector;
	bool mesh;
	uint16_t port;
};

static const struct field bgp_config_spec_fields[] = {
	FIELD("nodeToNodeMeshEnabled", struct bgp, mesh, read_bool),
	FIELD("listenPort", struct bgp, port, read_int, .min = 1, .max = 65535), FIELD_END
};
static const struct shape bgp_config_spec_shape = { .fields = bgp_config_spec_fields,
						    .open = true };
static const struct field bgp_config_fields[] = { FIELD_SAME("spec", &bgp_config_spec_shape),
						  FIELD_END };
static const struct shape bgp_config_shape = { .fields = bgp_config_fields };

const struct decoder decoder_bgp_config = { .size = sizeof(struct bgp),
					    .shape = &bgp_config_shape };

static const struct field bgp_peer_spec_fields[] = {
	FIELD("nodeSelector", struct bgp, selector, read_selector),
	FIELD("peerSelector", struct bgp, selector, read_selector),
	FIELD("localWorkloadSelector", struct bgp, selector, read_selector), FIELD_END
};
static const struct shape bgp_peer_spec_shape = { .fields = bgp_peer_spec_fields, .open = true };
static const struct field bgp_peer_fields[] = { FIELD_SAME("spec", &bgp_peer_spec_shape),
						FIELD_END };
static const struct shape bgp_peer_shape = { .fields = bgp_peer_fields };

const struct decoder decoder_bgp_peer = { .size = sizeof(struct bgp), .shape = &bgp_peer_shape };
