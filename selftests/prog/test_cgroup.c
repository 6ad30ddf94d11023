/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Links of socket programs at a cgroup that this test made: made, found again, repaired, moved,
 * swapped by an upgrade, taken off. Nothing runs in those cgroups.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <bpf/bpf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dataplane/cgroup.h"
#include "dataplane/dp.h"
#include "dataplane/pins.h"
#include "selftests/lib/loaded.h"
#include "selftests/lib/sandbox.h"

#define LINKS 8

static char cgroup[2][PATH_MAX]; /* empty: no cgroup2 here */

static int make_cgroups(void)
{
	char top[PATH_MAX];

	if (dp_cgroup_find(top, NULL))
		return 0;
	for (int i = 0; i < 2; i++) {
		if (snprintf(cgroup[i], PATH_MAX, "%s/margay-test-%d-%d", top, getpid(), i) >=
			    PATH_MAX ||
		    mkdir(cgroup[i], 0755))
			return -errno;
	}
	return 0;
}

static int setup(void **state)
{
	return make_cgroups() ? -1 : loaded_setup(state);
}

static int teardown(void **state)
{
	struct loaded *f = *state;

	dp_cgroup_detach(f->root);
	loaded_teardown(state);
	for (int i = 0; i < 2 && cgroup[i][0]; i++)
		rmdir(cgroup[i]);
	cgroup[0][0] = cgroup[1][0] = '\0';
	return 0;
}

/* Programs at connect4 of a cgroup; id: the first one. */
static __u32 count_at(const char *path, __u32 *ret_id)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	__u32 ids[8] = { 0 }, count = 8;

	assert_true(fd >= 0);
	assert_int_equal(bpf_prog_query(fd, BPF_CGROUP_INET4_CONNECT, 0, NULL, ids, &count), 0);
	close(fd);
	if (ret_id)
		*ret_id = ids[0];
	return count;
}

/* A link whose last descriptor was closed goes by a work queue of the kernel. */
static bool settles_at(const char *path, __u32 count)
{
	for (int i = 0; i < 500 && count_at(path, NULL) != count; i++)
		usleep(10000);
	return count_at(path, NULL) == count;
}

static __u32 own_id(const struct loaded *f)
{
	__u32 id = 0;

	assert_int_equal(prog_id_of(dp_prog_fd(f->dp, "sock_connect4"), &id), 0);
	return id;
}

static void attaches_and_finds(void **state)
{
	struct loaded *f = *state;
	__u32 id;

	if (!cgroup[0][0])
		skip();
	assert_int_equal(dp_cgroup_attach(f->dp, cgroup[0], &f->err), 1);
	assert_int_equal(count_at(cgroup[0], &id), 1);
	assert_int_equal(id, own_id(f));
	assert_int_equal(dp_cgroup_attach(f->dp, cgroup[0], &f->err), 0);
	loaded_again(f);
	assert_true(dp_adopted(f->dp));
	assert_int_equal(dp_cgroup_attach(f->dp, cgroup[0], &f->err), 0);
	assert_int_equal(count_at(cgroup[0], NULL), 1);
	assert_int_equal(dp_cgroup_detach(f->root), LINKS);
	assert_int_equal(count_at(cgroup[0], NULL), 0);
	assert_int_equal(dp_cgroup_detach(f->root), 0);
}

static void mends_what_is_lost(void **state)
{
	struct loaded *f = *state;
	char path[PATH_MAX + 32];
	int link;

	if (!cgroup[0][0])
		skip();
	OK(f, dp_cgroup_attach(f->dp, cgroup[0], &f->err) - 1);
	snprintf(path, sizeof(path), "%s/links/sock_connect4", f->root);
	/* somebody takes it off by force: the pin stays and leads nowhere */
	link = bpf_obj_get(path);
	assert_true(link >= 0);
	assert_int_equal(bpf_link_detach(link), 0);
	close(link);
	assert_int_equal(count_at(cgroup[0], NULL), 0);
	assert_int_equal(dp_cgroup_attach(f->dp, cgroup[0], &f->err), 1);
	assert_int_equal(count_at(cgroup[0], NULL), 1);
	/* the pin goes, and the link with it */
	assert_int_equal(unlink(path), 0);
	assert_true(settles_at(cgroup[0], 0));
	assert_int_equal(dp_cgroup_attach(f->dp, cgroup[0], &f->err), 1);
	assert_int_equal(count_at(cgroup[0], NULL), 1);
}

static void moves_to_another_cgroup(void **state)
{
	struct loaded *f = *state;

	if (!cgroup[0][0])
		skip();
	assert_int_equal(dp_cgroup_attach(f->dp, cgroup[0], &f->err), 1);
	assert_int_equal(dp_cgroup_attach(f->dp, cgroup[1], &f->err), 1);
	assert_int_equal(count_at(cgroup[0], NULL), 0);
	assert_int_equal(count_at(cgroup[1], NULL), 1);
}

static void upgrade_swaps(void **state)
{
	struct loaded *f = *state;
	__u32 before, id;

	if (!cgroup[0][0])
		skip();
	assert_int_equal(dp_cgroup_attach(f->dp, cgroup[0], &f->err), 1);
	before = own_id(f);
	f->config.mg.mark <<= 1;
	loaded_again(f);
	assert_false(dp_is_in_force(f->dp));
	assert_int_equal(count_at(cgroup[0], &id), 1);
	assert_int_equal(id, before);
	OK(f, dp_takeover(f->dp, &f->err));
	assert_int_equal(count_at(cgroup[0], &id), 1);
	assert_int_equal(id, own_id(f));
	assert_int_not_equal(id, before);
	assert_int_equal(dp_cgroup_attach(f->dp, cgroup[0], &f->err), 0);
}

static void refuses_what_is_no_cgroup(void **state)
{
	struct loaded *f = *state;

	assert_int_equal(dp_cgroup_attach(f->dp, "/proc", &f->err), -ENOTDIR);
	assert_int_equal(dp_cgroup_attach(f->dp, "/nowhere", &f->err), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(attaches_and_finds, setup, teardown),
		cmocka_unit_test_setup_teardown(mends_what_is_lost, setup, teardown),
		cmocka_unit_test_setup_teardown(moves_to_another_cgroup, setup, teardown),
		cmocka_unit_test_setup_teardown(upgrade_swaps, setup, teardown),
		cmocka_unit_test_setup_teardown(refuses_what_is_no_cgroup, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
