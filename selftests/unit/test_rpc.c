/* SPDX-License-Identifier: Apache-2.0 */
/* base/rpc.h: framing, limits, and a client against servers that behave and misbehave. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/rpc.h"

static int decode(const char *text)
{
	_cleanup_json_ json_t *tree = NULL;
	struct err err;

	return rpc_decode(text, strlen(text), RPC_LINE_MAX, &tree, &err);
}

static void decode_takes_one_object(void **state)
{
	(void)state;
	assert_int_equal(decode("{}"), 0);
	assert_int_equal(decode("{\"a\":[1,{\"b\":null}]}\n"), 0);
	assert_int_equal(decode(""), -EBADMSG);
	assert_int_equal(decode("[1]"), -EBADMSG);
	assert_int_equal(decode("{} {}"), -EBADMSG);
	assert_int_equal(decode("{\"a\":1,\"a\":2}"), -EBADMSG);
	assert_int_equal(decode("{\"a\":\"\xff\"}"), -EBADMSG);
}

/* An object around n arrays. */
static int decode_nested(int arrays)
{
	char text[256] = "{\"a\":";

	memset(text + strlen(text), '[', (size_t)arrays);
	memset(text + strlen(text), ']', (size_t)arrays);
	strcat(text, "}");
	return decode(text);
}

static void decode_limits(void **state)
{
	json_t *tree = NULL;
	struct err err;

	(void)state;
	assert_int_equal(decode_nested(RPC_DEPTH_MAX - 1), 0);
	assert_int_equal(decode_nested(RPC_DEPTH_MAX), -EBADMSG);
	assert_int_equal(rpc_decode("{} ", 3, 2, &tree, &err), -EMSGSIZE);
	assert_null(tree);
}

static void encode_ends_with_newline(void **state)
{
	_cleanup_json_ json_t *tree = rpc_failure(11, "no", NULL);
	_cleanup_free_ char *line = NULL;
	size_t size;

	(void)state;
	assert_int_equal(rpc_encode(tree, RPC_LINE_MAX, &line, &size), 0);
	assert_string_equal(line, "{\"ok\":false,\"code\":11,\"msg\":\"no\"}\n");
	assert_int_equal(size, strlen(line));
	assert_int_equal(rpc_encode(tree, size - 1, &line, &size), -EMSGSIZE);
}

struct server {
	char folder[32];
	char path[64];
	int fd;
	const char *const *answers; /* what each connection is sent; "" closes, NULL ends */
	pthread_t thread;
};

static int setup(void **state)
{
	struct server *server = xcalloc(1, sizeof(*server));

	strcpy(server->folder, "/tmp/margay-rpc-XXXXXX");
	if (!mkdtemp(server->folder))
		return -1;
	snprintf(server->path, sizeof(server->path), "%s/sock", server->folder);
	server->fd = -1;
	*state = server;
	return 0;
}

static int teardown(void **state)
{
	struct server *server = *state;

	if (server->fd >= 0)
		close(server->fd);
	unlink(server->path);
	rmdir(server->folder);
	free(server);
	return 0;
}

static void *serve(void *arg)
{
	struct server *server = arg;
	char text[4096];
	int fd;

	for (const char *const *answer = server->answers; *answer; answer++) {
		/* rpc_listen() gives a socket that does not block. */
		while ((fd = accept(server->fd, NULL, NULL)) < 0 && errno == EAGAIN)
			usleep(1000);
		if (fd < 0)
			return NULL;
		if (rpc_peer_check(fd) == 0 && recv(fd, text, sizeof(text), 0) > 0 && **answer)
			send(fd, *answer, strlen(*answer), MSG_NOSIGNAL);
		close(fd);
	}
	return NULL;
}

static int call(struct server *server, int ms, bool retry, json_t **ret_answer)
{
	_cleanup_json_ json_t *request = json_pack("{s:s}", "op", "status");
	struct err err;

	return rpc_call(&(struct rpc_call){ .path = server->path,
					    .request = request,
					    .deadline = rpc_now() + ms,
					    .retry = retry },
			ret_answer, &err);
}

static void call_gets_the_answer(void **state)
{
	static const char *const answers[] = { "{\"ok\":true,\"n\":7}\n", NULL };
	struct server *server = *state;
	_cleanup_json_ json_t *answer = NULL;
	struct stat st;

	server->answers = answers;
	assert_int_equal(rpc_listen(server->path, &server->fd, NULL), 0);
	assert_int_equal(stat(server->path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(pthread_create(&server->thread, NULL, serve, server), 0);
	assert_int_equal(call(server, 30000, false, &answer), 0);
	pthread_join(server->thread, NULL);
	assert_int_equal(json_integer_value(json_object_get(answer, "n")), 7);
}

static void call_without_listener(void **state)
{
	struct server *server = *state;
	json_t *answer = NULL;
	long long begin = rpc_now();

	assert_int_equal(call(server, 30000, false, &answer), -ENOENT);
	assert_true(rpc_now() - begin < 25000);
	begin = rpc_now();
	assert_int_equal(call(server, 300, true, &answer), -ENOENT);
	assert_true(rpc_now() - begin >= 200);
	assert_null(answer);
}

static void call_waits_no_longer_than_told(void **state)
{
	struct server *server = *state;
	json_t *answer = NULL;

	assert_int_equal(rpc_listen(server->path, &server->fd, NULL), 0);
	assert_int_equal(call(server, 200, true, &answer), -ETIMEDOUT);
}

static void call_tries_again_after_a_crash(void **state)
{
	static const char *const answers[] = { "", "", "{\"ok\":true}\n", NULL };
	struct server *server = *state;
	_cleanup_json_ json_t *answer = NULL;

	server->answers = answers;
	assert_int_equal(rpc_listen(server->path, &server->fd, NULL), 0);
	assert_int_equal(pthread_create(&server->thread, NULL, serve, server), 0);
	assert_int_equal(call(server, 30000, false, &answer), -ECONNRESET);
	assert_int_equal(call(server, 30000, true, &answer), 0);
	pthread_join(server->thread, NULL);
	assert_true(json_is_true(json_object_get(answer, "ok")));
}

static void call_refuses_rubbish(void **state)
{
	static const char *const answers[] = { "nonsense\n", NULL };
	struct server *server = *state;
	json_t *answer = NULL;

	server->answers = answers;
	assert_int_equal(rpc_listen(server->path, &server->fd, NULL), 0);
	assert_int_equal(pthread_create(&server->thread, NULL, serve, server), 0);
	assert_int_equal(call(server, 30000, true, &answer), -EBADMSG);
	pthread_join(server->thread, NULL);
}

static void listen_replaces_only_the_dead(void **state)
{
	struct server *server = *state;
	int other = -1;

	assert_int_equal(rpc_listen(server->path, &server->fd, NULL), 0);
	assert_int_equal(rpc_listen(server->path, &other, NULL), -EADDRINUSE);
	close(server->fd);
	assert_int_equal(rpc_listen(server->path, &server->fd, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(decode_takes_one_object),
		cmocka_unit_test(decode_limits),
		cmocka_unit_test(encode_ends_with_newline),
		cmocka_unit_test_setup_teardown(call_gets_the_answer, setup, teardown),
		cmocka_unit_test_setup_teardown(call_without_listener, setup, teardown),
		cmocka_unit_test_setup_teardown(call_waits_no_longer_than_told, setup, teardown),
		cmocka_unit_test_setup_teardown(call_tries_again_after_a_crash, setup, teardown),
		cmocka_unit_test_setup_teardown(call_refuses_rubbish, setup, teardown),
		cmocka_unit_test_setup_teardown(listen_replaces_only_the_dead, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
