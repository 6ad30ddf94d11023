/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/host_port.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdint.h>
#include <string.h>

#include "base/arena.h"
#include "base/inet.h"
#include "base/json.h"
#include "state/service.h"

/* --- from JSON ---------------------------------------------------------------------------- */

/* 0: none. */
static uint16_t port_of(const json_t *mapping, const char *key)
{
	json_int_t port = json_integer_value(json_object_get(mapping, key));

	return port > 0 && port <= UINT16_MAX ? (uint16_t)port : 0;
}

/* "0.0.0.0" and "::" are all addresses of a family, no address all of both. */
static int read_address(const json_t *mapping, struct host_port *port)
{
	const char *text = json_text_or(mapping, "hostIP", "");
	int r = *text ? addr_parse(text, &port->addr) : 0;

	port->v4 = !*text || addr_is4(&port->addr);
	port->v6 = !*text || !port->v4;
	if (port->v4 && !port->addr.w[3])
		memset(&port->addr, 0, sizeof(port->addr));
	return r;
}

void host_ports_drop(struct endpoint *endpoint)
{
	free(endpoint->ports);
	endpoint->ports = NULL;
	endpoint->port_count = 0;
}

void host_ports_take(struct endpoint *endpoint, const json_t *request)
{
	const json_t *list = json_object_get(request, "portMappings");
	json_t *mapping;
	size_t i;

	host_ports_drop(endpoint);
	if (json_array_size(list))
		endpoint->ports = xcalloc(json_array_size(list), sizeof(*endpoint->ports));
	json_array_foreach((json_t *)list, i, mapping) {
		struct host_port port = { .port = port_of(mapping, "hostPort"),
					  .target = port_of(mapping, "containerPort"),
					  .proto = transport_of(
						  json_text_or(mapping, "protocol", "")) };

		if (port.port && port.target && !read_address(mapping, &port))
			endpoint->ports[endpoint->port_count++] = port;
	}
}

/* --- who may ------------------------------------------------------------------------------ */

static bool has_addr(const struct net_addr *addrs, size_t count, const union mg_addr *addr)
{
	for (size_t i = 0; i < count; i++) {
		if (!addr_cmp(&addrs[i].addr, addr))
			return true;
	}
	return false;
}

/* Else a pod could take what others send to any address: a service's, the world's. */
static int check_own(struct agent *agent, const struct endpoint *endpoint, struct err *err)
{
	_cleanup_free_ struct net_addr *addrs = NULL;
	char text[ADDR_TEXT_MAX];
	size_t count;
	int r = net_addr_list(agent->net, 0, &addrs, &count, err);

	for (size_t i = 0; !r && i < endpoint->port_count; i++) {
		const union mg_addr *addr = &endpoint->ports[i].addr;

		if (!addr_is_zero(addr) && !has_addr(addrs, count, addr))
			r = err_set(err, -EADDRNOTAVAIL, "hostIP %s is no address of this node",
				    addr_format(addr, text));
	}
	return r;
}

static struct host_ports ports_of(const struct endpoint *endpoint, const char *name)
{
	return (struct host_ports){ .key = endpoint->key,
				    .name = name,
				    .ip4 = endpoint->ip4,
				    .ip6 = endpoint->ip6,
				    .v = endpoint->ports,
				    .count = endpoint->port_count };
}

/* The container's first network has the default routes, by which its answers leave. */
static bool is_further(const struct agent *agent, const struct endpoint *endpoint)
{
	for (const struct endpoint *ep = agent->endpoints; ep; ep = ep->hh.next) {
		if (ep != endpoint && ep->committed && !endpoint->committed &&
		    !strcmp(ep->container, endpoint->container))
			return true;
	}
	return false;
}

int host_ports_check(struct agent *agent, struct endpoint *endpoint, struct err *err)
{
	_cleanup_free_ char *taken = NULL;
	struct host_ports ports;
	int r;

	if (endpoint->port_count && is_further(agent, endpoint))
		host_ports_drop(endpoint);
	if (!endpoint->port_count)
		return 0;
	ports = ports_of(endpoint, "");
	r = check_own(agent, endpoint, err);
	if (r < 0)
		return r;
	taken = services_ports_taken(agent->services, &ports);
	return taken ? err_set(err, -EADDRINUSE, "%s", taken) : 0;
}

/* --- rows --------------------------------------------------------------------------------- */

void host_ports_tell(struct agent *agent, const struct endpoint *endpoint)
{
	_cleanup_free_ char *name = xasprintf("%s/%s", endpoint->ns, endpoint->pod);
	const struct host_ports ports = ports_of(endpoint, name);

	if (!endpoint->port_count)
		return;
	services_ports_set(agent->services, &ports);
	agent_dirty(agent, CHANGE_SERVICES);
}

void host_ports_forget(struct agent *agent, const struct endpoint *endpoint)
{
	if (!endpoint->port_count)
		return;
	services_ports_del(agent->services, endpoint->key);
	agent_dirty(agent, CHANGE_SERVICES);
}
