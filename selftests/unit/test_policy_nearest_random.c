/* SPDX-License-Identifier: Apache-2.0 */
/*
 * policy/nearest.h for random policies: the walk down the rules (policy_walk.h) allows what an
 * answer supposes, and where one different thing would do, another port, protocol or other labels,
 * it supposes no more. MARGAY_SEED repeats a run.
 */
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/inet.h"
#include "policy/nearest.h"
#include "policy/suppose.h"
#include "selftests/lib/policy_scene.h"

#define SCENES 120
#define QUESTIONS 200

static unsigned int found, none, several; /* answers */

static struct walk_pod *owner(struct walk_scene *scene, const union mg_addr *addr)
{
	for (unsigned int i = 0; i < WALK_PODS; i++)
		for (int k = 0; k < 2; k++)
			if (!addr_cmp(&scene->pod[i].ip[k], addr))
				return &scene->pod[i];
	return NULL;
}

/* A pod with these labels at the address: the one of before, or one that is in nobody's way. */
static struct walk_pod *settle(struct walk_scene *scene, const union mg_addr *before,
			       const union mg_addr *addr)
{
	struct walk_pod *pod = owner(scene, before), *there = owner(scene, addr);

	if (!pod) {
		pod = &scene->pod[WALK_PODS - 1];
		*pod = (struct walk_pod){ .ip[0].b[0] = 0xee };
	}
	if (there && there != pod)
		for (int k = 0; k < 2; k++)
			there->ip[k] = (union mg_addr){ .b = { 0xef, (uint8_t)k } };
	pod->ip[addr_is4(addr) ? 0 : 1] = *addr;
	return pod;
}

static void give_label(struct walk_pod *pod, struct supposed_end *end, const char *key)
{
	const char *value = suppose_lookup(end, key);

	if (value)
		pod->label[pod->label_count++] = (struct engine_label){ key, value };
}

static bool needs(const struct supposition *s, enum suppose_what what, unsigned int dst)
{
	for (unsigned int i = 0; i < s->need_count; i++)
		if (s->need[i].what == what && s->need[i].dst == dst)
			return true;
	return false;
}

/* The scene and the question as they would be. */
static void suppose(struct walk_scene *scene, struct walk_question *q, struct supposition *s)
{
	unsigned int far = q->direction == POLICY_OUT;
	struct supposed_end *end = &s->end[far];
	const union mg_addr *before = far ? &q->dst : &q->src;

	if (needs(s, SUPPOSE_SERVICE, far))
		before = &end->addr; /* whoever that is */
	if (end->label_count || needs(s, SUPPOSE_ENDPOINT, far) || owner(scene, before)) {
		struct walk_pod *pod = settle(scene, before, &end->addr);

		pod->label_count = 0;
		give_label(pod, end, "x");
		give_label(pod, end, "y");
	}
	q->src = s->end[0].addr;
	q->dst = s->end[1].addr;
	q->packet.proto = s->proto;
	q->packet.sport = walk_has_ports(s->proto) ? s->end[0].port : 0;
	q->packet.dport = walk_has_ports(s->proto) ? s->end[1].port : 0;
	q->packet.icmp_type = s->icmp_type;
	q->packet.icmp_code = s->icmp_code;
}

static unsigned int things(const struct supposition *s)
{
	return suppose_things(s);
}

static bool allowed(const struct walk_scene *scene, const struct walk_question *q)
{
	return walk_rules(scene, q).allow;
}

/* --- one different thing, of some that the policies' words offer ---------------------------- */

static bool another_port(const struct walk_scene *scene, const struct walk_question *q)
{
	static const uint16_t ports[] = { 1,   2,    52,   53,	 54,	254,   255,  256,
					  257, 8079, 8080, 8081, 40000, 65534, 65535 };

	for (size_t i = 0; walk_has_ports(q->packet.proto) && i < sizeof(ports) / sizeof(ports[0]);
	     i++) {
		struct walk_question there = *q, from = *q;

		there.packet.dport = ports[i];
		from.packet.sport = ports[i];
		if (allowed(scene, &there) || allowed(scene, &from))
			return true;
	}
	return false;
}

static bool another_protocol(const struct walk_scene *scene, const struct walk_question *q)
{
	static const uint8_t protocols[] = { IPPROTO_TCP, IPPROTO_UDP, IPPROTO_SCTP };

	for (size_t i = 0; i < sizeof(protocols) / sizeof(protocols[0]); i++) {
		struct walk_question other = *q;

		other.packet.proto = protocols[i];
		if (allowed(scene, &other))
			return true;
	}
	return false;
}

static bool other_labels(const struct walk_scene *scene, const struct walk_question *q)
{
	static const char *const values[] = { NULL, "a", "b", "c", "-" };
	const union mg_addr *far = q->direction == POLICY_OUT ? &q->dst : &q->src;

	for (int i = 0; i < 25; i++) {
		struct walk_scene other = *scene;
		struct walk_pod *pod = settle(&other, far, far);

		pod->label_count = 0;
		if (values[i % 5])
			pod->label[pod->label_count++] =
				(struct engine_label){ "x", values[i % 5] };
		if (values[i / 5])
			pod->label[pod->label_count++] =
				(struct engine_label){ "y", values[i / 5] };
		if (allowed(&other, q))
			return true;
	}
	return false;
}

static bool one_thing_would_do(const struct walk_scene *scene, const struct walk_question *q)
{
	return another_port(scene, q) || another_protocol(scene, q) || other_labels(scene, q);
}

static void check(const struct walk_scene *scene, const struct walk_question *q)
{
	struct nearest_question asked = { .slot = (uint32_t)(q->local - scene->pod) + 1,
					  .stage = q->direction == POLICY_IN
							   ? MG_STAGE_WORKLOAD_IN
							   : MG_STAGE_WORKLOAD_OUT,
					  .src = q->src,
					  .dst = q->dst,
					  .proto = q->packet.proto,
					  .sport = q->packet.sport,
					  .dport = q->packet.dport,
					  .icmp_type = q->packet.icmp_type,
					  .icmp_code = q->packet.icmp_code };
	struct walk_scene there = *scene;
	struct walk_question then = *q;
	struct supposition s;
	struct nearest nearest;
	int r = nearest_find(scene->engine, &asked, &s, &nearest);

	if (allowed(scene, q)) {
		assert_int_equal(r, -EEXIST);
		return;
	}
	if (r < 0) {
		assert_int_equal(r, -ENOENT);
		assert_false(one_thing_would_do(scene, q));
		none++;
		return;
	}
	found++;
	several += things(&s) > 1;
	assert_true(things(&s) >= 1);
	if (things(&s) > 1)
		assert_false(one_thing_would_do(scene, q));
	then.local = &there.pod[q->local - scene->pod];
	suppose(&there, &then, &s);
	assert_true(allowed(&there, &then));
}

static bool is_itself(const struct walk_question *q)
{
	return !addr_cmp(&q->src, &q->dst);
}

static void answers_hold(void **state)
{
	struct walk_question q;
	struct walk_scene scene;

	(void)state;
	for (int turn = 0; turn < SCENES; turn++) {
		scene_init(&scene);
		for (int i = 0; i < QUESTIONS; i++) {
			scene_question(&scene, &q);
			if (!is_itself(&q))
				check(&scene, &q);
		}
		scene_done(&scene);
	}
	printf("%u answers, %u of several things; %u without\n", found, several, none);
	assert_true(found > 2000 && several > 100 && none > 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(answers_hold) };

	pw_init(&scene_dice, pw_seed());
	return cmocka_run_group_tests(tests, NULL, NULL);
}
