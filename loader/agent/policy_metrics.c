/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/policy_metrics.h"

#include <stdlib.h>

#include "agent/counters.h"
#include "agent/status.h"
#include "policy/rule.h"

struct policy_metric {
	const char *name;
	const char *help;
	__u64 (*of)(const struct mg_rule_stats *stats);
};

static __u64 connections(const struct mg_rule_stats *stats)
{
	return stats->connections;
}

static __u64 packets(const struct mg_rule_stats *stats)
{
	return stats->packets;
}

static __u64 bytes(const struct mg_rule_stats *stats)
{
	return stats->bytes;
}

static const struct policy_metric metrics[] = {
	{ "margay_policy_connections_total", "Connections that rules decided about, or logged.",
	  connections },
	{ "margay_policy_packets_total", "Packets that rules decided about, or logged.", packets },
	{ "margay_policy_bytes_total", "Bytes of these packets.", bytes },
};

static const char *action_label(enum rule_action action)
{
	switch (action) {
	case RULE_ALLOW:
		return "allow";
	case RULE_DENY:
		return "deny";
	case RULE_PASS:
		return "pass";
	case RULE_LOG:
		return "log";
	}
	return "";
}

/* As the text format wants a label's value. */
static void put_value(FILE *out, const char *text)
{
	for (; *text; text++) {
		if (*text == '\n') {
			fputs("\\n", out);
			continue;
		}
		if (*text == '"' || *text == '\\')
			fputc('\\', out);
		fputc(*text, out);
	}
}

static void put_label(FILE *out, const char *name, const char *value)
{
	fprintf(out, "%s=\"", name);
	put_value(out, value);
	fputc('"', out);
}

static void put_sum(FILE *out, const struct policy_metric *metric, const struct counter_sum *sum)
{
	fprintf(out, "%s{", metric->name);
	put_label(out, "kind", sum->policy->kind);
	put_label(out, ",policy_group", sum->policy->group);
	put_label(out, ",policy_namespace", sum->policy->namespace);
	put_label(out, ",policy", sum->policy->name);
	put_label(out, ",tier", sum->policy->tier);
	fprintf(out, ",direction=\"%s\",action=\"%s\"} %llu\n",
		sum->direction == POLICY_IN ? "ingress" : "egress", action_label(sum->action),
		(unsigned long long)metric->of(&sum->sum));
}

void policy_metrics(struct agent *agent, FILE *out)
{
	const struct counters *counters = counters_recent(agent);
	size_t count;
	struct counter_sum *sums = counters_by_policy(agent, counters, &count);

	for (size_t m = 0; m < sizeof(metrics) / sizeof(metrics[0]); m++) {
		metric_head(out, metrics[m].name, "counter", metrics[m].help);
		for (size_t i = 0; i < count; i++)
			put_sum(out, &metrics[m], &sums[i]);
	}
	metric_head(out, "margay_policy_rules_uncounted", "gauge",
		    "Rules in force beyond the map of counters: judged, not counted.");
	fprintf(out, "margay_policy_rules_uncounted %u\n", counters_left_out(agent));
	free(sums);
}
