/* SPDX-License-Identifier: Apache-2.0 */
#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/membarrier.h>
#include <linux/pkt_cls.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <sys/vfs.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "dataplane/attach.h"
#include "dataplane/cgroup.h"
#include "dataplane/probe.h"
#include "dataplane/sys.h"

#define MIN_MAJOR 6
#define MIN_MINOR 1

static void tell(struct dp_feature *feature, int r)
{
	feature->present = r >= 0;
	if (r < 0)
		snprintf(feature->detail, sizeof(feature->detail), "%s", strerror(-r));
}

static void probe_kernel(struct dp_feature *feature)
{
	unsigned int major = 0, minor = 0;
	struct utsname name;

	if (uname(&name))
		return tell(feature, -errno);
	snprintf(feature->detail, sizeof(feature->detail), "%.90s", name.release);
	feature->present = sscanf(name.release, "%u.%u", &major, &minor) == 2 &&
			   (major > MIN_MAJOR || (major == MIN_MAJOR && minor >= MIN_MINOR));
}

static void probe_btf(struct dp_feature *feature)
{
	tell(feature, access("/sys/kernel/btf/vmlinux", R_OK) ? -errno : 0);
}

static void probe_jit(struct dp_feature *feature)
{
	_cleanup_free_ char *text = NULL;
	size_t size;
	int r = file_read(AT_FDCWD, "/proc/sys/net/core/bpf_jit_enable", 64, &text, &size);

	if (r)
		return tell(feature, r);
	feature->present = text[0] == '1' || text[0] == '2';
	snprintf(feature->detail, sizeof(feature->detail), "net.core.bpf_jit_enable = %.1s", text);
}

static void probe_bpffs(struct dp_feature *feature)
{
	struct statfs fs;

	if (statfs("/sys/fs/bpf", &fs))
		return tell(feature, -errno);
	feature->present = fs.f_type == BPF_FS_MAGIC;
	snprintf(feature->detail, sizeof(feature->detail), "/sys/fs/bpf %s",
		 feature->present ? "is mounted" : "is not a bpf file system");
}

static int try_program(const struct bpf_insn *code, size_t count)
{
	_cleanup_close_ int fd =
		bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, "margay_probe", "GPL", code, count, NULL);

	return fd < 0 ? fd : 0;
}

static void probe_sched_cls(struct dp_feature *feature)
{
	const struct bpf_insn code[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = TC_ACT_UNSPEC },
		{ .code = BPF_JMP | BPF_EXIT },
	};

	tell(feature, try_program(code, 2));
}

static void probe_redirect_peer(struct dp_feature *feature)
{
	const struct bpf_insn code[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_1, .imm = 1 },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_2, .imm = 0 },
		{ .code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_redirect_peer },
		{ .code = BPF_JMP | BPF_EXIT },
	};

	tell(feature, try_program(code, 4));
}

static void probe_ringbuf(struct dp_feature *feature)
{
	_cleanup_close_ int fd = bpf_map_create(BPF_MAP_TYPE_RINGBUF, "margay_probe", 0, 0,
						(__u32)sysconf(_SC_PAGESIZE), NULL);

	tell(feature, fd < 0 ? fd : 0);
}

static void probe_tcx(struct dp_feature *feature)
{
	const struct dp_attach_ops *ops;

	tell(feature, dp_attach_pick(DP_ATTACH_TCX, &ops, NULL));
}

/* Found, and programs of that kind load. Whether one may be attached there is not tried. */
static void probe_cgroup(struct dp_feature *feature)
{
	const struct bpf_insn code[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = 1 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .expected_attach_type = BPF_CGROUP_INET4_CONNECT);
	_cleanup_close_ int fd = bpf_prog_load(BPF_PROG_TYPE_CGROUP_SOCK_ADDR, "margay_probe",
					       "GPL", code, 2, &opts);
	char path[PATH_MAX];
	int r = fd < 0 ? fd : dp_cgroup_find(path, NULL);

	tell(feature, r);
	if (!r)
		snprintf(feature->detail, sizeof(feature->detail), "%.90s", path);
}

static void probe_batch(struct dp_feature *feature)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_NO_PREALLOC);
	_cleanup_close_ int fd = bpf_map_create(BPF_MAP_TYPE_HASH, "margay_probe", 4, 4, 1, &opts);
	__u32 key = 1, value = 1, count = 1;

	tell(feature, fd < 0 ? fd : bpf_map_update_batch(fd, &key, &value, &count, NULL));
}

static void probe_membarrier(struct dp_feature *feature)
{
	long r = syscall(__NR_membarrier, MEMBARRIER_CMD_QUERY, 0, 0);

	if (r < 0)
		return tell(feature, -errno);
	feature->present = r & MEMBARRIER_CMD_GLOBAL;
}

static const struct {
	struct dp_feature feature;
	void (*probe)(struct dp_feature *feature);
} probes[DP_FEATURE_MAX] = {
	[DP_FEATURE_KERNEL] = { { "kernel", "Margay needs Linux 6.1 or later", .required = true },
				probe_kernel },
	[DP_FEATURE_BTF] = { { "btf", "there is no monitor --kernel-drops" }, probe_btf },
	[DP_FEATURE_JIT] = { { "jit", "every packet costs several times as much" }, probe_jit },
	[DP_FEATURE_BPFFS] = { { "bpffs", "programs and maps would not outlive the agent",
				 .required = true },
			       probe_bpffs },
	[DP_FEATURE_SCHED_CLS] = { { "sched-cls", "no packet can be judged", .required = true },
				   probe_sched_cls },
	[DP_FEATURE_RINGBUF] = { { "ringbuf", "there are no events", .required = true },
				 probe_ringbuf },
	[DP_FEATURE_REDIRECT_PEER] = { { "redirect-peer",
					 "packets to local pods take a longer way" },
				       probe_redirect_peer },
	[DP_FEATURE_TCX] = { { "tcx", "clsact is used: the chained plugin \"bandwidth\" does not "
				      "work, the capability does" },
			     probe_tcx },
	[DP_FEATURE_CGROUP] = { { "cgroup2", "the node's own sockets do not reach services" },
				probe_cgroup },
	[DP_FEATURE_BATCH] = { { "map-batch", "large changes of maps take longer" }, probe_batch },
	[DP_FEATURE_MEMBARRIER] = { { "membarrier", "changes wait for a map update instead" },
				    probe_membarrier },
};

void dp_probe(struct dp_feature ret_features[DP_FEATURE_MAX])
{
	for (int i = 0; i < DP_FEATURE_MAX; i++) {
		ret_features[i] = probes[i].feature;
		probes[i].probe(&ret_features[i]);
	}
}
