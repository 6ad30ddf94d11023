/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside dataplane/: what the headers of the oldest build host (Linux 6.1, libbpf 1.1) do not have
 * yet. Numbers and layouts are those of include/uapi/linux/bpf.h from 6.6 on.
 */
#ifndef MARGAY_DATAPLANE_SYS_H
#define MARGAY_DATAPLANE_SYS_H

#include <errno.h>
#include <linux/bpf.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MG_TCX_INGRESS 46
#define MG_TCX_EGRESS 47
#define MG_F_BEFORE (1U << 3)

/* The kernel's own "not supported", which libc has no name for. */
#define MG_ENOTSUPP 524

struct bpf_mprog_attach {
	__u32 target_ifindex;
	__u32 attach_bpf_fd;
	__u32 attach_type;
	__u32 attach_flags;
	__u32 replace_bpf_fd;
	__u32 relative_fd;
	__u64 expected_revision;
};

struct bpf_mprog_query {
	__u32 target_ifindex;
	__u32 attach_type;
	__u32 query_flags;
	__u32 attach_flags;
	__u64 prog_ids;
	__u32 count;
	__u32 pad;
	__u64 prog_attach_flags;
	__u64 link_ids;
	__u64 link_attach_flags;
	__u64 revision;
};

static inline int sys_bpf(enum bpf_cmd command, void *attr, unsigned int size)
{
	return syscall(__NR_bpf, command, attr, size) < 0 ? -errno : 0;
}

#endif
