/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/status.h"

#include <string.h>
#include <unistd.h>

#include "abi/event.h"
#include "abi/reason.h"
#include "agent/confirm.h"
#include "agent/duties.h"
#include "agent/history.h"
#include "agent/http.h"
#include "agent/policy_metrics.h"
#include "agent/problems.h"
#include "agent/trial.h"
#include "base/arena.h"
#include "dataplane/names.h"

bool status_ready(void *context, FILE *out)
{
	struct agent *agent = context;
	bool ready = true;

	if (!agent->synced) {
		fputs("the datastore has not been read whole yet\n", out);
		ready = false;
	}
	if (agent->degraded) {
		fprintf(out, "%s\n", agent->problem.text);
		ready = false;
	}
	if (history_held(agent)) {
		fprintf(out, "policy is held: %zu objects wait for \"margayctl policy resume\"\n",
			history_waiting(agent));
		if (agent->history->lost)
			fputs("host policy cut this node off its datastore and was taken back\n",
			      out);
		ready = false;
	}
	for (unsigned int i = 0; i < DP_GROUP_MAX; i++) {
		const char *error = dp_group_error(agent->dp, i);

		if (!error)
			continue;
		fprintf(out, "programs of group %s did not load: %s\n", dp_group_name(i), error);
		ready = false;
	}
	return ready;
}

/* Answering at all is being alive: the loop runs. */
static bool live(void *context, FILE *out)
{
	(void)context;
	(void)out;
	return true;
}

/* --- metrics ------------------------------------------------------------------------------- */

void metric_head(FILE *out, const char *name, const char *type, const char *help)
{
	fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void gauge(FILE *out, const char *name, const char *help, unsigned long long value)
{
	metric_head(out, name, "gauge", help);
	fprintf(out, "%s %llu\n", name, value);
}

static void counter(FILE *out, const char *name, const char *help, unsigned long long value)
{
	metric_head(out, name, "counter", help);
	fprintf(out, "%s %llu\n", name, value);
}

/* member: 0 packets, 1 bytes (struct mg_drop_count). */
static void put_drops(struct agent *agent, FILE *out, const char *name, unsigned int member)
{
	const struct dp_map *map = dp_get_map(agent->dp, "mg_drops");
	__u64 sum[sizeof(struct mg_drop_count) / sizeof(__u64)];

	for (unsigned int hook = 0; hook < MG_HOOK_MAX; hook++) {
		for (unsigned int reason = 1; reason < MG_DROP_MAX; reason++) {
			if (dp_map_sum(map, hook * MG_DROP_SLOTS + reason, sum) < 0 || !sum[0])
				continue;
			fprintf(out, "%s{program=\"%s\",reason=\"%s\"} %llu\n", name,
				dp_hook_name(hook), dp_reason_name(reason),
				(unsigned long long)sum[member]);
		}
	}
}

static void put_all_drops(struct agent *agent, FILE *out)
{
	metric_head(out, "margay_dropped_packets_total", "counter",
		    "Packets dropped, by program and reason.");
	put_drops(agent, out, "margay_dropped_packets_total", 0);
	metric_head(out, "margay_dropped_bytes_total", "counter",
		    "Bytes of packets dropped, by program and reason.");
	put_drops(agent, out, "margay_dropped_bytes_total", 1);
}

static void put_engine(struct agent *agent, FILE *out)
{
	static const char *const maps[PLAN_MAPS] = {
		[PLAN_PAGE] = "mg_pages",	   [PLAN_SET] = "mg_sets",
		[PLAN_CLASS] = "mg_classes",	   [PLAN_VERDICT] = "mg_verdicts",
		[PLAN_SLOT] = "mg_slots",	   [PLAN_COMMIT_ROW] = "mg_commits",
		[PLAN_IDENT_DIG] = "mg_ident_dig", [PLAN_SET_DIG] = "mg_set_dig",
		[PLAN_RULE_DIG] = "mg_rule_dig",
	};
	struct engine_stats stats;

	engine_stats(agent->engine, &stats);
	metric_head(out, "margay_map_rows", "gauge", "Rows in use of the policy maps.");
	for (unsigned int i = 0; i < PLAN_MAPS; i++)
		fprintf(out, "margay_map_rows{map=\"%s\"} %u\n", maps[i], stats.used[i]);
	metric_head(out, "margay_map_rows_limit", "gauge", "Rows the policy maps have room for.");
	for (unsigned int i = 0; i < PLAN_MAPS; i++)
		fprintf(out, "margay_map_rows_limit{map=\"%s\"} %u\n", maps[i], stats.limit[i]);
	gauge(out, "margay_identities", "Identities of addresses on this node.", stats.identities);
	gauge(out, "margay_addresses", "Addresses of pods and nodes known.", stats.addresses);
	gauge(out, "margay_policy_generation", "Number of the last policy commit.",
	      stats.generation);
}

static unsigned long long resident_bytes(void)
{
	unsigned long long pages = 0;
	FILE *file = fopen("/proc/self/statm", "re");

	if (!file)
		return 0;
	if (fscanf(file, "%*u %llu", &pages) != 1)
		pages = 0;
	fclose(file);
	return pages * (unsigned long long)sysconf(_SC_PAGESIZE);
}

static void put_pool(FILE *out, const char *name, const struct ipam_pool_status *pool,
		     unsigned int value)
{
	fprintf(out, "%s{pool=\"%s\"} %u\n", name, pool->name, value);
}

static void put_pools(struct agent *agent, FILE *out, size_t count)
{
	struct ipam_pool_status pool;

	metric_head(out, "margay_ipam_addresses_in_use", "gauge",
		    "Addresses of pods on this node, by pool.");
	for (size_t i = 0; i < count && !ipam_pool_status(agent->ipam, i, &pool); i++)
		put_pool(out, "margay_ipam_addresses_in_use", &pool, pool.used);
	metric_head(out, "margay_ipam_addresses_reserved", "gauge",
		    "Addresses that can be given without a write, by pool.");
	for (size_t i = 0; i < count && !ipam_pool_status(agent->ipam, i, &pool); i++)
		put_pool(out, "margay_ipam_addresses_reserved", &pool, pool.reserve);
	metric_head(out, "margay_ipam_blocks", "gauge", "Blocks of this node, by pool.");
	for (size_t i = 0; i < count && !ipam_pool_status(agent->ipam, i, &pool); i++)
		put_pool(out, "margay_ipam_blocks", &pool, pool.blocks);
}

static void put_ipam(struct agent *agent, FILE *out)
{
	struct ipam_status ipam;

	ipam_read_status(agent->ipam, &ipam);
	gauge(out, "margay_ipam_unwritten_addresses", "Addresses not yet in the datastore.",
	      ipam.unwritten);
	gauge(out, "margay_ipam_conflicts", "Pods' addresses that the store gave to another.",
	      ipam.conflicts);
	gauge(out, "margay_ipam_waiting_requests", "Requests that wait for an address.",
	      ipam.waiting);
	put_pools(agent, out, ipam.pool_count);
}

static void put_rounds(struct agent *agent, FILE *out)
{
	counter(out, "margay_rounds_total", "Turns in which changes were brought into force.",
		agent->rounds);
	metric_head(out, "margay_rounds_seconds_total", "counter",
		    "Time spent on bringing changes into force.");
	fprintf(out, "margay_rounds_seconds_total %llu.%06llu\n", agent->round_usec / 1000000,
		agent->round_usec % 1000000);
	counter(out, "margay_builds_total", "Policy builds.", agent->builds);
	counter(out, "margay_build_failures_total", "Policy builds or writes that failed.",
		agent->build_failures);
}

static bool is_ready(struct agent *agent)
{
	_cleanup_free_ char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);
	bool ready;

	if (!out)
		abort();
	ready = status_ready(agent, out);
	fclose(out);
	return ready;
}

static void metrics(void *context, FILE *out)
{
	struct agent *agent = context;

	gauge(out, "margay_ready", "1 while the node is ready.", is_ready(agent));
	gauge(out, "margay_endpoints", "Local endpoints.", HASH_COUNT(agent->endpoints));
	gauge(out, "margay_uplinks", "Interfaces that carry the netdev programs.",
	      agent->uplink_count);
	gauge(out, "margay_datastore_up", "1 while the datastore is in reach.", !agent->store_down);
	gauge(out, "margay_synced", "1 once the datastore was read whole.", agent->synced);
	gauge(out, "margay_duties_held", "1 on the node that has the cluster's duties.",
	      duties_held(agent));
	gauge(out, "margay_policy_held", "1 while changes of policy wait for policy resume.",
	      history_held(agent));
	gauge(out, "margay_policy_waiting_objects", "Objects that wait for policy resume.",
	      history_waiting(agent));
	counter(out, "margay_host_policy_reverted_total",
		"Times that host policy cut the node off its datastore and was taken back.",
		trial_failures(agent));
	gauge(out, "margay_unconfirmed_objects", "Objects that wait to be confirmed.",
	      confirm_count(agent));
	counter(out, "margay_unconfirmed_reverted_total", "Objects that nobody confirmed in time.",
		agent->confirms_missed);
	metric_head(out, "margay_bad_objects", "gauge",
		    "Objects that are not in force as they are written, by what is wrong.");
	problems_metric(agent, out);
	put_rounds(agent, out);
	put_engine(agent, out);
	put_all_drops(agent, out);
	policy_metrics(agent, out);
	put_ipam(agent, out);
	gauge(out, "process_resident_memory_bytes", "Resident memory of the agent.",
	      resident_bytes());
}

static enum http_client client_of(const struct felix_params *params)
{
	switch ((enum felix_client_auth)params->metrics_client_auth) {
	case FELIX_NO_CLIENT_CERT:
		return HTTP_CLIENT_ANY;
	case FELIX_REQUIRE_ANY_CERT:
		return HTTP_CLIENT_SHOWS;
	case FELIX_VERIFY_CERT_IF_GIVEN:
		return HTTP_CLIENT_VERIFIED_IF_SHOWN;
	case FELIX_REQUIRE_AND_VERIFY_CERT:
		break;
	}
	return HTTP_CLIENT_VERIFIED;
}

static void let_go(struct http **http, const struct http_config *config)
{
	if (!*http || http_is(*http, config))
		return;
	http_free(*http);
	*http = NULL;
}

static int listen_for(struct agent *agent, struct http **http, const struct http_config *config,
		      struct err *err)
{
	const struct http_source source = {
		.live = live, .ready = status_ready, .metrics = metrics, .context = agent
	};

	return *http ? 0 : http_new(agent->base, config, &source, http, err);
}

/* Two, so that a certificate that cannot be used does not take the node's health along. */
int status_listen(struct agent *agent, struct err *err)
{
	const struct felix_params *params = state_params(agent->state);
	const struct http_config health = {
		.health_host = params->health ? params->health_host : NULL,
		.health_port = params->health_port,
		.cert = "",
		.key = "",
		.ca = "",
	};
	const struct http_config numbers = {
		.metrics_host = params->metrics ? params->metrics_host : NULL,
		.metrics_port = params->metrics_port,
		.cert = params->metrics_cert,
		.key = params->metrics_key,
		.ca = params->metrics_ca,
		.client = client_of(params),
	};
	int r, served;

	/* First both, for they may change places. */
	let_go(&agent->health, &health);
	let_go(&agent->metrics, &numbers);
	r = listen_for(agent, &agent->health, &health, err);
	served = listen_for(agent, &agent->metrics, &numbers, r < 0 ? NULL : err);
	return r < 0 ? r : served;
}
