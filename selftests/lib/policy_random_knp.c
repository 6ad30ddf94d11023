/* SPDX-License-Identifier: Apache-2.0 */
/* Random specs of Kubernetes' NetworkPolicy. */
#include <stdlib.h>

#include "base/inet.h"
#include "selftests/lib/policy_random.h"

#define chance pw_chance
#define pick pw_pick

static json_t *knp_block(struct policy_world *world)
{
	int family = chance(world, 70) ? 4 : 6;
	json_t *cidr = pw_random_block(world, family), *except = json_array();
	struct mg_prefix block, inner;

	if (prefix_parse(json_string_value(cidr), false, &block))
		abort();
	for (unsigned int i = 0; i < 3; i++) {
		json_t *one = pw_random_block(world, family);
		union mg_addr addr;

		if (prefix_parse(json_string_value(one), false, &inner))
			abort();
		addr = inner.addr;
		if (inner.len > block.len && prefix_contains(&block, &addr) && chance(world, 60))
			json_array_append(except, one);
		json_decref(one);
	}
	return json_pack("{s:{s:o,s:o}}", "ipBlock", "cidr", cidr, "except", except);
}

static json_t *knp_peer(struct policy_world *world)
{
	json_t *peer;

	if (chance(world, 40))
		return knp_block(world);
	peer = json_object();
	if (chance(world, 75))
		json_object_set_new(peer, "podSelector", pw_label_selector(world));
	if (!json_object_size(peer) || chance(world, 50))
		json_object_set_new(peer, "namespaceSelector", pw_label_selector(world));
	return peer;
}

static json_t *knp_port(struct policy_world *world)
{
	static const char *const names[] = { "TCP", "UDP", "SCTP" };
	static const int numbers[] = { 1, 53, 80, 255, 256, 8080, 65535 };
	json_t *port = json_pack("{s:s}", "protocol", pick(world, names));
	int first = pick(world, numbers);

	switch (pw_random(world, 3)) {
	case 0:
		break;
	case 1:
		json_object_set_new(port, "port", pw_text(pick(world, pw_port_names)));
		break;
	case 2:
		json_object_set_new(port, "port", json_integer(first));
		if (chance(world, 40))
			json_object_set_new(
				port, "endPort",
				json_integer(first +
					     (int)pw_random(world, 65536 - (uint32_t)first)));
		break;
	}
	return port;
}

static json_t *knp_rules(struct policy_world *world, const char *peers)
{
	json_t *rules = json_array();

	for (unsigned int n = pw_random(world, 4); n; n--) {
		json_t *from = json_array(), *ports = json_array();

		for (unsigned int k = chance(world, 20) ? 0 : 1 + pw_random(world, 3); k; k--)
			json_array_append_new(from, knp_peer(world));
		for (unsigned int k = chance(world, 40) ? 0 : 1 + pw_random(world, 3); k; k--)
			json_array_append_new(ports, knp_port(world));
		json_array_append_new(rules, json_pack("{s:o,s:o}", peers, from, "ports", ports));
	}
	return rules;
}

json_t *pw_knp_spec(struct policy_world *world)
{
	return json_pack("{s:o,s:o,s:o,s:o}", "podSelector", pw_label_selector(world),
			 "policyTypes", pw_random_types(world), "ingress", knp_rules(world, "from"),
			 "egress", knp_rules(world, "to"));
}
