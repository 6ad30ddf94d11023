/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The daemon: one loop; what waits for the disk or for RCU does so in threads that own nothing of
 * the agent's (datastore/dir_worker.c, grace.c, quiet.c). What each file does, in its life's order:
 *
 *	main.c		starts the parts, runs the loop, ends
 *	restore.c	reads what a former agent left in the pinned maps
 *	objects.c	follows the datastore, decodes, tells the state
 *	problems.c	what is wrong with objects
 *	confirm.c	objects that wait to be confirmed, and what they are if nobody does
 *	history.c	what policy was, and the way back
 *	held.c		while nothing new comes into force
 *	trial.c		host policy that cuts the node off its datastore is taken back
 *	pools.c		IPPools: which of those that overlap are in force
 *	node.c		ways to the other nodes; node_object.c: the Node object
 *	node_condition.c	the Node's condition NetworkUnavailable
 *	own_address.c	which addresses are this node's own
 *	tunnels.c	tunnel addresses from IPAM
 *	hosts.c		host endpoints: which judges at which interface
 *	endpoint.c	attachments of this node: slots, names, maps' rows
 *	host_port.c	ports of the node that lead to its pods
 *	record.c	the plugin's records and what DEL could not tell
 *	pods.c		programs and queueing disciplines on pods' interfaces
 *	settings.c	FelixConfiguration: what is not a row of a map
 *	connect_time.c	socket programs at the cgroup
 *	cni.c		the plugin's requests (docs/cni-socket.md)
 *	move.c		a pod's programs from clsact, by which ADD attached them, to TCX
 *	aside.c		deletes interfaces that DEL put aside
 *	quiet.c		a thread for the two: what keeps the network lock waits for a quiet moment
 *	gone.c		attachments whose interface went without a DEL
 *	publish.c	WorkloadEndpoints of this node, written behind ADD and DEL
 *	service_health.c	what load balancers ask: healthCheckNodePort, the proxy's healthz
 *	duties.c	what one agent does for the whole cluster: EndpointSlices of Services
 *	reconcile.c	engine and tables into the kernel
 *	grace.c		when replaced numbers are free again
 *	control.c	margayctl's requests
 *	policy_diff.c	what a change of policy would do, found out in a copy of the process
 *	monitor.c	records to whoever watches; kernel_drops.c: the kernel's own;
 *			packet_log.c: what Log rules see
 *	counters.c	what rules have counted
 *	status.c	health, readiness, metrics
 *
 * Every change ends in agent_dirty(), which says what it concerns and runs reconcile once at the
 * end of the loop's turn: one pod or one policy costs work for itself, not for the node.
 */
#ifndef MARGAY_AGENT_AGENT_H
#define MARGAY_AGENT_AGENT_H

#include <event2/event.h>
#include <jansson.h>
#include <net/if.h>
#include <regex.h>
#include <stdbool.h>
#include <uthash.h>

#include "agent/config.h"
#include "base/err.h"
#include "dataplane/attach.h"
#include "dataplane/control.h"
#include "dataplane/detect.h"
#include "dataplane/events.h"
#include "dataplane/load.h"
#include "dataplane/netlink.h"
#include "dataplane/pages.h"
#include "datastore/follow.h"
#include "datastore/store.h"
#include "ipam/ipam.h"
#include "policy/engine.h"
#include "state/state.h"
#include "sync/sync.h"

struct confirm_flight;
struct dp_trace;
struct duties;
struct grace;
struct history;
struct host;
struct host_port;
struct http;
struct kernel_drops;
struct agent_pool;
struct counter_mark;
struct counters;
struct packet_log;
struct pool_change;
struct policy_diff;
struct publication;
struct publish_flight;
struct quiet;
struct server;
struct service_health;
struct server_call;
struct services;
struct trial;
struct tunnels;
struct waiting;
struct sweep;
struct watcher;

#define UPLINKS_MAX 64
#define AGENT_PRIORITIES 3 /* of events; the last are those nobody waits for */

/* What a change concerns; policy and address rows are looked at in every round. */
enum agent_change {
	CHANGE_LINKS = 1U << 0,	    /* uplinks: links, their addresses, pattern, tunnel kinds */
	CHANGE_NODES = 1U << 1,	    /* nodes and the ways to them, this node's own row */
	CHANGE_ENDPOINTS = 1U << 2, /* rows of endpoints */
	CHANGE_ROUTES = 1U << 3,    /* blocks, and whatever else a kernel route depends on */
	CHANGE_PODS = 1U << 4,	    /* programs and queues on pods' interfaces */
	CHANGE_SETTINGS = 1U << 5,  /* FelixConfiguration */
	CHANGE_HOOKS = 1U << 6,	    /* the same of those endpoints that say `look` */
	CHANGE_SERVICES = 1U << 7,  /* services and their endpoints */
	CHANGE_ALL = (1U << 8) - 1,
	CHANGE_POLICY = 0,
};

struct uplink {
	int ifindex;
	struct mg_uplink row;
	char name[IFNAMSIZ];
	uint16_t host; /* slot of the host endpoint that is to judge; row.host: that does */
};

/* A host endpoint in force. */
struct host_use {
	int ifindex;
	uint16_t slot;
};

/* One interface of a container on this node. */
struct endpoint {
	char *key; /* "container:ifname", the hash's key */
	char *container;
	char *ifname;
	char *network;
	char *ns;
	char *pod;
	char *uid; /* of the Pod, as the runtime has it; "": it does not say */
	char host_ifname[IFNAMSIZ];
	bool committed;	 /* the veth pair stands, programs are attached */
	bool ready;	 /* its row says ready */
	bool has_object; /* ADD saw a Pod's object of this node: it waits for the watch's */
	bool external;	 /* another IPAM plugin owns the addresses */
	bool look;	 /* something came or went at its interface */
	bool gone;	 /* its interface is not there: gone.c waits for a DEL */
	bool moves;	 /* its programs wait to be attached by the other way (move.c) ... */
	bool twice;	 /* ... and stand there by both: the row says so */
	bool has_queue;	 /* somebody's queueing discipline counts on the host's side */
	uint16_t slot;
	uint32_t limits; /* MG_EP_NO_PEER, MG_EP_THROUGH_STACK: the capability `bandwidth` */
	uint32_t ifindex;
	uint32_t mtu;
	__u64 netns_cookie;
	uint8_t mac[6];
	uint8_t host_mac[6];
	union mg_addr ip4;
	union mg_addr ip6;
	struct host_port *ports; /* of the node that lead here */
	size_t port_count;
	json_t *labels;		     /* object of strings; NULL: none */
	struct server_call *waiting; /* commit, until the policy is in force */
	UT_hash_handle hh;
};

struct agent {
	struct agent_config config;
	struct event_base *base;
	struct event *dirty_event;
	struct grace *grace;
	struct event *ipam_event, *ipam_store_event;
	int64_t ipam_due; /* rpc_now() of the next tick; INT64_MAX: none */
	struct event *store_event, *store_timer, *tidy_event;
	size_t told;		   /* objects since the heap was tidied */
	struct event *node_event;  /* the Node object is to be written */
	unsigned int network_said; /* enum node_condition, as the Node was seen last */
	bool network_told;	   /* this agent has said that pods have a network */
	bool network_due;	   /* it is to be said */
	struct event *netlink_event, *check_event, *events_event, *publish_event;
	struct event *released_event; /* inotify on the plugin's folder */
	struct event *gone_event;     /* some endpoint says `gone` */
	bool dirty;
	unsigned int changes; /* enum agent_change, not yet in force */
	bool synced;	      /* the store was read whole */
	bool took_over;	      /* our programs are the ones on the devices */
	bool degraded;	      /* the last build or write failed: text in problem */
	struct err problem;
	unsigned long rounds, builds, build_failures;
	unsigned long long round_usec; /* all rounds together */
	int retry_ms;
	bool no_peer;			     /* bpfRedirectToPeer is Disabled */
	regex_t *data_pattern, *mtu_pattern; /* interfaces' names; NULL: not yet known */
	json_t *config_reports;		     /* object's title -> texts about its parameters */
	json_t *bad;			     /* problems.c: who says so -> what is wrong */
	unsigned long store_problems;	     /* number of the store's list that is in it */

	struct store *store;
	struct follow *follow;
	json_t *questions; /* TraceRequests seen, to be answered */
	bool store_down;
	struct engine *engine;
	struct state *state;
	struct services *services;
	struct ipam *ipam;

	struct dp *dp;
	const struct dp_attach_ops *attach;
	struct mg_control *control;
	struct dp_pages *pages;
	struct dp_events *events;
	struct sync *sync;
	struct net_sock *net;
	struct net_monitor *monitor;

	__u64 netns_cookie;	  /* of the node's own namespace */
	union mg_addr own4, own6; /* this node's addresses, zero: none */
	unsigned int own4_bits, own6_bits;
	struct detect *detect4, *detect6; /* how they are found; NULL: given, or none */
	union mg_addr internal[2];	  /* the Node's InternalIPs, IPv4 and IPv6; zero: none */
	struct uplink uplinks[UPLINKS_MAX];
	unsigned int uplink_count;
	bool swept;		   /* leftovers on other interfaces were looked for */
	int attached[UPLINKS_MAX]; /* interfaces that carry our uplink programs; 0: none */
	struct host *hosts;	   /* host endpoints of this node, by name */
	struct host_use host_uses[UPLINKS_MAX];
	bool hosts_applied; /* facts and host_uses are this agent's own */
	bool hosts_changed; /* rows were written that flows of host endpoints depend on */
	struct state_node_facts facts;
	uint8_t vtep_mac[6];
	struct tunnels *tunnels; /* addresses; NULL: not looked yet */

	struct endpoint *endpoints; /* by key */
	struct endpoint **by_slot;  /* config slots + 1 */
	unsigned int slots;
	struct quiet *quiet;
	unsigned int aside_links;	  /* interfaces that wait to be deleted */
	struct publication *publications; /* waiting to be written */
	struct publish_flight *publish_flight;
	bool published; /* what a former agent left was compared */

	struct duties *duties; /* NULL: not with this datastore */

	struct server *cni;
	struct server *ctl;
	struct http *health, *metrics;	       /* listeners */
	struct service_health *service_health; /* NULL: Services have no effect */
	struct agent_pool *pools;	       /* all IPPools, in force and not */
	bool pools_changed;
	struct pool_change *pool_changes; /* kept back for a moment */
	struct event *keep_event;
	struct event *pool_status_event;    /* status of pools is to be looked at */
	struct watcher *watchers;	    /* of events */
	struct packet_log *packet_log;	    /* while a Log rule is in force; else NULL */
	bool log_looked;		    /* whether one is was asked since the start */
	struct sweep *sweep;		    /* of the flow tables */
	struct counter_mark *counter_marks; /* by rule number: counts never go back */
	uint32_t counter_mark_count;
	struct counters *counters;	   /* as the metrics last had them; NULL: not yet */
	long long counters_good_until;	   /* us, monotonic */
	struct kernel_drops *kernel_drops; /* while a watcher wants them; else NULL */
	struct event *signals[2];
	struct dp_trace *trace; /* the trace copy; NULL: not loaded */
	struct event *trace_event;
	struct waiting *unconfirmed; /* confirm.c: objects that wait, by key */
	struct confirm_flight *confirm_flight;
	struct event *confirm_event;
	uint64_t confirm_spread; /* ms behind the end of an object's time */
	unsigned long confirms_missed;
	struct history *history;	 /* of policy; NULL: not started */
	struct trial *trial;		 /* of host policy; NULL: not looked yet */
	bool hosts_judge_anew;		 /* since the last round that put all into force */
	struct policy_diff *policy_diff; /* the comparison at hand; NULL: none */
};

/* Runs reconcile at the end of this turn; changes: enum agent_change. */
void agent_dirty(struct agent *agent, unsigned int changes);

#endif
