/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which reason a denial gets where the owner of a pool's address is not known.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <netinet/in.h>

#include "selftests/lib/scene.h"

static struct wire_spec datagram(int family)
{
	struct wire_spec spec = scene_packet(POD_A, POOL_FAR, family);

	spec.proto = IPPROTO_UDP;
	spec.sport = 40000;
	spec.dport = 53;
	return spec;
}

static void denied(const struct wire_spec *spec, enum mg_reason reason)
{
	scene_expect(&node, MG_HOOK_FROM_POD, SLOT_A, spec, DROPPED, reason);
}

/* Pod A may send to this identity by this class, and to nobody else. */
static void may_send(__u16 identity, const struct mg_class *class)
{
	const struct fixture_entry entry = { identity, fixture_class(&node, class) };

	fixture_assign(&node, SLOT_A, 0, MG_STAGE_WORKLOAD_OUT, fixture_set(&node, &entry, 1));
}

/* An address of a pool whose pod is not known, in a net that a rule names and so of an identity of
 * its own: it is denied as unknown, unless the rule with the net denies it. */
static void test_unknown_in_a_net(void **state)
{
	struct mg_ident named = { .identity = 301,
				  .node = 2,
				  .flags = MG_ADDR_POOL | MG_ADDR_ANY_POOL | MG_ADDR_BLOCK };
	struct mg_class allow = { .verdict = MG_VERDICT_ALLOW }, deny = { 0 };
	struct wire_spec spec;

	(void)state;
	deny.verdict = fixture_verdict(&node, MG_ACTION_DENY, 7, 0);
	for (int family = 4; family <= 6; family += 2) {
		const char *net = family == 4 ? "10.65.0.96/28" : "fd00:65::1:60/124";

		scene_again(&node);
		fixture_net(&node, net, named);
		spec = datagram(family);
		may_send(IDENT_B, &allow);
		denied(&spec, MG_DROP_UNKNOWN_PEER);
		may_send(301, &deny);
		denied(&spec, MG_DROP_POLICY_EGRESS);
		/* a pod is no unknown address, whatever its pool's nets say */
		named.flags |= MG_ADDR_POD;
		fixture_ident(&node, place_text(POOL_FAR, family), named);
		named.flags &= (__u16)~MG_ADDR_POD;
		may_send(IDENT_B, &allow);
		denied(&spec, MG_DROP_POLICY_EGRESS);
		fixture_del(&node, "mg_addrs", &spec.dst);
		named.identity = family == 4 ? MG_IDENT_UNKNOWN4 : MG_IDENT_UNKNOWN6;
		fixture_net(&node, net, named);
		named.identity = 301;
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_unknown_in_a_net) };

	return cmocka_run_group_tests(tests, scene_setup, scene_teardown);
}
