/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Network sets in the engine: however many nets a set has, it is one answer to a selector;
 * changed sets cost rows of what changed, written in an order in which no address is ever anything
 * but what it was or what it will be.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/inet.h"
#include "policy/engine.h"
#include "policy/front.h"
#include "selftests/lib/decode.h"
#include "selftests/lib/policy_kernel.h"

#define NETS 100000

static const struct engine_label partner = { "role", "partner" };

static void set_partner(struct engine *engine, const struct mg_prefix *net, size_t count)
{
	const struct engine_facts facts = { .kind = ENGINE_NETSET, .labels = { &partner, 1 } };

	engine_netset_set(engine, "/partners", &facts, net, count);
}

static size_t settle(struct engine *engine)
{
	const struct plan *plan;
	size_t moves = 0;

	for (int turn = 0; engine_pending(engine); turn++) {
		assert_true(turn < 8);
		assert_int_equal(engine_build(engine, &plan, NULL), 0);
		moves += plan->move_count;
		engine_applied(engine);
		engine_grace_done(engine, engine_applied_build(engine));
	}
	return moves;
}

static void apply_policy(struct engine *engine, const char *source)
{
	_cleanup_free_ char *yaml =
		xasprintf("apiVersion: projectcalico.org/v3\nkind: GlobalNetworkPolicy\n"
			  "metadata: {name: p}\n"
			  "spec: {ingress: [{action: Allow, source: {%s}}]}\n",
			  source);
	_cleanup_object_ struct object *object = decode_yaml(yaml, DECODE_STRICT);

	front_set(engine, object);
}

static struct engine *with_policy(const char *source)
{
	struct engine *engine = engine_new(NULL);
	struct engine_endpoint endpoint = { .facts = { .kind = ENGINE_POD, .namespace = "shop" },
					    .ip4 = addr_from4(htonl(0x0a010001)) };

	apply_policy(engine, source);
	assert_int_equal(engine_endpoint_set(engine, 1, &endpoint), 0);
	return engine;
}

/* Every second /24 from 20.0.0.0 on. */
static struct mg_prefix *many_nets(void)
{
	struct mg_prefix *net = xcalloc(NETS, sizeof(*net));

	for (uint32_t i = 0; i < NETS; i++)
		net[i] = (struct mg_prefix){ .len = MG_V4_PREFIX_BITS + 24,
					     .addr = addr_from4(htonl((20U << 24) + (i << 9))) };
	return net;
}

static void many_nets_are_one_identity(void **state)
{
	struct engine *engine = with_policy("selector: role == 'partner'");
	_cleanup_free_ struct mg_prefix *net = many_nets();
	struct engine_stats before, after;
	uint16_t first, last;

	(void)state;
	settle(engine);
	engine_stats(engine, &before);
	set_partner(engine, net, NETS);
	assert_int_equal(settle(engine), NETS);
	engine_stats(engine, &after);
	assert_int_equal(after.identities, before.identities + 1);
	assert_int_equal(engine_net_identity(engine, &net[0], &first), 0);
	assert_int_equal(engine_net_identity(engine, &net[NETS - 1], &last), 0);
	assert_int_equal(first, last);
	/* One net less is one row. */
	set_partner(engine, net, NETS - 1);
	assert_int_equal(settle(engine), 1);
	engine_netset_del(engine, "/partners");
	assert_int_equal(settle(engine), NETS - 1);
	engine_free(engine);
}

/* What nothing asks for needs no row, until something does. */
static void nobody_asks(void **state)
{
	struct engine *engine = with_policy("selector: role == 'other'");
	struct mg_prefix net = { .len = MG_V4_PREFIX_BITS + 8,
				 .addr = addr_from4(htonl(20U << 24)) };
	uint16_t identity;

	(void)state;
	set_partner(engine, &net, 1);
	assert_int_equal(settle(engine), 0);
	assert_int_equal(engine_net_identity(engine, &net, &identity), -ENOENT);
	assert_int_equal(engine_region_identity(engine, &net), MG_IDENT_WORLD4);
	apply_policy(engine, "selector: role == 'partner'");
	assert_int_equal(settle(engine), 1);
	apply_policy(engine, "selector: role == 'other'");
	assert_int_equal(settle(engine), 1);
	assert_int_equal(engine_net_identity(engine, &net, &identity), -ENOENT);
	engine_free(engine);
}

/* A net inside another of the same set says nothing new. */
static void nested_nets_are_one_row(void **state)
{
	static const char *const texts[] = { "20.0.0.0/8", "20.1.0.0/16", "20.1.2.0/24",
					     "::/0",	   "fd00::/8",	  "0.0.0.0/0" };
	struct engine *engine = with_policy("selector: role == 'partner'");
	struct mg_prefix net[6];

	(void)state;
	for (int i = 0; i < 6; i++)
		assert_int_equal(prefix_parse(texts[i], false, &net[i]), 0);
	set_partner(engine, net, 3);
	assert_int_equal(settle(engine), 1);
	/* Families apart: 0.0.0.0/0 lies in ::/0 only where addresses are stored. */
	set_partner(engine, net, 6);
	assert_int_equal(settle(engine), 3);
	engine_free(engine);
}

/* --- row by row ---------------------------------------------------------------------------- */

static const char *const three_rules =
	"apiVersion: projectcalico.org/v3\nkind: GlobalNetworkPolicy\nmetadata: {name: p}\n"
	"spec: {ingress: [{action: Allow, source: {selector: role == 'partner'}},\n"
	"                 {action: Deny, source: {selector: role == 'other'}},\n"
	"                 {action: Allow}]}\n";

static void tell_set(struct engine *engine, const char *name, const char *role, const char *text)
{
	const struct engine_label label = { "role", role };
	const struct engine_facts facts = { .kind = ENGINE_NETSET, .labels = { &label, 1 } };
	struct mg_prefix net;

	assert_int_equal(prefix_parse(text, false, &net), 0);
	engine_netset_set(engine, name, &facts, &net, 1);
}

static void tell_partner(struct engine *engine, const union mg_addr *addr)
{
	const struct engine_facts facts = { .kind = ENGINE_POD,
					    .namespace = "shop",
					    .labels = { &partner, 1 } };

	engine_addr_set(engine, addr, &facts);
}

static void assert_allowed(const struct policy_kernel *kernel, const union mg_addr *addr)
{
	const struct pk_packet packet = { .peer = *addr, .proto = IPPROTO_UDP, .dport = 53 };

	assert_true(pk_allows(kernel, pk_judge(kernel, 1, MG_STAGE_WORKLOAD_IN, &packet)));
}

/* The address is let in before and after: no row on the way there may say anything else. */
static void settle_watched(struct policy_kernel *kernel, struct engine *engine,
			   const union mg_addr *addr)
{
	const struct plan *plan;

	for (int turn = 0; engine_pending(engine); turn++) {
		assert_true(turn < 8);
		assert_int_equal(engine_build(engine, &plan, NULL), 0);
		for (size_t i = 0; i < plan->row_count[PLAN_FILL]; i++)
			pk_write_row(kernel, engine, &plan->row[PLAN_FILL][i]);
		for (size_t i = 0; i < plan->move_count; i++) {
			pk_move(kernel, &plan->move[i]);
			assert_allowed(kernel, addr);
		}
		pk_phase(kernel, engine, plan, PLAN_PREPARE);
		pk_phase(kernel, engine, plan, PLAN_COMMIT);
		pk_phase(kernel, engine, plan, PLAN_AFTER);
		assert_allowed(kernel, addr);
		engine_applied(engine);
		engine_grace_done(engine, engine_applied_build(engine));
	}
}

/* Other nets of a set, sets inside another that go together, an address that is known from the
 * moment on at which the net around it says something else: never by way of a third. */
static void moves_have_an_order(void **state)
{
	_cleanup_object_ struct object *policy = decode_yaml(three_rules, DECODE_STRICT);
	struct policy_kernel *kernel = pk_new();
	struct engine *engine = with_policy("selector: role == 'none'");
	union mg_addr addr = addr_from4(htonl(0x0a090909));

	(void)state;
	front_set(engine, policy);
	tell_set(engine, "/around", "other", "0.0.0.0/0");
	tell_set(engine, "/inside", "partner", "10.0.0.0/8");
	pk_settle(kernel, engine);
	tell_set(engine, "/inside", "partner", "10.9.9.0/24");
	settle_watched(kernel, engine, &addr);
	tell_set(engine, "/inside", "partner", "10.0.0.0/7");
	settle_watched(kernel, engine, &addr);
	engine_netset_del(engine, "/around");
	engine_netset_del(engine, "/inside");
	settle_watched(kernel, engine, &addr);
	tell_set(engine, "/around", "other", "10.0.0.0/8");
	tell_partner(engine, &addr);
	settle_watched(kernel, engine, &addr);
	engine_netset_del(engine, "/around");
	engine_addr_del(engine, &addr);
	settle_watched(kernel, engine, &addr);
	engine_free(engine);
	pk_free(kernel);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(many_nets_are_one_identity),
		cmocka_unit_test(nobody_asks),
		cmocka_unit_test(nested_nets_are_one_row),
		cmocka_unit_test(moves_have_an_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
