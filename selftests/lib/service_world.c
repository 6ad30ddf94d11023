/* SPDX-License-Identifier: Apache-2.0 */
#include "selftests/lib/service_world.h"

#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/inet.h"
#include "model/decode.h"

#define ENDPOINTS 12 /* addresses of one Service */

unsigned int sw_dice(struct sw_world *world, unsigned int sides)
{
	world->random ^= world->random << 13;
	world->random ^= world->random >> 7;
	world->random ^= world->random << 17;
	return (unsigned int)((world->random >> 11) % sides);
}

static bool one_in(struct sw_world *world, unsigned int sides)
{
	return !sw_dice(world, sides);
}

static union mg_addr addr_of(const char *text)
{
	union mg_addr addr;

	assert_int_equal(addr_parse(text, &addr), 0);
	return addr;
}

/* --- objects -------------------------------------------------------------------------------- */

static const struct object *add(struct sw_world *world, json_t *tree)
{
	const struct decode_options options = { .mode = DECODE_LENIENT };
	_cleanup_problems_ struct problems problems = { 0 };
	struct object *object = NULL;

	assert_non_null(tree);
	assert_true(world->object_count < SW_OBJECTS);
	if (object_decode(tree, &options, &object, &problems) || problems.count)
		fail_msg("%s: %s", problems.v[0].path, problems.v[0].text);
	json_array_append_new(world->trees, tree);
	world->objects[world->object_count++] = object;
	return object;
}

static void add_node(struct sw_world *world, unsigned int i)
{
	static const char *const zones[] = { "za", "za", "zb", "" };
	const char *zone = zones[sw_dice(world, 4)];
	json_t *labels = json_object();
	const struct node *node;

	if (*zone)
		json_object_set_new(labels, LABEL_ZONE, json_string(zone));
	node = node_of(add(
		world, json_pack("{s:s,s:s,s:{s:o,s:o},s:{s:[{s:s,s:o},{s:s,s:o}]}}", "apiVersion",
				 "v1", "kind", "Node", "metadata", "name", json_sprintf("n%u", i),
				 "labels", labels, "status", "addresses", "type", "InternalIP",
				 "address", json_sprintf("192.168.0.%u", i + 1), "type",
				 "InternalIP", "address", json_sprintf("fd01::%u", i + 1))));
	world->nodes[i] = (struct so_node){ .name = node->base.name,
					    .zone = zone,
					    .addrs = node->addrs,
					    .addr_count = node->addr_count };
}

static const char *protocol_of(unsigned int k)
{
	static const char *const names[] = { "TCP", "UDP", "SCTP" };

	return names[k % 3];
}

static json_t *ports_json(struct sw_world *world, unsigned int s, bool node_ports)
{
	json_t *ports = json_array();
	unsigned int count = 1 + sw_dice(world, 3), first = sw_dice(world, 3);

	for (unsigned int k = 0; k < count; k++) {
		json_t *port =
			json_pack("{s:o,s:i,s:s}", "name", json_sprintf("p%u", k), "port",
				  80 + (int)sw_dice(world, 2), "protocol", protocol_of(first + k));

		if (node_ports && !one_in(world, 5))
			json_object_set_new(port, "nodePort",
					    json_integer(30000 + (json_int_t)(s * 4 + k)));
		json_array_append_new(ports, port);
	}
	return ports;
}

static void put_addrs(struct sw_world *world, json_t *spec, unsigned int s)
{
	unsigned int families = sw_dice(world, 4);
	json_t *ips = json_array();

	if (families != 1)
		json_array_append_new(ips, json_sprintf("10.96.0.%u", s + 1));
	if (families != 0)
		json_array_append_new(ips, json_sprintf("fd96::%u", s + 1));
	json_object_set_new(spec, "clusterIPs", ips);
	if (one_in(world, 2))
		json_object_set_new(spec, "externalIPs",
				    json_pack("[o,o]", json_sprintf("203.0.113.%u", s + 1),
					      json_sprintf("2001:db8:e::%u", s + 1)));
}

static void put_policies(struct sw_world *world, json_t *spec, bool outside)
{
	if (one_in(world, 4))
		json_object_set_new(spec, "internalTrafficPolicy", json_string("Local"));
	if (outside && one_in(world, 2))
		json_object_set_new(spec, "externalTrafficPolicy", json_string("Local"));
	if (one_in(world, 4)) {
		json_object_set_new(spec, "sessionAffinity", json_string("ClientIP"));
		json_object_set_new(spec, "sessionAffinityConfig",
				    json_pack("{s:{s:i}}", "clientIP", "timeoutSeconds",
					      one_in(world, 2) ? 86400 : 600));
	}
}

static json_t *ingress_json(struct sw_world *world, unsigned int s)
{
	return json_pack("{s:{s:[{s:o},{s:o,s:s}]}}", "loadBalancer", "ingress", "ip",
			 json_sprintf("198.51.100.%u", s + 1), "ip",
			 json_sprintf("2001:db8:b::%u", s + 1), "ipMode",
			 one_in(world, 4) ? "Proxy" : "VIP");
}

static json_t *service_json(struct sw_world *world, unsigned int s)
{
	static const char *const types[] = { "ClusterIP", "NodePort", "LoadBalancer" };
	const unsigned int type = sw_dice(world, 3);
	json_t *labels = json_object(), *annotations = json_object();
	json_t *spec =
		json_pack("{s:s,s:o}", "type", types[type], "ports", ports_json(world, s, type));
	json_t *object;

	put_addrs(world, spec, s);
	put_policies(world, spec, type || json_object_get(spec, "externalIPs"));
	if (type == 2 && one_in(world, 2))
		json_object_set_new(
			spec, "loadBalancerSourceRanges",
			json_pack("[s,s,s]", "198.18.0.0/31", "2001:db8:c::/127", "10.244.0.0/28"));
	if (one_in(world, 12))
		json_object_set_new(labels, LABEL_PROXY_NAME, json_string("other"));
	if (one_in(world, 12))
		json_object_set_new(annotations, "projectcalico.org/natExcludeService",
				    json_string("true"));
	object = json_pack("{s:s,s:s,s:{s:o,s:s,s:o,s:o,s:o},s:o}", "apiVersion", "v1", "kind",
			   "Service", "metadata", "name", json_sprintf("s%u", s), "namespace",
			   s % 2 ? "a" : "b", "uid", json_sprintf("uid%u", s), "labels", labels,
			   "annotations", annotations, "spec", spec);
	if (type == 2)
		json_object_set_new(object, "status", ingress_json(world, s));
	return object;
}

/* What an endpoint is like follows from its number, so that in two slices it is the same. */
static json_t *endpoint_json(uint64_t fate, unsigned int s, unsigned int e, bool v6)
{
	const unsigned int node = (unsigned int)(fate >> (e * 2)) % 4, mood = (fate >> e) % 7;
	json_t *endpoint = json_pack("{s:[o],s:{s:b,s:b,s:b}}", "addresses",
				     v6 ? json_sprintf("fd44::%x", s * 16 + e + 1)
					: json_sprintf("10.244.%u.%u", s, e + 1),
				     "conditions", "ready", mood < 3, "serving", mood < 5,
				     "terminating", mood == 3 || mood == 4 || mood == 5);

	if (node < 3)
		json_object_set_new(endpoint, "nodeName", json_sprintf("n%u", node));
	if (fate & 1 << 20 && (e || fate & 1 << 21)) {
		json_t *hints =
			json_pack("{s:[{s:s}]}", "forZones", "name", node % 2 ? "za" : "zb");

		if (fate & 1 << 22)
			json_object_set_new(
				hints, "forNodes",
				json_pack("[{s:o}]", "name", json_sprintf("n%u", node % 3)));
		json_object_set_new(endpoint, "hints", hints);
	}
	return endpoint;
}

static json_t *slice_ports(struct sw_world *world, const struct service *service)
{
	json_t *ports = json_array();

	for (size_t k = 0; k < service->port_count; k++) {
		const struct service_port *port = &service->ports[k];

		if (!one_in(world, 8))
			json_array_append_new(ports,
					      json_pack("{s:s,s:i,s:s}", "name", port->name, "port",
							8080 + (int)k, "protocol",
							port->protocol == IPPROTO_TCP	? "TCP"
							: port->protocol == IPPROTO_UDP ? "UDP"
											: "SCTP"));
	}
	return ports;
}

static void add_slice(struct sw_world *world, unsigned int s, unsigned int n, uint64_t fate)
{
	const struct service *service = world->services[s];
	json_t *endpoints = json_array(), *labels;
	const bool v6 = sw_dice(world, 2);
	const unsigned int count = 1 + sw_dice(world, 4), first = sw_dice(world, ENDPOINTS - 5);

	for (unsigned int e = first; e < first + count; e++)
		json_array_append_new(endpoints, endpoint_json(fate, s, e, v6));
	labels = json_pack("{s:s}", LABEL_SERVICE_NAME, service->base.name);
	if (one_in(world, 12))
		json_object_set_new(labels, LABEL_PROXY_NAME, json_string("other"));
	world->slices[world->so.slice_count++] = endpoint_slice_of(add(
		world, json_pack("{s:s,s:s,s:{s:o,s:s,s:o},s:s,s:o,s:o}", "apiVersion",
				 "discovery.k8s.io/v1", "kind", "EndpointSlice", "metadata", "name",
				 json_sprintf("s%u-%u", s, n), "namespace", service->base.ns,
				 "labels", labels, "addressType", v6 ? "IPv6" : "IPv4", "ports",
				 slice_ports(world, service), "endpoints", endpoints)));
}

static void sw_empty(struct sw_world *world)
{
	while (world->object_count)
		object_unref(world->objects[--world->object_count]);
	json_decref(world->trees);
	world->trees = json_array();
	world->so = (struct so_world){ .services = world->services,
				       .slices = world->slices,
				       .nodes = world->nodes,
				       .node_count = SW_NODES };
}

void sw_fill(struct sw_world *world)
{
	sw_empty(world);
	world->so.refuse_external_ips = one_in(world, 8);
	for (unsigned int i = 0; i < SW_NODES; i++)
		add_node(world, i);
	for (unsigned int s = 0; s < SW_SERVICES; s++)
		world->services[world->so.service_count++] =
			service_of(add(world, service_json(world, s)));
	for (unsigned int s = 0; s < SW_SERVICES; s++) {
		const uint64_t fate = world->random;

		for (unsigned int n = one_in(world, 8) ? 0 : 1 + sw_dice(world, 3); n; n--)
			add_slice(world, s, n, fate);
	}
}

void sw_init(struct sw_world *world, uint64_t seed)
{
	memset(world, 0, sizeof(*world));
	world->random = seed * 2654435761ULL + 88172645463325252ULL;
	sw_empty(world);
}

void sw_done(struct sw_world *world)
{
	sw_empty(world);
	json_decref(world->trees);
}

/* --- packets -------------------------------------------------------------------------------- */

/* An address that the Service may be at, or that something else has. */
static union mg_addr random_dest(struct sw_world *world, const struct so_query *query,
				 unsigned int service)
{
	static const char *const begins[2][7] = {
		{ "203.0.113.", "198.51.100.", "192.168.0.", "127.0.0.", "10.244.1.", "192.0.2.",
		  "10.96.0." },
		{ "2001:db8:e::", "2001:db8:b::", "fd01::", "::", "fd44::", "2001:db8:f::",
		  "fd96::" },
	};
	/* Nobody outside asks for cluster addresses, and loopback is the host's own. */
	const unsigned int form = sw_dice(world, query->from == SO_FROM_OUTSIDE ? 3 : 11);
	const bool v6 = sw_dice(world, 2);
	unsigned int number = service + 1;
	char text[ADDR_TEXT_MAX];

	if (form == 2 || form == 3)
		number = form == 3 ? 1 : 1 + (unsigned int)query->node;
	if (form == 3 && query->from != SO_FROM_HOST)
		return addr_of(v6 ? "fd96::1" : "10.96.0.1");
	if (form == 2 && one_in(world, 6))
		number = 1 + sw_dice(world, SW_NODES);
	snprintf(text, sizeof(text), "%s%u", begins[v6][form < 6 ? form : 6], number);
	return addr_of(text);
}

static union mg_addr random_source(struct sw_world *world, const struct so_query *query)
{
	static const char *const begins[2][3] = {
		{ "10.244.0.", "192.168.0.", "198.18.0." },
		{ "fd44::f", "fd01::", "2001:db8:c::" },
	};
	const bool v6 = !addr_is4(&query->dest);
	unsigned int number = 1 + sw_dice(world, 3);
	char text[ADDR_TEXT_MAX];

	if (query->from == SO_FROM_HOST)
		number = 1 + (unsigned int)query->node;
	if (query->from == SO_FROM_POD && one_in(world, 2))
		number += 16; /* outside the source ranges */
	snprintf(text, sizeof(text), "%s%u", begins[v6][query->from], number);
	return addr_of(text);
}

static bool is_loopback(const union mg_addr *addr)
{
	char text[ADDR_TEXT_MAX];

	addr_format(addr, text);
	return !strncmp(text, "127.", 4) || !strcmp(text, "::1");
}

static bool is_a_nodes(const struct sw_world *world, const union mg_addr *addr)
{
	for (size_t i = 0; i < SW_NODES; i++)
		for (size_t k = 0; k < world->nodes[i].addr_count; k++)
			if (!memcmp(&world->nodes[i].addrs[k], addr, sizeof(*addr)))
				return true;
	return is_loopback(addr);
}

void sw_query(struct sw_world *world, struct so_query *query)
{
	static const uint8_t protocols[] = { IPPROTO_TCP, IPPROTO_UDP, IPPROTO_SCTP };
	const unsigned int number = sw_dice(world, SW_SERVICES);
	const struct service *service = world->services[number];
	const struct service_port *port =
		&service->ports[sw_dice(world, (unsigned int)service->port_count)];

	memset(query, 0, sizeof(*query));
	query->node = sw_dice(world, SW_NODES);
	query->from = (enum so_from)sw_dice(world, 3);
	query->dest = random_dest(world, query, number);
	query->source = is_loopback(&query->dest) ? query->dest : random_source(world, query);
	query->protocol = one_in(world, 8) ? protocols[sw_dice(world, 3)] : port->protocol;
	query->port =
		is_a_nodes(world, &query->dest) && port->node_port ? port->node_port : port->port;
	if (one_in(world, 16))
		query->port++;
}

/* --- the comparison -------------------------------------------------------------------------- */

/* What a client was given, by what it can tell apart; each node remembers for itself. */
struct kept {
	size_t node;
	union mg_addr source, dest, addr;
	uint16_t port, to;
	uint8_t protocol;
};

#define KEPT_MAX 4096

struct match {
	struct sw_world world;
	struct kept kept[KEPT_MAX];
	size_t kept_count;
	struct so_answer answer;
};

static struct kept *kept_of(struct match *match, const struct so_query *query)
{
	for (size_t i = 0; i < match->kept_count; i++) {
		struct kept *kept = &match->kept[i];

		if (kept->node == query->node && !memcmp(&kept->source, &query->source, 16) &&
		    !memcmp(&kept->dest, &query->dest, 16) && kept->port == query->port &&
		    kept->protocol == query->protocol)
			return kept;
	}
	if (match->kept_count == KEPT_MAX)
		return NULL;
	match->kept[match->kept_count] = (struct kept){ .node = query->node,
							.source = query->source,
							.dest = query->dest,
							.port = query->port,
							.protocol = query->protocol };
	return &match->kept[match->kept_count++];
}

/* NULL: right. */
static const char *judge_affinity(struct match *match, const struct so_query *query,
				  const struct sw_seen *seen, struct sw_run *run)
{
	struct kept *kept = match->answer.affinity_s ? kept_of(match, query) : NULL;
	const bool again = kept && kept->to && so_backend(&match->answer, &kept->addr, kept->to);

	if (!kept)
		return NULL;
	run->kept += again;
	if (again && (memcmp(&kept->addr, &seen->addr, 16) || kept->to != seen->port))
		return "another backend than the client had";
	kept->addr = seen->addr;
	kept->to = seen->port;
	return NULL;
}

static const char *judge(struct match *match, const struct so_query *query,
			 const struct sw_seen *seen, struct sw_run *run)
{
	so_ask(&match->world.so, query, &match->answer);
	run->verdicts[match->answer.verdict]++;
	if (seen->verdict != match->answer.verdict)
		return "another verdict";
	if (seen->verdict != SO_TRANSLATED)
		return NULL;
	if (!so_backend(&match->answer, &seen->addr, seen->port))
		return "not an allowed backend";
	return judge_affinity(match, query, seen, run);
}

static void put_answer(FILE *out, const struct so_answer *answer)
{
	char text[ADDR_TEXT_MAX];

	fprintf(out, "want %s", so_verdict_name(answer->verdict));
	if (answer->service)
		fprintf(out, " (%s/%s port %s)", answer->service->base.ns,
			answer->service->base.name, answer->port->name);
	for (size_t i = 0; i < answer->backend_count; i++)
		fprintf(out, " [%s]:%u", addr_format(&answer->backends[i].addr, text),
			answer->backends[i].port);
}

static char *difference(const struct match *match, const struct so_query *query,
			const struct sw_seen *seen, const char *what)
{
	static const char *const from[] = { "a pod", "the host", "outside" };
	char source[ADDR_TEXT_MAX], dest[ADDR_TEXT_MAX], addr[ADDR_TEXT_MAX];
	_cleanup_free_ char *trees = json_dumps(match->world.trees, JSON_INDENT(1));
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	fprintf(out, "%s\non n%zu from %s: %s to [%s]:%u protocol %u\n", what, query->node,
		from[query->from], addr_format(&query->source, source),
		addr_format(&query->dest, dest), query->port, query->protocol);
	put_answer(out, &match->answer);
	fprintf(out, "\ngot  %s [%s]:%u\n", so_verdict_name(seen->verdict),
		addr_format(&seen->addr, addr), seen->port);
	fprintf(out, "%s\n", trees);
	fclose(out);
	return text;
}

static char *run_world(const struct sw_subject *subject, struct match *match, struct sw_run *run)
{
	sw_fill(&match->world);
	match->kept_count = 0;
	subject->tell(subject->context, &match->world);
	for (unsigned int i = 0; i < run->packets; i++) {
		struct sw_seen seen = { .verdict = SO_NOT_A_SERVICE };
		struct so_query query;
		const char *what;

		sw_query(&match->world, &query);
		subject->ask(subject->context, &query, &seen);
		what = judge(match, &query, &seen, run);
		if (what)
			return difference(match, &query, &seen, what);
	}
	return NULL;
}

char *sw_run(const struct sw_subject *subject, struct sw_run *run)
{
	struct match *match = xcalloc(1, sizeof(*match));
	char *text = NULL;

	sw_init(&match->world, run->seed);
	for (unsigned int i = 0; i < run->worlds && !text; i++)
		text = run_world(subject, match, run);
	sw_done(&match->world);
	free(match);
	return text;
}
