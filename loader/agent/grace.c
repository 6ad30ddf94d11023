/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/grace.h"
#include "agent/packet_log.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/log.h"
#include "state/service.h"

struct grace {
	struct agent *agent;
	struct event *idle;  /* begins */
	struct event *ended; /* eventfd: the thread has its answer */
	pthread_t thread;
	bool running;
	bool again;	/* a commit came meanwhile */
	uint64_t build; /* the last one in force when the thread began */
	uint64_t services;
	int result;
};

static void *wait_for_kernel(void *context)
{
	struct grace *grace = context;

	grace->result = dp_grace(grace->agent->dp);
	(void)!write(event_get_fd(grace->ended), &(uint64_t){ 1 }, sizeof(uint64_t));
	return NULL;
}

/* Signals are the loop's. A thread of its own for each answer: idle ones cost memory. */
static int begin(struct grace *grace)
{
	sigset_t all, before;
	int r;

	grace->build = engine_applied_build(grace->agent->engine);
	grace->services = services_builds(grace->agent->services);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	r = pthread_create(&grace->thread, NULL, wait_for_kernel, grace);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return -r;
}

static void finish(struct grace *grace)
{
	struct agent *agent = grace->agent;

	grace->running = false;
	if (!grace->result) {
		engine_grace_done(agent->engine, grace->build);
		services_grace_done(agent->services, grace->services);
		if (agent->packet_log) /* the last Log rule may have gone now */
			packet_log_look(agent);
	}
	if (grace->again)
		grace_want(agent);
	grace->again = false;
	if (engine_pending(agent->engine))
		agent_dirty(agent, CHANGE_POLICY);
}

static void on_idle(evutil_socket_t fd, short what, void *context)
{
	struct grace *grace = context;

	(void)fd;
	(void)what;
	if (grace->running) {
		grace->again = true;
		return;
	}
	grace->running = true;
	if (begin(grace) == 0)
		return;
	/* No thread to be had: the loop waits itself. */
	grace->result = dp_grace(grace->agent->dp);
	finish(grace);
}

static void on_ended(evutil_socket_t fd, short what, void *context)
{
	struct grace *grace = context;
	uint64_t value;

	(void)what;
	(void)!read(fd, &value, sizeof(value));
	pthread_join(grace->thread, NULL);
	finish(grace);
}

void grace_want(struct agent *agent)
{
	const struct timeval now = { 0 };

	event_add(agent->grace->idle, &now);
}

void grace_start(struct agent *agent)
{
	struct grace *grace = xcalloc(1, sizeof(*grace));
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	if (fd < 0)
		abort();
	grace->agent = agent;
	grace->idle = evtimer_new(agent->base, on_idle, grace);
	grace->ended = event_new(agent->base, fd, EV_READ | EV_PERSIST, on_ended, grace);
	event_priority_set(grace->idle, 2);
	event_add(grace->ended, NULL);
	agent->grace = grace;
}

void grace_stop(struct agent *agent)
{
	struct grace *grace = agent->grace;

	if (!grace)
		return;
	if (grace->running)
		pthread_join(grace->thread, NULL);
	close(event_get_fd(grace->ended));
	event_free(grace->ended);
	event_free(grace->idle);
	free(grace);
}
