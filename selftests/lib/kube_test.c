/* SPDX-License-Identifier: Apache-2.0 */
#include "selftests/lib/kube_test.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/file.h"

#define REQUESTS_MAX (4 << 20)
#define SERVERS "2"

static struct {
	struct store_test test; /* its folder */
	pid_t pid;
	int in; /* closed: it ends */
	unsigned int number;
} server;

static pid_t spawn_server(int in, int out)
{
	char *argv[] = { "python3",
			 "selftests/lib/fake_apiserver.py",
			 server.test.folder,
			 "--servers",
			 SERVERS,
			 "--bookmarks",
			 "0.3",
			 NULL };
	posix_spawn_file_actions_t actions;
	pid_t pid = -1;

	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, in, STDIN_FILENO);
	posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
	assert_int_equal(posix_spawnp(&pid, argv[0], &actions, NULL, argv, environ), 0);
	posix_spawn_file_actions_destroy(&actions);
	return pid;
}

static const char *other_server(void)
{
	return getenv("MARGAY_TEST_APISERVER");
}

void kube_only(void)
{
	if (other_server())
		cmocka_set_test_filter("kubernetes: *");
}

int kube_group_setup(void **state)
{
	int in[2], out[2];
	char ready[8] = "";
	size_t used = 0;

	(void)state;
	if (other_server()) {
		snprintf(server.test.folder, sizeof(server.test.folder), "%s", other_server());
		snprintf(server.test.address, sizeof(server.test.address),
			 "kubernetes:%s/kubeconfig", server.test.folder);
		return 0;
	}
	store_test_init(&server.test);
	snprintf(server.test.address, sizeof(server.test.address), "kubernetes:%s/kubeconfig",
		 server.test.folder);
	assert_int_equal(pipe2(in, O_CLOEXEC), 0);
	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	server.pid = spawn_server(in[0], out[1]);
	server.in = in[1];
	close(in[0]);
	close(out[1]);
	while (!strchr(ready, '\n') && used < sizeof(ready) - 1) {
		ssize_t n = read(out[0], ready + used, sizeof(ready) - 1 - used);

		assert_true(n > 0);
		used += (size_t)n;
	}
	assert_string_equal(ready, "ready\n");
	close(out[0]);
	return 0;
}

int kube_group_teardown(void **state)
{
	(void)state;
	if (other_server())
		return 0;
	close(server.in);
	waitpid(server.pid, NULL, 0);
	store_test_done(&server.test);
	return 0;
}

unsigned int kube_number(void)
{
	return ++server.number;
}

static unsigned int reset;

void kube_control(const struct store_fixture *f, const char *members)
{
	_cleanup_free_ char *text =
		xasprintf("{\"reset\": %u%s%s}", reset, *members ? ", " : "", members);

	test_write(&f->test, "control", text);
}

/* What a test before this one left. */
static void clear_sets(struct store *store)
{
	const struct store_query query = test_query(NULL);
	struct store_list list;
	json_t *object;
	size_t i;

	assert_int_equal(store_list(store, &query, 1, &list, NULL), 0);
	json_array_foreach(list.items, i, object) {
		struct store_key key;

		assert_int_equal(store_key_of(object, &key, NULL), 0);
		assert_int_equal(store_delete(store, &key, NULL, NULL), 0);
	}
	store_list_done(&list);
}

int kube_fixture_setup(void **state)
{
	struct store_fixture *f = xcalloc(1, sizeof(*f));

	f->test = server.test;
	reset = kube_number();
	kube_control(f, "");
	test_write(&f->test, "requests", "");
	f->store = store_test_open(&f->test, NULL);
	if (other_server())
		clear_sets(f->store);
	*state = f;
	return 0;
}

int kube_fixture_teardown(void **state)
{
	struct store_fixture *f = *state;

	store_close(f->store);
	free(f);
	return 0;
}

unsigned int kube_requests(const struct store_fixture *f, const char *text)
{
	_cleanup_free_ char *path = test_path(&f->test, "requests"), *lines = NULL;
	unsigned int count = 0;
	char *save = NULL;
	size_t size;

	assert_int_equal(file_read(AT_FDCWD, path, REQUESTS_MAX, &lines, &size), 0);
	for (char *line = strtok_r(lines, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		count += strstr(line, text) != NULL;
	return count;
}

int kube_try_get(struct store *store, struct err *err)
{
	const struct store_key key = test_key("a", "x");
	json_t *object = NULL;
	int r = store_get(store, &key, &object, err);

	json_decref(object);
	return r;
}
