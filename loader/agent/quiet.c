/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/quiet.h"

#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <utlist.h>

#include "base/arena.h"

#define QUIET_MS 250   /* without a request of the plugin */
#define AGAIN_MS 10000 /* after a failure */
#define MANY 64	       /* more that press wait for no quiet */

struct quiet {
	struct agent *agent;
	struct event *due;   /* the moment has come */
	struct event *ended; /* eventfd: the thread is done */
	struct quiet_work *works;
	unsigned int pressing;
	bool busy; /* since the thread began */

	pthread_t thread;
	bool running;
	struct quiet_work *work; /* the thread's */
	int result;
	struct err err;
};

static bool is_urgent(const struct quiet *quiet)
{
	return quiet->pressing > MANY;
}

static void later(struct quiet *quiet, unsigned int ms)
{
	const struct timeval when = { .tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000 };

	if (quiet->works)
		event_add(quiet->due, &when);
}

static void put(struct quiet *quiet, struct quiet_work *work)
{
	DL_APPEND(quiet->works, work);
	quiet->pressing += work->presses;
}

static struct quiet_work *take(struct quiet *quiet)
{
	struct quiet_work *work = quiet->works;

	while (is_urgent(quiet) && !work->presses)
		work = work->next;
	DL_DELETE(quiet->works, work);
	quiet->pressing -= work->presses;
	return work;
}

/* --- the thread --- */

static void *run(void *context)
{
	struct quiet *quiet = context;

	quiet->err = (struct err){ 0 };
	quiet->result = quiet->work->run(quiet->work, &quiet->err);
	(void)!write(event_get_fd(quiet->ended), &(uint64_t){ 1 }, sizeof(uint64_t));
	return NULL;
}

static int begin(struct quiet *quiet)
{
	sigset_t all, before;
	int r;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	r = pthread_create(&quiet->thread, NULL, run, quiet);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return -r;
}

/* --- the loop --- */

static void on_due(evutil_socket_t fd, short what, void *context)
{
	struct quiet *quiet = context;
	struct quiet_work *work;

	(void)fd;
	(void)what;
	if (quiet->running || !quiet->works)
		return;
	work = take(quiet);
	if (work->begin && !work->begin(quiet->agent, work)) {
		work->release(work);
		later(quiet, 0);
		return;
	}
	quiet->work = work;
	quiet->busy = false;
	quiet->running = begin(quiet) == 0;
	if (quiet->running)
		return;
	put(quiet, work);
	later(quiet, AGAIN_MS);
}

static void on_ended(evutil_socket_t fd, short what, void *context)
{
	struct quiet *quiet = context;
	unsigned int pause = quiet->work->pause_ms;
	uint64_t value;

	(void)what;
	(void)!read(fd, &value, sizeof(value));
	pthread_join(quiet->thread, NULL);
	quiet->running = false;
	quiet->work->done(quiet->agent, quiet->work, quiet->result, &quiet->err);
	later(quiet, quiet->result < 0			? AGAIN_MS
		     : quiet->busy && !is_urgent(quiet) ? QUIET_MS
							: pause);
}

void quiet_busy(struct agent *agent)
{
	struct quiet *quiet = agent->quiet;

	quiet->busy = true;
	if (!quiet->running && !is_urgent(quiet))
		later(quiet, QUIET_MS);
}

void quiet_add(struct agent *agent, struct quiet_work *work)
{
	struct quiet *quiet = agent->quiet;

	put(quiet, work);
	if (!quiet->running && !event_pending(quiet->due, EV_TIMEOUT, NULL))
		later(quiet, QUIET_MS);
}

void quiet_start(struct agent *agent)
{
	struct quiet *quiet = xcalloc(1, sizeof(*quiet));
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	if (fd < 0)
		abort();
	quiet->agent = agent;
	quiet->due = evtimer_new(agent->base, on_due, quiet);
	quiet->ended = event_new(agent->base, fd, EV_READ | EV_PERSIST, on_ended, quiet);
	event_add(quiet->ended, NULL);
	agent->quiet = quiet;
}

void quiet_stop(struct agent *agent)
{
	struct quiet *quiet = agent->quiet;
	struct quiet_work *work, *next;

	if (!quiet)
		return;
	if (quiet->running) {
		pthread_join(quiet->thread, NULL);
		quiet->work->release(quiet->work);
	}
	DL_FOREACH_SAFE(quiet->works, work, next) {
		DL_DELETE(quiet->works, work);
		work->release(work);
	}
	close(event_get_fd(quiet->ended));
	event_free(quiet->ended);
	event_free(quiet->due);
	free(quiet);
	agent->quiet = NULL;
}
