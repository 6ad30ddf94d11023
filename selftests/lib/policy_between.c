/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Half of a change: the peer's address has what is true of it now, the rules and their near end
 * are as before. Only two addresses matter to one packet, so a network set becomes one of them.
 */
#include "model/tier.h"
#include "selftests/lib/policy_world.h"

#include "base/inet.h"

struct between {
	struct oracle_pod pod[2];
	struct mg_prefix net[2];
	struct oracle_set set[2 * PW_SETS];
	struct network_set object[2 * PW_SETS];
	struct oracle_world world;
};

static void add_pod(struct between *between, const struct oracle_world *from,
		    const union mg_addr *addr)
{
	const struct oracle_pod *owner = oracle_owner(from, addr);

	if (owner)
		between->pod[between->world.pod_count++] = *owner;
}

static bool has(const struct network_set *set, const union mg_addr *addr)
{
	for (size_t i = 0; i < set->net_count; i++)
		if (oracle_in_net(&set->nets[i], addr))
			return true;
	return false;
}

static void add_sets(struct between *between, const struct oracle_world *from,
		     const union mg_addr *addr, bool far)
{
	struct mg_prefix *net = &between->net[far];

	*net = (struct mg_prefix){ .len = MG_ADDR_BITS, .addr = *addr };
	for (size_t i = 0; i < from->set_count; i++) {
		size_t n = between->world.set_count;

		bool inside = has(from->sets[i].object, addr);

		/* the near end is asked for nets alone */
		if (!inside && (!far || !from->sets[i].object->domain_count))
			continue;
		between->object[n] = *from->sets[i].object;
		between->object[n].nets = net;
		between->object[n].net_count = inside;
		if (!far)
			between->object[n].domain_count = 0;
		between->set[n] =
			(struct oracle_set){ &between->object[n], from->sets[i].ns_labels };
		between->world.set_count++;
	}
}

bool pw_between(const struct policy_world *before, const struct pw_view *view,
		const struct pw_case *c)
{
	bool in = c->direction == POLICY_IN;
	const union mg_addr *near = in ? &c->packet.dst : &c->packet.src;
	const union mg_addr *far = in ? &c->packet.src : &c->packet.dst;
	struct between between = {};
	struct pw_view old;

	pw_view(before, &old);
	between.world = old.oracle;
	between.world.pods = between.pod;
	between.world.sets = between.set;
	between.world.pod_count = between.world.set_count = 0;
	between.world.slices = view->oracle.slices;
	between.world.slice_count = view->oracle.slice_count;
	between.world.names = view->oracle.names;
	between.world.name_count = view->oracle.name_count;
	add_pod(&between, &old.oracle, near);
	add_pod(&between, &view->oracle, far);
	add_sets(&between, &old.oracle, near, false);
	add_sets(&between, &view->oracle, far, true);
	return oracle_allows(&between.world, &between.pod[0], c->direction, &c->packet);
}
