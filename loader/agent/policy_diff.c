/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/policy_diff.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/server.h"
#include "base/arena.h"
#include "base/rpc.h"

#define CODE_BAD_REQUEST 7
#define CODE_TRY_AGAIN 11

struct policy_diff {
	pid_t pid;
	int fd;
	struct event *event;
	struct server_call *call;
	char *text;
	size_t size, room;
};

/* --- the child ----------------------------------------------------------------------------- */

/* Locks, sockets and whatever else the agent holds open are its own. */
static void close_others(const struct agent *agent, int out)
{
	int keep[] = { STDERR_FILENO, out, dp_get_map(agent->dp, "mg_flow_e")->fd,
		       dp_get_map(agent->dp, "mg_flow_t")->fd };
	const size_t count = sizeof(keep) / sizeof(keep[0]);
	unsigned int from = 0;

	for (size_t i = 0; i < count; i++)
		for (size_t k = i + 1; k < count; k++)
			if (keep[k] < keep[i]) {
				int swap = keep[i];

				keep[i] = keep[k];
				keep[k] = swap;
			}
	for (size_t i = 0; i < count; i++) {
		if ((unsigned int)keep[i] > from)
			close_range(from, (unsigned int)keep[i] - 1, 0);
		from = (unsigned int)keep[i] + 1;
	}
	close_range(from, ~0U, 0);
}

/* Its end is the parent's, or its own when it takes too long. */
static void live_shortly(void)
{
	static const int signals[] = { SIGTERM, SIGINT, SIGALRM };

	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		signal(signals[i], SIG_DFL);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	alarm(POLICY_DIFF_SECONDS);
}

static _Noreturn void run_child(struct agent *agent, const json_t *request, int out)
{
	json_t *answer = NULL;
	struct err err = { 0 };
	int r;

	live_shortly();
	close_others(agent, out);
	r = policy_diff_answer(agent, json_object_get(request, "objects"), &answer, &err);
	if (r < 0)
		answer = rpc_failure(r == -EAGAIN ? CODE_TRY_AGAIN : CODE_BAD_REQUEST, err.text,
				     NULL);
	_exit(json_dumpfd(answer, out, JSON_COMPACT) < 0);
}

/* --- the parent ---------------------------------------------------------------------------- */

static void forget(struct agent *agent)
{
	struct policy_diff *diff = agent->policy_diff;

	event_free(diff->event);
	close(diff->fd);
	kill(diff->pid, SIGKILL); /* it has ended, or is to */
	waitpid(diff->pid, NULL, 0);
	free(diff->text);
	free(diff);
	agent->policy_diff = NULL;
}

static void finish(struct agent *agent)
{
	struct policy_diff *diff = agent->policy_diff;
	struct server_call *call = diff->call;
	json_t *answer = json_loadb(diff->text ? diff->text : "", diff->size, 0, NULL);

	forget(agent);
	if (answer)
		server_answer(call, answer);
	else
		server_fail(call, CODE_TRY_AGAIN,
			    "the comparison did not come to its end within %d s",
			    POLICY_DIFF_SECONDS);
}

static void on_output(evutil_socket_t fd, short what, void *context)
{
	struct agent *agent = context;
	struct policy_diff *diff = agent->policy_diff;
	ssize_t n;

	(void)what;
	if (diff->size == diff->room) {
		diff->room = diff->room ? diff->room * 2 : 65536;
		diff->text = xrealloc(diff->text, diff->room, 1);
	}
	n = read(fd, diff->text + diff->size, diff->room - diff->size);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n > 0)
		diff->size += (size_t)n;
	if (n <= 0 || diff->size > SERVER_ANSWER_MAX)
		finish(agent);
}

static int start(struct agent *agent, const json_t *request, struct err *err)
{
	struct policy_diff *diff;
	int ends[2];
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return err_errno(err, -errno, "pipe");
	pid = fork();
	if (pid < 0) {
		int r = err_errno(err, -errno, "fork");

		close(ends[0]);
		close(ends[1]);
		return r;
	}
	if (!pid)
		run_child(agent, request, ends[1]);
	close(ends[1]);
	fcntl(ends[0], F_SETFL, O_NONBLOCK);
	diff = xcalloc(1, sizeof(*diff));
	diff->pid = pid;
	diff->fd = ends[0];
	diff->event = event_new(agent->base, ends[0], EV_READ | EV_PERSIST, on_output, agent);
	event_add(diff->event, NULL);
	agent->policy_diff = diff;
	return 0;
}

void policy_diff_handle(struct agent *agent, struct server_call *call, const json_t *request)
{
	struct err err;

	if (!json_is_array(json_object_get(request, "objects")))
		server_fail(call, CODE_BAD_REQUEST, "objects: expected a list");
	else if (agent->policy_diff)
		server_fail(call, CODE_TRY_AGAIN, "another comparison is being made");
	else if (!agent->synced || agent->degraded)
		server_fail(call, CODE_TRY_AGAIN, "not all is in force: %s",
			    agent->synced ? agent->problem.text : "the datastore is being read");
	else if (start(agent, request, &err) < 0)
		server_fail(call, CODE_TRY_AGAIN, "%s", err.text);
	else
		agent->policy_diff->call = call;
}

void policy_diff_stop(struct agent *agent)
{
	struct server_call *call = agent->policy_diff ? agent->policy_diff->call : NULL;

	if (!call)
		return;
	forget(agent);
	server_fail(call, CODE_TRY_AGAIN, "the agent ends");
}
