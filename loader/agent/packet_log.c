/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/packet_log.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "agent/event_json.h"
#include "agent/log_rate.h"
#include "agent/monitor.h"
#include "agent/show.h"
#include "base/arena.h"
#include "base/inet.h"
#include "base/json.h"
#include "base/rpc.h"
#include "base/utc.h"
#include "dataplane/names.h"

struct packet_log {
	struct log_rate *rate; /* by rule number */
	uint32_t count;
};

/* Of a boot time. */
static const char *wall_text(__u64 boot, char *text)
{
	struct timespec real, now;
	long long ns;

	clock_gettime(CLOCK_REALTIME, &real);
	clock_gettime(CLOCK_BOOTTIME, &now);
	ns = ((long long)real.tv_sec - now.tv_sec) * 1000000000 + real.tv_nsec - now.tv_nsec +
	     (long long)boot;
	return utc_format((uint64_t)(ns / 1000000), text);
}

static json_t *line_of(struct agent *agent, const struct mg_event *event, uint32_t rule,
		       uint64_t left_out)
{
	_cleanup_free_ char *from = event_end(agent, &event->src),
			    *to = event_end(agent, &event->dst);
	char src[ADDR_TEXT_MAX], dst[ADDR_TEXT_MAX], when[UTC_TEXT_MAX];
	json_t *line = json_pack(
		"{s:s,s:s,s:s,s:s,s:o,s:s,s:s,s:s,s:s,s:s,s:i,s:i,s:i,s:i,s:s}", "time",
		wall_text(event->time, when), "level", "info", "msg", "packet", "node",
		agent->config.node, "rule", show_rule(agent, rule), "verdict",
		event_dropped(event) ? "denied" : "allowed", "from", from, "to", to, "src",
		addr_format(&event->src, src), "dst", addr_format(&event->dst, dst), "proto",
		event->proto, "sport", ntohs(event->sport), "dport", ntohs(event->dport), "length",
		(int)event->length, "hook", dp_hook_name(event->hook));

	if (event_dropped(event))
		json_object_set_new(line, "reason", json_string(dp_reason_name(event->reason)));
	if (left_out)
		json_object_set_new(line, "left_out", json_integer((json_int_t)left_out));
	return line;
}

/* One write, as every line of the log. */
static void put_line(const json_t *line)
{
	_cleanup_free_ char *text = json_dumps(line, JSON_COMPACT);
	_cleanup_free_ char *ended = text ? xasprintf("%s\n", text) : NULL;

	if (ended && write(STDERR_FILENO, ended, strlen(ended)) < 0)
		return; /* nobody reads it: as log_line() */
}

static struct log_rate *rate_of(struct packet_log *log, uint32_t rule)
{
	if (rule >= log->count) {
		log->rate = xrealloc(log->rate, rule + 1, sizeof(*log->rate));
		memset(log->rate + log->count, 0, (rule + 1 - log->count) * sizeof(*log->rate));
		log->count = rule + 1;
	}
	return &log->rate[rule];
}

static void log_rule(struct agent *agent, const struct mg_event *event, uint32_t rule)
{
	const struct felix_params *params = state_params(agent->state);
	const struct felix_rate *limit = &params->log_rate;
	_cleanup_json_ json_t *line = NULL;
	uint64_t left_out;

	if (rule >= MG_RULES_MAX ||
	    !log_rate_takes(rate_of(agent->packet_log, rule), rpc_now(), limit->count,
			    (int64_t)limit->seconds * 1000, params->log_burst, &left_out))
		return;
	line = line_of(agent, event, rule, left_out);
	put_line(line);
}

void packet_log(struct agent *agent, const struct mg_event *event)
{
	for (unsigned int i = 0; agent->packet_log && i < MG_LOG_RULES && event->log_rule[i]; i++)
		log_rule(agent, event, event->log_rule[i]);
}

void packet_log_look(struct agent *agent)
{
	bool wanted = engine_has_log(agent->engine);

	if (wanted == !!agent->packet_log)
		return;
	if (wanted)
		agent->packet_log = xcalloc(1, sizeof(*agent->packet_log));
	else
		packet_log_stop(agent);
	monitor_logs(agent);
}

void packet_log_stop(struct agent *agent)
{
	if (!agent->packet_log)
		return;
	free(agent->packet_log->rate);
	free(agent->packet_log);
	agent->packet_log = NULL;
}
