/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Domain names in the engine: what a pattern matches, and that an address that comes or goes is a
 * moved row, not a compiled policy. Verdicts are test_policy's: its random worlds have names.
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
#include "policy/domains.h"
#include "policy/engine.h"
#include "policy/front.h"
#include "selftests/lib/decode.h"
#include "selftests/lib/policy_kernel.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void patterns_match(void **state)
{
	static const struct {
		const char *pattern;
		const char *name;
		bool matches;
	} rows[] = {
		{ "example.com", "example.com", true },
		{ "example.com", "www.example.com", false },
		{ "example.com", "example.co", false },
		{ "example.com", "example.com.net", false },
		{ "*.example.com", "example.com", false },
		{ "*.example.com", "www.example.com", true },
		{ "*.example.com", "a.b.example.com", true },
		{ "*.example.com", "wwwexample.com", false },
		{ "*.example.com", "www.example.com.net", false },
		{ "update.*.example.com", "update.example.com", false },
		{ "update.*.example.com", "update.tools.example.com", true },
		{ "update.*.example.com", "update.a.b.example.com", true },
		{ "update.*.example.com", "a.update.b.example.com", false },
		{ "*.example.*", "a.example.b", true },
		{ "*.example.*", "a.example.example.b.c", true },
		{ "*.example.*", "example.b", false },
		{ "*.example.*", "a.example", false },
		{ "*", "com", true },
		{ "*", "a.b.com", true },
		{ "*.*", "com", false },
		{ "*.*", "example.com", true },
		{ "*.*.*.*.*.*.*.*.x", "a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.y", false },
		{ "*.*.*.*.*.*.*.*.x", "a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.x", true },
		{ "*.a.*.a.b", "x.a.y.a.c.a.b", true },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++)
		if (domain_matches(rows[i].pattern, rows[i].name) != rows[i].matches)
			fail_msg("%s on %s", rows[i].pattern, rows[i].name);
}

static void one_text_a_list(void **state)
{
	static const char *const a[] = { "www.Example.com.", "*.b.org", "www.example.com" };
	static const char *const b[] = { "*.B.org", "www.example.com" };
	_cleanup_arena_ struct arena *arena = arena_new();

	(void)state;
	assert_string_equal(domain_text(arena, a, 3), "*.b.org,www.example.com");
	assert_string_equal(domain_text(arena, b, 2), "*.b.org,www.example.com");
	assert_string_equal(domain_text(arena, b, 0), "");
}

/* --- in the engine ------------------------------------------------------------------------- */

struct cost {
	size_t moves;
	size_t pages; /* rows of tables, classes, verdicts and sets */
	bool commits;
};

static struct cost settle(struct engine *engine)
{
	struct cost cost = {};
	const struct plan *plan;

	for (int turn = 0; engine_pending(engine); turn++) {
		assert_true(turn < 8);
		assert_int_equal(engine_build(engine, &plan, NULL), 0);
		cost.moves += plan->move_count;
		cost.commits |= plan->commits;
		for (int phase = 0; phase < PLAN_PHASES; phase++)
			for (size_t i = 0; i < plan->row_count[phase]; i++)
				cost.pages += plan->row[phase][i].map <= PLAN_VERDICT;
		engine_applied(engine);
		engine_grace_done(engine, engine_applied_build(engine));
	}
	return cost;
}

static void apply(struct engine *engine, const char *spec)
{
	_cleanup_free_ char *yaml =
		xasprintf("apiVersion: projectcalico.org/v3\nkind: GlobalNetworkPolicy\n"
			  "metadata: {name: p}\nspec: {types: [Ingress, Egress], %s}\n",
			  spec);
	_cleanup_object_ struct object *object = decode_yaml(yaml, DECODE_STRICT);

	front_set(engine, object);
}

static struct engine *with_policy(const char *spec)
{
	struct engine *engine = engine_new(NULL);
	struct engine_endpoint endpoint = { .facts = { .kind = ENGINE_POD, .namespace = "shop" },
					    .ip4 = addr_from4(htonl(0x0a010001)) };

	apply(engine, spec);
	assert_int_equal(engine_endpoint_set(engine, 1, &endpoint), 0);
	settle(engine);
	return engine;
}

static union mg_addr outside(uint32_t last)
{
	return addr_from4(htonl(0xc0000200 + last)); /* 192.0.2.0/24 */
}

static uint16_t identity_of(const struct engine *engine, const union mg_addr *addr)
{
	const struct mg_prefix prefix = { .len = MG_ADDR_BITS, .addr = *addr };

	return engine_region_identity(engine, &prefix);
}

static void learn(struct engine *engine, const char *name, uint32_t last)
{
	const union mg_addr addr = outside(last);

	engine_domain_set(engine, name, &addr);
}

static void forget(struct engine *engine, const char *name, uint32_t last)
{
	const union mg_addr addr = outside(last);

	engine_domain_del(engine, name, &addr);
}

/* The first address of a list makes its identity; the next ones are a row each. */
static void addresses_compile_nothing(void **state)
{
	struct engine *engine = with_policy(
		"egress: [{action: Allow, destination: {domains: [\"*.example.com\"]}}]");
	union mg_addr first = outside(1), other = outside(200);
	struct engine_stats before, after;
	struct cost cost;

	(void)state;
	engine_stats(engine, &before);
	learn(engine, "www.example.com", 1);
	cost = settle(engine);
	assert_int_equal(cost.moves, 1);
	assert_false(cost.commits);
	engine_stats(engine, &after);
	assert_int_equal(after.identities, before.identities + 1);
	assert_int_not_equal(identity_of(engine, &first), identity_of(engine, &other));
	for (uint32_t i = 2; i <= 100; i++)
		learn(engine, "api.example.com", i);
	learn(engine, "example.org", 200); /* nobody asks */
	cost = settle(engine);
	assert_int_equal(cost.moves, 99);
	assert_int_equal(cost.pages, 0);
	assert_int_equal(identity_of(engine, &other), MG_IDENT_WORLD4);
	engine_stats(engine, &after);
	assert_int_equal(after.identities, before.identities + 1);
	engine_free(engine);
}

/* An address stays as long as one name has it, and goes with the last. */
static void names_share_addresses(void **state)
{
	struct engine *engine = with_policy(
		"egress: [{action: Allow, destination: {domains: [a.com, \"*.com\", b.com]}}]");
	union mg_addr addr = outside(1);

	(void)state;
	learn(engine, "a.com", 1);
	learn(engine, "a.com", 1);
	learn(engine, "b.com", 1);
	assert_int_equal(settle(engine).moves, 1);
	forget(engine, "a.com", 1);
	forget(engine, "a.com", 1);
	assert_int_equal(settle(engine).moves, 0);
	assert_int_not_equal(identity_of(engine, &addr), MG_IDENT_WORLD4);
	forget(engine, "b.com", 1);
	assert_int_equal(settle(engine).moves, 1);
	assert_int_equal(identity_of(engine, &addr), MG_IDENT_WORLD4);
	engine_free(engine);
}

/* What is known already counts for a rule that comes later. */
static void known_names_count(void **state)
{
	struct engine *engine = with_policy("egress: [{action: Deny}]");
	union mg_addr addr = outside(1);

	(void)state;
	learn(engine, "a.com", 1);
	assert_false(engine_domain_wanted(engine, "a.com"));
	assert_int_equal(settle(engine).moves, 0);
	apply(engine, "egress: [{action: Allow, destination: {domains: [\"A.com.\"]}}]");
	settle(engine);
	assert_true(engine_domain_wanted(engine, "a.com"));
	assert_false(engine_domain_wanted(engine, "www.a.com"));
	assert_int_not_equal(identity_of(engine, &addr), MG_IDENT_WORLD4);
	apply(engine, "egress: [{action: Deny}]");
	settle(engine);
	assert_false(engine_domain_wanted(engine, "a.com"));
	assert_int_equal(identity_of(engine, &addr), MG_IDENT_WORLD4);
	engine_free(engine);
}

/* --- who asks ------------------------------------------------------------------------------ */

static void set_domains(struct engine *engine, const char *role, const char *domain)
{
	const struct engine_label label = { "role", role };
	const struct engine_facts facts = { .kind = ENGINE_NETSET, .labels = { &label, 1 } };

	engine_netset_set(engine, "/partners", &facts, NULL, 0);
	engine_netset_domains(engine, "/partners", &facts, &domain, domain != NULL);
}

static void rules_ask(void **state)
{
	struct engine *engine = with_policy("egress: [{action: Allow}]");

	(void)state;
	assert_false(engine_endpoint_domains(engine, 1));
	assert_false(engine_endpoint_domains(engine, 2));
	assert_false(engine_endpoint_domains(engine, 1000000));
	apply(engine, "egress: [{action: Deny, destination: {nets: [10.0.0.0/8]}},"
		      " {action: Allow, destination: {domains: [a.com]}}]");
	assert_true(engine_endpoint_domains(engine, 1));
	engine_free(engine);
}

static void sets_ask(void **state)
{
	struct engine *engine = with_policy(
		"egress: [{action: Allow, destination: {selector: role == 'partner'}}]");

	(void)state;
	assert_false(engine_endpoint_domains(engine, 1));
	set_domains(engine, "partner", "*.a.com");
	assert_true(engine_endpoint_domains(engine, 1));
	set_domains(engine, "other", "*.a.com");
	assert_false(engine_endpoint_domains(engine, 1));
	set_domains(engine, "partner", "*.a.com");
	assert_true(engine_endpoint_domains(engine, 1));
	set_domains(engine, "partner", NULL);
	assert_false(engine_endpoint_domains(engine, 1));
	set_domains(engine, "partner", "*.a.com");
	engine_netset_del(engine, "/partners");
	assert_false(engine_endpoint_domains(engine, 1));
	engine_free(engine);
}

/* "honored in egress allow rules only" */
static void sets_allow_only(void **state)
{
	static const char *const none[] = {
		"egress: [{action: Deny, destination: {selector: role == 'partner'}}]",
		"egress: [{action: Allow, destination: {notSelector: role == 'partner'}}]",
		"ingress: [{action: Allow, source: {selector: role == 'partner'}}]",
	};
	struct engine *engine = with_policy(none[0]);
	union mg_addr addr = outside(1);

	(void)state;
	set_domains(engine, "partner", "*.a.com");
	learn(engine, "www.a.com", 1);
	for (size_t i = 0; i < COUNT(none); i++) {
		apply(engine, none[i]);
		settle(engine);
		assert_int_equal(identity_of(engine, &addr), MG_IDENT_WORLD4);
		assert_false(engine_endpoint_domains(engine, 1));
	}
	apply(engine, "egress: [{action: Allow, destination: {selector: role == 'partner'}}]");
	settle(engine);
	assert_int_not_equal(identity_of(engine, &addr), MG_IDENT_WORLD4);
	set_domains(engine, "partner", "www.b.com");
	settle(engine);
	assert_int_equal(identity_of(engine, &addr), MG_IDENT_WORLD4);
	engine_free(engine);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(patterns_match),
		cmocka_unit_test(one_text_a_list),
		cmocka_unit_test(addresses_compile_nothing),
		cmocka_unit_test(names_share_addresses),
		cmocka_unit_test(known_names_count),
		cmocka_unit_test(rules_ask),
		cmocka_unit_test(sets_ask),
		cmocka_unit_test(sets_allow_only),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
