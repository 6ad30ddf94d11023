/* SPDX-License-Identifier: Apache-2.0 */
#include <endian.h>
#include <stdint.h>

#include "abi/service.h"
#include "base/err.h"
#include "base/inet.h"
#include "base/json.h"
#include "cni/attachment.h"
#include "cni/error.h"
#include "cni/ports.h"
#include "dataplane/pins.h"

struct maps {
	struct dp_map fronts;
	struct dp_map backs;
	struct cni_error *error;
};

struct port {
	union mg_addr addr; /* of the frontend */
	union mg_addr pod;
	const json_t *mapping;
};

static __be16 number(const json_t *mapping, const char *key)
{
	return htobe16((uint16_t)json_integer_value(json_object_get(mapping, key)));
}

static const char *protocol(const json_t *mapping)
{
	return json_text_or(mapping, "protocol", "");
}

static int differs(const struct maps *maps, const struct port *port, const char *what)
{
	char text[ADDR_TEXT_MAX];

	return cni_fail(maps->error, CNI_CHECK_FAILED, "host port %u/%s at %s %s",
			be16toh(number(port->mapping, "hostPort")), protocol(port->mapping),
			addr_format(&port->addr, text), what);
}

/* The frontend for the node's own sockets at a loopback address, else for the cluster. */
static int check_port(const struct maps *maps, const struct port *port)
{
	struct mg_front_key key = { .addr = port->addr,
				    .port = number(port->mapping, "hostPort"),
				    .proto = transport_of(protocol(port->mapping)),
				    .scope = MG_FRONT_NEAR };
	struct mg_back_key at = { 0 };
	struct mg_front front;
	struct mg_back back;

	if (dp_map_get(&maps->fronts, &key, &front) < 0) {
		key.scope = MG_FRONT_SELF;
		if (dp_map_get(&maps->fronts, &key, &front) < 0)
			return differs(maps, port, "leads nowhere");
	}
	at.set = front.set;
	if (!front.count || dp_map_get(&maps->backs, &at, &back) < 0 ||
	    addr_cmp(&back.addr, &port->pod) || back.port != number(port->mapping, "containerPort"))
		return differs(maps, port, "leads elsewhere");
	return 0;
}

/* In one family, if the mapping is for it and the pod has it. */
static int check_family(const struct maps *maps, const json_t *mapping, const union mg_addr *pod)
{
	struct port port = { .pod = *pod, .mapping = mapping };
	const char *text = json_text_or(mapping, "hostIP", "");

	if (addr_is_zero(pod))
		return 0;
	if (!*text)
		text = addr_is4(pod) ? "0.0.0.0" : "::";
	if (addr_parse(text, &port.addr) < 0 || addr_is4(&port.addr) != addr_is4(pod))
		return 0;
	return check_port(maps, &port);
}

static int check_all(const struct maps *maps, const struct attachment *attachment)
{
	json_t *mapping;
	size_t i;

	json_array_foreach(attachment->ports, i, mapping) {
		int r = check_family(maps, mapping, &attachment->ip4);

		if (!r)
			r = check_family(maps, mapping, &attachment->ip6);
		if (r)
			return r;
	}
	return 0;
}

int ports_check(const char *pin_dir, const struct attachment *attachment, struct cni_error *error)
{
	_cleanup_map_ struct dp_map fronts = DP_MAP_NONE, backs = DP_MAP_NONE;
	struct maps maps = { .error = error };
	struct err err;

	/* a further network of the container, whose first one has the default routes, has no ports
	 */
	if (!attachment->ports || !attachment->route_count)
		return 0;
	if (pin_open_map(pin_dir, "mg_fronts", &fronts, &err) < 0 ||
	    pin_open_map(pin_dir, "mg_backs", &backs, &err) < 0)
		return cni_fail_err(error, CNI_CHECK_FAILED, &err, "maps of services");
	if (fronts.value_size != sizeof(struct mg_front) ||
	    backs.value_size != sizeof(struct mg_back))
		return cni_fail(error, CNI_CHECK_FAILED, "maps of services: of another layout");
	maps.fronts = fronts;
	maps.backs = backs;
	return check_all(&maps, attachment);
}
