/* SPDX-License-Identifier: Apache-2.0 */
/* Random specs of Kubernetes' cluster-wide policies, in both versions of the API. */
#include <string.h>

#include "selftests/lib/policy_random.h"

#define chance pw_chance
#define pick pw_pick

static json_t *random_pods(struct policy_world *world)
{
	json_t *pods;

	if (chance(world, 50))
		return json_pack("{s:o}", "namespaces", pw_label_selector(world));
	pods = json_pack("{s:o}", "podSelector", pw_label_selector(world));
	if (chance(world, 70))
		json_object_set_new(pods, "namespaceSelector", pw_label_selector(world));
	return json_pack("{s:o}", "pods", pods);
}

static json_t *random_domains(struct policy_world *world)
{
	static const char *const patterns[] = { "example.com", "*.example.com", "*.cdn.net.",
						"*.b.example.com" };

	return json_pack("{s:[s]}", "domainNames", pick(world, patterns));
}

static json_t *random_peers(struct policy_world *world, bool egress, bool domains)
{
	json_t *peers = json_array();

	for (unsigned int n = 1 + pw_random(world, 2); n; n--) {
		if (domains && chance(world, 25))
			json_array_append_new(peers, random_domains(world));
		else if (egress && chance(world, 35))
			json_array_append_new(
				peers,
				json_pack("{s:[o]}", "networks",
					  pw_random_block(world, chance(world, 70) ? 4 : 6)));
		else
			json_array_append_new(peers, random_pods(world));
	}
	return peers;
}

/* v1alpha2: {tcp: {destinationPort: ...}}, {destinationNamedPort: ...}. */
static json_t *random_protocol(struct policy_world *world)
{
	static const char *const names[] = { "tcp", "udp", "sctp" };
	static const int numbers[] = { 1, 53, 80, 8080 };
	int start = pick(world, numbers);

	switch (pw_random(world, 3)) {
	case 0:
		return json_pack("{s:s}", "destinationNamedPort", pick(world, pw_port_names));
	case 1:
		return json_pack("{s:{s:{s:i}}}", pick(world, names), "destinationPort", "number",
				 start);
	}
	return json_pack("{s:{s:{s:{s:i,s:i}}}}", pick(world, names), "destinationPort", "range",
			 "start", start, "end", start + 1 + (int)pw_random(world, 400));
}

/* v1alpha1: {portNumber: ...}, {portRange: ...}, {namedPort: ...}. */
static json_t *random_port(struct policy_world *world)
{
	static const char *const names[] = { "TCP", "UDP", "SCTP" };
	static const int numbers[] = { 1, 53, 80, 8080 };
	int start = pick(world, numbers);

	switch (pw_random(world, 3)) {
	case 0:
		return json_pack("{s:s}", "namedPort", pick(world, pw_port_names));
	case 1:
		return json_pack("{s:{s:s,s:i}}", "portNumber", "protocol", pick(world, names),
				 "port", start);
	}
	return json_pack("{s:{s:s,s:i,s:i}}", "portRange", "protocol", pick(world, names), "start",
			 start, "end", start + 1 + (int)pw_random(world, 400));
}

static json_t *random_rules(struct policy_world *world, bool egress, bool old)
{
	static const char *const actions[] = { "Accept", "Deny", "Pass" };
	static const char *const old_actions[] = { "Allow", "Deny", "Pass" };
	json_t *rules = json_array();

	for (unsigned int n = pw_random(world, 3); n; n--) {
		const char *action = old ? pick(world, old_actions) : pick(world, actions);
		bool domains = egress && !strcmp(action, "Accept");
		json_t *rule = json_pack("{s:s,s:o}", "action", action, egress ? "to" : "from",
					 random_peers(world, egress, domains));
		json_t *ports = json_array();

		for (unsigned int k = pw_random(world, 3); k; k--)
			json_array_append_new(ports,
					      old ? random_port(world) : random_protocol(world));
		if (json_array_size(ports))
			json_object_set(rule, old ? "ports" : "protocols", ports);
		json_decref(ports);
		json_array_append_new(rules, rule);
	}
	return rules;
}

json_t *pw_cnp_spec(struct policy_world *world, bool old)
{
	json_t *spec =
		json_pack("{s:i,s:o,s:o,s:o}", "priority", (int)pw_random(world, 3), "subject",
			  random_pods(world), "ingress", random_rules(world, false, old), "egress",
			  random_rules(world, true, old));

	if (!old)
		json_object_set_new(spec, "tier",
				    pw_text(chance(world, 50) ? "Admin" : "Baseline"));
	return spec;
}
