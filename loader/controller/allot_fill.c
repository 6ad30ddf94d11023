/* SPDX-License-Identifier: Apache-2.0 */
/* Choosing addresses and ports for one Service. */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/inet.h"
#include "base/json.h"
#include "controller/allot_own.h"

#define FAMILIES_MAX 2
#define NODE_PORT_FIRST 30000U
#define NODE_PORT_COUNT 2768U
#define NODE_PORT_BAND 86U /* left to people, as Kubernetes does: count / 32, 16 to 128 */
#define RANGE_BITS_MAX 20  /* of a wider prefix the first addresses */
#define RANGE_BAND_MIN 16U /* left to people: size / 16, 16 to 256 */
#define RANGE_BAND_MAX 256U

/* 10.96.0.0/16 and fd00:10:96::/112 */
static const struct mg_prefix built_in[FAMILIES_MAX] = {
	{ .len = MG_V4_PREFIX_BITS + 16,
	  .addr = { .b = { [10] = 0xff, [11] = 0xff, [12] = 10, [13] = 96 } } },
	{ .len = 112, .addr = { .b = { 0xfd, 0, 0, 0x10, 0, 0x96 } } },
};

/* --- ranges --------------------------------------------------------------------------------- */

typedef bool range_fn(void *arg, const struct mg_prefix *prefix);

/* In order, until fn is true. */
static bool each_range(const struct allot *allot, range_fn *fn, void *arg)
{
	if (!allot->ranges)
		return fn(arg, &built_in[0]) || fn(arg, &built_in[1]);
	for (const struct range *range = allot->ranges; range; range = range->next) {
		const struct service_cidr *cidr = service_cidr_of(range->object);

		for (size_t i = 0; i < cidr->count; i++)
			if (fn(arg, &cidr->cidrs[i]))
				return true;
	}
	return false;
}

static bool is_of_family(void *arg, const struct mg_prefix *prefix)
{
	return prefix_is4(prefix) != *(bool *)arg;
}

static bool has_family(const struct allot *allot, bool is6)
{
	return each_range(allot, is_of_family, &is6);
}

static bool take_family(void *arg, const struct mg_prefix *prefix)
{
	*(bool *)arg = !prefix_is4(prefix);
	return true;
}

/* --- which families ------------------------------------------------------------------------- */

struct families {
	bool is6[FAMILIES_MAX];
	size_t count;
};

static void add_family(struct families *families, bool is6)
{
	if (!families->count || (families->count == 1 && families->is6[0] != is6))
		families->is6[families->count++] = is6;
}

/* What is asked for, by itself or by addresses; else the primary. A second one where the policy
 * wants it and there is a range. */
static struct families families_of(const struct allot *allot, const struct service *service)
{
	struct families families = { 0 };
	bool primary = false;

	for (size_t i = 0; i < service->family_count; i++)
		add_family(&families, service->is6[i]);
	for (size_t i = 0; i < service->cluster_ip_count; i++)
		add_family(&families, !addr_is4(&service->cluster_ips[i]));
	if (!families.count) {
		each_range(allot, take_family, &primary);
		add_family(&families, primary);
	}
	if ((service->family_policy == SERVICE_PREFER_DUAL_STACK ||
	     service->family_policy == SERVICE_REQUIRE_DUAL_STACK) &&
	    has_family(allot, !families.is6[0]))
		add_family(&families, !families.is6[0]);
	return families;
}

size_t allot_families(const struct allot *allot, const struct service *service, bool *is6)
{
	const struct families families = families_of(allot, service);

	memcpy(is6, families.is6, sizeof(families.is6));
	return families.count;
}

static const union mg_addr *addr_of_family(const struct service *service, bool is6)
{
	for (size_t i = 0; i < service->cluster_ip_count; i++)
		if (addr_is4(&service->cluster_ips[i]) != is6)
			return &service->cluster_ips[i];
	return NULL;
}

/* --- one address ---------------------------------------------------------------------------- */

uint32_t allot_hash(const char *text)
{
	uint32_t hash = 2166136261U; /* FNV-1a */

	for (; *text; text++)
		hash = (hash ^ (uint8_t)*text) * 16777619U;
	return hash;
}

struct search {
	const struct allot *allot;
	uint32_t start;
	bool is6;
	union mg_addr found;
};

static uint32_t band_of(uint32_t size)
{
	const uint32_t band = size / 16;

	return band < RANGE_BAND_MIN   ? RANGE_BAND_MIN
	       : band > RANGE_BAND_MAX ? RANGE_BAND_MAX
				       : band;
}

/* The place-th one to be tried: behind the lower band first. */
static uint32_t offset_of(uint32_t place, uint32_t start, uint32_t size)
{
	const uint32_t band = band_of(size) < size ? band_of(size) : 0, upper = size - band;

	return place < upper ? band + (start + place) % upper : place - upper;
}

/* Neither the first address of the range nor IPv4's last one. */
static bool search_in(void *arg, const struct mg_prefix *prefix)
{
	struct search *search = arg;
	const uint32_t bits = MG_ADDR_BITS - prefix->len;
	const uint32_t size = 1U << (bits < RANGE_BITS_MAX ? bits : RANGE_BITS_MAX);
	const union mg_addr first = prefix->addr;

	if (prefix_is4(prefix) == search->is6)
		return false;
	for (uint32_t place = 0; place < size; place++) {
		const uint32_t offset = offset_of(place, search->start, size);

		if (!offset || (!search->is6 && offset == size - 1))
			continue;
		search->found = addr_add(&first, offset);
		if (!allot_addr_is_used(search->allot, &search->found))
			return true;
	}
	return false;
}

static void put_text(json_t *list, const char *text)
{
	json_array_append_new(list, json_string(text));
}

static bool put_addr(const struct allot *allot, const struct service *service, bool is6,
		     json_t *list, struct err *err)
{
	const union mg_addr *own = addr_of_family(service, is6);
	_cleanup_free_ char *key = xasprintf("%s/%s", service->base.ns, service->base.name);
	struct search search = { .allot = allot, .start = allot_hash(key), .is6 = is6 };
	char text[ADDR_TEXT_MAX];

	if (!own && !each_range(allot, search_in, &search)) {
		err_set(err, -ENOSPC, "no IPv%d address is left for it", is6 ? 6 : 4);
		return false;
	}
	put_text(list, addr_format(own ? own : &search.found, text));
	return !own;
}

/* --- families and addresses into the object ------------------------------------------------- */

static bool needs_addrs(const struct service *service)
{
	return service->type != SERVICE_EXTERNAL_NAME && !service->headless;
}

static void put_families(const struct families *families, const struct service *service,
			 json_t *spec)
{
	json_t *list = json_array();

	for (size_t i = 0; i < families->count; i++)
		put_text(list, families->is6[i] ? "IPv6" : "IPv4");
	json_object_set_new(spec, "ipFamilies", list);
	if (service->family_policy == SERVICE_FAMILIES_UNSET)
		json_object_set_new(
			spec, "ipFamilyPolicy",
			json_string(families->count > 1 ? "RequireDualStack" : "SingleStack"));
}

/* All addresses or none: a Service is not given half of what it asks for. */
static bool fill_addrs(const struct allot *allot, const struct service *service, json_t *spec,
		       struct err *err)
{
	const struct families families = families_of(allot, service);
	bool changed = families.count != service->family_count;
	json_t *list = json_array();

	if (service->family_policy == SERVICE_REQUIRE_DUAL_STACK && families.count < 2)
		err_set(err, -ENOENT, "ipFamilyPolicy RequireDualStack, and no range of IPv%d",
			families.is6[0] ? 4 : 6);
	for (size_t i = 0; needs_addrs(service) && !err->code && i < families.count; i++)
		changed |= put_addr(allot, service, families.is6[i], list, err);
	if (!err->code && changed) {
		put_families(&families, service, spec);
		if (needs_addrs(service)) {
			json_object_set(spec, "clusterIPs", list);
			json_object_set(spec, "clusterIP", json_array_get(list, 0));
		}
	}
	json_decref(list);
	return changed && !err->code;
}

/* --- node ports ----------------------------------------------------------------------------- */

static uint16_t free_port(const struct allot *allot, uint32_t start)
{
	const uint32_t upper = NODE_PORT_COUNT - NODE_PORT_BAND;

	for (uint32_t place = 0; place < NODE_PORT_COUNT; place++) {
		uint32_t offset =
			place < upper ? NODE_PORT_BAND + (start + place) % upper : place - upper;

		if (!allot->ports[NODE_PORT_FIRST + offset])
			return (uint16_t)(NODE_PORT_FIRST + offset);
	}
	return 0;
}

static uint16_t choose_port(struct allot *allot, const struct service *service, const char *what,
			    struct err *err)
{
	_cleanup_free_ char *key =
		xasprintf("%s/%s/%s", service->base.ns, service->base.name, what);
	const uint16_t port = free_port(allot, allot_hash(key));

	if (!port)
		err_set(err, -ENOSPC, "no node port is left for it");
	return port;
}

/* The member of spec.ports that became this port. */
static json_t *port_in(const json_t *spec, const struct service_port *port)
{
	const json_t *ports = json_object_get(spec, "ports");
	json_t *item;
	size_t i;

	json_array_foreach(ports, i, item) {
		const char *protocol = json_string_value(json_object_get(item, "protocol"));

		if (json_integer_value(json_object_get(item, "port")) == port->port &&
		    !strcmp(protocol ? protocol : "TCP", transport_name(port->protocol)))
			return item;
	}
	return NULL;
}

/* One number for a port of two protocols, as DNS has it: what another protocol of it got. */
static uint16_t port_beside(const json_t *spec, const struct service *service,
			    const struct service_port *port)
{
	for (size_t i = 0; i < service->port_count; i++) {
		const struct service_port *other = &service->ports[i];

		if (other != port && other->port == port->port) {
			const json_t *number = json_object_get(port_in(spec, other), "nodePort");

			if (json_integer_value(number))
				return (uint16_t)json_integer_value(number);
		}
	}
	return 0;
}

static bool needs_node_ports(const struct service *service)
{
	return service->type == SERVICE_NODE_PORT ||
	       (service->type == SERVICE_LOAD_BALANCER && service->allocate_node_ports);
}

/* chosen: the numbers; they count as used until the caller gives them back. */
static bool fill_node_ports(struct allot *allot, const struct service *service, json_t *spec,
			    json_t *chosen, struct err *err)
{

	for (size_t i = 0; needs_node_ports(service) && i < service->port_count; i++) {
		const struct service_port *port = &service->ports[i];
		json_t *item = port_in(spec, port);
		uint16_t number;

		if (port->node_port || !item)
			continue;
		number = port_beside(spec, service, port);
		if (!number)
			number = choose_port(allot, service, port->name, err);
		if (!number)
			break;
		json_object_set_new(item, "nodePort", json_integer(number));
		json_array_append_new(chosen, json_integer(number));
		allot->ports[number]++;
	}
	return json_array_size(chosen);
}

static bool needs_health_port(const struct service *service)
{
	return service->type == SERVICE_LOAD_BALANCER &&
	       service->external_traffic == SERVICE_TRAFFIC_LOCAL &&
	       !service->health_check_node_port;
}

static bool fill_health_port(struct allot *allot, const struct service *service, json_t *spec,
			     struct err *err)
{
	uint16_t number;

	if (!needs_health_port(service))
		return false;
	number = choose_port(allot, service, "health", err);
	if (number)
		json_object_set_new(spec, "healthCheckNodePort", json_integer(number));
	return number;
}

/* --- the whole ------------------------------------------------------------------------------ */

bool allot_lacks(const struct allot *allot, const struct service *service)
{
	const struct families families = families_of(allot, service);

	if (service->type == SERVICE_EXTERNAL_NAME)
		return false;
	if (families.count != service->family_count || needs_health_port(service) ||
	    allot_lacks_ingress(allot, service))
		return true;
	for (size_t i = 0; needs_addrs(service) && i < families.count; i++)
		if (!addr_of_family(service, families.is6[i]))
			return true;
	for (size_t i = 0; needs_node_ports(service) && i < service->port_count; i++)
		if (!service->ports[i].node_port)
			return true;
	return false;
}

bool allot_fill(struct allot *allot, const struct object *object, json_t *root, struct err *err)
{
	const struct service *service = service_of(object);
	json_t *spec = json_object_get(root, "spec"), *number;
	_cleanup_json_ json_t *chosen = json_array();
	bool changed;
	size_t i;

	err->code = 0;
	if (service->type == SERVICE_EXTERNAL_NAME || !json_is_object(spec))
		return false;
	changed = fill_addrs(allot, service, spec, err);
	if (!err->code)
		changed |= fill_node_ports(allot, service, spec, chosen, err);
	if (!err->code)
		changed |= fill_health_port(allot, service, spec, err);
	if (!err->code)
		changed |= allot_fill_ingress(allot, service, root, err);
	/* allot_set() counts what is told. */
	json_array_foreach(chosen, i, number)
		allot->ports[json_integer_value(number)]--;
	allot->starved |= err->code;
	return changed;
}
