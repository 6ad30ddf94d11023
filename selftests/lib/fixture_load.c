/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <string.h>

#include "base/err.h"
#include "dataplane/load.h"
#include "dataplane/object.h"
#include "selftests/lib/fixture.h"

#define TICKS(seconds) ((__u32)((seconds) * (1000000000ULL >> 20)))
/* No test fills these, and what a large one costs to make and to walk is most of a short test. */
#define HASH_ROWS 16384
#define RULE_ROWS 1024

static const char *const hook_names[] = {
#define HOOK_NAME(name, text) text,
	MG_HOOKS(HOOK_NAME)
#undef HOOK_NAME
};

static void set_lifetimes(struct mg_local *local)
{
	local->timeout[MG_TMO_TCP_SYN] = TICKS(20);
	local->timeout[MG_TMO_TCP_ESTABLISHED] = TICKS(3600);
	local->timeout[MG_TMO_TCP_FIN] = TICKS(30);
	local->timeout[MG_TMO_TCP_RST] = TICKS(10);
	local->timeout[MG_TMO_UDP] = TICKS(60);
	local->timeout[MG_TMO_ICMP] = TICKS(5);
	local->timeout[MG_TMO_GENERIC] = TICKS(600);
	local->timeout[MG_TMO_FRAG] = TICKS(30);
}

static void first_numbers(struct fixture *fx)
{
	fx->pages = 1;
	fx->classes = 1;
	fx->verdicts = MG_VERDICT_FIRST;
	fx->sets = MG_SET_FIRST;
}

static void first_rows(struct fixture *fx)
{
	const struct mg_commit commit = { .column = 0, .fallback = 0, .generation = 1 };
	struct mg_control control = { .commit = 0, .change = 1 };
	int chunk = fixture_map(fx, "mg_chunk0");

	fixture_put_at(fx, "mg_pages", 0, &chunk);
	fx->local.node = 1;
	set_lifetimes(&fx->local);
	fixture_local(fx);
	fixture_put_at(fx, "mg_commits", 0, &commit);
	fixture_control_put(fx, &control);
	first_numbers(fx);
}

static struct bpf_object *open_object(const struct fixture *fx)
{
	const struct object_image image = object_built_in();
	struct bpf_object *object;
	struct err err = { 0 };

	if (object_open(&image, &fx->config, &object, &err))
		fail_msg("%s", err.text);
	return object;
}

static __u32 rows_of(const struct bpf_map *map, __u32 flows)
{
	const char *name = bpf_map__name(map);
	const enum bpf_map_type type = bpf_map__type(map);
	const __u32 own = bpf_map__max_entries(map);

	if (flows == FIXTURE_WHOLE)
		return own;
	if (flows && (!strcmp(name, "mg_flow_e") || !strcmp(name, "mg_flow_t")))
		return flows;
	if ((type == BPF_MAP_TYPE_HASH || type == BPF_MAP_TYPE_LRU_HASH) && own > HASH_ROWS)
		return HASH_ROWS;
	return strcmp(name, "mg_rule_stats") != 0 ? own : RULE_ROWS;
}

static void load_maps(struct fixture *fx)
{
	struct err err = { 0 };

	if (object_load(fx->maps, &err))
		fail_msg("maps: %s", err.text);
}

void fixture_open(struct fixture *fx, const struct mg_config *config, __u32 flows)
{
	struct bpf_map *map;

	memset(fx, 0, sizeof(*fx));
	fx->config = dp_config_default().mg;
	fx->config.trace = 1;
	if (config)
		fx->config = *config;
	fx->maps = open_object(fx);
	bpf_object__for_each_map(map, fx->maps)
		assert_int_equal(bpf_map__set_max_entries(map, rows_of(map, flows)), 0);
	load_maps(fx);
	first_rows(fx);
}

/* A chunk stands in its mg_pages. */
static void leave_chunk(const struct bpf_object *object)
{
	bpf_map__set_autocreate(bpf_object__find_map_by_name(object, "mg_chunk0"), false);
}

void fixture_open_beside(struct fixture *fx, const struct fixture *with,
			 bool (*shared)(const char *map), const struct mg_config *config)
{
	struct bpf_map *map;

	memset(fx, 0, sizeof(*fx));
	fx->config = *config;
	fx->local = with->local;
	fx->maps = open_object(fx);
	bpf_object__for_each_map(map, fx->maps)
	{
		const char *name = bpf_map__name(map);
		int r = shared(name) ? bpf_map__reuse_fd(map, fixture_map(with, name))
				     : bpf_map__set_max_entries(map, rows_of(map, 0));

		assert_int_equal(r, 0);
	}
	leave_chunk(fx->maps);
	load_maps(fx);
	first_numbers(fx);
}

static struct bpf_object *load_program(const struct fixture *fx, const char *name)
{
	struct bpf_object *object = open_object(fx);
	struct bpf_program *program = bpf_object__find_program_by_name(object, name);
	struct err err = { 0 };
	struct bpf_map *map;

	if (!program)
		fail_msg("no program %s", name);
	bpf_program__set_autoload(program, true);
	bpf_object__for_each_map(map, object) if (object_map_is_named(map))
		assert_int_equal(bpf_map__reuse_fd(map, fixture_map(fx, bpf_map__name(map))), 0);
	leave_chunk(object);
	if (object_load(object, &err))
		fail_msg("%s: %s", name, err.text);
	return object;
}

int fixture_program(struct fixture *fx, enum mg_hook hook)
{
	const char *name = hook_names[hook];

	if (!fx->program[hook])
		fx->program[hook] = load_program(fx, name);
	return bpf_program__fd(bpf_object__find_program_by_name(fx->program[hook], name));
}

void fixture_close(struct fixture *fx)
{
	for (int hook = 0; hook < MG_HOOK_MAX; hook++)
		bpf_object__close(fx->program[hook]);
	bpf_object__close(fx->maps);
	memset(fx, 0, sizeof(*fx));
}
