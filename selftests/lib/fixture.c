/* SPDX-License-Identifier: Apache-2.0 */
#include "selftests/lib/fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/inet.h"

#define CPUS_MAX 1024

static const char *const reason_names[] = {
#define REASON_NAME(name, text, help) text,
	MG_REASONS(REASON_NAME)
#undef REASON_NAME
};

const char *fixture_reason_name(enum mg_reason reason)
{
	return reason < MG_DROP_MAX ? reason_names[reason] : "?";
}

int fixture_map(const struct fixture *fx, const char *name)
{
	int fd = bpf_object__find_map_fd_by_name(fx->maps, name);

	if (fd < 0)
		fail_msg("no map %s", name);
	return fd;
}

void fixture_put(const struct fixture *fx, const char *map, const void *key, const void *value)
{
	int r = bpf_map_update_elem(fixture_map(fx, map), key, value, BPF_ANY);

	if (r)
		fail_msg("%s: %s", map, strerror(-r));
}

void fixture_put_at(const struct fixture *fx, const char *map, __u32 index, const void *value)
{
	fixture_put(fx, map, &index, value);
}

bool fixture_get(const struct fixture *fx, const char *map, const void *key, void *ret_value)
{
	return !bpf_map_lookup_elem(fixture_map(fx, map), key, ret_value);
}

void fixture_del(const struct fixture *fx, const char *map, const void *key)
{
	bpf_map_delete_elem(fixture_map(fx, map), key);
}

void fixture_local(struct fixture *fx)
{
	fixture_put_at(fx, "mg_local", 0, &fx->local);
}

/* Deletes behind the walk: from the first key each time, a hash is read from its start. */
void fixture_empty(int fd, size_t key_size)
{
	unsigned char key[2][64];
	int r = bpf_map_get_next_key(fd, NULL, key[0]);

	if (key_size > sizeof(key[0]))
		fail_msg("key of %zu bytes", key_size);
	for (unsigned int i = 0; !r; i = !i) {
		r = bpf_map_get_next_key(fd, key[i], key[!i]);
		bpf_map_delete_elem(fd, key[i]);
	}
}

static void zero_per_cpu(const struct fixture *fx, const char *map, __u32 count, size_t size)
{
	LIBBPF_OPTS(bpf_map_batch_opts, opts);
	void *zero = test_calloc((size_t)libbpf_num_possible_cpus() * count, size);
	__u32 *keys = test_calloc(count, sizeof(*keys));

	for (__u32 i = 0; i < count; i++)
		keys[i] = i;
	if (bpf_map_update_batch(fixture_map(fx, map), keys, zero, &count, &opts))
		fail_msg("%s: %s", map, strerror(errno));
	test_free(keys);
	test_free(zero);
}

void fixture_forget(struct fixture *fx)
{
	struct mg_event event;

	fixture_empty(fixture_map(fx, "mg_flow_t"), sizeof(struct mg_flow_key));
	fixture_empty(fixture_map(fx, "mg_flow_e"), sizeof(struct mg_flow_key));
	fixture_empty(fixture_map(fx, "mg_frags"), sizeof(struct mg_frag_key));
	fixture_empty(fixture_map(fx, "mg_affinity"), sizeof(struct mg_affinity_key));
	fixture_empty(fixture_map(fx, "mg_fronts"), sizeof(struct mg_front_key));
	fixture_empty(fixture_map(fx, "mg_ranges"), sizeof(struct mg_range_key));
	zero_per_cpu(fx, "mg_drops", MG_HOOK_MAX * MG_DROP_SLOTS, sizeof(struct mg_drop_count));
	zero_per_cpu(fx, "mg_rule_stats", 64, sizeof(struct mg_rule_stats));
	while (fixture_event(fx, &event))
		;
}

struct mg_drop_count fixture_drops(const struct fixture *fx, enum mg_hook hook,
				   enum mg_reason reason)
{
	struct mg_drop_count each[CPUS_MAX], total = { 0 };
	__u32 index = (__u32)hook * MG_DROP_SLOTS + (__u32)reason;
	int cpus = libbpf_num_possible_cpus();

	if (!fixture_get(fx, "mg_drops", &index, each))
		fail_msg("mg_drops[%u]", index);
	for (int i = 0; i < cpus; i++) {
		total.packets += each[i].packets;
		total.bytes += each[i].bytes;
	}
	return total;
}

struct mg_rule_stats fixture_rule(const struct fixture *fx, __u32 rule)
{
	struct mg_rule_stats each[CPUS_MAX], total = { 0 };
	int cpus = libbpf_num_possible_cpus();

	if (!fixture_get(fx, "mg_rule_stats", &rule, each))
		fail_msg("mg_rule_stats[%u]", rule);
	for (int i = 0; i < cpus; i++) {
		total.connections += each[i].connections;
		total.packets += each[i].packets;
		total.bytes += each[i].bytes;
	}
	return total;
}

static int keep_event(void *to, void *data, size_t size)
{
	if (size != sizeof(struct mg_event))
		return -EINVAL;
	memcpy(to, data, size);
	return -ECANCELED; /* one is enough */
}

bool fixture_event(const struct fixture *fx, struct mg_event *ret_event)
{
	struct ring_buffer *ring =
		ring_buffer__new(fixture_map(fx, "mg_events"), keep_event, ret_event, NULL);
	int r;

	if (!ring)
		fail_msg("ring buffer: %s", strerror(errno));
	r = ring_buffer__consume(ring);
	ring_buffer__free(ring);
	return r == -ECANCELED;
}

/* In one call: a row a time would cost many times what the packet does. */
static void count_reasons(const struct fixture *fx, enum mg_hook hook, __u64 *counts)
{
	LIBBPF_OPTS(bpf_map_batch_opts, opts);
	static struct mg_drop_count *each;
	__u32 before = (__u32)hook * MG_DROP_SLOTS - 1, next, keys[MG_DROP_SLOTS];
	__u32 count = MG_DROP_SLOTS;
	const int cpus = libbpf_num_possible_cpus();

	if (!each)
		each = calloc((size_t)cpus * MG_DROP_SLOTS, sizeof(*each));
	if (bpf_map_lookup_batch(fixture_map(fx, "mg_drops"), hook ? &before : NULL, &next, keys,
				 each, &count, &opts) &&
	    errno != ENOENT) /* the last hook: there is nothing behind */
		fail_msg("mg_drops: %s", strerror(errno));
	assert_int_equal(count, MG_DROP_SLOTS);
	for (int i = MG_DROP_NONE + 1; i < MG_DROP_MAX; i++)
		for (int cpu = 0; cpu < cpus; cpu++)
			counts[i] += each[i * cpus + cpu].packets;
}

void fixture_run(struct fixture *fx, const struct fixture_run *run, struct fixture_out *out)
{
	struct __sk_buff before = { .ifindex = run->ifindex,
				    .ingress_ifindex = run->ingress_ifindex,
				    .mark = run->mark,
				    .gso_segs = run->segments },
			 after = { 0 };
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = run->in->data,
		    .data_size_in = (__u32)run->in->length, .data_out = out->wire.data,
		    .data_size_out = WIRE_MAX, .ctx_in = &before, .ctx_size_in = sizeof(before),
		    .ctx_out = &after, .ctx_size_out = sizeof(after),
		    .repeat = (int)(run->repeat ? run->repeat : 1));
	const struct mg_steps none = { 0 };
	__u64 counts[2][MG_DROP_MAX] = { 0 };
	__u32 zero = 0;
	int r;

	count_reasons(fx, run->hook, counts[0]);
	fixture_put_at(fx, "mg_steps", 0, &none);
	r = bpf_prog_test_run_opts(fixture_program(fx, run->hook), &opts);
	if (r)
		fail_msg("test run at hook %d: %s", run->hook, strerror(-r));
	count_reasons(fx, run->hook, counts[1]);
	out->code = (int)opts.retval;
	out->mark = after.mark;
	out->duration = opts.duration;
	out->wire.length = opts.data_size_out;
	out->reason = MG_DROP_NONE;
	out->drops = 0;
	for (int i = MG_DROP_NONE + 1; i < MG_DROP_MAX; i++) {
		if (counts[1][i] == counts[0][i])
			continue;
		out->reason = (enum mg_reason)i;
		out->drops += (unsigned int)(counts[1][i] - counts[0][i]);
	}
	if (!fixture_get(fx, "mg_steps", &zero, &out->steps))
		fail_msg("mg_steps");
}

const struct mg_step *fixture_step(const struct fixture_out *out, enum mg_step_kind kind)
{
	const struct mg_step *found = NULL;

	for (__u32 i = 0; i < out->steps.count && i < MG_STEPS_MAX; i++)
		if (out->steps.step[i].kind == kind)
			found = &out->steps.step[i];
	return found;
}

/* What flow_key() makes of a packet, written from the ABI's words. */
static void key_of(struct mg_flow_key *key, const struct wire_spec *packet)
{
	bool icmp = packet->proto == IPPROTO_ICMP || packet->proto == IPPROTO_ICMPV6;
	bool ports = packet->proto == IPPROTO_TCP || packet->proto == IPPROTO_UDP ||
		     packet->proto == IPPROTO_SCTP;
	__be16 sport = htobe16(icmp ? packet->icmp_id : ports ? packet->sport : 0);
	__be16 dport = htobe16(icmp ? packet->icmp_id : ports ? packet->dport : 0);
	int order = memcmp(&packet->src, &packet->dst, sizeof(packet->src));

	if (!order)
		order = memcmp(&sport, &dport, sizeof(sport));
	memset(key, 0, sizeof(*key));
	key->a = order <= 0 ? packet->src : packet->dst;
	key->b = order <= 0 ? packet->dst : packet->src;
	key->port_a = order <= 0 ? sport : dport;
	key->port_b = order <= 0 ? dport : sport;
	key->proto = packet->proto;
	if (icmp)
		key->proto = addr_is4(&packet->dst) ? IPPROTO_ICMP : IPPROTO_ICMPV6;
}

int fixture_flow(const struct fixture *fx, const struct wire_spec *packet, struct mg_flow *ret_flow)
{
	struct mg_flow_key key;

	key_of(&key, packet);
	if (fixture_get(fx, "mg_flow_e", &key, ret_flow))
		return 2;
	return fixture_get(fx, "mg_flow_t", &key, ret_flow) ? 1 : 0;
}

void fixture_flow_put(const struct fixture *fx, const struct wire_spec *packet,
		      const struct mg_flow *flow)
{
	struct mg_flow_key key;
	struct mg_flow old;
	int table = fixture_flow(fx, packet, &old);

	key_of(&key, packet);
	if (!table)
		fail_msg("no such flow");
	fixture_put(fx, table == 2 ? "mg_flow_e" : "mg_flow_t", &key, flow);
}
