/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/privileges.h"

#include <errno.h>
#include <seccomp.h>
#include <stdbool.h>
#include <sys/prctl.h>

#include "base/err.h"

/* In effect all the time. */
static const cap_value_t kept[] = { CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON };

/* Permitted, raised for one step only: maps found by id (map-in-map) and entering a pod's
 * namespace need CAP_SYS_ADMIN. */
static const cap_value_t on_demand[] = { CAP_SYS_ADMIN };

/* Never needed after the start, and what a hostile input would like best. */
static const int refused[] = {
	SCMP_SYS(execve),
	SCMP_SYS(execveat),
	SCMP_SYS(ptrace),
	SCMP_SYS(process_vm_readv),
	SCMP_SYS(process_vm_writev),
	SCMP_SYS(mount),
	SCMP_SYS(umount2),
	SCMP_SYS(pivot_root),
	SCMP_SYS(chroot),
	SCMP_SYS(init_module),
	SCMP_SYS(finit_module),
	SCMP_SYS(delete_module),
	SCMP_SYS(kexec_load),
	SCMP_SYS(kexec_file_load),
	SCMP_SYS(reboot),
	SCMP_SYS(swapon),
	SCMP_SYS(swapoff),
	SCMP_SYS(settimeofday),
	SCMP_SYS(clock_settime),
	SCMP_SYS(adjtimex),
	SCMP_SYS(keyctl),
	SCMP_SYS(add_key),
	SCMP_SYS(request_key),
	SCMP_SYS(open_by_handle_at),
	SCMP_SYS(userfaultfd),
	SCMP_SYS(io_uring_setup),
	SCMP_SYS(setuid),
	SCMP_SYS(setgid),
	SCMP_SYS(setreuid),
	SCMP_SYS(setresuid),
	SCMP_SYS(personality),
	SCMP_SYS(acct),
	SCMP_SYS(quotactl),
};

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
