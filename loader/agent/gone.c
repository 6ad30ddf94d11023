/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/gone.h"

#include <errno.h>

#include "agent/addresses.h"
#include "agent/endpoint.h"
#include "agent/record.h"
#include "base/log.h"

#define GONE_SECONDS 10 /* runtimes that call DEL do so before the namespace goes, or at once */

static bool is_gone(const struct agent *agent, const struct endpoint *endpoint)
{
	struct net_link link;

	return endpoint->gone && endpoint->committed && !endpoint->waiting &&
	       net_link_get(agent->net, (int)endpoint->ifindex, &link, NULL) == -ENODEV;
}

static void release(struct agent *agent, struct endpoint *endpoint)
{
	log_info("an interface went without DEL", "container", endpoint->container, "interface",
		 endpoint->host_ifname, NULL);
	record_remove(agent, endpoint->container, endpoint->ifname);
	addresses_release(agent, endpoint);
	endpoint_remove(agent, endpoint);
}

static void on_gone(evutil_socket_t fd, short what, void *context)
{
	struct agent *agent = context;
	struct endpoint *endpoint, *next;

	(void)fd;
	(void)what;
	HASH_ITER(hh, agent->endpoints, endpoint, next) {
		bool gone = is_gone(agent, endpoint);

		endpoint->gone = false;
		if (gone)
			release(agent, endpoint);
	}
}

void gone_note(struct agent *agent, struct endpoint *endpoint)
{
	const struct timeval later = { .tv_sec = GONE_SECONDS };

	if (endpoint->external || endpoint->gone || !endpoint->committed)
		return;
	endpoint->gone = true;
	if (!agent->gone_event)
		agent->gone_event = evtimer_new(agent->base, on_gone, agent);
	/* From the last one on: none is looked at earlier than that. */
	event_add(agent->gone_event, &later);
}

void gone_stop(struct agent *agent)
{
	if (agent->gone_event)
		event_free(agent->gone_event);
}
