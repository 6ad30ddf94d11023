/* SPDX-License-Identifier: Apache-2.0 */
/* loader/dataplane: load, pins, maps, pages, control, events, trace copy, with the tests' object.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "abi/ident.h"
#include "base/err.h"
#include "base/inet.h"
#include "dataplane/control.h"
#include "dataplane/events.h"
#include "dataplane/load.h"
#include "dataplane/pins.h"
#include "dataplane/probe.h"
#include "dataplane/trace.h"
#include "selftests/lib/loaded.h"
#include "selftests/lib/sandbox.h"

static __u32 pinned_id(struct loaded *f, const char *prog)
{
	_cleanup_close_ int fd = -1;
	__u32 id = 0;

	OK(f, pin_open_prog(f->root, prog, &fd, &f->err));
	OK(f, prog_id_of(fd, &id));
	return id;
}

/* One packet of 60 bytes through a program of the set. */
static int run_prog(int fd)
{
	__u8 frame[60] = { [12] = 0x08 };
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame, .data_size_in = sizeof(frame));
	int r = bpf_prog_test_run_opts(fd, &opts);

	return r ? r : (int)opts.retval;
}

static void first_load_pins_all(void **state)
{
	struct loaded *f = *state;
	_cleanup_map_ struct dp_map map = DP_MAP_NONE;
	char path[PATH_MAX + 32];
	struct stat info;
	int fd;

	assert_true(dp_is_in_force(f->dp));
	assert_false(dp_adopted(f->dp));
	assert_true(dp_flows_are_new(f->dp));
	for (size_t i = 0; i < dp_prog_count; i++) {
		if (strcmp(dp_progs[i].name, "xdp") != 0)
			assert_true(pinned_id(f, dp_progs[i].name) > 0);
	}
	OK(f, pin_open_map(f->root, "mg_addrs", &map, &f->err));
	assert_int_equal(map.id, dp_get_map(f->dp, "mg_addrs")->id);
	assert_int_equal(dp_get_map(f->dp, "mg_ep")->entries, 64); /* slots */
	snprintf(path, sizeof(path), "%s/progs", f->root);
	assert_int_equal(stat(path, &info), 0);
	assert_int_equal(info.st_mode & 07777, 0700);
	snprintf(path, sizeof(path), "%s/maps/mg_addrs", f->root);
	assert_int_equal(stat(path, &info), 0);
	assert_int_equal(info.st_mode & 07777, 0600);
	assert_int_equal(pin_open_prog(f->root, "xdp", &fd, &f->err), -ENOENT);
	assert_int_equal(pin_open_map(f->root, "mg_scratch", &map, &f->err), -ENOENT);
	assert_null(dp_get_map(f->dp, "no_such"));
	assert_int_equal(dp_prog_fd(f->dp, "no_such"), -ENOENT);
}

static void restart_adopts(void **state)
{
	struct loaded *f = *state;
	__u32 prog = pinned_id(f, "from_pod"), map = dp_get_map(f->dp, "mg_flow_e")->id;

	loaded_again(f);
	assert_true(dp_adopted(f->dp));
	assert_true(dp_is_in_force(f->dp));
	assert_false(dp_flows_are_new(f->dp));
	assert_int_equal(pinned_id(f, "from_pod"), prog);
	assert_int_equal(dp_get_map(f->dp, "mg_flow_e")->id, map);
	OK(f, dp_takeover(f->dp, &f->err)); /* nothing to do */
	assert_int_equal(pinned_id(f, "from_pod"), prog);
}

/* Another configuration in .rodata is another set of programs with the same maps. */
static void new_configuration_waits_for_takeover(void **state)
{
	struct loaded *f = *state;
	__u32 prog = pinned_id(f, "from_pod"), map = dp_get_map(f->dp, "mg_ep")->id;

	f->config.mg.mark = 0x02000000;
	loaded_again(f);
	assert_false(dp_adopted(f->dp));
	assert_false(dp_is_in_force(f->dp));
	assert_int_equal(pinned_id(f, "from_pod"), prog);
	assert_int_equal(dp_get_map(f->dp, "mg_ep")->id, map);
	OK(f, dp_takeover(f->dp, &f->err));
	assert_int_not_equal(pinned_id(f, "from_pod"), prog);
	loaded_again(f);
	assert_true(dp_adopted(f->dp));
}

/* An agent that died before its takeover leaves a set that the next one does not mistake. */
static void death_before_takeover(void **state)
{
	struct loaded *f = *state;

	f->config.mg.slots = 128;
	loaded_again(f); /* and never took over */
	loaded_again(f);
	assert_false(dp_adopted(f->dp));
	assert_int_equal(dp_get_map(f->dp, "mg_ep")->entries, 128);
	OK(f, dp_takeover(f->dp, &f->err));
	loaded_again(f);
	assert_true(dp_adopted(f->dp));
	assert_int_equal(dp_get_map(f->dp, "mg_ep")->entries, 128);
}

static void refused_group_leaves_others(void **state)
{
	struct loaded *f = *state;

	free(f->object);
	OK(f, sandbox_object("broken", &f->object, &f->config.object_size));
	f->config.object = f->object;
	loaded_again(f);
	assert_int_equal(dp_prog_fd(f->dp, "from_tunnel"), -ENOENT);
	assert_non_null(dp_group_error(f->dp, DP_GROUP_TUNNEL));
	/* the verifier's own words */
	assert_non_null(strstr(dp_group_error(f->dp, DP_GROUP_TUNNEL), "invalid mem access"));
	assert_null(dp_group_error(f->dp, DP_GROUP_POD));
	assert_true(dp_prog_fd(f->dp, "from_pod") >= 0);
	assert_true(dp_prog_fd(f->dp, "to_netdev") >= 0);
	OK(f, dp_takeover(f->dp, &f->err));
	assert_true(pinned_id(f, "from_tunnel") > 0); /* the former one goes on */
}

static void bad_objects(void **state)
{
	struct loaded *f = *state;
	struct dp_config config = f->config;
	struct dp *dp = NULL;

	config.object = "not an ELF file";
	config.object_size = 15;
	assert_int_not_equal(dp_open(&config, &dp, &f->err), 0);
	assert_null(dp);
	assert_true(f->err.text[0] != '\0');
	config = f->config;
	config.root = "/proc/margay";
	assert_int_not_equal(dp_open(&config, &dp, &f->err), 0);
}

static int count_rows(const void *key, const void *value, void *data)
{
	const union mg_addr *addr = key;
	const struct mg_ident *ident = value;
	size_t *seen = data;

	assert_int_equal(addr->b[15] + 256 * addr->b[14], ident->slot);
	(*seen)++;
	return 0;
}

static void rows_single_and_batch(void **state)
{
	enum { ROWS = 3000 };
	struct loaded *f = *state;
	const struct dp_map *map = dp_get_map(f->dp, "mg_addrs");
	_cleanup_free_ union mg_addr *keys = calloc(ROWS, sizeof(*keys));
	_cleanup_free_ struct mg_ident *values = calloc(ROWS, sizeof(*values));
	struct mg_ident got;
	size_t done = 0, seen = 0;
	__u64 fill, bytes;

	for (int i = 0; i < ROWS; i++) {
		keys[i].b[0] = 0xfd;
		keys[i].b[14] = (__u8)(i >> 8);
		keys[i].b[15] = (__u8)i;
		values[i].slot = (__u16)i;
	}
	OK(f, dp_map_set_batch(map, keys, values, ROWS, &done));
	assert_int_equal(done, ROWS);
	OK(f, dp_map_each(map, count_rows, &seen));
	assert_int_equal(seen, ROWS);
	OK(f, dp_map_fill(map, &fill));
	assert_int_equal(fill, ROWS);
	OK(f, dp_map_get(map, &keys[77], &got));
	assert_int_equal(got.slot, 77);
	assert_int_equal(dp_map_add(map, &keys[77], &got), -EEXIST);
	OK(f, dp_map_delete(map, &keys[77]));
	OK(f, dp_map_delete(map, &keys[ROWS - 1]));
	assert_int_equal(dp_map_get(map, &keys[77], &got), -ENOENT);
	OK(f, dp_map_delete_batch(map, keys, ROWS, &done)); /* two are gone already */
	assert_int_equal(done, ROWS);
	OK(f, dp_map_fill(map, &fill));
	assert_int_equal(fill, 0);
	OK(f, dp_map_memory(map, &bytes));
	assert_true(bytes > 0);
}

static void trie_rows(void **state)
{
	struct loaded *f = *state;
	const struct dp_map *map = dp_get_map(f->dp, "mg_nets");
	struct mg_prefix keys[3];
	struct mg_ident values[3] = { { .identity = 8 }, { .identity = 16 }, { .identity = 24 } };
	struct mg_ident got;
	size_t done;
	__u64 fill;

	assert_int_equal(prefix_parse("10.0.0.0/8", false, &keys[0]), 0);
	assert_int_equal(prefix_parse("10.1.0.0/16", false, &keys[1]), 0);
	assert_int_equal(prefix_parse("fd00::/8", false, &keys[2]), 0);
	OK(f, dp_map_set_batch(map, keys, values, 3, &done));
	OK(f, dp_map_fill(map, &fill));
	assert_int_equal(fill, 3);
	assert_int_equal(prefix_parse("10.1.2.3/32", true, &keys[0]), 0);
	OK(f, dp_map_get(map, &keys[0], &got)); /* longest match */
	assert_int_equal(got.identity, 16);
}

static void full_map_tells_how_far(void **state)
{
	struct loaded *f = *state;
	const struct dp_size sizes[] = { { "mg_addrs", 4 } };
	union mg_addr keys[8] = { 0 };
	struct mg_ident values[8] = { 0 };
	size_t done = 99;
	int r;

	f->config.sizes = sizes;
	f->config.size_count = 1;
	loaded_again(f);
	for (int i = 0; i < 8; i++)
		keys[i].b[15] = (__u8)(i + 1);
	r = dp_map_set_batch(dp_get_map(f->dp, "mg_addrs"), keys, values, 8, &done);
	assert_true(r == -E2BIG || r == -ENOSPC);
	assert_int_equal(done, 4);
}

static void counters_sum_over_cpus(void **state)
{
	struct loaded *f = *state;
	__u32 index = MG_HOOK_TO_POD * MG_DROP_SLOTS + 1;
	struct mg_drop_count sum;

	for (int i = 0; i < 5; i++)
		assert_int_equal(run_prog(dp_prog_fd(f->dp, "to_pod")), -1);
	OK(f, dp_map_sum(dp_get_map(f->dp, "mg_drops"), index, (__u64 *)&sum));
	assert_int_equal(sum.packets, 5);
	assert_int_equal(sum.bytes, 5 * 60);
}

static void control_is_one_store(void **state)
{
	struct loaded *f = *state;
	const struct dp_map *map = dp_get_map(f->dp, "mg_control");
	struct mg_control *control;
	_cleanup_free_ struct mg_control *row = calloc(1, sizeof(*row));
	__u32 zero = 0;

	OK(f, dp_control_open(map, &control, &f->err));
	dp_control_store(&control->commit, 5);
	dp_control_raise(&control->change);
	dp_control_raise(&control->epoch[MG_EPOCHS - 1]);
	OK(f, dp_map_get(map, &zero, row));
	assert_int_equal(row->commit, 5);
	assert_int_equal(row->change, 1);
	assert_int_equal(row->epoch[MG_EPOCHS - 1], 1);
	dp_control_close(control);
	OK(f, dp_grace(f->dp));
}

static void on_event(const struct mg_event *event, void *data)
{
	assert_int_equal(event->hook, MG_HOOK_FROM_POD);
	assert_int_equal(event->length, 60);
	(*(int *)data)++;
}

static void events_come_in_turns(void **state)
{
	struct loaded *f = *state;
	struct dp_events *events;
	struct pollfd fd;
	unsigned int bad = 99;
	int seen = 0;

	OK(f, dp_events_open(dp_get_map(f->dp, "mg_events"), on_event, &seen, &events, &f->err));
	fd = (struct pollfd){ .fd = dp_events_fd(events), .events = POLLIN };
	assert_int_equal(poll(&fd, 1, 0), 0);
	for (int i = 0; i < 10; i++)
		run_prog(dp_prog_fd(f->dp, "from_pod"));
	assert_int_equal(poll(&fd, 1, 1000), 1);
	assert_int_equal(dp_events_read(events, 3, NULL), 3);
	assert_int_equal(seen, 3);
	assert_int_equal(dp_events_read(events, 0, &bad), 7);
	assert_int_equal(seen, 10);
	assert_int_equal(bad, 0);
	for (int i = 0; i < 3; i++)
		run_prog(dp_prog_fd(f->dp, "from_pod"));
	dp_events_skip(events);
	assert_int_equal(dp_events_read(events, 0, NULL), 0);
	run_prog(dp_prog_fd(f->dp, "from_pod"));
	assert_int_equal(dp_events_read(events, 0, NULL), 1);
	assert_int_equal(seen, 11);
	dp_events_close(events);
}

static void trace_copy_has_its_own_state(void **state)
{
	struct loaded *f = *state;
	const struct mg_flow_key key = { .proto = 17, .port_a = MG_HOOK_FROM_POD };
	struct dp_trace_packet packet = { .prog = "from_pod", .ifindex = 1, .size = 60 };
	__u32 index = MG_HOOK_FROM_POD * MG_DROP_SLOTS + 1;
	struct dp_trace_result result = { 0 };
	struct mg_drop_count sum;
	struct mg_control *control;
	struct mg_flow flow = { 0 };
	struct dp_trace *trace;
	__u8 frame[60] = { [12] = 0x08 };

	packet.data = frame;
	OK(f, dp_control_open(dp_get_map(f->dp, "mg_control"), &control, &f->err));
	dp_control_store(&control->commit, 42);
	OK(f, dp_trace_load(f->dp, &trace, &f->err));
	OK(f, dp_trace_run(trace, &packet, &result, &f->err));
	assert_int_equal((int)result.verdict, -1);
	assert_int_equal(result.size, 60);
	assert_int_equal(result.steps.count, 1);
	assert_int_equal(result.steps.step[0].kind, MG_STEP_ENTRY);
	assert_int_equal(result.steps.step[0].a, 42); /* the shared control row */
	OK(f, dp_map_sum(dp_get_map(f->dp, "mg_drops"), index, (__u64 *)&sum));
	assert_int_equal(sum.packets, 0); /* counters of its own */
	OK(f, dp_trace_set_flow(trace, &key, &flow, true));
	OK(f, dp_trace_run(trace, &packet, &result, &f->err));
	assert_int_equal(dp_map_get(dp_get_map(f->dp, "mg_flow_e"), &key, &flow), -ENOENT);
	OK(f, dp_trace_clear(trace));
	packet.prog = "no_such";
	assert_int_equal(dp_trace_run(trace, &packet, &result, &f->err), -ENOENT);
	packet.prog = "from_pod";
	packet.size = 3;
	assert_int_equal(dp_trace_run(trace, &packet, &result, &f->err), -EMSGSIZE);
	dp_trace_free(trace);
	dp_control_close(control);
}

static void probe_finds_what_runs_here(void **state)
{
	struct dp_feature features[DP_FEATURE_MAX];

	(void)state;
	dp_probe(features);
	for (int i = 0; i < DP_FEATURE_MAX; i++) {
		assert_non_null(features[i].name);
		assert_non_null(features[i].lack);
		/* A set was loaded and attached on this kernel, so what that needs is there. */
		if (features[i].required && i != DP_FEATURE_BPFFS && !features[i].present)
			fail_msg("%s: %s", features[i].name, features[i].detail);
	}
}

#define CASE(function) cmocka_unit_test_setup_teardown(function, loaded_setup, loaded_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(first_load_pins_all),
		CASE(restart_adopts),
		CASE(new_configuration_waits_for_takeover),
		CASE(death_before_takeover),
		CASE(refused_group_leaves_others),
		CASE(bad_objects),
		CASE(rows_single_and_batch),
		CASE(trie_rows),
		CASE(full_map_tells_how_far),
		CASE(counters_sum_over_cpus),
		CASE(control_is_one_store),
		CASE(events_come_in_turns),
		CASE(trace_copy_has_its_own_state),
		CASE(probe_finds_what_runs_here),
	};

	return cmocka_run_group_tests_name("pins", tests, NULL, NULL);
}
