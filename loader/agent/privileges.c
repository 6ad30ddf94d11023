/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/privileges.h"

#include <errno.h>
#include <sched.h>
#include <seccomp.h>
#include <stdbool.h>
#include <sys/prctl.h>

#include "base/err.h"

/* In effect all the time. */
static const cap_value_t kept[] = { CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON };

/* Permitted, raised for one step only: maps found by id (map-in-map) and entering a pod's
 * namespace need CAP_SYS_ADMIN. */
static const cap_value_t on_demand[] = { CAP_SYS_ADMIN };

/*
 * Never needed after the start, and what a hostile input would like best, by what it would serve.
 * CAP_SYS_ADMIN is permitted, so each call that it opens is here unless a step needs it: bpf() for
 * objects by id, setns() for pods' namespaces. What libraries and threads need is left alone: a
 * list of what is allowed would break with the next version of the C library.
 */
static const int refused[] = {
	/* other programs and other processes' memory */
	SCMP_SYS(execve),
	SCMP_SYS(execveat),
	SCMP_SYS(ptrace),
	SCMP_SYS(process_vm_readv),
	SCMP_SYS(process_vm_writev),
	SCMP_SYS(process_madvise),
	SCMP_SYS(pidfd_getfd),
	SCMP_SYS(kcmp),
	SCMP_SYS(migrate_pages),
	SCMP_SYS(move_pages),
	SCMP_SYS(userfaultfd),
	SCMP_SYS(perf_event_open),
	/* namespaces and mounts */
	SCMP_SYS(unshare),
	SCMP_SYS(mount),
	SCMP_SYS(umount),
	SCMP_SYS(umount2),
	SCMP_SYS(pivot_root),
	SCMP_SYS(chroot),
	SCMP_SYS(fsopen),
	SCMP_SYS(fsconfig),
	SCMP_SYS(fsmount),
	SCMP_SYS(fspick),
	SCMP_SYS(open_tree),
	SCMP_SYS(move_mount),
	SCMP_SYS(mount_setattr),
	SCMP_SYS(name_to_handle_at),
	SCMP_SYS(open_by_handle_at),
	SCMP_SYS(quotactl),
	SCMP_SYS(quotactl_fd),
	SCMP_SYS(mknod),
	SCMP_SYS(mknodat),
	/* the kernel itself */
	SCMP_SYS(init_module),
	SCMP_SYS(finit_module),
	SCMP_SYS(delete_module),
	SCMP_SYS(kexec_load),
	SCMP_SYS(kexec_file_load),
	SCMP_SYS(reboot),
	SCMP_SYS(swapon),
	SCMP_SYS(swapoff),
	SCMP_SYS(acct),
	SCMP_SYS(syslog),
	SCMP_SYS(sethostname),
	SCMP_SYS(setdomainname),
	SCMP_SYS(vhangup),
	SCMP_SYS(iopl),
	SCMP_SYS(ioperm),
	SCMP_SYS(modify_ldt),
	SCMP_SYS(personality),
	SCMP_SYS(io_uring_setup),
	/* clocks */
	SCMP_SYS(settimeofday),
	SCMP_SYS(stime),
	SCMP_SYS(clock_settime),
	SCMP_SYS(clock_adjtime),
	SCMP_SYS(adjtimex),
	/* keys and identities */
	SCMP_SYS(keyctl),
	SCMP_SYS(add_key),
	SCMP_SYS(request_key),
	SCMP_SYS(setuid),
	SCMP_SYS(setgid),
	SCMP_SYS(setreuid),
	SCMP_SYS(setregid),
	SCMP_SYS(setresuid),
	SCMP_SYS(setresgid),
	SCMP_SYS(setfsuid),
	SCMP_SYS(setfsgid),
	SCMP_SYS(setgroups),
};

/* New namespaces by clone(). clone3() hides its flags in memory: it is "not there", and the C
 * library falls back to clone(). */
#define CLONE_NAMESPACES                                                                           \
	(CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER |             \
	 CLONE_NEWPID | CLONE_NEWNET)

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static bool contains(const cap_value_t *list, size_t count, cap_value_t value)
{
	for (size_t i = 0; i < count; i++) {
		if (list[i] == value)
			return true;
	}
	return false;
}

static void drop_bounding(void)
{
	for (cap_value_t value = 0; cap_get_bound(value) >= 0; value++) {
		if (!contains(kept, COUNT(kept), value) &&
		    !contains(on_demand, COUNT(on_demand), value))
			cap_drop_bound(value); /* refused without CAP_SETPCAP: then it is less */
	}
}

static int set_capabilities(struct err *err)
{
	cap_t set = cap_init();
	int r = 0;

	if (!set)
		return err_errno(err, -ENOMEM, "capabilities");
	/* What the process does not have (a container may hold less) is left out. */
	for (size_t i = 0; i < COUNT(kept) + COUNT(on_demand); i++) {
		bool always = i < COUNT(kept);
		cap_value_t value = always ? kept[i] : on_demand[i - COUNT(kept)];

		if (cap_get_bound(value) != 1)
			continue;
		cap_set_flag(set, CAP_PERMITTED, 1, &value, CAP_SET);
		if (always)
			cap_set_flag(set, CAP_EFFECTIVE, 1, &value, CAP_SET);
	}
	if (cap_set_proc(set) < 0)
		r = err_errno(err, -errno, "drop capabilities");
	cap_free(set);
	return r;
}

static int filter_calls(struct err *err)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
	int r = 0;

	if (!filter)
		return err_errno(err, -ENOMEM, "seccomp");
	for (size_t i = 0; i < COUNT(refused) && !r; i++)
		r = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), refused[i], 0);
	for (unsigned int bit = 0; bit < 32 && !r; bit++)
		if (CLONE_NAMESPACES & (1U << bit))
			r = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(clone), 1,
					     SCMP_A0(SCMP_CMP_MASKED_EQ, 1U << bit, 1U << bit));
	if (!r)
		r = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
	if (!r)
		r = seccomp_load(filter);
	seccomp_release(filter);
	return r < 0 ? err_errno(err, r, "seccomp filter") : 0;
}

int privileges_drop(struct err *err)
{
	int r;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return err_errno(err, -errno, "no new privileges");
	drop_bounding();
	r = set_capabilities(err);
	return r < 0 ? r : filter_calls(err);
}

static int set_effective(cap_value_t capability, cap_flag_value_t value, struct err *err)
{
	cap_t set = cap_get_proc();
	int r = 0;

	if (!set)
		return err_errno(err, -errno, "capabilities");
	if (cap_set_flag(set, CAP_EFFECTIVE, 1, &capability, value) < 0 || cap_set_proc(set) < 0)
		r = err_errno(err, -errno, "capability %d", capability);
	cap_free(set);
	return r;
}

int privileges_raise(cap_value_t capability, struct err *err)
{
	return set_effective(capability, CAP_SET, err);
}

int privileges_lower(cap_value_t capability, struct err *err)
{
	return set_effective(capability, CAP_CLEAR, err);
}
