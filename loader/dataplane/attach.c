/* SPDX-License-Identifier: Apache-2.0 */
#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/pkt_cls.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "dataplane/attach.h"
#include "dataplane/attach_own.h"
#include "dataplane/pins.h"
#include "dataplane/sys.h"

#define KNOWN_MAX 64
#define GUARD_NAME "margay_guard"

static struct {
	__u32 id;
	int fd;
} known[KNOWN_MAX];
static unsigned int known_count;

int dp_attach_know(int prog_fd)
{
	_cleanup_close_ int fd = -1;
	__u32 id;
	int r = prog_id_of(prog_fd, &id);

	if (r)
		return r;
	for (unsigned int i = 0; i < known_count; i++) {
		if (known[i].id == id)
			return 0;
	}
	if (known_count == KNOWN_MAX)
		return -ENOSPC;
	fd = fcntl(prog_fd, F_DUPFD_CLOEXEC, 3);
	if (fd < 0)
		return -errno;
	known[known_count].id = id;
	known[known_count++].fd = TAKE_FD(fd);
	return 0;
}

void dp_attach_forget(void)
{
	while (known_count)
		close(known[--known_count].fd);
}

bool attach_is_ours(__u32 id)
{
	for (unsigned int i = 0; i < known_count; i++) {
		if (known[i].id == id)
			return true;
	}
	return prog_id_is_ours(id);
}

int attach_open_id(__u32 id)
{
	int fd;

	for (unsigned int i = 0; i < known_count; i++) {
		if (known[i].id != id)
			continue;
		fd = fcntl(known[i].fd, F_DUPFD_CLOEXEC, 3);
		return fd < 0 ? -errno : fd;
	}
	return bpf_prog_get_fd_by_id(id);
}

bool attach_is_guard(__u32 id)
{
	_cleanup_close_ int fd = bpf_prog_get_fd_by_id(id);
	struct bpf_prog_info info = { 0 };
	__u32 size = sizeof(info);

	return fd >= 0 && !bpf_obj_get_info_by_fd(fd, &info, &size) &&
	       !strcmp(info.name, GUARD_NAME);
}

int attach_guard(int *ret_fd, struct err *err)
{
	const struct bpf_insn drop[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = TC_ACT_SHOT },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	int fd = bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, GUARD_NAME, "GPL", drop,
			       sizeof(drop) / sizeof(drop[0]), NULL);

	if (fd < 0)
		return err_errno(err, fd, "guard program");
	*ret_fd = fd;
	return 0;
}

/* A kernel without TCX knows no such attach type: -EINVAL, whatever the device. */
static bool have_tcx(void)
{
	struct bpf_mprog_query query = { .target_ifindex = 1, .attach_type = MG_TCX_INGRESS };

	return sys_bpf(BPF_PROG_QUERY, &query, sizeof(query)) != -EINVAL;
}

int dp_attach_pick(enum dp_attach_type type, const struct dp_attach_ops **ret_ops, struct err *err)
{
	bool tcx = type != DP_ATTACH_CLSACT && have_tcx();

	if (type == DP_ATTACH_TCX && !tcx)
		return err_set(err, -EOPNOTSUPP, "this kernel has no TCX (Linux 6.6 has)");
	*ret_ops = tcx ? &dp_attach_tcx : &dp_attach_clsact;
	return 0;
}

static const struct dp_attach_ops *other_than(const struct dp_attach_ops *ops)
{
	return ops->type == DP_ATTACH_TCX ? &dp_attach_clsact : &dp_attach_tcx;
}

int dp_attach(const struct dp_attach_ops *ops, int ifindex, enum dp_way way, int prog_fd,
	      struct err *err)
{
	int r = ops->attach(ifindex, way, prog_fd, err);

	return r ? r : other_than(ops)->detach(ifindex, way, err);
}

int dp_attach_softly(const struct dp_attach_ops *ops, int ifindex, enum dp_way way, int prog_fd,
		     struct err *err)
{
	int r = ops->attach(ifindex, way, prog_fd, err);

	return r ? r : other_than(ops)->take_off(ifindex, way, err);
}

/* A kernel without TCX has nothing there. */
static int query_way(const struct dp_attach_ops *ops, int ifindex, enum dp_way way,
		     struct dp_attached *ret_attached, struct err *err)
{
	int r = ops->query(ifindex, way, ret_attached, err);

	if (r != -EINVAL || ops->type != DP_ATTACH_TCX)
		return r;
	*ret_attached = (struct dp_attached){ 0 };
	return err_clear(err);
}

int dp_attach_place(const struct dp_attach_ops *ops, int ifindex, enum dp_way way, int prog_fd,
		    enum dp_place *ret_place, struct err *err)
{
	struct dp_attached here, there;
	__u32 id;
	int r = prog_id_of(prog_fd, &id);

	if (r)
		return err_errno(err, r, "program");
	r = query_way(ops, ifindex, way, &here, err);
	if (!r)
		r = query_way(other_than(ops), ifindex, way, &there, err);
	if (r)
		return r;
	if (here.first && here.id == id && !there.id)
		*ret_place = DP_PLACE_RIGHT;
	/* Of two that are there TCX runs first, and clsact says that it does not. */
	else if ((here.first && here.id == id) || (there.first && there.id == id))
		*ret_place = DP_PLACE_OTHER;
	else
		*ret_place = DP_PLACE_WRONG;
	return 0;
}

int dp_detach_all(int ifindex, struct err *err)
{
	static const struct dp_attach_ops *const all[] = { &dp_attach_tcx, &dp_attach_clsact };
	struct err own = { 0 };
	int r = 0;

	for (int i = 0; i < 4; i++) {
		int one = all[i / 2]->detach(ifindex, i % 2 ? DP_EGRESS : DP_INGRESS, &own);

		if (one && !r)
			r = err_set(err, one, "%s", own.text);
	}
	return r;
}

int dp_attach_repair(const struct dp_attach_ops *ops, int ifindex, enum dp_way way, int prog_fd,
		     struct err *err)
{
	struct dp_attached now;
	__u32 id;
	int r = prog_id_of(prog_fd, &id);

	if (r)
		return err_errno(err, r, "program");
	r = ops->query(ifindex, way, &now, err);
	if (r)
		return r;
	if (now.first && now.id == id)
		return 0;
	r = dp_attach(ops, ifindex, way, prog_fd, err);
	if (!r)
		r = ops->query(ifindex, way, &now, err);
	if (r)
		return r;
	if (now.first && now.id == id)
		return 1;
	return err_set(err, -EBUSY, "interface %d, %s: program %u runs ahead of Margay's", ifindex,
		       way == DP_INGRESS ? "ingress" : "egress", now.ahead);
}
