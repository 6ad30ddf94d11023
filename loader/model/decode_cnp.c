/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ClusterNetworkPolicy, AdminNetworkPolicy, BaselineAdminNetworkPolicy, with the checks of their
 * CRDs. A bad rule in the store fails closed, as the API asks: an accepting one is left out, a
 * deny or pass rule denies everything in its direction.
 */
#include <string.h>

#include "model/decode_cnp.h"
#include "model/decode_kinds.h"
#include "model/names.h"

#define RULES_MAX 25
#define OLD_RULES_MAX 100
#define PEERS_MAX 25
#define OLD_PEERS_MAX 100
#define PORTS_MAX 25
#define OLD_PORTS_MAX 100
#define PRIORITY_MAX 1000

/* The API: where no field that is known is set, fail closed. */
#define UNKNOWN_MEMBER "has no member that is known here"

static const struct enum_text actions[] = { { "Accept", CLUSTER_ACCEPT },
					    { "Deny", CLUSTER_DENY },
					    { "Pass", CLUSTER_PASS },
					    { NULL, 0 } };
static const struct enum_text admin_actions[] = {
	{ "Allow", CLUSTER_ACCEPT }, { "Deny", CLUSTER_DENY }, { "Pass", CLUSTER_PASS }, { NULL, 0 }
};
static const struct enum_text baseline_actions[] = { { "Allow", CLUSTER_ACCEPT },
						     { "Deny", CLUSTER_DENY },
						     { NULL, 0 } };

/* --- subject and peers ---------------------------------------------------------------------- */

static void all_namespaces(void *at)
{
	((struct cluster_pods *)at)->namespaces = selector_all();
}

static const struct field pods_fields[] = { FIELD("namespaceSelector", struct cluster_pods,
						  namespaces, read_label_selector),
					    FIELD("podSelector", struct cluster_pods, pods,
						  read_label_selector, .flags = FIELD_REQUIRED),
					    FIELD_END };
static const struct shape pods_shape = { .fields = pods_fields, .defaults = all_namespaces };

#define PODS_FIELDS(type, member)                                                                  \
	FIELD("namespaces", type, member.namespaces, read_label_selector),                         \
		FIELD("pods", type, member, read_object, .shape = &pods_shape)

static void check_pods(struct decode *d, const struct path *path, const json_t *value,
		       const struct cluster_pods *pods)
{
	if (has_one_member(d, path, value) && !pods->namespaces)
		complain(d, path, UNKNOWN_MEMBER);
}

static void check_subject(struct decode *d, const struct path *path, const json_t *value, void *at)
{
	check_pods(d, path, value, &((struct cluster_policy *)at)->subject);
}

static void check_from(struct decode *d, const struct path *path, const json_t *value, void *at)
{
	check_pods(d, path, value, &((struct cluster_peer *)at)->pods);
}

static const struct field subject_fields[] = { PODS_FIELDS(struct cluster_policy, subject),
					       FIELD_END };
static const struct shape subject_shape = { .fields = subject_fields, .check = check_subject };

static const struct field net_field = { .read = read_prefix };
static const struct field domain_field = { .read = read_text,
					   .size = sizeof(const char *),
					   .flags = FIELD_NOT_EMPTY,
					   .is_valid = name_is_domain_suffix,
					   .what = "a domain name such as *.example.com" };

static READER(read_nodes)
{
	const struct selector *nodes = NULL;

	read_label_selector(d, path, value, field, &nodes);
	((struct cluster_peer *)at)->inert = true;
}

static const struct field from_fields[] = { PODS_FIELDS(struct cluster_peer, pods), FIELD_END };
static const struct field to_fields[] = {
	PODS_FIELDS(struct cluster_peer, pods),
	FIELD_LIST("networks", struct cluster_peer, net_count, nets, &net_field, .max = PEERS_MAX),
	{ .name = "nodes", .read = read_nodes },
	FIELD_LIST("domainNames", struct cluster_peer, domain_count, domains, &domain_field,
		   .max = PEERS_MAX),
	FIELD_END
};

static void check_to(struct decode *d, const struct path *path, const json_t *value, void *at)
{
	const struct path networks = { .up = path, .key = "networks" };
	const struct path domains = { .up = path, .key = "domainNames" };
	const struct cluster_peer *peer = at;

	if (!has_one_member(d, path, value))
		return;
	if (json_is_array(json_object_get(value, "networks")) && !peer->net_count)
		complain(d, &networks, "is empty");
	else if (json_is_array(json_object_get(value, "domainNames")) && !peer->domain_count)
		complain(d, &domains, "is empty");
	else if (!peer->pods.namespaces && !peer->net_count && !peer->domain_count && !peer->inert)
		complain(d, path, UNKNOWN_MEMBER);
}

static const struct shape from_shape = { .fields = from_fields, .check = check_from };
static const struct shape to_shape = { .fields = to_fields, .check = check_to };
static const struct field from_field = { .read = read_object, .shape = &from_shape };
static const struct field to_field = { .read = read_object, .shape = &to_shape };

/* --- rules ---------------------------------------------------------------------------------- */

/* A part that matches nothing is harmless where the rule allows; else the rule is bad. */
static void check_inert(struct decode *d, const struct path *path, const struct cluster_rule *rule)
{
	const struct path to = { .up = path, .key = "to" };

	for (size_t i = 0; i < rule->peer_count; i++) {
		const struct path place = { .up = &to, .index = i };

		if (rule->peers[i].domain_count && rule->action != CLUSTER_ACCEPT)
			complain(d, &place, "only a rule that accepts can have domainNames");
		if (rule->peers[i].domain_count && rule->action == CLUSTER_ACCEPT)
			warn_of(d, &place, "has no effect yet: matches nothing");
		if (!rule->peers[i].inert)
			continue;
		if (rule->action == CLUSTER_ACCEPT)
			warn_of(d, &place, "has no effect yet: matches nothing");
		else
			complain(d, &place, "is not supported yet in a rule that does not accept");
	}
}

static void check_rule(struct decode *d, const struct path *path, const json_t *value, void *at)
{
	const bool egress = json_object_get(value, "to");
	const struct path peers = { .up = path, .key = egress ? "to" : "from" };
	const struct path protocols = { .up = path, .key = "protocols" };
	struct cluster_rule *rule = at;

	rule->index = (unsigned int)path->index;
	if (!rule->peer_count)
		complain(d, &peers, "is empty");
	if (json_is_array(json_object_get(value, "protocols")) && !rule->port_count)
		complain(d, &protocols, "is empty");
	check_inert(d, path, rule);
}

/* One whose action cannot be read may have been a rule that closes. */
static bool salvage_rule(const struct path *path, const json_t *value, void *at)
{
	const char *action = json_string_value(json_object_get(value, "action"));
	struct cluster_rule *rule = at;

	if (action && (!strcmp(action, "Accept") || !strcmp(action, "Allow")))
		return false;
	*rule = (struct cluster_rule){ .action = CLUSTER_DENY, .index = (unsigned int)path->index };
	return true;
}

#define RULE_SHAPE(id, peers_name, element, most_peers, ports_name, port_element, most_ports,      \
		   of_actions)                                                                     \
	static const struct field id##_fields[] = {                                                \
		FIELD("action", struct cluster_rule, action, read_enum, .flags = FIELD_REQUIRED,   \
		      .enums = of_actions),                                                        \
		FIELD("name", struct cluster_rule, name, read_text, .max = 100),                   \
		FIELD_LIST(peers_name, struct cluster_rule, peer_count, peers, &element,           \
			   .flags = FIELD_REQUIRED, .max = most_peers),                            \
		FIELD_LIST(ports_name, struct cluster_rule, port_count, ports, &port_element,      \
			   .max = most_ports),                                                     \
		FIELD_END                                                                          \
	};                                                                                         \
	static const struct shape id##_shape = { .fields = id##_fields,                            \
						 .check = check_rule,                              \
						 .salvage = salvage_rule };                        \
	static const struct field id##_field = { .read = read_object,                              \
						 .shape = &id##_shape,                             \
						 .flags = FIELD_DROP }

RULE_SHAPE(ingress, "from", from_field, PEERS_MAX, "protocols", cluster_protocol_field, PORTS_MAX,
	   actions);
RULE_SHAPE(egress, "to", to_field, PEERS_MAX, "protocols", cluster_protocol_field, PORTS_MAX,
	   actions);
RULE_SHAPE(admin_in, "from", from_field, OLD_PEERS_MAX, "ports", cluster_port_field, OLD_PORTS_MAX,
	   admin_actions);
RULE_SHAPE(admin_out, "to", to_field, OLD_PEERS_MAX, "ports", cluster_port_field, OLD_PORTS_MAX,
	   admin_actions);
RULE_SHAPE(base_in, "from", from_field, OLD_PEERS_MAX, "ports", cluster_port_field, OLD_PORTS_MAX,
	   baseline_actions);
RULE_SHAPE(base_out, "to", to_field, OLD_PEERS_MAX, "ports", cluster_port_field, OLD_PORTS_MAX,
	   baseline_actions);

/* --- the policies ---------------------------------------------------------------------------- */

static const struct enum_text tiers[] = { { "Admin", false }, { "Baseline", true }, { NULL, 0 } };

static void check_baseline(struct decode *d, const struct path *path, const json_t *value, void *at)
{
	const struct path metadata = { .up = path, .key = "metadata" };
	const struct path name = { .up = &metadata, .key = "name" };
	struct cluster_policy *policy = at;

	(void)value;
	policy->baseline = true;
	if (strcmp(policy->base.name, "default"))
		complain(d, &name, "\"%.64s\" is not \"default\", the one object of this kind",
			 policy->base.name);
}

#define SPEC(id, in, out, most_rules, ...)                                                         \
	static const struct field id##_spec_fields[] = {                                           \
		__VA_ARGS__ FIELD_SAME("subject", &subject_shape, .flags = FIELD_REQUIRED),        \
		FIELD_LIST("ingress", struct cluster_policy, ingress.count, ingress.v, &in,        \
			   .max = most_rules),                                                     \
		FIELD_LIST("egress", struct cluster_policy, egress.count, egress.v, &out,          \
			   .max = most_rules),                                                     \
		FIELD_END                                                                          \
	};                                                                                         \
	static const struct shape id##_spec_shape = { .fields = id##_spec_fields };                \
	static const struct field id##_policy_fields[] = { FIELD_SAME("spec", &id##_spec_shape,    \
								      .flags = FIELD_REQUIRED),    \
							   FIELD_KNOWN("status"), FIELD_END }

#define TIER_FIELD                                                                                 \
	FIELD("tier", struct cluster_policy, baseline, read_enum, .flags = FIELD_REQUIRED,         \
	      .enums = tiers),
#define PRIORITY_FIELD                                                                             \
	FIELD("priority", struct cluster_policy, priority, read_int, .flags = FIELD_REQUIRED,      \
	      .max = PRIORITY_MAX),

SPEC(cluster, ingress_field, egress_field, RULES_MAX, TIER_FIELD PRIORITY_FIELD);
SPEC(admin, admin_in_field, admin_out_field, OLD_RULES_MAX, PRIORITY_FIELD);
SPEC(baseline, base_in_field, base_out_field, OLD_RULES_MAX, );

static const struct shape cluster_shape = { .fields = cluster_policy_fields };
static const struct shape admin_shape = { .fields = admin_policy_fields };
static const struct shape baseline_shape = { .fields = baseline_policy_fields,
					     .check = check_baseline };

const struct decoder decoder_cluster_policy = { .size = sizeof(struct cluster_policy),
						.shape = &cluster_shape };
const struct decoder decoder_admin_policy = { .size = sizeof(struct cluster_policy),
					      .shape = &admin_shape };
const struct decoder decoder_baseline_policy = { .size = sizeof(struct cluster_policy),
						 .shape = &baseline_shape };
