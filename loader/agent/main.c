/* SPDX-License-Identifier: Apache-2.0 */
/*
 * margay-agent: starts the parts in the order in which they need each other, runs the loop, ends.
 * Exit status as sysexits(3), for systemd: 64 usage, 69 something needed is missing, 71 the kernel
 * refused, 78 configuration.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sysexits.h>

#include "agent/addresses.h"
#include "agent/agent.h"
#include "agent/aside.h"
#include "agent/cni.h"
#include "agent/control.h"
#include "agent/counters.h"
#include "agent/duties.h"
#include "agent/endpoint.h"
#include "agent/gone.h"
#include "agent/http.h"
#include "agent/monitor.h"
#include "agent/node.h"
#include "agent/node_condition.h"
#include "agent/objects.h"
#include "agent/packet_log.h"
#include "agent/policy_diff.h"
#include "agent/pool_switch.h"
#include "agent/privileges.h"
#include "agent/publish.h"
#include "agent/quiet.h"
#include "agent/reconcile.h"
#include "agent/record.h"
#include "agent/restore.h"
#include "agent/server.h"
#include "agent/service_health.h"
#include "agent/settings.h"
#include "agent/status.h"
#include "agent/sweep.h"
#include "agent/trace.h"
#include "agent/tunnels.h"
#include "base/arena.h"
#include "base/file.h"
#include "base/heap.h"
#include "base/log.h"
#include "base/rpc.h"
#include "dataplane/netns.h"
#include "state/service.h"

#define IPAM_PAUSE_MS 50
/* After the flow tables were made anew, segments of unknown connections are judged, not dropped. */
#define FLOWS_NEW_SECONDS 60

static int prepare_folders(struct agent *agent, struct err *err)
{
	const char *folders[] = { agent->config.run_dir, agent->config.state_dir };
	int r = 0;

	for (unsigned int i = 0; i < 2 && !r; i++) {
		r = dir_make(folders[i], 0700, err);
		if (!r)
			r = dir_check_private(folders[i], err);
		/* A kubelet makes them readable by everybody. */
		if (!r && chmod(folders[i], 0700) < 0)
			r = err_errno(err, -errno, "%s", folders[i]);
	}
	return r;
}

static uint64_t boot_time(void)
{
	struct timespec now;

	clock_gettime(CLOCK_BOOTTIME, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static int open_dataplane(struct agent *agent, struct err *err)
{
	struct dp_config config = dp_config_default();
	struct dp_size sizes[SETTINGS_SIZES_MAX];
	int r;

	config.root = agent->config.bpffs;
	config.sizes = sizes;
	config.size_count = settings_sizes(agent, sizes);
	r = dp_open(&config, &agent->dp, err);
	if (!r)
		r = dp_attach_pick(DP_ATTACH_AUTO, &agent->attach, err);
	if (!r)
		r = dp_control_open(dp_get_map(agent->dp, "mg_control"), &agent->control, err);
	if (!r)
		r = dp_pages_open(agent->config.bpffs, dp_get_map(agent->dp, "mg_pages"),
				  &agent->pages, err);
	if (!r)
		r = net_open(&agent->net, err);
	if (!r)
		r = netns_own_cookie(&agent->netns_cookie, err);
	if (r < 0)
		return r;
	agent->slots = config.mg.slots;
	endpoints_start(agent);
	agent->sync = sync_new_dp(agent->dp);
	engine_limit_nets(agent->engine, dp_get_map(agent->dp, "mg_nets")->entries);
	if (dp_flows_are_new(agent->dp))
		agent->facts.flows_new_until =
			boot_time() + (uint64_t)FLOWS_NEW_SECONDS * 1000000000;
	return 0;
}

/* --- ipam ---------------------------------------------------------------------------------- */

/* The tick's moment stands until it has come, however many requests are answered before it. */
static void arm_ipam(struct agent *agent, int ms)
{
	int64_t now = rpc_now(), due = ms == IPAM_IDLE ? INT64_MAX : now + ms;
	struct timeval when;

	if (due < agent->ipam_due)
		agent->ipam_due = due;
	if (agent->ipam_due == INT64_MAX)
		return;
	due = agent->ipam_due > now ? agent->ipam_due - now : 0;
	when = (struct timeval){ .tv_sec = due / 1000, .tv_usec = due % 1000 * 1000 };
	event_add(agent->ipam_store_event, &when);
}

/* The store's share: it waits for the disk, so it comes behind everything that is due, above all
 * behind the answers on their way out. */
static void on_ipam_due(evutil_socket_t fd, short what, void *context)
{
	struct agent *agent = context;
	int ms;

	(void)fd;
	(void)what;
	agent->ipam_due = INT64_MAX;
	ms = ipam_tick(agent->ipam);
	if (ms == 0)
		event_active(agent->ipam_event, 0, 0);
	else
		arm_ipam(agent, ms);
}

/* The journal's share, and the answers. */
static void on_ipam(evutil_socket_t fd, short what, void *context)
{
	struct agent *agent = context;
	int ms = ipam_commit(agent->ipam);
	struct ipam_status status;

	(void)fd;
	(void)what;
	ipam_read_status(agent->ipam, &status);
	/* Nobody waits for the store: the second half of ADD goes first, and one write serves all
	 * that come meanwhile. */
	if (ms == 0 && !status.waiting)
		ms = IPAM_PAUSE_MS;
	arm_ipam(agent, ms);
}

static void wake_ipam(void *context)
{
	struct agent *agent = context;

	event_active(agent->ipam_event, 0, 0);
}

static int open_ipam(struct agent *agent, struct err *err)
{
	_cleanup_free_ char *folder = xasprintf("%s/ipam", agent->config.state_dir);
	const struct ipam_options options = { .store = agent->store,
					      .node = agent->config.node,
					      .dir = folder,
					      .wake = wake_ipam,
					      .wake_arg = agent };
	int r = ipam_open(&options, &agent->ipam, err);

	if (r < 0)
		return r;
	agent->ipam_event = evtimer_new(agent->base, on_ipam, agent);
	agent->ipam_store_event = evtimer_new(agent->base, on_ipam_due, agent);
	event_priority_set(agent->ipam_store_event, AGENT_PRIORITIES - 1);
	agent->ipam_due = INT64_MAX;
	event_active(agent->ipam_event, 0, 0);
	return 0;
}

/* --- sockets ------------------------------------------------------------------------------- */

static int open_sockets(struct agent *agent, struct err *err)
{
	_cleanup_free_ char *cni = xasprintf("%s/cni.sock", agent->config.run_dir);
	_cleanup_free_ char *ctl = xasprintf("%s/ctl.sock", agent->config.run_dir);
	int r = server_new(agent->base, ctl, control_handle, agent, &agent->ctl, err);

	if (!r)
		r = server_new(agent->base, cni, cni_handle, agent, &agent->cni, err);
	if (!r)
		server_request_max(agent->ctl, CONTROL_REQUEST_MAX);
	return r;
}

static void on_signal(evutil_socket_t signal, short what, void *context)
{
	struct agent *agent = context;

	(void)what;
	log_info("ends", "signal", strsignal(signal), NULL);
	event_base_loopbreak(agent->base);
}

static void catch_signals(struct agent *agent)
{
	static const int signals[] = { SIGTERM, SIGINT };

	for (unsigned int i = 0; i < 2; i++) {
		agent->signals[i] = evsignal_new(agent->base, signals[i], on_signal, agent);
		event_add(agent->signals[i], NULL);
	}
	signal(SIGPIPE, SIG_IGN);
}

/* --- life ---------------------------------------------------------------------------------- */

/* A node whose store is out of reach answers too: alive, not ready, and why. */
static void listen_early(struct agent *agent)
{
	struct err err;

	if (status_listen(agent, &err) < 0)
		log_warning("health and metrics", "why", err.text, NULL);
}

static int start(struct agent *agent, struct err *err)
{
	int r;

	agent->base = event_base_new();
	if (!agent->base || event_base_priority_init(agent->base, AGENT_PRIORITIES) < 0)
		abort();
	agent->engine = engine_new(NULL);
	agent->state = state_new(agent->config.node, agent->engine);
	agent->services = services_new(agent->config.node);
	reconcile_start(agent);
	sweep_start(agent);
	quiet_start(agent);
	publish_start(agent);
	duties_start(agent);
	service_health_start(agent);
	r = prepare_folders(agent, err);
	if (!r)
		r = objects_open(agent, err);
	if (!r)
		settings_read(agent);
	if (!r)
		r = open_dataplane(agent, err);
	if (!r)
		r = restore_read(agent, err);
	if (!r)
		r = node_start(agent, err);
	if (!r)
		r = open_ipam(agent, err);
	if (!r)
		r = records_start(agent, err);
	if (!r)
		r = objects_start(agent, err);
	if (r < 0)
		return r;
	/* What runs here or is on its way keeps its addresses; what a crash orphaned comes back. */
	addresses_collect(agent, NULL);
	records_released(agent);
	reconcile(agent);
	aside_start(agent);
	catch_signals(agent);
	listen_early(agent);
	r = open_sockets(agent, err);
	return r < 0 ? r : privileges_drop(err);
}

/* Programs, maps and attachments stay: the next agent takes them over. */
static void stop(struct agent *agent)
{
	policy_diff_stop(agent);
	server_free(agent->cni);
	server_free(agent->ctl);
	trace_stop(agent);
	quiet_stop(agent);
	gone_stop(agent);
	packet_log_stop(agent);
	monitor_stop(agent);
	counters_stop(agent);
	http_free(agent->health);
	http_free(agent->metrics);
	ipam_close(agent->ipam);
	tunnels_stop(agent);
	endpoints_stop(agent);
	records_stop(agent);
	settings_stop(agent);
	publish_stop(agent);
	duties_stop(agent);
	service_health_stop(agent);
	pool_switch_stop(agent);
	objects_stop(agent);
	node_stop(agent);
	sweep_stop(agent);
	reconcile_stop(agent);
	sync_free(agent->sync);
	dp_pages_close(agent->pages);
	dp_control_close(agent->control);
	net_close(agent->net);
	dp_close(agent->dp);
	state_free(agent->state);
	services_free(agent->services);
	engine_free(agent->engine);
	for (unsigned int i = 0; i < 2; i++) {
		if (agent->signals[i])
			event_free(agent->signals[i]);
	}
	if (agent->ipam_event)
		event_free(agent->ipam_event);
	if (agent->ipam_store_event)
		event_free(agent->ipam_store_event);
	if (agent->base)
		event_base_free(agent->base);
	agent_config_done(&agent->config);
}

static int exit_status(int error)
{
	switch (error) {
	case -EINVAL:
	case -EPROTONOSUPPORT:
		return EX_CONFIG;
	case -EPERM:
	case -EACCES:
		return EX_NOPERM;
	case -ENOENT:
	case -ENODEV:
	case -EADDRNOTAVAIL:
		return EX_UNAVAILABLE;
	case -ENOMEM:
	case -EAGAIN:
	case -EBUSY:
		return EX_TEMPFAIL;
	default:
		return EX_OSERR;
	}
}

int main(int argc, char **argv)
{
	const struct rlimit unlimited = { RLIM_INFINITY, RLIM_INFINITY };
	static struct agent agent;
	struct err err = { 0 };
	int r;

	heap_configure();
	r = agent_config_load(&agent.config, argc, argv, &err);
	if (r < 0) {
		log_error("cannot start", "why", err.text, NULL);
		return EX_CONFIG;
	}
	log_set_level(agent.config.level);
	/* Kernels before 5.11 counted BPF memory here; a refusal is no failure. */
	setrlimit(RLIMIT_MEMLOCK, &unlimited);
	r = start(&agent, &err);
	if (!r) {
		log_info("started", "node", agent.config.node, "datastore", agent.config.datastore,
			 NULL);
		event_base_dispatch(agent.base);
		node_condition_down(&agent);
	} else {
		log_error("cannot start", "why", err.text, NULL);
	}
	stop(&agent);
	return r < 0 ? exit_status(r) : 0;
}
