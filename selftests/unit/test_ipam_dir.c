/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two agents as two processes on one directory store, one of which writes behind itself, with the
 * system's clock: they claim the same blocks at the same time, until no address is left, release,
 * and claim again.
 */
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/cleanup.h"
#include "base/inet.h"
#include "base/json.h"
#include "ipam/check.h"
#include "ipam/ipam.h"
#include "selftests/lib/store_test.h"

#define POOL_SIZE 128
#define TURNS_MAX 4000

struct world {
	struct store_test test;
	struct store *store;
};

static int setup(void **state)
{
	struct world *world = xcalloc(1, sizeof(*world));
	_cleanup_json_ json_t *pool = json_pack(
		"{s:s, s:s, s:{s:s}, s:{s:s, s:i}}", "apiVersion", "projectcalico.org/v3", "kind",
		"IPPool", "metadata", "name", "p", "spec", "cidr", "10.0.0.0/25", "blockSize", 28);
	struct err err = {};

	store_test_init(&world->test);
	world->store = store_test_open(&world->test, NULL);
	if (store_create(world->store, pool, NULL, &err) < 0)
		fail_msg("%s", err.text);
	*state = world;
	return 0;
}

static int teardown(void **state)
{
	struct world *world = *state;

	store_close(world->store);
	store_test_done(&world->test);
	free(world);
	return 0;
}

/* --- one agent, in a process of its own ------------------------------------------------------- */

struct tally {
	int ok, full, other;
	int out; /* pipe: addresses that were given, one a line */
};

static void tell(void *arg, const struct ipam_result *result)
{
	struct tally *tally = arg;
	char text[ADDR_TEXT_MAX + 2];

	if (result->status == -ENOSPC)
		tally->full++;
	else if (result->status)
		tally->other++;
	if (result->status)
		return;
	tally->ok++;
	addr_format(&result->addrs[0].addr, text);
	strcat(text, "\n");
	if (write(tally->out, text, strlen(text)) < 0)
		_exit(3);
}

static void run_until(struct ipam *ipam, const int *count, int want)
{
	for (int i = 0; i < TURNS_MAX && *count < want; i++) {
		ipam_commit(ipam);
		if (*count < want)
			ipam_tick(ipam);
	}
}

static void ask(struct ipam *ipam, const char *node, int n, struct tally *tally)
{
	char name[32];
	struct ipam_request request = { .owner = { .container = name, .pod = name } };

	snprintf(name, sizeof(name), "%s-%d", node, n);
	ipam_request(ipam, &request, tell, tally);
}

static void wake(void *arg)
{
	*(bool *)arg = true;
}

/* What is written behind it ends before the next one. */
static void turn(struct ipam *ipam, struct store *store)
{
	struct pollfd wait = { .fd = store_fd(store), .events = POLLIN };

	if (ipam_tick(ipam) == IPAM_IDLE)
		poll(&wait, 1, 1000);
	store_dispatch(store, NULL);
	ipam_commit(ipam);
}

/* Until all that is known is written. */
static void rest(struct ipam *ipam, struct store *store)
{
	struct ipam_status status = { .unwritten = 1 };

	for (int i = 0; i < 100 && status.unwritten; i++) {
		turn(ipam, store);
		ipam_read_status(ipam, &status);
	}
}

/* Asks until the pool is full, in bursts. */
static int agent(const struct world *world, const char *node, int out, bool behind)
{
	bool woken = false;
	_cleanup_free_ char *dir = xasprintf("%s/ipam-%s", world->test.folder, node);
	struct store *store = store_test_open(&world->test, NULL);
	struct ipam_options options = { .store = store,
					.node = node,
					.dir = dir,
					.wake = behind ? wake : NULL,
					.wake_arg = &woken };
	struct tally tally = { .out = out };
	struct ipam *ipam;
	int answers = 0;

	if (ipam_open(&options, &ipam, NULL) < 0)
		return 2;
	for (int n = 0; !tally.full && n < 2 * POOL_SIZE; n += 5) {
		for (int i = 0; i < 5; i++)
			ask(ipam, node, n + i, &tally);
		for (int i = 0; i < TURNS_MAX; i++) {
			answers = tally.ok + tally.full + tally.other;
			if (answers >= n + 5)
				break;
			turn(ipam, store);
		}
	}
	rest(ipam, store);
	ipam_close(ipam);
	store_close(store);
	return tally.full && !tally.other && behind >= woken ? 0 : 1;
}

static pid_t start(const struct world *world, const char *node, int out, bool behind)
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (!pid)
		_exit(agent(world, node, out, behind));
	return pid;
}

/* --- what the two did ------------------------------------------------------------------------- */

/* Lines of both: each address once. */
static unsigned int read_given(int in)
{
	_cleanup_fclose_ FILE *file = fdopen(in, "r");
	_cleanup_json_ json_t *seen = json_object();
	char line[ADDR_TEXT_MAX + 2];

	while (fgets(line, sizeof(line), file)) {
		if (json_object_get(seen, line))
			fail_msg("given twice: %s", line);
		json_object_set_new(seen, line, json_true());
	}
	return (unsigned int)json_object_size(seen);
}

static json_t *check_all(struct world *world)
{
	static const char *const kinds[] = { "IPPool", "IPAMBlock", "BlockAffinity", "IPAMHandle" };
	struct store_query queries[4] = {};
	struct store_list lists[4];
	struct ipam_objects objects;
	json_t *report;

	for (int i = 0; i < 4; i++)
		queries[i].kind = store_kind_find("projectcalico.org/v3", kinds[i]);
	assert_int_equal(store_list(world->store, queries, 4, lists, NULL), 0);
	objects = (struct ipam_objects){ .pools = lists[0].items,
					 .blocks = lists[1].items,
					 .affinities = lists[2].items,
					 .handles = lists[3].items };
	report = ipam_check_objects(&objects);
	for (int i = 0; i < 4; i++)
		store_list_done(&lists[i]);
	return report;
}

static void test_two_processes(void **state)
{
	struct world *world = *state;
	_cleanup_json_ json_t *report = NULL;
	unsigned int given;
	pid_t pids[2];
	int fds[2], status;

	assert_int_equal(pipe(fds), 0);
	pids[0] = start(world, "a", fds[1], false);
	pids[1] = start(world, "b", fds[1], true);
	close(fds[1]);
	given = read_given(fds[0]);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
		assert_int_equal(status, 0);
	}
	report = check_all(world);
	if (json_array_size(json_object_get(report, "problems"))) {
		_cleanup_free_ char *text = json_dumps(report, JSON_INDENT(1));

		fail_msg("%s", text);
	}
	assert_int_equal(json_integer_value(json_object_get(report, "allocated")), given);
	/* What is not given lies in a reserve of one of them. */
	assert_int_equal(
		given + (unsigned int)json_integer_value(json_object_get(report, "reserve")) +
			(unsigned int)json_integer_value(json_object_get(report, "free")),
		POOL_SIZE);
	assert_in_range(given, POOL_SIZE - 2 * 16, POOL_SIZE);
}

/* DEL comes while the write of its ADD is on its way: the address goes back all the same. */
static void test_release_on_the_way(void **state)
{
	struct world *world = *state;
	_cleanup_free_ char *dir = xasprintf("%s/ipam", world->test.folder);
	_cleanup_json_ json_t *report = NULL;
	bool woken = false;
	struct ipam_options options = {
		.store = world->store, .node = "a", .dir = dir, .wake = wake, .wake_arg = &woken
	};
	struct ipam_owner owner = { .container = "a-0" };
	struct tally tally = {};
	struct ipam *ipam;
	int fds[2];

	assert_int_equal(pipe(fds), 0);
	tally.out = fds[1];
	assert_int_equal(ipam_open(&options, &ipam, NULL), 0);
	ask(ipam, "a", 0, &tally);
	for (int i = 0; i < 100 && !tally.ok; i++)
		turn(ipam, world->store);
	assert_int_equal(tally.ok, 1);
	assert_int_equal(ipam_tick(ipam), IPAM_IDLE);
	ipam_release(ipam, &owner, NULL, NULL);
	ipam_commit(ipam);
	rest(ipam, world->store);
	assert_true(woken);
	report = check_all(world);
	assert_int_equal(json_array_size(json_object_get(report, "problems")), 0);
	assert_int_equal(json_integer_value(json_object_get(report, "allocated")), 0);
	/* One that is closed with a commit on its way leaves the rest to the journal. */
	ask(ipam, "a", 1, &tally);
	for (int i = 0; i < 100 && tally.ok < 2; i++)
		turn(ipam, world->store);
	ipam_tick(ipam);
	ipam_close(ipam);
	close(fds[0]);
	close(fds[1]);
}

/* The default clock and a real folder: release, rest for five seconds, and the address is back. */
static void test_one_process(void **state)
{
	struct world *world = *state;
	_cleanup_free_ char *dir = xasprintf("%s/ipam", world->test.folder);
	struct ipam_options options = { .store = world->store, .node = "a", .dir = dir };
	struct ipam_owner owner = { .container = "a-0" };
	struct tally tally = {};
	struct ipam_result result;
	struct ipam *ipam;
	int fds[2];

	assert_int_equal(pipe(fds), 0);
	tally.out = fds[1];
	assert_int_equal(ipam_open(&options, &ipam, NULL), 0);
	ask(ipam, "a", 0, &tally);
	run_until(ipam, &tally.ok, 1);
	assert_int_equal(tally.ok, 1);
	assert_int_equal(ipam_find(ipam, &owner, &result), 0);
	ipam_close(ipam);
	assert_int_equal(ipam_open(&options, &ipam, NULL), 0);
	assert_int_equal(ipam_find(ipam, &owner, &result), 0);
	ipam_release(ipam, &owner, NULL, NULL);
	ipam_commit(ipam);
	while (!ipam_tick(ipam))
		ipam_commit(ipam);
	assert_int_equal(ipam_find(ipam, &owner, &result), -ENOENT);
	ipam_close(ipam);
	close(fds[0]);
	close(fds[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_release_on_the_way, setup, teardown),
		cmocka_unit_test_setup_teardown(test_one_process, setup, teardown),
		cmocka_unit_test_setup_teardown(test_two_processes, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
