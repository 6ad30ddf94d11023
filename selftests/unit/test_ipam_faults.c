/* SPDX-License-Identifier: Apache-2.0 */
/* The store out of reach, the journal full, lost, torn or damaged; restarts; garbage. */
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
#include "base/inet.h"
#include "ipam/journal.h"
#include "selftests/lib/ipam_test.h"

static int setup(void **state)
{
	ipam_test_setup(state);
	ipam_test_pool(*state, "p", "10.0.0.0/26");
	return 0;
}

/* --- the store ------------------------------------------------------------------------------- */

static void test_store_down(void **state)
{
	struct ipam_test *test = *state;
	struct ipam_test_node *node = ipam_test_node(test, 0);
	struct ipam_result first, last;
	struct ipam_status status;

	assert_int_equal(ipam_test_add_many(node, "before", 1), 1);
	ipam_test_settle(node->ipam);
	node->down = true;
	assert_int_equal(ipam_test_add_many(node, "during", 8), 8);
	last = ipam_test_add(node, "late");
	assert_int_equal(last.status, -EAGAIN);
	assert_non_null(strstr(last.err.text, "p (10.0.0.0/26)"));
	assert_non_null(strstr(last.err.text, "store out of reach"));
	ipam_read_status(node->ipam, &status);
	assert_true(status.store_down);
	assert_int_equal(status.unwritten, 8);
	assert_int_equal(ipam_ready(node->ipam, NULL), -ENOSPC);
	/* DEL is kept on disk. */
	first = ipam_test_add(node, "during0");
	ipam_test_del(node, "during0");
	node->down = false;
	test->now += 20000;
	ipam_test_settle(node->ipam);
	assert_string_equal(ipam_test_held_by(test, &first), "cooling");
	assert_non_null(fake_get(&test->content, "IPAMHandle", "k8s-pod-network.during1"));
	assert_null(fake_get(&test->content, "IPAMHandle", "k8s-pod-network.during0"));
	assert_int_equal(ipam_ready(node->ipam, NULL), 0);
}

/* The agent starts again while the store is away: reserve and pods are known from the journal. */
static void test_restart_while_down(void **state)
{
	struct ipam_test *test = *state;
	struct ipam_test_node *node = ipam_test_node(test, 0);
	struct ipam_result first, again;

	first = ipam_test_add(node, "c1");
	ipam_test_settle(node->ipam);
	node->down = true;
	ipam_test_reopen(node);
	again = ipam_test_add(node, "c1");
	assert_memory_equal(&first.addrs[0].addr, &again.addrs[0].addr, 16);
	assert_int_equal(ipam_test_add_many(node, "c", 20), 9); /* c1 again, and the reserve of 8 */
	ipam_test_del(node, "c1");
	ipam_test_reopen(node);
	node->down = false;
	test->now += 20000;
	ipam_test_settle(node->ipam);
	assert_string_equal(ipam_test_held_by(test, &first), "cooling");
	assert_int_equal(ipam_test_add_many(node, "c", 20), 20);
}

/* Written, but the answer was lost: nothing is given twice, nothing is lost. */
static int lose_answer(struct ipam_test_node *node, enum fake_point point)
{
	int *left = node->hook_arg;

	return point == FAKE_AFTER && (*left)-- > 0 ? -ETIMEDOUT : 0;
}

static void test_lost_answers(void **state)
{
	struct ipam_test *test = *state;
	struct ipam_test_node *node = ipam_test_node(test, 0);
	int left = 1000;

	node->hook = lose_answer;
	node->hook_arg = &left;
	for (int i = 0; i < 30; i++) {
		ipam_test_add_many(node, "c", 1);
		test->now += 20000;
		ipam_tick(node->ipam);
	}
	left = 0;
	test->now += 20000;
	assert_int_equal(ipam_test_add_many(node, "c", 30), 30);
	ipam_test_settle(node->ipam);
	assert_int_equal(fake_count(&test->content, "IPAMHandle"), 31);
}

/* --- the journal ----------------------------------------------------------------------------- */

static int full_replace(void *arg, int dirfd, const void *data, size_t size)
{
	if (*(bool *)arg)
		return -ENOSPC;
	return file_replace(dirfd, JOURNAL_FILE, data, size, 0600);
}

static ssize_t full_write(void *arg, int fd, const void *data, size_t size)
{
	if (*(bool *)arg) {
		errno = ENOSPC;
		return -1;
	}
	return write(fd, data, size);
}

static int full_fsync(void *arg, int fd)
{
	return *(bool *)arg ? -EIO : fdatasync(fd) < 0 ? -errno : 0;
}

/* A full disk fails ADD, gives the address back, and heals by itself. */
static void test_disk_full(void **state)
{
	struct ipam_test *test = *state;
	struct ipam_test_node *node = ipam_test_prepare(test, 0);
	bool full = false;
	struct journal_ops ops = { full_write, full_fsync, full_replace, &full };
	struct ipam_pool_status status;
	struct ipam_result result;

	node->journal_ops = &ops;
	ipam_test_node(test, 0);
	assert_int_equal(ipam_test_add(node, "c1").status, 0);
	ipam_test_settle(node->ipam);
	full = true;
	result = ipam_test_add(node, "c2");
	assert_int_equal(result.status, -ENOSPC);
	assert_non_null(strstr(result.err.text, "journal"));
	assert_int_equal(result.count, 0);
	ipam_pool_status(node->ipam, 0, &status);
	assert_int_equal(status.used, 1);
	full = false;
	assert_int_equal(ipam_test_add(node, "c2").status, 0);
	ipam_test_reopen(node);
	ipam_pool_status(node->ipam, 0, &status);
	assert_int_equal(status.used, 2);
}

static void change_journal(struct ipam_test_node *node, void (*change)(int fd, off_t size))
{
	_cleanup_free_ char *path = xasprintf("%s/%s", node->dir, JOURNAL_FILE);
	_cleanup_close_ int fd = open(path, O_RDWR | O_CLOEXEC);
	struct stat st;

	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &st), 0);
	change(fd, st.st_size);
}

static void tear(int fd, off_t size)
{
	assert_int_equal(pwrite(fd, "0123abcd {\"addr\":\"10.", 21, size), 21);
}

static void spoil(int fd, off_t size)
{
	(void)size;
	assert_int_equal(pwrite(fd, "#####", 5, 12), 5);
}

static void test_torn_tail(void **state)
{
	struct ipam_test *test = *state;
	struct ipam_test_node *node = ipam_test_node(test, 0);
	struct ipam_result first, again;

	first = ipam_test_add(node, "c1");
	node->down = true;
	ipam_close(node->ipam);
	node->ipam = NULL;
	change_journal(node, tear);
	ipam_test_node(test, 0);
	again = ipam_test_add(node, "c1");
	assert_int_equal(again.status, 0);
	assert_memory_equal(&first.addrs[0].addr, &again.addrs[0].addr, 16);
	/* And what is appended behind it can be read. */
	assert_int_equal(ipam_test_add(node, "c2").status, 0);
	ipam_test_reopen(node);
	assert_int_equal(ipam_find(node->ipam, &(struct ipam_owner){ .container = "c2" }, &again),
			 0);
}

static void collect(struct ipam_test_node *node, const struct ipam_attachment *valid, size_t count,
		    struct ipam_gc_report *ret_report)
{
	struct ipam_gc gc = { .valid = valid, .count = count };

	assert_int_equal(ipam_collect_garbage(node->ipam, &gc, ret_report, NULL), 0);
}

/* The journal is gone while a pod, not yet written to the store, runs on an address of the
 * reserve: nothing is given before the list of what runs, and then not that address. */
static void lost_journal(struct ipam_test *test, bool damaged)
{
	struct ipam_test_node *node = ipam_test_node(test, 0);
	_cleanup_free_ char *path = xasprintf("%s/%s", node->dir, JOURNAL_FILE);
	struct ipam_attachment valid = { .owner = { .container = "run" }, .addr_count = 1 };
	struct ipam_gc_report report;
	struct ipam_result run;
	union mg_addr addr;

	ipam_test_add(node, "c1");
	ipam_test_settle(node->ipam);
	node->down = true;
	run = ipam_test_add(node, "run");
	assert_int_equal(run.status, 0);
	addr = run.addrs[0].addr;
	valid.addrs = &addr;
	ipam_close(node->ipam);
	node->ipam = NULL;
	if (damaged)
		change_journal(node, spoil);
	else
		assert_int_equal(unlink(path), 0);
	node->down = false;
	ipam_test_node(test, 0);
	assert_int_equal(ipam_test_add(node, "c2").status, -EAGAIN);
	collect(node, &valid, 1, &report);
	assert_int_equal(report.adopted, damaged ? 0 : 1);
	assert_int_equal(report.conflicts, 0);
	for (int i = 0; i < 40; i++) {
		char name[16];
		struct ipam_result other;

		snprintf(name, sizeof(name), "d%d", i);
		other = ipam_test_add(node, name);
		assert_int_equal(other.status, 0);
		assert_memory_not_equal(&other.addrs[0].addr, &addr, 16);
	}
	ipam_test_settle(node->ipam);
	assert_string_equal(ipam_test_held_by(test, &run), "k8s-pod-network.run");
}

static void test_lost_journal(void **state)
{
	lost_journal(*state, false);
}

static void test_damaged_journal(void **state)
{
	lost_journal(*state, true);
}

/* A second agent on the same folder is refused. */
static void test_locked(void **state)
{
	struct ipam_test *test = *state;
	struct ipam_test_node *node = ipam_test_node(test, 0);
	struct ipam_options options = { .store = node->store, .node = "n0", .dir = node->dir };
	struct err err = {};
	struct ipam *second;

	assert_int_equal(ipam_open(&options, &second, &err), -EBUSY);
}

/* Thousands of pods leave a file of a bounded size, readable by root alone. */
static void test_journal_stays_small(void **state)
{
	struct ipam_test *test = *state;
	struct ipam_test_node *node = ipam_test_node(test, 0);
	_cleanup_free_ char *path = xasprintf("%s/%s", node->dir, JOURNAL_FILE);
	struct stat st;

	for (int i = 0; i < 1500; i++) {
		char name[16];

		snprintf(name, sizeof(name), "c%d", i);
		assert_int_equal(ipam_test_add(node, name).status, 0);
		ipam_test_del(node, name);
		ipam_test_settle(node->ipam);
		test->now += 1000;
	}
	assert_int_equal(stat(path, &st), 0);
	assert_true(st.st_size < 512 * 1024);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(stat(node->dir, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0700);
}

/* --- garbage --------------------------------------------------------------------------------- */

static void test_garbage(void **state)
{
	struct ipam_test *test = *state;
	struct ipam_test_node *node = ipam_test_node(test, 0);
	struct ipam_request other = { .owner = { .network = "other", .container = "c3" } };
	struct ipam_attachment valid[] = { { .owner = { .container = "c1" } } };
	struct ipam_gc gc = { .network = "k8s-pod-network", .valid = valid, .count = 1 };
	struct ipam_gc_report report;
	struct ipam_result gone, kept;

	kept = ipam_test_add(node, "c1");
	gone = ipam_test_add(node, "c2");
	ipam_test_request(node, &other);
	ipam_test_settle(node->ipam);
	assert_int_equal(ipam_collect_garbage(node->ipam, &gc, &report, NULL), 0);
	assert_int_equal(report.released, 1); /* not the other network's */
	ipam_test_settle(node->ipam);
	assert_string_equal(ipam_test_held_by(test, &kept), "k8s-pod-network.c1");
	assert_string_equal(ipam_test_held_by(test, &gone), "cooling");
	collect(node, valid, 1, &report);
	assert_int_equal(report.released, 1);
}

/* A stale owner's address is found on a pod that runs. */
static void test_garbage_takes_over(void **state)
{
	struct ipam_test *test = *state;
	struct ipam_test_node *node = ipam_test_node(test, 0);
	struct ipam_result stale = ipam_test_add(node, "stale");
	struct ipam_attachment valid = { .owner = { .container = "new" } };
	struct ipam_gc_report report;

	ipam_test_settle(node->ipam);
	valid.addrs = &stale.addrs[0].addr;
	valid.addr_count = 1;
	collect(node, &valid, 1, &report);
	assert_int_equal(report.adopted, 1);
	ipam_test_settle(node->ipam);
	assert_string_equal(ipam_test_held_by(test, &stale), "k8s-pod-network.new");
	assert_null(fake_get(&test->content, "IPAMHandle", "k8s-pod-network.stale"));
}

/* An object that names what is not a block is left alone, and others are used. */
static void test_invalid_block(void **state)
{
	struct ipam_test *test = *state;

	ipam_test_pool(test, "p", "10.0.0.0/25");
	ipam_test_object(test, "IPAMBlock", "10-0-0-0-26",
			 "\"cidr\":\"10.0.0.0/26\",\"affinity\":\"host:n0\","
			 "\"allocations\":[0,1],\"attributes\":[],\"unallocated\":[]");
	assert_int_equal(ipam_test_add(ipam_test_node(test, 0), "c1").status, 0);
	assert_string_equal(ipam_test_holder(test, "10.0.0.1"), "no block");
}

/* The block of a running pod was deleted by hand: it is made again. */
static void test_deleted_block(void **state)
{
	struct ipam_test *test = *state;
	struct ipam_test_node *node = ipam_test_node(test, 0);
	struct ipam_result first;

	ipam_test_add(node, "c0");
	ipam_test_settle(node->ipam);
	node->down = true;
	first = ipam_test_add(node, "c1");
	node->down = false;
	fake_remove(&test->content, "IPAMBlock", "10-0-0-0-26");
	test->now += 20000;
	ipam_test_settle(node->ipam);
	assert_string_equal(ipam_test_held_by(test, &first), "k8s-pod-network.c1");
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, ipam_test_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_store_down),		CASE(test_restart_while_down),
		CASE(test_lost_answers),	CASE(test_disk_full),
		CASE(test_torn_tail),		CASE(test_lost_journal),
		CASE(test_damaged_journal),	CASE(test_locked),
		CASE(test_journal_stays_small), CASE(test_garbage),
		CASE(test_garbage_takes_over),	CASE(test_invalid_block),
		CASE(test_deleted_block),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
