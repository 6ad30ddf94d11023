/* SPDX-License-Identifier: Apache-2.0 */
/* Random specs of Calico's NetworkPolicy and GlobalNetworkPolicy. */
#include <string.h>

#include "base/arena.h"
#include "selftests/lib/policy_random.h"

#define chance pw_chance
#define pick pw_pick

static json_t *namespace_selector(struct policy_world *world)
{
	_cleanup_free_ char *by_name = NULL;

	switch (pw_random(world, 6)) {
	case 0:
		return pw_text("global()");
	case 1:
		return pw_text("all()");
	case 2:
		by_name = xasprintf("projectcalico.org/name == '%s'", pick(world, pw_ns_names));
		return pw_text(by_name);
	}
	return pw_random_selector(world);
}

struct shape_of_rule {
	int family; /* of nets; 0: not yet chosen */
	bool ports; /* the protocol has ports */
	bool names; /* no protocol: names alone */
	bool egress;
	bool global; /* the policy is in no namespace */
};

static json_t *random_nets(struct policy_world *world, struct shape_of_rule *rule, bool negated)
{
	json_t *nets = json_array();

	if (!rule->family)
		rule->family = chance(world, 70) ? 4 : 6;
	for (unsigned int n = 1 + pw_random(world, 2); n; n--) {
		json_t *one = pw_random_block(world, rule->family);
		bool all = !strcmp(json_string_value(one), "0.0.0.0/0") ||
			   !strcmp(json_string_value(one), "::/0");
		bool twice = json_array_size(nets) && json_equal(json_array_get(nets, 0), one);

		if (!(negated && all) && !twice)
			json_array_append(nets, one);
		json_decref(one);
	}
	return nets;
}

static json_t *random_ports(struct policy_world *world, const struct shape_of_rule *rule, bool dst)
{
	static const char *const ranges[] = { "1:52", "53", "80:81", "250:300", "8080:65535" };
	static const char *const source[] = { "1:20000", "20000:40000", "30000:65535" };
	json_t *ports = json_array();

	for (unsigned int n = 1 + pw_random(world, 2); n; n--) {
		if (rule->names || chance(world, 30))
			json_array_append_new(ports, pw_text(pick(world, pw_port_names)));
		else if (dst)
			json_array_append_new(ports, pw_text(pick(world, ranges)));
		else
			json_array_append_new(ports, pw_text(pick(world, source)));
	}
	return ports;
}

static json_t *random_accounts(struct policy_world *world)
{
	json_t *accounts = json_object();

	if (chance(world, 60))
		json_object_set_new(accounts, "names",
				    json_pack("[s]", pick(world, pw_account_names)));
	if (chance(world, 50))
		json_object_set_new(accounts, "selector", pw_random_selector(world));
	return accounts;
}

static json_t *random_service(struct policy_world *world, const struct shape_of_rule *rule)
{
	json_t *service = json_pack("{s:s}", "name", pick(world, pw_services));

	if (rule->global || chance(world, 50))
		json_object_set_new(service, "namespace", pw_text(pick(world, pw_ns_names)));
	return service;
}

json_t *pw_random_domains(struct policy_world *world)
{
	static const char *const patterns[] = { "example.com",
						"*.example.com",
						"*.Example.ORG.",
						"a.*.example.com",
						"*.*.com",
						"api.*",
						"*",
						"cdn.net",
						"*.b.*" };
	json_t *domains = json_array();

	for (unsigned int n = 1 + pw_random(world, 2); n; n--)
		json_array_append_new(domains, pw_text(pick(world, patterns)));
	return domains;
}

static json_t *random_entity(struct policy_world *world, struct shape_of_rule *rule, bool dst)
{
	bool far = dst == rule->egress;
	json_t *entity = json_object();
	bool service = far && chance(world, 12);
	unsigned int often = far ? 35 : 8;

	if (service)
		json_object_set_new(entity, "services", random_service(world, rule));
	if (!service && chance(world, often))
		json_object_set_new(entity, "selector", pw_random_selector(world));
	if (!service && chance(world, often / 3))
		json_object_set_new(entity, "notSelector", pw_random_selector(world));
	if (!service && chance(world, often / 2))
		json_object_set_new(entity, "namespaceSelector", namespace_selector(world));
	if (!service && chance(world, often / 4))
		json_object_set_new(entity, "serviceAccounts", random_accounts(world));
	if (!service && chance(world, often * 2 / 3))
		json_object_set_new(entity, "nets", random_nets(world, rule, false));
	if (!service && chance(world, often / 2))
		json_object_set_new(entity, "notNets", random_nets(world, rule, true));
	if (service && rule->egress)
		return entity;
	if ((rule->ports || rule->names) && chance(world, dst ? 60 : 8))
		json_object_set_new(entity, "ports", random_ports(world, rule, dst));
	if ((rule->ports || rule->names) && chance(world, dst ? 15 : 4))
		json_object_set_new(entity, "notPorts", random_ports(world, rule, dst));
	return entity;
}

static json_t *random_icmp(struct policy_world *world)
{
	json_t *icmp = json_pack("{s:i}", "type", (int)pw_random(world, 3) * 8);

	if (chance(world, 30))
		json_object_set_new(icmp, "code", json_integer(pw_random(world, 2)));
	return icmp;
}

static void set_protocol(struct policy_world *world, json_t *out, struct shape_of_rule *rule)
{
	static const char *const ported[] = { "TCP", "TCP", "UDP", "SCTP" };
	static const char *const not_these[] = { "TCP", "UDP", "SCTP", "UDPLite" };

	if (chance(world, 45)) {
		json_object_set_new(out, "protocol", pw_text(pick(world, ported)));
		rule->ports = true;
	} else if (chance(world, 15)) {
		json_object_set_new(out, "protocol",
				    pw_text(chance(world, 70) ? "ICMP" : "ICMPv6"));
		if (chance(world, 60))
			json_object_set_new(out, "icmp", random_icmp(world));
	} else if (chance(world, 10)) {
		json_object_set_new(out, "protocol", json_integer(47));
	} else {
		rule->names = chance(world, 20);
	}
	if (chance(world, 10))
		json_object_set_new(out, "notProtocol", pw_text(pick(world, not_these)));
	if (chance(world, 10))
		json_object_set_new(out, "notICMP", random_icmp(world));
}

/* ipVersion must agree with what else says a family. */
static void set_version(struct policy_world *world, json_t *out, const struct shape_of_rule *rule)
{
	const char *protocol = json_string_value(json_object_get(out, "protocol"));
	int version = rule->family;

	if (!chance(world, 15))
		return;
	if (protocol && !strncmp(protocol, "ICMP", 4))
		version = protocol[4] ? 6 : 4;
	if (rule->family && version != rule->family)
		return;
	json_object_set_new(out, "ipVersion",
			    json_integer(version	     ? version
					 : chance(world, 70) ? 4
							     : 6));
}

static json_t *random_rule(struct policy_world *world, struct shape_of_rule rule)
{
	static const char *const actions[] = { "Allow", "Allow", "Allow", "Allow", "Deny",
					       "Deny",	"Pass",	 "Pass",  "Log" };
	json_t *out = json_pack("{s:s}", "action", pick(world, actions));

	set_protocol(world, out, &rule);
	json_object_set_new(out, "source", random_entity(world, &rule, false));
	json_object_set_new(out, "destination", random_entity(world, &rule, true));
	if (rule.egress && chance(world, 15) &&
	    !strcmp(json_string_value(json_object_get(out, "action")), "Allow"))
		json_object_set_new(json_object_get(out, "destination"), "domains",
				    pw_random_domains(world));
	set_version(world, out, &rule);
	return out;
}

static json_t *random_rules(struct policy_world *world, bool egress, bool global)
{
	const struct shape_of_rule rule = { .egress = egress, .global = global };
	json_t *rules = json_array();

	for (unsigned int n = pw_random(world, 4); n; n--)
		json_array_append_new(rules, random_rule(world, rule));
	return rules;
}

static const char *random_tier(struct policy_world *world)
{
	static const char *const built_in[] = { "default", "default", "kube-admin",
						"kube-baseline" };

	return chance(world, 50) ? pick(world, pw_tier_names) : pick(world, built_in);
}

/* Of host endpoints: forward, untracked, preDNAT. */
static void set_stage(struct policy_world *world, json_t *spec)
{
	static const char *const stages[] = { NULL, "doNotTrack", "preDNAT" };
	const char *stage = pick(world, stages);

	json_object_set_new(spec, "applyOnForward", json_true());
	if (!stage)
		return;
	json_object_set_new(spec, stage, json_true());
	if (strcmp(stage, "preDNAT"))
		return;
	json_object_set_new(spec, "types", json_pack("[s]", "Ingress"));
	json_object_del(spec, "egress");
}

json_t *pw_calico_spec(struct policy_world *world, bool global)
{
	json_t *spec = json_pack("{s:s,s:o,s:o}", "tier", random_tier(world), "ingress",
				 random_rules(world, false, global), "egress",
				 random_rules(world, true, global));

	if (chance(world, 70))
		json_object_set_new(spec, "order", json_integer(pw_random(world, 3) * 500));
	if (chance(world, 60))
		json_object_set_new(spec, "selector", pw_random_selector(world));
	if (chance(world, 60))
		json_object_set_new(spec, "types", pw_random_types(world));
	if (chance(world, 15))
		json_object_set_new(spec, "serviceAccountSelector", pw_random_selector(world));
	if (global && chance(world, 30))
		json_object_set_new(spec, "namespaceSelector", pw_random_selector(world));
	if (global && chance(world, 40))
		set_stage(world, spec);
	return spec;
}
