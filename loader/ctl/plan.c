/* SPDX-License-Identifier: Apache-2.0 */
/*
 * margayctl node plan: what the agent would attach, route and write on this host, before anything
 * is. The same functions answer that the agent asks: uplinks by dataplane/uplink.h, addresses
 * by dataplane/detect.h, routes by state/. Reads the datastore, the agent's settings and netlink;
 * changes nothing.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/file.h"
#include "base/inet.h"
#include "base/json.h"
#include "ctl/remove.h"
#include "ctl/show.h"
#include "ctl/verb.h"
#include "dataplane/cgroup.h"
#include "dataplane/detect.h"
#include "dataplane/uplink.h"
#include "datastore/store.h"
#include "model/decode.h"
#include "model/node.h"
#include "policy/engine.h"
#include "state/state.h"

#define KINDS 5
#define SCRATCH "/run/margay-plan-XXXXXX"

struct host_plan {
	struct ctl *ctl;
	struct net_sock *net;
	struct engine *engine;
	struct state *state;
	struct net_link *links;
	size_t link_count;
	char *node;
	char *scratch; /* a store for the manifests alone, where there is none; NULL: not made */
	struct net_addr own[2]; /* IPv4, IPv6; address zero: none */
	json_t *rows;
	__u32 uplink_mtu; /* the smallest; 0: no uplink */
	bool pools;
	bool ranges; /* some Node has podCIDRs */
	bool own_stored;
	bool own_manifest;
	bool own_in_node; /* the cluster has to say it */
};

static void plan_done(struct host_plan *plan)
{
	state_free(plan->state);
	engine_free(plan->engine);
	net_close(plan->net);
	free(plan->links);
	ctl_done(plan->ctl);
	if (plan->scratch)
		remove_tree(plan->scratch, NULL);
	free(plan->scratch);
	free(plan->node);
}
#define _cleanup_plan_ _cleanup_(plan_done)

__attribute__((format(printf, 4, 5))) static void row(struct host_plan *plan, const char *what,
						      const char *where, const char *format, ...)
{
	char *detail;
	va_list args;

	va_start(args, format);
	detail = xvasprintf(format, args);
	va_end(args);
	json_array_append_new(plan->rows, json_pack("{s:s,s:s,s:s}", "what", what, "where", where,
						    "detail", detail));
	free(detail);
}

/* --- this host ----------------------------------------------------------------------------- */

static const char *link_name(const struct host_plan *plan, int ifindex)
{
	for (size_t i = 0; i < plan->link_count; i++) {
		if (plan->links[i].ifindex == ifindex)
			return plan->links[i].name;
	}
	return "?";
}

/* The method in force: what `ipv4` says itself, or what it leaves to ipv4Method. */
static char *own_method(const char *text, bool v6)
{
	return strcmp(text, "autodetect")
		       ? xstrdup(text)
		       : ctl_agent_setting(v6 ? "ipv6Method" : "ipv4Method", "first-found");
}

static void find_own(struct host_plan *plan, const char *text, bool v6)
{
	_cleanup_free_ char *method = own_method(text, v6);
	const struct detect_ask ask = { .sock = plan->net, .v6 = v6 };
	const char *family = v6 ? "IPv6" : "IPv4";
	_cleanup_detect_ struct detect *detect = NULL;
	struct net_addr *own = &plan->own[v6];
	char address[ADDR_TEXT_MAX];
	struct err err;

	if (!detect_parse(method, &detect, &err) && detect_needs_node(detect)) {
		plan->own_in_node = true;
		row(plan, "address", family, "the Node's InternalIP");
	} else if (!detect || detect_address(detect, &ask, own, &err) < 0)
		row(plan, "address", family, "none found: %s", err.text);
	else
		row(plan, "address", family, "%s/%u of %s, by %s", addr_format(&own->addr, address),
		    own->bits, link_name(plan, own->ifindex), method);
}

static void own_address(struct host_plan *plan, bool v6)
{
	_cleanup_free_ char *text = ctl_agent_setting(v6 ? "ipv6" : "ipv4", "autodetect");
	struct net_addr *own = &plan->own[v6];
	struct mg_prefix prefix;
	union mg_addr addr;

	if (!strcmp(text, "none"))
		return;
	if (prefix_parse(text, true, &prefix) < 0) {
		find_own(plan, text, v6);
		return;
	}
	addr = prefix.addr;
	*own = (struct net_addr){ .addr = addr, .bits = (__u8)prefix_bits(&prefix) };
	if (!strchr(text, '/'))
		(void)detect_length(plan->net, &addr, own, NULL);
	row(plan, "address", v6 ? "IPv6" : "IPv4", "%s, from %s", text, CTL_AGENT_CONFIG);
}

static int read_host(struct host_plan *plan, struct err *err)
{
	int r = net_open(&plan->net, err);

	if (!r)
		r = net_link_list(plan->net, &plan->links, &plan->link_count, err);
	if (r < 0)
		return r;
	own_address(plan, false);
	own_address(plan, true);
	if (addr_is_zero(&plan->own[0].addr) && addr_is_zero(&plan->own[1].addr) &&
	    !plan->own_in_node)
		return err_set(err, -EADDRNOTAVAIL,
			       "the agent would not start: no address found; name one in %s (ipv4, "
			       "ipv6), or another way to find one (ipv4Method, ipv6Method)",
			       CTL_AGENT_CONFIG);
	return 0;
}

/* --- objects ------------------------------------------------------------------------------- */

static void take(struct host_plan *plan, const json_t *tree)
{
	_cleanup_problems_ struct problems problems = { 0 };
	_cleanup_object_ struct object *object = NULL;

	if (object_decode(tree, &(struct decode_options){ .mode = DECODE_LENIENT }, &object,
			  &problems) < 0)
		return;
	plan->pools |= object->kind == KIND_IP_POOL;
	plan->ranges |= node_of(object) && node_of(object)->cidr_count;
	state_object_set(plan->state, object);
}

/* The agent writes its addresses into its Node, except into one of a manifest. */
static void take_own(struct host_plan *plan, const json_t *stored)
{
	_cleanup_json_ json_t *node =
		stored ? json_deep_copy(stored)
		       : json_pack("{s:s,s:s,s:{s:s}}", "apiVersion", "v1", "kind", "Node",
				   "metadata", "name", plan->node);
	json_t *metadata = json_object_get(node, "metadata");
	json_t *annotations = json_object_get(metadata, "annotations");
	static const char *const keys[] = { "projectcalico.org/IPv4Address",
					    "projectcalico.org/IPv6Address" };
	char text[ADDR_TEXT_MAX];

	if (!annotations) {
		annotations = json_object();
		json_object_set_new(metadata, "annotations", annotations);
	}
	for (unsigned int i = 0; i < 2 && !plan->own_manifest; i++) {
		if (!addr_is_zero(&plan->own[i].addr))
			json_object_set_new(annotations, keys[i],
					    json_sprintf("%s/%u",
							 addr_format(&plan->own[i].addr, text),
							 plan->own[i].bits));
	}
	take(plan, node);
}

static int open_store(struct host_plan *plan, struct err *err)
{
	int r = ctl_store(plan->ctl, false, err);
	char path[] = SCRATCH;

	if (r != -ENOENT)
		return r;
	/* No store yet: the manifests may tell something. */
	if (!mkdtemp(path))
		return err_errno(err, -errno, "%s", SCRATCH);
	plan->scratch = xstrdup(path);
	plan->ctl->datastore = xasprintf("dir:%s", path);
	r = ctl_store(plan->ctl, true, err);
	free((char *)plan->ctl->datastore);
	plan->ctl->datastore = NULL;
	return r;
}

static int read_objects(struct host_plan *plan, struct err *err)
{
	const struct store_query queries[KINDS] = {
		{ .kind = store_kind(KIND_FELIX_CONFIG) },
		{ .kind = store_kind(KIND_IP_POOL) },
		{ .kind = store_kind(KIND_NODE) },
		{ .kind = store_kind(KIND_IPAM_BLOCK) },
		{ .kind = store_kind(KIND_IP_RESERVATION) },
	};
	const struct store_key own = { .kind = store_kind(KIND_NODE), .name = plan->node };
	struct store_list lists[KINDS];
	_cleanup_free_ char *origin = NULL;
	_cleanup_json_ json_t *stored = NULL;
	int r = open_store(plan, err);

	if (!r)
		r = store_list(plan->ctl->store, queries, KINDS, lists, err);
	if (r < 0)
		return r;
	plan->own_stored = store_get(plan->ctl->store, &own, &stored, NULL) == 0;
	plan->own_manifest = store_origin(plan->ctl->store, &own, &origin) == 0;
	take_own(plan, stored);
	for (unsigned int i = 0; i < KINDS; i++) {
		json_t *item;
		size_t j;

		json_array_foreach(lists[i].items, j, item) {
			if (!stored || !json_equal(item, stored))
				take(plan, item);
		}
		store_list_done(&lists[i]);
	}
	return 0;
}

/* --- uplinks and ways ---------------------------------------------------------------------- */

static int plan_uplinks(struct host_plan *plan, struct err *err)
{
	const char *text = state_params(plan->state)->data_iface_pattern;
	const char *prefix = state_params(plan->state)->interface_prefix;
	_cleanup_free_ char *others = xstrdup("");
	regex_t pattern;

	if (regcomp(&pattern, text, REG_EXTENDED | REG_NOSUB))
		return err_set(err, -EINVAL, "bpfDataIfacePattern \"%s\": no regular expression",
			       text);
	for (size_t i = 0; i < plan->link_count; i++) {
		const struct net_link *link = &plan->links[i];
		char *more;

		if (uplink_matches(link, &pattern)) {
			if (!plan->uplink_mtu || link->mtu < plan->uplink_mtu)
				plan->uplink_mtu = link->mtu;
			row(plan, "attach", link->name,
			    "from_netdev at ingress, to_netdev at egress, each as the first; "
			    "mtu %u",
			    link->mtu);
			continue;
		}
		if (!strncmp(link->name, prefix, strlen(prefix)))
			continue;
		more = xasprintf("%s%s%s", others, *others ? " " : "", link->name);
		free(others);
		others = more;
	}
	regfree(&pattern);
	row(plan, "leave alone", *others ? others : "-",
	    "down, part of a bond or bridge, or not matched by bpfDataIfacePattern %s", text);
	if (!plan->uplink_mtu)
		row(plan, "note", "-",
		    "no interface matches: nothing would reach other hosts; set "
		    "bpfDataIfacePattern in FelixConfiguration default");
	return 0;
}

static void way_to(struct host_plan *plan, const struct state_peer *peer, int family)
{
	const union mg_addr *addr = family == 4 ? &peer->ip4 : &peer->ip6;
	const struct net_addr *own = &plan->own[family == 6];
	struct mg_prefix subnet = { .addr = own->addr,
				    .len = own->bits + (family == 4 ? MG_V4_PREFIX_BITS : 0u) };
	struct mg_way way = { 0 };
	struct net_route route;
	bool same = !addr_is_zero(&own->addr) && prefix_contains(&subnet, addr);

	if (addr_is_zero(addr) || addr_is_zero(&own->addr) ||
	    net_route_lookup(plan->net, addr, &route, NULL) < 0 || route.type != RTN_UNICAST)
		return;
	way.ifindex = (uint32_t)route.ifindex;
	way.gateway = route.gateway;
	way.mtu = route.mtu;
	for (size_t i = 0; i < plan->link_count && !way.mtu; i++) {
		if (plan->links[i].ifindex == route.ifindex)
			way.mtu = plan->links[i].mtu;
	}
	state_way_set(plan->state, peer->number, family, &way, same);
}

static void each_peer(void *context, const struct state_peer *peer)
{
	if (peer->self)
		return;
	way_to(context, peer, 4);
	way_to(context, peer, 6);
}

/* --- routes -------------------------------------------------------------------------------- */

static void each_route(void *context, const struct state_route *route)
{
	struct host_plan *plan = context;
	char dst[PREFIX_TEXT_MAX], gateway[ADDR_TEXT_MAX];
	struct mg_ident ident;
	const char *node;
	bool wanted;

	prefix_format(&route->dst, dst);
	if (route->blackhole) {
		row(plan, "route", dst,
		    "blackhole: this host's own range, containers have longer "
		    "routes");
		return;
	}
	state_net_row(plan->state, &route->dst, 0, &ident, &wanted);
	node = state_peer_name(plan->state, ident.node);
	row(plan, "route", dst, "to %s by %s%s%s, mtu %u", node ? node : "?",
	    link_name(plan, (int)route->ifindex), addr_is_zero(&route->gateway) ? "" : " via ",
	    addr_is_zero(&route->gateway) ? "" : addr_format(&route->gateway, gateway), route->mtu);
}

/* --- sockets ------------------------------------------------------------------------------- */

static void plan_sockets(struct host_plan *plan)
{
	const struct felix_params *params = state_params(plan->state);
	_cleanup_free_ char *given = ctl_agent_setting("cgroup", params->cgroup_path);
	char path[PATH_MAX];

	if (params->connect_time == FELIX_CONNECT_NONE) {
		row(plan, "note", "cgroup",
		    "bpfConnectTimeLoadBalancing is Disabled: this host's own sockets do not "
		    "reach services");
		return;
	}
	snprintf(path, sizeof(path), "%s", given);
	if (dp_cgroup_find_in(*given ? given : "/", path, NULL) == 0 || *given)
		row(plan, "attach", path,
		    "socket programs, for processes of this cgroup and those below: connect, "
		    "sendmsg, recvmsg, getpeername, of IPv4 and IPv6");
	else
		row(plan, "note", "cgroup",
		    "no cgroup2 file system is mounted: this host's own sockets do not reach "
		    "services");
}

/* --- files, objects, notes ----------------------------------------------------------------- */

static void plan_listener(struct host_plan *plan, const char *host, unsigned int port,
			  const char *what)
{
	if (port)
		row(plan, "listen", host, "port %u: %s", port, what);
	else
		row(plan, "listen", host, "a port that the kernel chooses: %s", what);
}

static void plan_writes(struct host_plan *plan)
{
	const struct felix_params *params = state_params(plan->state);
	_cleanup_free_ char *run = ctl_agent_setting("runDir", "/run/margay");
	_cleanup_free_ char *state = ctl_agent_setting("stateDir", "/var/lib/margay");
	_cleanup_free_ char *bpffs = ctl_agent_setting("bpffs", "/sys/fs/bpf/margay");
	_cleanup_free_ char *store = ctl_agent_setting("datastore", CTL_STORE);

	row(plan, "pin", bpffs, "programs and maps; mode 0700");
	row(plan, "folder", run, "cni.sock, ctl.sock; mode 0700");
	row(plan, "folder", state, "ipam and cni: journal and attachments; mode 0700");
	row(plan, "store", store,
	    "Node %s (%s), ClusterInformation default; later IPAMBlocks and "
	    "WorkloadEndpoints",
	    plan->node,
	    plan->own_manifest ? "from a manifest: left alone"
	    : plan->own_stored ? "addresses brought up to date"
			       : "created");
	if (params->health)
		plan_listener(plan, params->health_host, params->health_port, "health");
	if (params->metrics)
		plan_listener(plan, params->metrics_host, params->metrics_port, "metrics");
}

static void plan_later(struct host_plan *plan)
{
	const struct felix_params *params = state_params(plan->state);
	_cleanup_free_ char *names = xasprintf("%s*", params->interface_prefix);

	row(plan, "container", names,
	    "for each: a veth pair, from_pod and to_pod, a route /32 or /128, a permanent "
	    "neighbour, sysctls of that interface; pod's mtu %u",
	    state_pod_mtu(plan->state, plan->uplink_mtu));
	if (state_uses_vxlan(plan->state))
		row(plan, "device", DP_VXLAN_NAME, "idle, port %u; from_tunnel at ingress",
		    params->vxlan_port);
}

static bool host_forwards(void)
{
	_cleanup_free_ char *text = NULL;
	size_t size;

	return file_read(AT_FDCWD, "/proc/sys/net/ipv4/ip_forward", 16, &text, &size) == 0 &&
	       text[0] == '1';
}

static void plan_notes(struct host_plan *plan)
{
	if (plan->ranges)
		row(plan, "note", "podCIDRs",
		    "without a shared store other hosts' containers are known by address range "
		    "alone: rules with nets reach across, rules with selectors end at the host");
	if (!plan->pools)
		row(plan, "note", "IPPool",
		    "there is none: margay-ipam has no address to give, nothing is translated "
		    "to the outside");
	if (!host_forwards())
		row(plan, "note", "ip_forward",
		    "is 0 and stays so; ports published by portmap need "
		    "net.ipv4.ip_forward=1");
}

static char *host_name(void)
{
	char text[65] = "localhost";

	gethostname(text, sizeof(text) - 1);
	for (char *p = text; *p; p++)
		*p = (char)(*p >= 'A' && *p <= 'Z' ? *p - 'A' + 'a' : *p);
	return xstrdup(text);
}

static json_t *make_plan(struct ctl *ctl, struct err *err)
{
	_cleanup_free_ char *host = host_name();
	_cleanup_json_ json_t *rows = json_array();
	_cleanup_plan_ struct host_plan plan = { .ctl = ctl, .rows = rows };
	int r;

	plan.node = ctl_agent_setting("nodeName", host);
	plan.engine = engine_new(NULL);
	plan.state = state_new(plan.node, plan.engine);
	r = read_host(&plan, err);
	if (!r)
		r = read_objects(&plan, err);
	if (!r)
		r = plan_uplinks(&plan, err);
	if (r < 0)
		return NULL;
	state_each_peer(plan.state, each_peer, &plan);
	state_routes(plan.state, each_route, &plan);
	plan_sockets(&plan);
	plan_writes(&plan);
	plan_later(&plan);
	plan_notes(&plan);
	return json_incref(rows);
}

int verb_node_plan(struct ctl *ctl, int argc, char **argv)
{
	static const struct table_column columns[] = {
		{ .title = "WHAT", .path = ".what" },
		{ .title = "WHERE", .path = ".where" },
		{ .title = "DETAIL", .path = ".detail" },
	};
	const struct show show = { .doc = "What the agent would attach, route and write on this "
					  "host. Changes nothing.",
				   .nothing = "Nothing.",
				   .columns = columns,
				   .count = sizeof(columns) / sizeof(columns[0]) };

	return show_made(ctl, argc, argv, &show, make_plan);
}
