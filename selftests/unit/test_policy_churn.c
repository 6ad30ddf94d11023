/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pods and policies of labels and ports that were never there before come and go. What the engine
 * holds once they are gone does not depend on how many there were.
 */
#include <malloc.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/inet.h"
#include "model/selector.h"
#include "policy/engine.h"
#include "selftests/lib/sandbox.h"

#define PODS 6
#define POLICIES 4
#define ROUNDS 10000 /* of each half */
#define MAY_STAY (256UL * 1024)

struct world {
	struct engine *engine;
	unsigned int round;
	char mark[32]; /* this round's value of the label */
};

static union mg_addr addr_of(unsigned int i)
{
	return (union mg_addr){ .b = { [10] = 0xff, 0xff, 10, 1, 0, (unsigned char)i } };
}

static void put_pod(struct world *world, unsigned int i, const char *more)
{
	const char *tier[] = { "a", "b" };
	struct engine_label label[] = { { "mark", world->mark },
					{ "tier", tier[i % 2] },
					{ "more", more } };
	struct engine_facts facts = { .kind = ENGINE_POD,
				      .namespace = "churn",
				      .labels = { label, more ? 3 : 2 } };
	struct engine_endpoint endpoint = { .facts = facts, .ip4 = addr_of(i) };

	engine_addr_set(world->engine, &endpoint.ip4, &facts);
	if (i % 2)
		engine_endpoint_set(world->engine, i, &endpoint);
}

/* Number POLICIES is of pods of all rounds. */
static struct policy *policy_make(const struct world *world, unsigned int i)
{
	const char *value = world->mark, *tier = i % 2 ? "a" : "b";
	struct policy *policy;
	struct rule_port *port;
	struct rule *rules;
	char name[32];

	snprintf(name, sizeof(name), "policy-%u", i);
	policy = policy_new("networking.k8s.io", "NetworkPolicy", "churn", name, name);
	rules = arena_array(policy->arena, 2, sizeof(*rules));
	port = arena_alloc(policy->arena, sizeof(*port));
	port->first = port->last = 1 + (world->round * POLICIES + i) % 60000;
	for (unsigned int k = 0; k < 2; k++) {
		rules[k] = (struct rule)RULE_INIT;
		rules[k].action = RULE_ALLOW;
		rules[k].index = k;
		rules[k].proto = IPPROTO_TCP;
		rules[k].src.selector = i < POLICIES ? selector_in(policy->arena, "mark", &value, 1)
						     : selector_has(policy->arena, "mark");
	}
	rules[0].dst.ports = (struct rule_ports){ port, 1 };
	policy->selector = selector_in(policy->arena, "tier", &tier, 1);
	policy->applies[POLICY_IN] = true;
	policy->rules[POLICY_IN] = rules;
	policy->rule_count[POLICY_IN] = 1 + i % 2;
	return policy;
}

/* Into force. */
static void settle(struct world *world)
{
	while (engine_pending(world->engine)) {
		const struct plan *plan;

		assert_int_equal(engine_build(world->engine, &plan, NULL), 0);
		engine_applied(world->engine);
		engine_grace_done(world->engine, engine_applied_build(world->engine));
	}
}

static void one_round(struct world *world)
{
	snprintf(world->mark, sizeof(world->mark), "m%u", ++world->round);
	for (unsigned int i = 1; i <= PODS; i++)
		put_pod(world, i, NULL);
	settle(world);
	for (unsigned int i = 0; i < POLICIES; i++) {
		engine_policy_set(world->engine, policy_make(world, i));
		settle(world);
	}
	put_pod(world, 1, "label");
	settle(world);
	for (unsigned int i = 0; i < POLICIES; i++) {
		char name[32];

		snprintf(name, sizeof(name), "policy-%u", i);
		engine_policy_del(world->engine, "networking.k8s.io", "NetworkPolicy", "churn",
				  name);
	}
	settle(world);
	for (unsigned int i = 1; i <= PODS; i++) {
		union mg_addr addr = addr_of(i);

		engine_addr_del(world->engine, &addr);
		engine_endpoint_del(world->engine, i);
	}
	settle(world);
}

static size_t in_use(void)
{
	struct mallinfo2 info = mallinfo2();

	return info.uordblks + info.hblkhd;
}

static void what_is_gone_leaves_nothing(void **state)
{
	struct world world = { .engine = engine_new(NULL) };
	size_t before, after;

	(void)state;
	/* It stays, and the identities that it knew go. */
	engine_policy_set(world.engine, policy_make(&world, POLICIES));
	for (unsigned int i = 0; i < ROUNDS; i++)
		one_round(&world);
	before = in_use();
	for (unsigned int i = 0; i < ROUNDS; i++)
		one_round(&world);
	after = in_use();
	printf("# %zu KiB in use after %u rounds, %zu after %u\n", before / 1024, ROUNDS,
	       after / 1024, 2 * ROUNDS);
	engine_free(world.engine);
	if (!before)
		sandbox_skip("a sanitizer's allocator does not tell what is in use");
	assert_true(after < before + MAY_STAY);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_gone_leaves_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
