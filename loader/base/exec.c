/* SPDX-License-Identifier: Apache-2.0 */
#include "base/exec.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/rpc.h"

char *exec_find(const char *name, const char *path)
{
	if (strchr(name, '/'))
		return access(name, X_OK) == 0 ? xstrdup(name) : NULL;
	for (const char *p = path ? path : ""; *p;) {
		size_t size = strcspn(p, ":");
		_cleanup_free_ char *file = xasprintf("%.*s/%s", (int)size, p, name);

		if (size && access(file, X_OK) == 0)
			return TAKE_PTR(file);
		p += size;
		p += *p == ':';
	}
	return NULL;
}

struct child {
	pid_t pid;
	int in, out; /* our ends; -1: closed */
};

/* A killed or failed parent's clean-up: no child stays behind unwaited. */
static void child_done(struct child *child)
{
	close_p(&child->in);
	close_p(&child->out);
	if (child->pid > 0) {
		kill(child->pid, SIGKILL);
		waitpid(child->pid, NULL, 0);
	}
}

static int spawn(const struct exec *exec, const int in[2], const int out[2], pid_t *ret_pid)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	sigset_t defaults;
	int r;

	sigemptyset(&defaults);
	sigaddset(&defaults, SIGPIPE);
	posix_spawn_file_actions_init(&actions);
	posix_spawnattr_init(&attributes);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);
	posix_spawnattr_setsigdefault(&attributes, &defaults);
	posix_spawn_file_actions_adddup2(&actions, in[0], STDIN_FILENO);
	posix_spawn_file_actions_adddup2(&actions, out[1], STDOUT_FILENO);
	r = posix_spawn(ret_pid, exec->file, &actions, &attributes, exec->argv, exec->environment);
	posix_spawn_file_actions_destroy(&actions);
	posix_spawnattr_destroy(&attributes);
	return -r;
}

static int start(const struct exec *exec, struct child *child, struct err *err)
{
	int in[2], out[2], r;

	if (pipe2(in, O_CLOEXEC) < 0)
		return err_errno(err, -errno, "pipe");
	if (pipe2(out, O_CLOEXEC) < 0) {
		r = -errno;
		close(in[0]);
		close(in[1]);
		return err_errno(err, r, "pipe");
	}
	r = spawn(exec, in, out, &child->pid);
	close(in[0]);
	close(out[1]);
	child->in = in[1];
	child->out = out[0];
	fcntl(child->in, F_SETFL, O_NONBLOCK);
	return r < 0 ? err_errno(err, r, "%s", exec->file) : 0;
}

/* Feeds what is left of the input; closes when all is in, or nobody reads it. */
static void feed(struct child *child, const char **input)
{
	ssize_t n = write(child->in, *input, strlen(*input));

	if (n > 0)
		*input += n;
	if (!**input || (n < 0 && errno != EAGAIN && errno != EINTR)) {
		close(child->in);
		child->in = -1;
	}
}

static int talk(const struct exec *exec, struct child *child, char *output, struct err *err)
{
	const char *input = exec->input ? exec->input : "";
	size_t used = 0;

	for (;;) {
		struct pollfd fds[] = { { .fd = child->out, .events = POLLIN },
					{ .fd = child->in, .events = POLLOUT } };
		long long left = exec->deadline - rpc_now();
		ssize_t n;

		if (left <= 0)
			return err_set(err, -ETIMEDOUT, "%s does not come to an end", exec->name);
		if (poll(fds, 2, left > 60000 ? 60000 : (int)left) < 0 && errno != EINTR)
			return err_errno(err, -errno, "poll");
		if (child->in >= 0 && fds[1].revents)
			feed(child, &input);
		if (!fds[0].revents)
			continue;
		n = read(child->out, output + used, exec->output_max - used);
		if (n < 0 && errno != EINTR)
			return err_errno(err, -errno, "%s", exec->name);
		if (n > 0)
			used += (size_t)n;
		if (used == exec->output_max)
			return err_set(err, -EFBIG, "%s prints more than %zu bytes", exec->name,
				       exec->output_max);
		if (!n)
			break;
	}
	output[used] = 0;
	return 0;
}

int exec_run(const struct exec *exec, int *ret_status, char **ret_output, struct err *err)
{
	_cleanup_(child_done) struct child child = { .in = -1, .out = -1 };
	_cleanup_free_ char *output = xmalloc(exec->output_max + 1);
	int status, r;

	r = start(exec, &child, err);
	if (!r)
		r = talk(exec, &child, output, err);
	if (r < 0)
		return r;
	while (waitpid(child.pid, &status, 0) < 0) {
		if (errno != EINTR)
			return err_errno(err, -errno, "%s", exec->name);
	}
	child.pid = 0;
	*ret_status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
	*ret_output = TAKE_PTR(output);
	return 0;
}
