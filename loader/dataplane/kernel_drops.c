/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/kernel_drops.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "dataplane/dp.h"
#include "dataplane/kernel_reason.h"

#define PROGRAM "kernel_drops"

struct dp_kernel_drops {
	struct bpf_object *object;
	struct bpf_link *link;
	struct ring_buffer *ring;
	struct kernel_reasons *reasons;
	struct dp_map watched, counts;
	__u64 missed; /* told so far */
	dp_kernel_drop_fn function;
	void *data;
	unsigned int left;
};

/* libbpf counts the record as read whatever this returns; other than 0 ends the turn. */
static int on_record(void *context, void *record, size_t size)
{
	struct dp_kernel_drops *drops = context;

	if (size >= sizeof(struct mg_kdrop))
		drops->function(record, drops->data);
	return --drops->left ? 0 : -ECANCELED;
}

/* The kernel waits for the rest of a dropped packet's programs when the link goes. */
void dp_kernel_drops_close(struct dp_kernel_drops *drops)
{
	if (!drops)
		return;
	bpf_link__destroy(drops->link);
	ring_buffer__free(drops->ring);
	dp_map_done(&drops->watched);
	dp_map_done(&drops->counts);
	bpf_object__close(drops->object);
	kernel_reasons_free(drops->reasons);
	free(drops);
}
DEFINE_CLEANUP(struct dp_kernel_drops *, dp_kernel_drops_close)

static int read_names(struct dp_kernel_drops *drops, struct err *err)
{
	struct btf *btf = btf__load_vmlinux_btf();

	if (!btf)
		return err_set(err, -ENOENT, "this kernel has no type information (%s)",
			       "/sys/kernel/btf/vmlinux");
	drops->reasons = kernel_reasons_new(btf);
	btf__free(btf);
	return 0;
}

/* The set's own maps, what is there for watching alone, and no other. */
static int give_maps(const struct dp *dp, struct bpf_object *object)
{
	struct bpf_map *map;
	int r = 0;

	bpf_object__for_each_map(map, object)
	{
		const struct dp_map *own = dp_get_map(dp, bpf_map__name(map));

		if (bpf_map__is_internal(map) || dp_map_class(bpf_map__name(map)) == MAP_WATCH)
			continue;
		r = own ? bpf_map__reuse_fd(map, own->fd) : bpf_map__set_autocreate(map, false);
		if (r)
			break;
	}
	return r;
}

static int load(const struct dp *dp, struct dp_kernel_drops *drops, struct err *err)
{
	int r = object_open_typed(&dp->image, &dp->mg, &drops->object, err);
	struct bpf_program *prog;

	if (r)
		return r;
	prog = bpf_object__find_program_by_name(drops->object, PROGRAM);
	if (!prog)
		return err_set(err, -ENOENT, "the BPF object has no program " PROGRAM);
	bpf_program__set_autoload(prog, true);
	r = give_maps(dp, drops->object);
	if (r)
		return err_errno(err, r, "maps of " PROGRAM);
	return object_load(drops->object, err);
}

static int open_map(const struct dp_kernel_drops *drops, const char *name, struct dp_map *ret_map,
		    struct err *err)
{
	const struct bpf_map *map = bpf_object__find_map_by_name(drops->object, name);
	int fd = fcntl(bpf_map__fd(map), F_DUPFD_CLOEXEC, 3);

	return fd < 0 ? err_errno(err, -errno, "map %s", name) : dp_map_init(fd, ret_map, err);
}

static int open_ring(struct dp_kernel_drops *drops, struct err *err)
{
	const struct bpf_map *map = bpf_object__find_map_by_name(drops->object, "mg_kdrops");

	drops->ring = ring_buffer__new(bpf_map__fd(map), on_record, drops, NULL);
	return drops->ring ? 0 : err_errno(err, -errno, "map mg_kdrops");
}

static int attach(struct dp_kernel_drops *drops, struct err *err)
{
	struct bpf_program *prog = bpf_object__find_program_by_name(drops->object, PROGRAM);

	drops->link = bpf_program__attach(prog);
	return drops->link ? 0 : err_errno(err, -errno, "tracepoint skb:kfree_skb");
}

int dp_kernel_drops_open(const struct dp *dp, dp_kernel_drop_fn function, void *data,
			 struct dp_kernel_drops **ret_drops, struct err *err)
{
	_cleanup_(dp_kernel_drops_close_p) struct dp_kernel_drops *drops =
		xcalloc(1, sizeof(*drops));
	int r;

	drops->watched.fd = drops->counts.fd = -1;
	drops->function = function;
	drops->data = data;
	r = read_names(drops, err);
	if (!r)
		r = load(dp, drops, err);
	if (!r)
		r = open_map(drops, "mg_watched", &drops->watched, err);
	if (!r)
		r = open_map(drops, "mg_kdrop_count", &drops->counts, err);
	if (!r)
		r = open_ring(drops, err);
	if (!r)
		r = attach(drops, err);
	if (r)
		return err_wrap(err, r, "what the kernel drops");
	*ret_drops = TAKE_PTR(drops);
	return 0;
}

int dp_kernel_drops_watch(struct dp_kernel_drops *drops, __u64 cookie, __u16 slot)
{
	__u32 value = slot;

	return dp_map_set(&drops->watched, &cookie, &value);
}

int dp_kernel_drops_forget(struct dp_kernel_drops *drops, __u64 cookie)
{
	return dp_map_delete(&drops->watched, &cookie);
}

int dp_kernel_drops_fd(const struct dp_kernel_drops *drops)
{
	return ring_buffer__epoll_fd(drops->ring);
}

int dp_kernel_drops_read(struct dp_kernel_drops *drops, unsigned int max)
{
	int r;

	drops->left = max;
	r = ring_buffer__consume(drops->ring);
	return r < 0 && r != -ECANCELED ? r : (int)(max - drops->left);
}

__u64 dp_kernel_drops_missed(struct dp_kernel_drops *drops)
{
	__u64 sum[sizeof(struct mg_kdrop_count) / sizeof(__u64)], fresh;
	const size_t member = offsetof(struct mg_kdrop_count, missed) / sizeof(__u64);

	if (dp_map_sum(&drops->counts, 0, sum))
		return 0;
	fresh = sum[member] - drops->missed;
	drops->missed = sum[member];
	return fresh;
}

const char *dp_kernel_drops_reason(const struct dp_kernel_drops *drops, __u32 reason,
				   char text[DP_KERNEL_REASON_TEXT])
{
	return kernel_reasons_name(drops->reasons, reason, text, DP_KERNEL_REASON_TEXT);
}
