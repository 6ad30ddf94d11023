/* SPDX-License-Identifier: Apache-2.0 */
/* What a power cut leaves of the journal, and a journal that is older than the store. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/cleanup.h"
#include "base/file.h"
#include "ipam/journal.h"
#include "selftests/lib/ipam_test.h"

static int setup(void **state)
{
	ipam_test_setup(state);
	ipam_test_pool(*state, "p", "10.0.0.0/26");
	return 0;
}

/* A disk that knows what a power cut would leave. */
struct disk {
	off_t synced;
	bool dies; /* the process does, at its next fsync */
	bool dead;
};

static ssize_t disk_write(void *arg, int fd, const void *data, size_t size)
{
	struct disk *disk = arg;

	errno = EIO;
	return disk->dead ? -1 : write(fd, data, size);
}

static int disk_fsync(void *arg, int fd)
{
	struct disk *disk = arg;
	struct stat st;

	disk->dead |= disk->dies;
	if (disk->dead || fstat(fd, &st) < 0)
		return -EIO;
	disk->synced = st.st_size;
	return 0;
}

static int disk_replace(void *arg, int dirfd, const void *data, size_t size)
{
	struct disk *disk = arg;

	if (disk->dead)
		return -EIO;
	disk->synced = (off_t)size;
	return file_replace(dirfd, JOURNAL_FILE, data, size, 0600);
}

static void close_node(struct ipam_test_node *node)
{
	ipam_close(node->ipam);
	node->ipam = NULL;
}

/* ADDs until the reserve is empty; true: one of them got the address. */
static bool given_again(struct ipam_test_node *node, const struct ipam_result *held)
{
	bool again = false;

	for (int i = 0; i < 10; i++) {
		struct ipam_result result;
		char name[16];

		snprintf(name, sizeof(name), "d%d", i);
		result = ipam_test_add(node, name);
		again |= !result.status && !memcmp(&result.addrs[0].addr, &held->addrs[0].addr, 16);
	}
	return again;
}

/* A process is killed before its fsync, the next one tells the store of what it found, then the
 * power goes: the third must find that too, for it may have no store to ask. */
static void test_power_cut_after_a_kill(void **state)
{
	struct ipam_test *test = *state;
	struct ipam_test_node *node = ipam_test_prepare(test, 0);
	struct disk disk = {};
	struct journal_ops ops = { disk_write, disk_fsync, disk_replace, &disk };
	_cleanup_free_ char *path = xasprintf("%s/%s", node->dir, JOURNAL_FILE);
	struct ipam_result held;

	node->journal_ops = &ops;
	ipam_test_node(test, 0);
	assert_int_equal(ipam_test_add_many(node, "before", 1), 1);
	ipam_test_settle(node->ipam);
	disk.dies = true;
	assert_int_not_equal(ipam_test_add(node, "c1").status, 0);
	close_node(node);
	disk.dies = disk.dead = false;
	ipam_test_node(test, 0);
	ipam_test_settle(node->ipam);
	assert_non_null(fake_get(&test->content, "IPAMHandle", "k8s-pod-network.c1"));
	held = ipam_test_add(node, "c1");
	close_node(node);
	assert_int_equal(truncate(path, disk.synced), 0);
	node->down = true;
	ipam_test_node(test, 0);
	assert_false(given_again(node, &held));
}

/* A journal from an older backup does not know c1. Its address goes to another pod while the store
 * is away; nothing of c1 stays behind. */
static void test_old_journal(void **state)
{
	struct ipam_test *test = *state;
	struct ipam_test_node *node = ipam_test_node(test, 0);
	_cleanup_free_ char *path = xasprintf("%s/%s", node->dir, JOURNAL_FILE);
	_cleanup_free_ char *old = NULL;
	struct ipam_result held;
	size_t size;

	assert_int_equal(ipam_test_add_many(node, "before", 1), 1);
	ipam_test_settle(node->ipam);
	assert_int_equal(file_read(AT_FDCWD, path, JOURNAL_LIMIT, &old, &size), 0);
	held = ipam_test_add(node, "c1");
	ipam_test_settle(node->ipam);
	close_node(node);
	assert_int_equal(file_replace(AT_FDCWD, path, old, size, 0600), 0);
	node->down = true;
	ipam_test_node(test, 0);
	assert_true(given_again(node, &held));
	node->down = false;
	test->now += 20000;
	ipam_test_settle(node->ipam);
	assert_memory_equal(ipam_test_held_by(test, &held), "k8s-pod-network.d", 17);
	assert_null(fake_get(&test->content, "IPAMHandle", "k8s-pod-network.c1"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_power_cut_after_a_kill, setup,
						ipam_test_teardown),
		cmocka_unit_test_setup_teardown(test_old_journal, setup, ipam_test_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
