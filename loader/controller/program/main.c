/* SPDX-License-Identifier: Apache-2.0 */
/*
 * margay-controller: a cluster's chores that no node's agent can do. One of all that run does them,
 * the one that holds the lease (controller/lease.h). It needs no capability and touches no kernel
 * object: it reads and writes the datastore alone.
 *
 * Nodes are watched, so that what a node held that is gone is given back at once, and host
 * endpoints follow them (hosts.h); everything else is looked at twice a grace period
 * (ipam/sweep.h). The store's own connections are served meanwhile.
 */
#include <argp.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/rpc.h"
#include "controller/lease.h"
#include "controller/program/hosts.h"
#include "datastore/follow.h"
#include "datastore/store.h"
#include "ipam/sweep.h"
#include "model/controllers.h"

#define TICK_MS 2000
#define AGAIN_MS 5000
/* Pods of a node that is gone go a while after it: then looks come close for some time. */
#define HURRY_MS 300000
#define HURRY_PAUSE_MS 20000
#define GRACE_SECONDS_MAX 86400
#define NEVER_MS (UINT64_MAX / 2)
#define PAUSE_MS_MAX (GRACE_SECONDS_MAX * 500LL)
/* A turn may wait for a server that does not answer; the lease is gone by then. */
#define ALIVE_SECONDS 120

struct controller {
	const char *datastore;
	const char *identity;
	const char *alive; /* touched while the loop turns; NULL: not wanted */
	long grace_seconds;
	struct store *store;
	struct lease lease;
	struct follow *follow; /* while the lease is held, as the two below */
	struct hosts *hosts;
	struct ipam_sweep *sweep;
	long long look_due; /* rpc_now() */
	long long hurry_until;
	bool synced; /* what is followed was read whole */
	bool failed; /* told already */
};

static volatile sig_atomic_t ended;

static void on_signal(int signal)
{
	(void)signal;
	ended = 1;
}

static uint64_t now_utc_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* --- the lease ----------------------------------------------------------------------------- */

static void say_failure(struct controller *controller, const char *what, const struct err *err)
{
	if (!controller->failed)
		log_warning(what, "why", err->text, NULL);
	controller->failed = true;
}

static int look_at_lease(struct controller *controller, struct err *err)
{
	const struct store_key key = { .kind = store_kind(KIND_LEASE),
				       .ns = LEASE_NAMESPACE,
				       .name = LEASE_NAME };
	_cleanup_json_ json_t *object = NULL;
	int r = store_get(controller->store, &key, &object, err);

	if (r < 0 && r != -ENOENT)
		return r;
	lease_seen(&controller->lease, object, rpc_now());
	return 0;
}

static void write_lease(struct controller *controller)
{
	_cleanup_json_ json_t *claim = lease_claim(&controller->lease, now_utc_ms());
	_cleanup_json_ json_t *stored = NULL;
	const long long began = rpc_now();
	struct err err = { 0 };
	int r = controller->lease.object ? store_update(controller->store, claim, &stored, &err)
					 : store_create(controller->store, claim, &stored, &err);

	if (!r) {
		lease_written(&controller->lease, stored, began);
		controller->failed = false;
	} else if (r == -ESTALE || r == -EEXIST || r == -ENOENT) {
		lease_lost(&controller->lease);
	} else {
		say_failure(controller, "the lease is not renewed", &err);
	}
}

static void keep_lease(struct controller *controller)
{
	const long long now = rpc_now();
	struct err err = { 0 };

	if (lease_is_held(&controller->lease, now)) {
		if (lease_is_due(&controller->lease, now))
			write_lease(controller);
	} else if (look_at_lease(controller, &err) < 0) {
		say_failure(controller, "the lease cannot be read", &err);
	} else if (lease_is_free(&controller->lease, now)) {
		write_lease(controller);
	}
}

/* --- the chores ---------------------------------------------------------------------------- */

/* How long an address may be without a pod: the cluster's object goes before our settings. */
static uint64_t grace_ms(const struct controller *controller)
{
	const struct kube_controllers *config = hosts_config(controller->hosts);

	if (!config || !(config->has & CONTROLLERS_HAS_LEAK_GRACE))
		return (uint64_t)controller->grace_seconds * 1000;
	return config->leak_grace_ms ? config->leak_grace_ms : NEVER_MS;
}

static void on_event(struct controller *controller, const struct store_event *event)
{
	hosts_event(controller->hosts, event);
	if (event->kind->id == KIND_KUBE_CONTROLLERS_CONFIG) {
		ipam_sweep_set_grace(controller->sweep, grace_ms(controller));
		controller->look_due = 0;
	} else if (event->kind->id == KIND_NODE && event->type == STORE_DELETED) {
		controller->look_due = 0;
		controller->hurry_until = rpc_now() + HURRY_MS;
	}
}

static void on_events(const struct store_event *events, size_t count, bool synced, void *arg)
{
	struct controller *controller = arg;

	for (size_t i = 0; i < count; i++)
		on_event(controller, &events[i]);
	controller->synced |= synced;
}

static void on_released(void *arg, const json_t *record)
{
	(void)arg;
	log_info("an address is given back", "address", json_text_or(record, "ip", ""), "handle",
		 json_text_or(record, "handle", ""), "node", json_text_or(record, "node", ""),
		 "pod", json_text_or(record, "pod", ""), NULL);
}

static void take_up(struct controller *controller)
{
	const struct store_query queries[] = {
		{ .kind = store_kind(KIND_KUBE_CONTROLLERS_CONFIG) },
		{ .kind = store_kind(KIND_NODE) },
		{ .kind = store_kind(KIND_HOST_ENDPOINT),
		  .labels = AUTO_HOST_LABEL "=" AUTO_HOST_MAKER },
	};
	const struct follow_args args = { .queries = queries,
					  .count = sizeof(queries) / sizeof(queries[0]),
					  .fn = on_events,
					  .arg = controller };
	struct err err = { 0 };

	log_info("has the cluster's chores", "identity", controller->identity, NULL);
	controller->hosts = hosts_new(controller->store);
	controller->sweep = ipam_sweep_new(grace_ms(controller), on_released, controller);
	controller->look_due = 0;
	controller->synced = false;
	if (follow_open(controller->store, &args, &controller->follow, &err) < 0)
		say_failure(controller, "nodes cannot be watched", &err);
}

static void lay_down(struct controller *controller)
{
	if (!controller->sweep)
		return;
	log_info("has the cluster's chores no more", NULL);
	follow_close(controller->follow);
	ipam_sweep_free(controller->sweep);
	hosts_free(controller->hosts);
	controller->follow = NULL;
	controller->sweep = NULL;
	controller->hosts = NULL;
}

static long long pause_ms(const struct controller *controller, bool failed)
{
	const uint64_t half = grace_ms(controller) / 2;
	long long pause = half < PAUSE_MS_MAX ? (long long)half : PAUSE_MS_MAX;

	if (rpc_now() < controller->hurry_until && pause > HURRY_PAUSE_MS)
		pause = HURRY_PAUSE_MS;
	return failed || pause < AGAIN_MS ? AGAIN_MS : pause;
}

static void look(struct controller *controller)
{
	struct ipam_sweep_report report;
	struct err err = { 0 };
	int r = ipam_sweep_look(controller->sweep, controller->store, now_utc_ms(), &report, &err);

	if (r < 0)
		say_failure(controller, "addresses are not looked over", &err);
	else
		controller->failed = false;
	controller->look_due = rpc_now() + pause_ms(controller, r < 0);
}

static void work(struct controller *controller)
{
	const long long now = rpc_now();
	struct err err = { 0 };

	if (!lease_is_held(&controller->lease, now)) {
		lay_down(controller);
		return;
	}
	if (!controller->sweep)
		take_up(controller);
	if (controller->synced && hosts_work(controller->hosts, &err) < 0)
		say_failure(controller, "host endpoints are not as they should be", &err);
	if (now >= controller->look_due)
		look(controller);
}

/* --- life ---------------------------------------------------------------------------------- */

static void say_alive(const struct controller *controller)
{
	if (controller->alive)
		file_replace_soon(AT_FDCWD, controller->alive, "", 0, 0600);
}

static void wait_for_store(struct controller *controller)
{
	struct pollfd poll_fd = { .fd = store_fd(controller->store), .events = POLLIN };
	const long long until = rpc_now() + TICK_MS;
	struct err err = { 0 };

	while (!ended && rpc_now() < until) {
		int timeout = store_timeout_ms(controller->store);

		if (timeout < 0 || timeout > until - rpc_now())
			timeout = (int)(until - rpc_now());
		if (poll(&poll_fd, 1, timeout < 0 ? 0 : timeout) < 0)
			return;
		store_dispatch(controller->store, &err);
		if (controller->follow)
			follow_dispatch(controller->follow, &err);
		if (controller->follow && !controller->look_due)
			return;
	}
}

static void give_up(struct controller *controller)
{
	_cleanup_json_ json_t *object = NULL;
	struct err err = { 0 };

	lay_down(controller);
	if (!lease_is_held(&controller->lease, rpc_now()))
		return;
	object = lease_release(&controller->lease);
	if (store_update(controller->store, object, NULL, &err) < 0)
		log_info("the chores are not handed over", "why", err.text, NULL);
}

static int run(struct controller *controller)
{
	struct err err = { 0 };
	int r = store_open(controller->datastore, NULL, &controller->store, &err);

	if (r < 0) {
		log_error("cannot start", "why", err.text, NULL);
		return store_unreachable(r) ? EX_TEMPFAIL : EX_CONFIG;
	}
	lease_init(&controller->lease, controller->identity);
	while (!ended) {
		say_alive(controller);
		keep_lease(controller);
		work(controller);
		wait_for_store(controller);
	}
	give_up(controller);
	lease_done(&controller->lease);
	store_close(controller->store);
	return 0;
}

static const struct argp_option options[] = {
	{ "datastore", 'd', "STORE", 0, "kubernetes[:KUBECONFIG] (MARGAY_DATASTORE)", 0 },
	{ "identity", 'i', "NAME", 0, "who holds the lease (POD_NAME, the host's name)", 0 },
	{ "leak-grace", 'g', "SECONDS", 0,
	  "how long an address is without a pod before it is given back "
	  "(MARGAY_LEAK_GRACE_SECONDS, 900)",
	  0 },
	{ "alive", 'a', "FILE", 0, "touched as long as it works", 0 },
	{ "check", 'c', NULL, 0, "only says whether the one that touches --alive works", 0 },
	{ 0 },
};

struct arguments {
	struct controller *controller;
	const char *grace;
	bool check;
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct arguments *arguments = state->input;

	switch (key) {
	case 'd':
		arguments->controller->datastore = arg;
		return 0;
	case 'i':
		arguments->controller->identity = arg;
		return 0;
	case 'g':
		arguments->grace = arg;
		return 0;
	case 'a':
		arguments->controller->alive = arg;
		return 0;
	case 'c':
		arguments->check = true;
		return 0;
	}
	return ARGP_ERR_UNKNOWN;
}

static int take_grace(struct controller *controller, const char *text)
{
	char *end;

	errno = 0;
	controller->grace_seconds = strtol(text, &end, 10);
	if (!errno && *text && !*end && controller->grace_seconds > 0 &&
	    controller->grace_seconds <= GRACE_SECONDS_MAX)
		return 0;
	log_error("cannot start", "why", "the grace period must be 1 to 86400 seconds", "given",
		  text, NULL);
	return EX_USAGE;
}

static int check_alive(const char *path)
{
	struct stat file;

	if (path && stat(path, &file) == 0 && time(NULL) - file.st_mtime < ALIVE_SECONDS)
		return 0;
	log_error("it does not work", "file", path ? path : "(none)", NULL);
	return 1;
}

static const char *first(const char *a, const char *b, const char *c)
{
	return a && *a ? a : b && *b ? b : c;
}

int main(int argc, char **argv)
{
	static const struct argp argp = { options,
					  parse,
					  NULL,
					  "Margay's controller: a cluster's chores, by whoever "
					  "holds the lease.",
					  NULL,
					  NULL,
					  NULL };
	struct controller controller = { 0 };
	struct arguments arguments = { .controller = &controller };
	char host[65] = "margay-controller";
	int r;

	argp_parse(&argp, argc, argv, 0, NULL, &arguments);
	if (arguments.check)
		return check_alive(controller.alive);
	gethostname(host, sizeof(host) - 1);
	controller.datastore =
		first(controller.datastore, getenv("MARGAY_DATASTORE"), "kubernetes");
	controller.identity = first(controller.identity, getenv("POD_NAME"), host);
	r = take_grace(&controller,
		       first(arguments.grace, getenv("MARGAY_LEAK_GRACE_SECONDS"), "900"));
	if (r)
		return r;
	signal(SIGPIPE, SIG_IGN);
	signal(SIGTERM, on_signal);
	signal(SIGINT, on_signal);
	return run(&controller);
}
