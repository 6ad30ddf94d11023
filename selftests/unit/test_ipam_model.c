/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The model: random ADD, DEL, fixed addresses, borrowing, outages, writes of unknown outcome,
 * nodes that interleave inside each other's writes, and kills at any write or fsync, with or
 * without loss of what was not synced. At every step no address is at two live pods, and none is
 * given out within its cooldown. At the end, after garbage collection, none is lost, and `ipam
 * check` says the same as the model.
 *
 * IPAM_SEED and IPAM_STEPS choose the run; a failure prints the seed.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/inet.h"
#include "base/json.h"
#include "ipam/check.h"
#include "selftests/lib/ipam_model.h"

#define STEPS_DEFAULT 4000

/* --- invariants ------------------------------------------------------------------------------ */

static void note_release(struct model *model, const struct pod *pod)
{
	for (size_t i = 0; i < pod->count; i++) {
		size_t at;

		for (at = 0; at < model->released_count; at++)
			if (!addr_cmp(&model->released[at].addr, &pod->addrs[i]))
				break;
		assert_true(at < RELEASED_MAX);
		if (at == model->released_count)
			model->released_count++;
		model->released[at].addr = pod->addrs[i];
		model->released[at].when = model->test.now;
	}
}

static void check_given(struct model *model, const struct pod *pod, const union mg_addr *addr)
{
	char text[ADDR_TEXT_MAX];

	for (int i = 0; i < PODS_MAX; i++) {
		const struct pod *other = &model->pods[i];

		if (other == pod || other->state != POD_LIVE)
			continue;
		for (size_t j = 0; j < other->count; j++)
			if (!addr_cmp(&other->addrs[j], addr))
				fail_msg("%s given to %s on n%u, but %s on n%u has it",
					 addr_format(addr, text), pod->name, pod->node, other->name,
					 other->node);
	}
	for (size_t i = 0; i < model->released_count; i++)
		if (!addr_cmp(&model->released[i].addr, addr) &&
		    model->test.now - model->released[i].when < IPAM_COOLDOWN_MIN_MS)
			fail_msg("%s given %llu ms after its release", addr_format(addr, text),
				 (unsigned long long)(model->test.now - model->released[i].when));
}

static void answered(void *arg, const struct ipam_result *result)
{
	struct pod *pod = arg;
	struct model *model = pod->model;

	if (pod->state != POD_ASKING)
		return;
	/* The dead tell nobody. */
	if (model->nodes[pod->node].dead || result->status) {
		model->refusals++;
		pod->state = POD_NONE;
		return;
	}
	assert_in_range(result->count, 1, 2);
	for (size_t i = 0; i < result->count; i++) {
		pod->addrs[i] = result->addrs[i].addr;
		check_given(model, pod, &pod->addrs[i]);
	}
	pod->count = result->count;
	pod->state = POD_LIVE;
	model->adds++;
}

/* --- steps ----------------------------------------------------------------------------------- */

static struct ipam_owner owner_of(const struct pod *pod)
{
	return (struct ipam_owner){ .container = pod->name,
				    .namespace_name = "m",
				    .pod = pod->name };
}

static void step_add(struct model *model, unsigned int n)
{
	struct pod *pod = &model->pods[model_roll(model, PODS_MAX)];
	struct ipam_request request = {};
	union mg_addr fixed;

	if (pod->state != POD_NONE)
		return;
	*pod = (struct pod){
		.model = model, .state = POD_ASKING, .node = n, .serial = ++model->serial
	};
	snprintf(pod->name, sizeof(pod->name), "c%u", pod->serial);
	request.owner = owner_of(pod);
	if (!model_roll(model, 6)) {
		addr_parse("10.0.0.0", &fixed);
		fixed = addr_add(&fixed, model_roll(model, 32));
		request.fixed = &fixed;
		request.fixed_count = 1;
	} else {
		static const enum ipam_family families[] = { IPAM_AUTO, IPAM_V4, IPAM_DUAL };

		request.families = families[model_roll(model, 3)];
	}
	ipam_request(model->nodes[n].node->ipam, &request, answered, pod);
}

static void step_del(struct model *model)
{
	struct pod *pod = &model->pods[model_roll(model, PODS_MAX)];
	struct ipam_owner owner = owner_of(pod);

	if (pod->state != POD_LIVE)
		return;
	ipam_release(model->nodes[pod->node].node->ipam, &owner, NULL, NULL);
	note_release(model, pod);
	pod->state = POD_NONE;
}

static size_t list_valid(struct model *model, unsigned int n, bool with_addrs,
			 struct ipam_attachment *valid)
{
	size_t count = 0;

	for (int i = 0; i < PODS_MAX; i++) {
		const struct pod *pod = &model->pods[i];

		if (pod->state == POD_NONE || pod->node != n)
			continue;
		valid[count].owner = owner_of(pod);
		valid[count].addrs = pod->addrs;
		valid[count].addr_count = with_addrs && pod->state == POD_LIVE ? pod->count : 0;
		count++;
	}
	return count;
}

static void collect(struct model *model, unsigned int n, bool with_addrs)
{
	struct ipam_attachment valid[PODS_MAX];
	struct ipam_gc_report report;
	struct ipam_gc gc = { .valid = valid, .count = list_valid(model, n, with_addrs, valid) };

	if (!ipam_collect_garbage(model->nodes[n].node->ipam, &gc, &report, NULL))
		assert_int_equal(report.conflicts, 0);
}

static void revive(struct model *model, unsigned int n, bool power)
{
	struct model_node *node = &model->nodes[n];

	model->kills++;
	node->dead = true;
	ipam_close(node->node->ipam);
	node->node->ipam = NULL;
	if (power)
		model_cut_power(model, node);
	node->dead = false;
	node->fuse = -1;
	ipam_test_node(&model->test, n);
	/* What ran when the agent died is known to the plugin's files; or not yet. */
	if (model_roll(model, 2))
		collect(model, n, model_roll(model, 2));
}

static void step_faults(struct model *model, unsigned int n)
{
	struct model_node *node = &model->nodes[n];

	if (node->outage)
		node->outage--;
	else if (!model_roll(model, 120))
		node->outage = 1 + (int)model_roll(model, 60);
	if (node->fuse < 0 && !model_roll(model, 30))
		node->fuse = (int)model_roll(model, 12);
	if (!model_roll(model, 150))
		ipam_notice(node->node->ipam, "IPPool", "p4", "x");
	if (!model_roll(model, 400))
		collect(model, n, false);
}

static void step(struct model *model)
{
	unsigned int n = model_roll(model, NODES);

	step_faults(model, n);
	switch (model_roll(model, 8)) {
	case 0:
	case 1:
	case 2:
		step_add(model, n);
		break;
	case 3:
		step_del(model);
		break;
	case 4:
		model->test.now += model_roll(model, 3000);
		break;
	default:
		model_work(model, n);
	}
	if (!model_roll(model, 500))
		model->test.now += 700000;
	for (unsigned int i = 0; i < NODES; i++)
		if (model->nodes[i].dead)
			revive(model, i, model_roll(model, 2));
}

/* --- the end --------------------------------------------------------------------------------- */

static json_t *list(struct model *model, const char *kind)
{
	json_t *all = json_array(), *object;
	const char *key;

	json_object_foreach(model->test.content.objects, key, object)
		if (!strncmp(key, kind, strlen(kind)) && key[strlen(kind)] == '/')
			json_array_append(all, object);
	return all;
}

static json_t *list_pods(struct model *model)
{
	json_t *pods = json_array();

	for (int i = 0; i < PODS_MAX; i++) {
		const struct pod *pod = &model->pods[i];
		json_t *ips = json_array();
		char text[ADDR_TEXT_MAX];

		for (size_t j = 0; pod->state == POD_LIVE && j < pod->count; j++)
			json_array_append_new(
				ips, json_pack("{s:s}", "ip", addr_format(&pod->addrs[j], text)));
		if (json_array_size(ips))
			json_array_append_new(pods, json_pack("{s:{s:s, s:s}, s:{s:O}}", "metadata",
							      "name", pod->name, "namespace", "m",
							      "status", "podIPs", ips));
		json_decref(ips);
	}
	return pods;
}

static size_t count_live(const struct model *model)
{
	size_t count = 0;

	for (int i = 0; i < PODS_MAX; i++)
		count += model->pods[i].state == POD_LIVE ? model->pods[i].count : 0;
	return count;
}

static void check_end(struct model *model)
{
	json_t *pools = list(model, "IPPool"), *blocks = list(model, "IPAMBlock");
	json_t *handles = list(model, "IPAMHandle"), *affinities = list(model, "BlockAffinity");
	json_t *pods = list_pods(model);
	struct ipam_objects objects = {
		.pools = pools,
		.blocks = blocks,
		.handles = handles,
		.affinities = affinities,
		.pods = pods,
	};
	_cleanup_json_ json_t *report = ipam_check_objects(&objects);
	const json_t *problems = json_object_get(report, "problems");
	json_int_t sum = 0;

	if (json_array_size(problems)) {
		_cleanup_free_ char *text = json_dumps(problems, JSON_INDENT(1));

		fail_msg("ipam check: %s", text);
	}
	assert_int_equal(json_integer_value(json_object_get(report, "allocated")),
			 count_live(model));
	sum += json_integer_value(json_object_get(report, "allocated"));
	sum += json_integer_value(json_object_get(report, "reserve"));
	sum += json_integer_value(json_object_get(report, "cooling"));
	sum += json_integer_value(json_object_get(report, "free"));
	assert_int_equal(sum, json_integer_value(json_object_get(report, "addresses")));
	json_decref(pools);
	json_decref(blocks);
	json_decref(handles);
	json_decref(affinities);
	json_decref(pods);
}

static void calm(struct model *model)
{
	for (unsigned int n = 0; n < NODES; n++) {
		model->nodes[n].outage = 0;
		model->nodes[n].fuse = -1;
		model->nodes[n].node->hook = NULL;
	}
	for (int round = 0; round < 3; round++) {
		model->test.now += 30000;
		for (unsigned int n = 0; n < NODES; n++)
			ipam_test_settle(model->nodes[n].node->ipam);
	}
}

static void finish(struct model *model)
{
	calm(model);
	for (unsigned int n = 0; n < NODES; n++) {
		revive(model, n, false);
		collect(model, n, false);
	}
	calm(model);
	for (unsigned int n = 0; n < NODES; n++) {
		struct ipam_status status;

		ipam_read_status(model->nodes[n].node->ipam, &status);
		assert_int_equal(status.unwritten, 0);
		assert_int_equal(status.waiting, 0);
	}
	check_end(model);
}

static void start(struct model *model, unsigned long long seed, bool loose)
{
	model->random = seed * 2654435761ULL + 88172645463325252ULL;
	ipam_test_init(&model->test);
	model->test.loose = loose;
	model->test.reserve = 2;
	ipam_test_object(&model->test, "IPPool", "p4", "\"cidr\":\"10.0.0.0/27\",\"blockSize\":29");
	ipam_test_object(&model->test, "IPPool", "p6", "\"cidr\":\"fd00::/122\",\"blockSize\":125");
	for (unsigned int n = 0; n < NODES; n++) {
		struct model_node *node = &model->nodes[n];

		model_node_init(model, node, ipam_test_prepare(&model->test, n));
		ipam_test_node(&model->test, n);
	}
}

static unsigned long long number(const char *name, unsigned long long or_else)
{
	const char *text = getenv(name);

	return text ? strtoull(text, NULL, 0) : or_else;
}

static void play(bool loose)
{
	unsigned long long seed = number("IPAM_SEED", (unsigned long long)time(NULL));
	unsigned long long steps = number("IPAM_STEPS", STEPS_DEFAULT);
	struct model *model = xcalloc(1, sizeof(*model));

	print_message("# seed %llu, %llu steps\n", seed, steps);
	start(model, seed, loose);
	for (unsigned long long i = 0; i < steps; i++)
		step(model);
	finish(model);
	print_message("# %u ADDs, %u refused, %u kills, %u power cuts\n", model->adds,
		      model->refusals, model->kills, model->cuts);
	assert_true(model->adds > steps / 50);
	ipam_test_done(&model->test);
	free(model);
}

static void test_model_atomic(void **state)
{
	(void)state;
	play(false);
}

static void test_model_loose(void **state)
{
	(void)state;
	play(true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_model_atomic),
		cmocka_unit_test(test_model_loose),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
