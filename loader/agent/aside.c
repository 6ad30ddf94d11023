/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/aside.h"

#include <errno.h>
#include <string.h>

#include "agent/quiet.h"
#include "base/arena.h"
#include "base/log.h"

#define MOST 1024 /* more are the plugin's own to delete */

static void warn(const struct err *err)
{
	log_warning("interfaces that DEL put aside", "why", err->text, NULL);
}

/* --- deleting one --- */

struct link {
	struct quiet_work work;
	struct agent *agent;
	char name[IFNAMSIZ];
};

static int delete_link(struct quiet_work *work, struct err *err)
{
	const struct link *link = (struct link *)work;
	_cleanup_net_ struct net_sock *sock = NULL;
	int r = net_open(&sock, err);

	if (!r)
		r = net_link_delete_name(sock, link->name, err);
	return r == -ENODEV ? 0 : r;
}

static void release_link(struct quiet_work *work)
{
	struct link *link = (struct link *)work;

	link->agent->aside_links--;
	free(link);
}

static void link_done(struct agent *agent, struct quiet_work *work, int result,
		      const struct err *err)
{
	if (result < 0) {
		warn(err);
		quiet_add(agent, work);
	} else {
		release_link(work);
	}
}

static void add_link(struct agent *agent, const char *name)
{
	struct link *link = xcalloc(1, sizeof(*link));

	link->work = (struct quiet_work){
		.run = delete_link, .done = link_done, .release = release_link, .presses = true
	};
	link->agent = agent;
	memcpy(link->name, name, strlen(name));
	agent->aside_links++;
	quiet_add(agent, &link->work);
}

static bool is_aside(const char *name)
{
	return !strncmp(name, ASIDE_PREFIX, strlen(ASIDE_PREFIX)) && strlen(name) < IFNAMSIZ;
}

bool aside_take(struct agent *agent, const char *name)
{
	if (agent->aside_links >= MOST || !is_aside(name))
		return false;
	add_link(agent, name);
	return true;
}

/* --- looking for what a former agent left --- */

struct look {
	struct quiet_work work;
	struct net_link *links;
	size_t count;
};

static int look(struct quiet_work *work, struct err *err)
{
	struct look *look = (struct look *)work;
	_cleanup_net_ struct net_sock *sock = NULL;
	int r = net_open(&sock, err);

	return r ? r : net_link_list(sock, &look->links, &look->count, err);
}

static void release_look(struct quiet_work *work)
{
	struct look *look = (struct look *)work;

	free(look->links);
	free(look);
}

static void look_done(struct agent *agent, struct quiet_work *work, int result,
		      const struct err *err)
{
	const struct look *look = (struct look *)work;

	if (result < 0) {
		warn(err);
		quiet_add(agent, work);
		return;
	}
	for (size_t i = 0; i < look->count; i++) {
		if (!strcmp(look->links[i].kind, "veth") && is_aside(look->links[i].name))
			add_link(agent, look->links[i].name);
	}
	release_look(work);
}

void aside_start(struct agent *agent)
{
	struct look *first = xcalloc(1, sizeof(*first));

	first->work =
		(struct quiet_work){ .run = look, .done = look_done, .release = release_look };
	quiet_add(agent, &first->work);
}
