/* SPDX-License-Identifier: Apache-2.0 */
#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "dataplane/dp.h"
#include "dataplane/trace.h"

#define FLOW_ROWS 1024
#define RING_BYTES 65536
#define FRAME_MAX 9216

struct dp_trace {
	struct bpf_object *object;
	struct dp_map flow_t;
	struct dp_map flow_e;
	struct dp_map frags;
	struct dp_map steps;
	bool keep_flows;
};

/* Maps the copy has for itself are as small as one question needs. */
static int shrink(struct bpf_map *map)
{
	__u32 own = bpf_map__max_entries(map);

	if (dp_map_class(bpf_map__name(map)) == MAP_RUNTIME &&
	    bpf_map__type(map) != BPF_MAP_TYPE_ARRAY)
		return bpf_map__set_max_entries(map, FLOW_ROWS);
	if (bpf_map__type(map) == BPF_MAP_TYPE_RINGBUF)
		return bpf_map__set_max_entries(map, RING_BYTES);
	if (!strcmp(bpf_map__name(map), "mg_rule_stats"))
		return bpf_map__set_max_entries(map, own < FLOW_ROWS ? own : FLOW_ROWS);
	return 0;
}

static int share_maps(const struct dp *dp, struct bpf_object *object)
{
	struct bpf_map *map;
	int r = 0;

	dp_leave_watch_maps(object);
	for (size_t i = 0; i < dp->row_count && !r; i++) {
		const struct dp_row *row = &dp->rows[i];

		map = bpf_object__find_map_by_name(object, row->name);
		if (!map)
			continue;
		r = row->class == MAP_DERIVED ? bpf_map__reuse_fd(map, row->map.fd) : shrink(map);
	}
	/* mg_pages is shared, with its chunks. */
	map = bpf_object__find_map_by_name(object, "mg_chunk0");
	if (!r && map)
		r = bpf_map__set_autocreate(map, false);
	return r;
}

/* Only what judges packets, and what loaded in the set in force. */
static void switch_on(const struct dp *dp, struct bpf_object *object)
{
	for (size_t i = 0; i < dp_prog_count; i++) {
		struct bpf_program *prog =
			bpf_object__find_program_by_name(object, dp_progs[i].name);

		if (prog && dp_progs[i].group != DP_GROUP_SOCK &&
		    !dp->group_error[dp_progs[i].group])
			bpf_program__set_autoload(prog, true);
	}
}

static int own_map(const struct bpf_object *object, const char *name, struct dp_map *ret_map,
		   struct err *err)
{
	const struct bpf_map *map = bpf_object__find_map_by_name(object, name);
	int fd = map ? fcntl(bpf_map__fd(map), F_DUPFD_CLOEXEC, 3) : -1;

	return fd < 0 ? err_set(err, -ENOENT, "trace copy: map %s", name)
		      : dp_map_init(fd, ret_map, err);
}

static int open_maps(struct dp_trace *trace, struct err *err)
{
	int r = own_map(trace->object, "mg_steps", &trace->steps, err);

	if (!r)
		r = own_map(trace->object, "mg_flow_t", &trace->flow_t, err);
	if (!r)
		r = own_map(trace->object, "mg_flow_e", &trace->flow_e, err);
	/* A build without fragments is a build of the tests. */
	if (!r && bpf_object__find_map_by_name(trace->object, "mg_frags"))
		r = own_map(trace->object, "mg_frags", &trace->frags, err);
	return r;
}

static int copy_row(const void *key, const void *value, void *data)
{
	return dp_map_set(data, key, value);
}

/* What packets taught about paths is part of the answer; the copy must not unlearn it. */
static int copy_paths(const struct dp *dp, const struct dp_trace *trace, struct err *err)
{
	const struct dp_map *from = dp_get_map(dp, "mg_pmtu");
	_cleanup_map_ struct dp_map to = DP_MAP_NONE;
	int r;

	if (!from || !dp_map_is_array(from))
		return 0;
	r = own_map(trace->object, "mg_pmtu", &to, err);
	if (r)
		return r;
	r = dp_map_each(from, copy_row, &to);
	return r ? err_errno(err, r, "trace copy: map mg_pmtu") : 0;
}

int dp_trace_load(const struct dp *dp, struct dp_trace **ret_trace, struct err *err)
{
	_cleanup_(dp_trace_free_p) struct dp_trace *trace = xcalloc(1, sizeof(*trace));
	struct mg_config config = dp->mg;
	int r;

	trace->flow_t.fd = trace->flow_e.fd = trace->frags.fd = trace->steps.fd = -1;
	config.trace = 1;
	r = object_open(&dp->image, &config, &trace->object, err);
	if (r)
		return r;
	r = share_maps(dp, trace->object);
	if (r)
		return err_errno(err, r, "trace copy");
	switch_on(dp, trace->object);
	r = object_load(trace->object, err);
	if (r)
		return err_wrap(err, r, "trace copy");
	r = open_maps(trace, err);
	if (!r)
		r = copy_paths(dp, trace, err);
	if (!r)
		*ret_trace = TAKE_PTR(trace);
	return r;
}

void dp_trace_free(struct dp_trace *trace)
{
	if (!trace)
		return;
	dp_map_done(&trace->flow_t);
	dp_map_done(&trace->flow_e);
	dp_map_done(&trace->frags);
	dp_map_done(&trace->steps);
	bpf_object__close(trace->object);
	free(trace);
}

static int empty(const struct dp_map *map)
{
	struct mg_flow_key keys[64]; /* frags' keys are as large */
	struct mg_flow values[64];
	size_t count;
	int r = 0;

	if (map->fd < 0)
		return 0;
	for (;;) {
		struct dp_cursor cursor = { 0 };

		do {
			r = dp_map_next(map, &cursor, keys, values, 64, &count);
		} while (!r && !count && !cursor.end);
		if (r || !count)
			return r;
		r = dp_map_delete_batch(map, keys, count, NULL);
		if (r)
			return r;
	}
}

int dp_trace_clear(struct dp_trace *trace)
{
	int r = empty(&trace->flow_t);

	if (!r)
		r = empty(&trace->flow_e);
	if (!r)
		r = empty(&trace->frags);
	trace->keep_flows = false;
	return r;
}

int dp_trace_set_flow(struct dp_trace *trace, const struct mg_flow_key *key,
		      const struct mg_flow *flow, bool established)
{
	int r = trace->keep_flows ? 0 : dp_trace_clear(trace);

	trace->keep_flows = true;
	return r ? r : dp_map_set(established ? &trace->flow_e : &trace->flow_t, key, flow);
}

static int run(struct bpf_program *prog, const struct dp_trace_packet *packet,
	       struct dp_trace_result *result)
{
	struct __sk_buff context = {
		.mark = packet->mark,
		.ifindex = packet->ifindex,
		.ingress_ifindex = packet->from_socket ? 0 : packet->ifindex,
	};
	__u8 out[FRAME_MAX + 256];
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = packet->data,
		    .data_size_in = (__u32)packet->size, .data_out = out,
		    .data_size_out = sizeof(out), .ctx_in = &context,
		    .ctx_size_in = sizeof(context), .ctx_out = &context,
		    .ctx_size_out = sizeof(context));
	int r = bpf_prog_test_run_opts(bpf_program__fd(prog), &opts);

	if (r)
		return r;
	result->verdict = opts.retval;
	result->mark = context.mark;
	result->size = opts.data_size_out;
	if (result->data)
		memcpy(result->data, out,
		       result->size < result->data_room ? result->size : result->data_room);
	return 0;
}

int dp_trace_run(struct dp_trace *trace, const struct dp_trace_packet *packet,
		 struct dp_trace_result *ret_result, struct err *err)
{
	struct bpf_program *prog = bpf_object__find_program_by_name(trace->object, packet->prog);
	const __u32 zero = 0;
	struct mg_steps none = { 0 };
	int r;

	if (!prog || bpf_program__fd(prog) < 0)
		return err_set(err, -ENOENT, "trace: program %s is not loaded", packet->prog);
	if (packet->size < ETH_HLEN || packet->size > FRAME_MAX)
		return err_set(err, -EMSGSIZE, "trace: frame of %zu bytes, expected %d to %d",
			       packet->size, ETH_HLEN, FRAME_MAX);
	r = trace->keep_flows ? 0 : dp_trace_clear(trace);
	if (!r)
		r = dp_map_set(&trace->steps, &zero, &none);
	if (!r)
		r = run(prog, packet, ret_result);
	if (!r)
		r = dp_map_get(&trace->steps, &zero, &ret_result->steps);
	return r ? err_errno(err, r, "trace: run of %s", packet->prog) : 0;
}
