/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TCX (Linux 6.6, kernel/bpf/tcx.c): a list of programs a device and direction. Calls carry the
 * revision of the list they were decided on; a list changed meanwhile is -ESTALE, and read again.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "dataplane/attach.h"
#include "dataplane/attach_own.h"
#include "dataplane/pins.h"
#include "dataplane/sys.h"

#define LIST_MAX 64 /* BPF_MPROG_MAX */

struct point {
	int ifindex;
	__u32 type;
	__u32 ids[LIST_MAX];
	__u32 count;
	__u64 revision;
	int ours;    /* index of ours; -1: none */
	int guard;   /* index of a guard that a killed repair left behind; -1: none */
	__u32 given; /* id of the program the caller wants there; 0: none */
};

static __u32 type_of(enum dp_way way)
{
	return way == DP_INGRESS ? MG_TCX_INGRESS : MG_TCX_EGRESS;
}

static int read_point(struct point *point)
{
	struct bpf_mprog_query query = {
		.target_ifindex = (__u32)point->ifindex,
		.attach_type = point->type,
		.prog_ids = (uintptr_t)point->ids,
		.count = LIST_MAX,
	};
	int r = sys_bpf(BPF_PROG_QUERY, &query, sizeof(query));

	if (r)
		return r;
	point->count = query.count;
	point->revision = query.revision;
	point->ours = -1;
	point->guard = -1;
	for (__u32 i = 0; i < point->count; i++) {
		if (point->ours < 0 &&
		    (point->ids[i] == point->given || attach_is_ours(point->ids[i])))
			point->ours = (int)i;
		else if (attach_is_guard(point->ids[i]))
			point->guard = (int)i;
	}
	return 0;
}

static int call(const struct point *point, enum bpf_cmd command, struct bpf_mprog_attach attach)
{
	attach.target_ifindex = (__u32)point->ifindex;
	attach.attach_type = point->type;
	attach.expected_revision = point->revision;
	return sys_bpf(command, &attach, sizeof(attach));
}

static int put_first(const struct point *point, int prog_fd)
{
	return call(point, BPF_PROG_ATTACH,
		    (struct bpf_mprog_attach){ .attach_bpf_fd = (__u32)prog_fd,
					       .attach_flags = MG_F_BEFORE });
}

static int take_off(const struct point *point, __u32 id)
{
	_cleanup_close_ int fd = attach_open_id(id);

	if (fd < 0)
		return fd;
	return call(point, BPF_PROG_DETACH,
		    (struct bpf_mprog_attach){ .attach_bpf_fd = (__u32)fd });
}

static int replace(const struct point *point, int prog_fd)
{
	_cleanup_close_ int old = attach_open_id(point->ids[point->ours]);

	if (old < 0)
		return old;
	return call(point, BPF_PROG_ATTACH,
		    (struct bpf_mprog_attach){ .attach_bpf_fd = (__u32)prog_fd,
					       .attach_flags = BPF_F_REPLACE,
					       .replace_bpf_fd = (__u32)old });
}

/* The list has no call that moves a program: ours goes off and on again behind a guard. */
static int move_first(struct point *point, int prog_fd, struct err *err)
{
	_cleanup_close_ int guard = -1;
	int r, off;

	r = attach_guard(&guard, err);
	if (!r)
		r = put_first(point, guard);
	if (r)
		return r;
	point->revision = 0; /* guarded: what others do meanwhile opens nothing */
	r = take_off(point, point->ids[point->ours]);
	if (!r)
		r = put_first(point, prog_fd);
	off = call(point, BPF_PROG_DETACH,
		   (struct bpf_mprog_attach){ .attach_bpf_fd = (__u32)guard });
	return r ? r : off;
}

static int attach_once(struct point *point, int prog_fd, struct err *err)
{
	int r = read_point(point);

	if (r)
		return r;
	if (point->ours < 0)
		r = put_first(point, prog_fd);
	else if (point->ours > 0)
		r = move_first(point, prog_fd, err);
	else if (point->ids[0] != point->given)
		r = replace(point, prog_fd);
	if (r || point->guard < 0)
		return r;
	point->revision = 0;
	return take_off(point, point->ids[point->guard]);
}

static int fail(const struct point *point, const char *what, int r, struct err *err)
{
	return err_errno(err, r, "interface %d, tcx %s: %s", point->ifindex,
			 point->type == MG_TCX_INGRESS ? "ingress" : "egress", what);
}

static int tcx_attach(int ifindex, enum dp_way way, int prog_fd, struct err *err)
{
	struct point point = { .ifindex = ifindex, .type = type_of(way) };
	int r = prog_id_of(prog_fd, &point.given);

	if (!r)
		r = -ESTALE;
	for (int i = 0; i < ATTACH_TRIES && r == -ESTALE; i++)
		r = attach_once(&point, prog_fd, err);
	return r ? fail(&point, "attach", r, err) : 0;
}

static int tcx_detach(int ifindex, enum dp_way way, struct err *err)
{
	struct point point = { .ifindex = ifindex, .type = type_of(way) };
	int r = -ESTALE;

	/* Until none of ours is left: an interrupted repair may have left more than one. */
	for (int i = 0; i < ATTACH_TRIES && (!r || r == -ESTALE); i++) {
		r = read_point(&point);
		if (r || (point.ours < 0 && point.guard < 0))
			break;
		r = take_off(&point, point.ids[point.ours < 0 ? point.guard : point.ours]);
	}
	/* No TCX, no device, or gone between the two calls: nothing of ours is attached. */
	if (r == -EINVAL || r == -ENODEV || r == -ENOENT)
		return 0;
	return r ? fail(&point, "detach", r, err) : 0;
}

static int tcx_query(int ifindex, enum dp_way way, struct dp_attached *ret_attached,
		     struct err *err)
{
	struct point point = { .ifindex = ifindex, .type = type_of(way) };
	int r = read_point(&point);

	if (r)
		return fail(&point, "query", r, err);
	*ret_attached = (struct dp_attached){ .count = point.count, .first = point.ours == 0 };
	if (point.ours >= 0)
		ret_attached->id = point.ids[point.ours];
	if (point.count && point.ours != 0)
		ret_attached->ahead = point.ids[0];
	return 0;
}

__u32 tcx_head(int ifindex, bool egress)
{
	struct point point = { .ifindex = ifindex,
			       .type = egress ? MG_TCX_EGRESS : MG_TCX_INGRESS };

	return read_point(&point) || !point.count ? 0 : point.ids[0];
}

const struct dp_attach_ops dp_attach_tcx = {
	.name = "tcx",
	.type = DP_ATTACH_TCX,
	.attach = tcx_attach,
	.detach = tcx_detach,
	.take_off = tcx_detach,
	.query = tcx_query,
};
