/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/aside.h"

#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <utlist.h>

#include "base/arena.h"
#include "base/log.h"

#define QUIET_MS 250   /* without a request of the plugin */
#define AGAIN_MS 10000 /* after a failure */
#define MANY 64	       /* more wait for no quiet */
#define MOST 1024      /* more are the plugin's own to delete */

struct link {
	char name[IFNAMSIZ];
	struct link *next, *prev;
};

struct aside {
	struct agent *agent;
	struct event *quiet; /* the moment has come */
	struct event *ended; /* eventfd: the thread is done */
	struct link *links;
	unsigned int count;
	bool busy; /* since the thread began */

	/* One run of the thread: looks for what an earlier agent left, or deletes one. */
	pthread_t thread;
	bool running;
	struct link *work; /* NULL: look; then what was found */
	bool look;
	int result;
	struct err err;
};

/* --- the thread --- */

static int look(struct aside *aside, struct net_sock *sock)
{
	_cleanup_free_ struct net_link *links = NULL;
	size_t count = 0;
	int r = net_link_list(sock, &links, &count, &aside->err);

	for (size_t i = 0; !r && i < count; i++) {
		struct link *link;

		if (strcmp(links[i].kind, "veth") ||
		    strncmp(links[i].name, ASIDE_PREFIX, strlen(ASIDE_PREFIX)))
			continue;
		link = xcalloc(1, sizeof(*link));
		memcpy(link->name, links[i].name, sizeof(link->name));
		DL_APPEND(aside->work, link);
	}
	return r;
}

static void *run(void *context)
{
	struct aside *aside = context;
	_cleanup_net_ struct net_sock *sock = NULL;
	int r = net_open(&sock, &aside->err);

	if (!r && aside->look)
		r = look(aside, sock);
	else if (!r)
		r = net_link_delete_name(sock, aside->work->name, &aside->err);
	aside->result = r == -ENODEV ? 0 : r;
	(void)!write(event_get_fd(aside->ended), &(uint64_t){ 1 }, sizeof(uint64_t));
	return NULL;
}

/* --- the loop --- */

static void later(struct aside *aside, long ms)
{
	const struct timeval when = { .tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000 };

	event_add(aside->quiet, &when);
}

static int begin(struct aside *aside)
{
	sigset_t all, before;
	int r;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	r = pthread_create(&aside->thread, NULL, run, aside);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return -r;
}

/* What was not deleted comes back in, what was found is new. */
static void put_back(struct aside *aside)
{
	struct link *link, *next;

	DL_FOREACH_SAFE(aside->work, link, next) {
		DL_DELETE(aside->work, link);
		DL_APPEND(aside->links, link);
		aside->count++;
	}
}

static void on_quiet(evutil_socket_t fd, short what, void *context)
{
	struct aside *aside = context;

	(void)fd;
	(void)what;
	if (aside->running || (!aside->links && !aside->look))
		return;
	if (!aside->look) {
		aside->work = aside->links;
		DL_DELETE(aside->links, aside->work);
		aside->work->next = NULL;
		aside->work->prev = aside->work;
		aside->count--;
	}
	aside->busy = false;
	aside->running = begin(aside) == 0;
	if (aside->running)
		return;
	put_back(aside);
	later(aside, AGAIN_MS);
}

static void on_ended(evutil_socket_t fd, short what, void *context)
{
	struct aside *aside = context;
	uint64_t value;

	(void)what;
	(void)!read(fd, &value, sizeof(value));
	pthread_join(aside->thread, NULL);
	aside->running = false;
	if (aside->result < 0) {
		log_warning("interfaces that DEL put aside", "why", aside->err.text, NULL);
	} else if (!aside->look) {
		free(aside->work);
		aside->work = NULL;
	}
	if (!aside->result)
		aside->look = false;
	put_back(aside);
	later(aside, aside->result < 0			   ? AGAIN_MS
		     : aside->busy && aside->count <= MANY ? QUIET_MS
							   : 0);
}

void aside_busy(struct agent *agent)
{
	struct aside *aside = agent->aside;

	if (!aside)
		return;
	aside->busy = true;
	if (!aside->running && aside->count <= MANY && (aside->links || aside->look))
		later(aside, QUIET_MS);
}

bool aside_take(struct agent *agent, const char *name)
{
	struct aside *aside = agent->aside;
	struct link *link;

	if (!aside || aside->count >= MOST || strlen(name) >= IFNAMSIZ ||
	    strncmp(name, ASIDE_PREFIX, strlen(ASIDE_PREFIX)))
		return false;
	link = xcalloc(1, sizeof(*link));
	memcpy(link->name, name, strlen(name));
	DL_APPEND(aside->links, link);
	aside->count++;
	aside_busy(agent);
	return true;
}

void aside_start(struct agent *agent)
{
	struct aside *aside = xcalloc(1, sizeof(*aside));
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	if (fd < 0)
		abort();
	aside->agent = agent;
	aside->look = true;
	aside->quiet = evtimer_new(agent->base, on_quiet, aside);
	aside->ended = event_new(agent->base, fd, EV_READ | EV_PERSIST, on_ended, aside);
	event_add(aside->ended, NULL);
	agent->aside = aside;
	aside_busy(agent);
}

void aside_stop(struct agent *agent)
{
	struct aside *aside = agent->aside;
	struct link *link, *next;

	if (!aside)
		return;
	if (aside->running)
		pthread_join(aside->thread, NULL);
	put_back(aside);
	DL_FOREACH_SAFE(aside->links, link, next) {
		DL_DELETE(aside->links, link);
		free(link);
	}
	close(event_get_fd(aside->ended));
	event_free(aside->ended);
	event_free(aside->quiet);
	free(aside);
	agent->aside = NULL;
}
