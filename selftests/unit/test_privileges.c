/* SPDX-License-Identifier: Apache-2.0 */
/* What is left to the agent after its start: each question is asked by a child that dropped. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/privileges.h"
#include "base/err.h"
#include "selftests/lib/sandbox.h"

struct call {
	const char *name;
	long number;
	long arg[2];
	int want; /* errno */
};

/* Arguments are such that a call that went through would do no harm. */
static const struct call calls[] = {
	{ "unshare", SYS_unshare, { CLONE_NEWNS }, EPERM },
	{ "clone of a namespace", SYS_clone, { CLONE_NEWUSER }, EPERM },
	{ "clone of several", SYS_clone, { CLONE_NEWNET | CLONE_NEWPID }, EPERM },
	{ "clone3", SYS_clone3, { 0 }, ENOSYS },
	{ "execve", SYS_execve, { 0 }, EPERM },
	{ "mount", SYS_mount, { 0 }, EPERM },
	{ "fsopen", SYS_fsopen, { 0 }, EPERM },
	{ "open_tree", SYS_open_tree, { -1 }, EPERM },
	{ "move_mount", SYS_move_mount, { -1 }, EPERM },
	{ "mknodat", SYS_mknodat, { -1 }, EPERM },
	{ "ptrace", SYS_ptrace, { 0 }, EPERM },
	{ "process_madvise", SYS_process_madvise, { -1 }, EPERM },
	{ "perf_event_open", SYS_perf_event_open, { 0 }, EPERM },
	{ "clock_adjtime", SYS_clock_adjtime, { 0 }, EPERM },
	{ "setgroups", SYS_setgroups, { 0 }, EPERM },
	{ "setfsuid", SYS_setfsuid, { -1 }, EPERM },
	{ "setregid", SYS_setregid, { -1, -1 }, EPERM },
	{ "add_key", SYS_add_key, { 0 }, EPERM },
	{ "init_module", SYS_init_module, { 0 }, EPERM },
};

/* 0: all as wanted; otherwise the number of the check that was not. */
static int check_calls(void)
{
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		errno = 0;
		if (syscall(calls[i].number, calls[i].arg[0], calls[i].arg[1], 0, 0, 0) != -1 ||
		    errno != calls[i].want) {
			fprintf(stderr, "%s: errno %d\n", calls[i].name, errno);
			return 1;
		}
	}
	return 0;
}

static void *nothing(void *arg)
{
	return arg;
}

static int check_threads(void)
{
	pthread_t thread;

	return pthread_create(&thread, NULL, nothing, NULL) || pthread_join(thread, NULL);
}

static bool effective(cap_value_t value)
{
	cap_t set = cap_get_proc();
	cap_flag_value_t flag = CAP_CLEAR;

	cap_get_flag(set, value, CAP_EFFECTIVE, &flag);
	cap_free(set);
	return flag == CAP_SET;
}

static int check_capabilities(void)
{
	static const cap_value_t kept[] = { CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON };
	int count = 0;
	struct err err;

	for (cap_value_t value = 0; value <= CAP_LAST_CAP; value++)
		count += effective(value);
	for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++)
		count -= effective(kept[i]);
	if (count || cap_get_bound(CAP_DAC_OVERRIDE) != 0)
		return 1;
	if (privileges_raise(CAP_SYS_ADMIN, &err) < 0 || !effective(CAP_SYS_ADMIN))
		return 2;
	return privileges_lower(CAP_SYS_ADMIN, &err) < 0 || effective(CAP_SYS_ADMIN) ? 3 : 0;
}

static int ask(int (*check)(void))
{
	int status = -1;
	pid_t pid = fork();

	if (!pid) {
		struct err err = { 0 };
		int r = privileges_drop(&err);

		if (r < 0)
			fprintf(stderr, "%s\n", err.text);
		_exit(r < 0 ? 100 : prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1 ? 101 : check());
	}
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void root_only(void)
{
	if (geteuid() != 0 || cap_get_bound(CAP_BPF) != 1)
		sandbox_skip("needs root's capabilities");
}

static void test_calls_are_refused(void **state)
{
	(void)state;
	root_only();
	assert_int_equal(ask(check_calls), 0);
}

static void test_threads_go_on(void **state)
{
	(void)state;
	root_only();
	assert_int_equal(ask(check_threads), 0);
}

static void test_capabilities(void **state)
{
	(void)state;
	root_only();
	assert_int_equal(ask(check_capabilities), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_calls_are_refused),
		cmocka_unit_test(test_threads_go_on),
		cmocka_unit_test(test_capabilities),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
