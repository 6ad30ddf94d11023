/* SPDX-License-Identifier: Apache-2.0 */
/*
 * NetworkPolicy (networking.k8s.io/v1), with the checks of the API server
 * (k8s.io/kubernetes/pkg/apis/networking/validation). This is the kind to imitate:
 * docs/adding-a-kind.md walks through it.
 */
#include "model/netpol.h"

#include <netinet/in.h>

#include "base/inet.h"
#include "model/decode_calico.h"
#include "model/decode_kinds.h"
#include "model/names.h"

/* --- ports ---------------------------------------------------------------------------------- */

/* An IntOrString: a number from 1, or the name of a container port. */
static READER(read_port)
{
	const char *name = json_string_value(value);
	struct netpol_port *port = at;

	(void)field;
	if (!name) {
		if (!int_in_range(d, path, value, 1, 65535))
			return;
		port->kind = NETPOL_PORT_NUMBER;
		port->first = (uint16_t)json_integer_value(value);
		return;
	}
	if (!name_is_port(name)) {
		complain(d, path, "\"%.64s\" is not a port name (RFC 6335) or number", name);
		return;
	}
	port->kind = NETPOL_PORT_NAME;
	port->name = arena_strdup(d->arena, name);
}

static void check_port(struct decode *d, const struct path *path, const json_t *value, void *at)
{
	const struct path end = { .up = path, .key = "endPort" };
	struct netpol_port *port = at;

	(void)value;
	if (!port->protocol)
		port->protocol = IPPROTO_TCP;
	if (!port->last)
		port->last = port->first;
	else if (port->kind != NETPOL_PORT_NUMBER)
		complain(d, &end, "needs port to be a number");
	else if (port->last < port->first)
		complain(d, &end, "%u is less than port %u", port->last, port->first);
}

static const struct field port_fields[] = {
	FIELD("protocol", struct netpol_port, protocol, read_enum, .enums = transport_protocols),
	{ .name = "port", .read = read_port },
	FIELD("endPort", struct netpol_port, last, read_int, .min = 1, .max = 65535),
	FIELD_END
};
static const struct shape port_shape = { .fields = port_fields, .check = check_port };
static const struct field port_field = { .read = read_object, .shape = &port_shape };

/* --- peers ---------------------------------------------------------------------------------- */

static const struct field except_field = { .read = read_prefix };

/* An except must lie inside the block and be smaller than it. */
static void check_block(struct decode *d, const struct path *path, const json_t *value, void *at)
{
	const struct path except = { .up = path, .key = "except" };
	const struct netpol_peer *peer = at;
	char text[PREFIX_TEXT_MAX];

	(void)value;
	for (size_t i = 0; i < peer->except_count; i++) {
		const struct path place = { .up = &except, .index = i };

		if (peer->except[i].len <= peer->block.len ||
		    !prefix_overlaps(&peer->except[i], &peer->block))
			complain(d, &place, "is not inside and smaller than cidr %s",
				 prefix_format(&peer->block, text));
	}
}

static const struct field block_fields[] = {
	FIELD("cidr", struct netpol_peer, block, read_prefix, .flags = FIELD_REQUIRED),
	FIELD_LIST("except", struct netpol_peer, except_count, except, &except_field), FIELD_END
};
static const struct shape block_shape = { .fields = block_fields, .check = check_block };

static READER(read_block)
{
	struct netpol_peer *peer = at;

	(void)field;
	peer->is_block = true;
	read_shape(d, path, value, &block_shape, peer);
}

static void check_peer(struct decode *d, const struct path *path, const json_t *value, void *at)
{
	const struct netpol_peer *peer = at;

	(void)value;
	if (peer->is_block && (peer->pods || peer->namespaces))
		complain(d, path, "has both ipBlock and a selector");
	else if (!peer->is_block && !peer->pods && !peer->namespaces)
		complain(d, path, "needs podSelector, namespaceSelector or ipBlock");
}

static const struct field peer_fields[] = {
	FIELD("podSelector", struct netpol_peer, pods, read_label_selector),
	FIELD("namespaceSelector", struct netpol_peer, namespaces, read_label_selector),
	{ .name = "ipBlock", .read = read_block },
	FIELD_END
};
static const struct shape peer_shape = { .fields = peer_fields, .check = check_peer };
static const struct field peer_field = { .read = read_object, .shape = &peer_shape };

/* --- rules and spec ------------------------------------------------------------------------- */

static void check_rule(struct decode *d, const struct path *path, const json_t *value, void *at)
{
	(void)d;
	(void)value;
	((struct netpol_rule *)at)->index = (unsigned int)path->index;
}

#define RULE_FIELDS(peers_name)                                                                    \
	{ FIELD_LIST(peers_name, struct netpol_rule, peer_count, peers, &peer_field),              \
	  FIELD_LIST("ports", struct netpol_rule, port_count, ports, &port_field), FIELD_END }

static const struct field ingress_fields[] = RULE_FIELDS("from");
static const struct field egress_fields[] = RULE_FIELDS("to");
static const struct shape ingress_shape = { .fields = ingress_fields, .check = check_rule };
static const struct shape egress_shape = { .fields = egress_fields, .check = check_rule };

/* A bad rule only ever allowed: without it the policy still isolates. */
static const struct field ingress_field = { .read = read_object,
					    .shape = &ingress_shape,
					    .flags = FIELD_DROP | FIELD_EXACT };
static const struct field egress_field = { .read = read_object,
					   .shape = &egress_shape,
					   .flags = FIELD_DROP | FIELD_EXACT };

static const struct enum_text types[] = { { "Ingress", NETPOL_INGRESS },
					  { "Egress", NETPOL_EGRESS },
					  { NULL, 0 } };

#define SPEC_FIELDS                                                                                \
	FIELD("podSelector", struct network_policy, pods, read_label_selector),                    \
		FIELD("policyTypes", struct network_policy, types, read_flags, .enums = types),    \
		FIELD_LIST("ingress", struct network_policy, ingress.count, ingress.v,             \
			   &ingress_field),                                                        \
		FIELD_LIST("egress", struct network_policy, egress.count, egress.v, &egress_field)

static const struct field spec_fields[] = { SPEC_FIELDS, FIELD_END };
static const struct shape spec_shape = { .fields = spec_fields };

static void check_policy(struct decode *d, const struct path *path, const json_t *value, void *at)
{
	const json_t *spec = json_object_get(value, "spec");
	struct network_policy *policy = at;

	(void)d;
	(void)path;
	if (policy->types)
		return;
	policy->types = NETPOL_INGRESS;
	if (json_array_size(json_object_get(spec, "egress")))
		policy->types |= NETPOL_EGRESS;
}

static void policy_defaults(struct decode *d, void *object)
{
	(void)d;
	((struct network_policy *)object)->pods = selector_all();
}

static const struct field policy_fields[] = { FIELD_SAME("spec", &spec_shape),
					      FIELD_KNOWN("status"), FIELD_END };
static const struct shape policy_shape = { .fields = policy_fields, .check = check_policy };

const struct decoder decoder_network_policy = { .size = sizeof(struct network_policy),
						.shape = &policy_shape,
						.defaults = policy_defaults };

/* --- StagedKubernetesNetworkPolicy ----------------------------------------------------------- */

static void check_staged(struct decode *d, const struct path *path, const json_t *value, void *at)
{
	const struct network_policy *policy = at;

	if (policy->staged == CALICO_DELETE && d->mode == DECODE_STRICT)
		check_staged_delete(d, path, value);
}

static const struct field staged_spec_fields[] = { SPEC_FIELDS,
						   FIELD("stagedAction", struct network_policy,
							 staged, read_enum,
							 .enums = calico_staged_actions),
						   FIELD_END };
static const struct shape staged_spec_shape = { .fields = staged_spec_fields,
						.check = check_staged };
static const struct field staged_fields[] = { FIELD_SAME("spec", &staged_spec_shape), FIELD_END };
static const struct shape staged_shape = { .fields = staged_fields, .check = check_policy };

const struct decoder decoder_staged_kubernetes_policy = { .size = sizeof(struct network_policy),
							  .shape = &staged_shape,
							  .defaults = policy_defaults };
