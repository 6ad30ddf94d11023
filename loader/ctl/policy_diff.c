/* SPDX-License-Identifier: Apache-2.0 */
/*
 * margayctl policy diff: the objects that `apply` would store are sent to this node's agent, which
 * says whose verdicts change. Exit status 0: none; 1: some; 2: it could not be found out.
 */
#include <netinet/in.h>
#include <string.h>

#include "base/arena.h"
#include "base/json.h"
#include "ctl/agent.h"
#include "ctl/apply.h"
#include "ctl/job.h"
#include "ctl/table.h"
#include "ctl/verb.h"

#define OP "policy-diff"
#define SHOWN_MAX 3 /* names in a cell */
#define STATUS_SAME 0
#define STATUS_DIFFERS 1
#define STATUS_FAILED 2

/* --- cells --------------------------------------------------------------------------------- */

/* "a, b, c (+12)": the first ones, and how many more there are. */
static char *some(const json_t *list, json_int_t count, char *(*name)(const json_t *one))
{
	char *text = NULL;
	size_t size, i;
	FILE *out = open_memstream(&text, &size);
	json_t *one;

	json_array_foreach(list, i, one) {
		_cleanup_free_ char *word = i < SHOWN_MAX ? name(one) : NULL;

		if (word)
			fprintf(out, "%s%s", i ? ", " : "", word);
	}
	if (count > SHOWN_MAX)
		fprintf(out, " (+%lld)", (long long)count - SHOWN_MAX);
	fclose(out);
	return text;
}

static json_int_t number(const json_t *object, const char *key)
{
	return json_integer_value(json_object_get(object, key));
}

static char *endpoint_name(const json_t *one)
{
	const char *host = json_text_at(one, "host_endpoint");

	if (host)
		return xasprintf("HostEndpoint %s", host);
	return xasprintf("%s/%s", json_text_or(one, "namespace", "?"),
			 json_text_or(one, "pod", "?"));
}

static char *peer_name(const json_t *one)
{
	return xstrdup(json_text_or(one, "pod", json_text_or(one, "net", "?")));
}

static const json_t *change_of(const json_t *row)
{
	return json_object_get(row, "change");
}

static char *endpoints(const json_t *row)
{
	const json_t *change = change_of(row);

	return some(json_object_get(change, "endpoints"), number(change, "endpoint_count"),
		    endpoint_name);
}

static char *direction(const json_t *row)
{
	const char *stage = json_text_or(change_of(row), "stage", "?");
	const char *way = json_text_or(change_of(row), "direction", "?");

	return strcmp(stage, "pod") ? xasprintf("%s (%s)", way, stage) : xstrdup(way);
}

static char *peers(const json_t *row)
{
	const json_t *change = change_of(row);
	char *far = some(json_object_get(change, "peers"), number(change, "peer_count"), peer_name);
	_cleanup_free_ char *own = far, *near = NULL;

	if (!number(change, "near_count"))
		return TAKE_PTR(own);
	near = some(json_object_get(change, "near"), number(change, "near_count"), peer_name);
	return xasprintf("%s at %s", far, near);
}

static char *traffic(const json_t *row)
{
	const json_t *one = json_object_get(row, "traffic");
	const char *ports = json_text_or(one, "ports", json_text_at(one, "types"));
	const char *source = json_text_at(one, "source_ports");

	return xasprintf("%s%s%s%s%s", json_text_or(one, "protocol", "?"), ports ? " " : "",
			 ports ? ports : "", source ? " from port " : "", source ? source : "");
}

static char *verdict(const json_t *at)
{
	const json_t *rule = json_object_get(at, "rule");

	if (!json_is_object(rule))
		return xasprintf("%s by %s", json_text_or(at, "verdict", "?"),
				 json_text_or(at, "by", "?"));
	return xasprintf("%s by %s rule %lld", json_text_or(at, "verdict", "?"),
			 json_text_or(at, "by", "?"), (long long)number(rule, "rule"));
}

static char *before(const json_t *row)
{
	const json_t *one = json_object_get(row, "traffic");

	return verdict(json_object_get(json_is_object(one) ? one : row, "before"));
}

static char *after(const json_t *row)
{
	const json_t *one = json_object_get(row, "traffic");

	return verdict(json_object_get(json_is_object(one) ? one : row, "after"));
}

static char *protocol(const json_t *row)
{
	json_int_t proto = number(row, "proto");
	static const char *const names[] = { [IPPROTO_TCP] = "tcp",
					     [IPPROTO_UDP] = "udp",
					     [IPPROTO_ICMP] = "icmp",
					     [IPPROTO_ICMPV6] = "icmpv6",
					     [IPPROTO_SCTP] = "sctp" };

	if (proto >= 0 && proto < (json_int_t)(sizeof(names) / sizeof(names[0])) && names[proto])
		return xstrdup(names[proto]);
	return xasprintf("%lld", (long long)proto);
}

/* --- tables -------------------------------------------------------------------------------- */

static const struct table_column change_columns[] = {
	{ .title = "ENDPOINT", .text = endpoints }, { .title = "DIRECTION", .text = direction },
	{ .title = "PEERS", .text = peers },	    { .title = "TRAFFIC", .text = traffic },
	{ .title = "BEFORE", .text = before },	    { .title = "AFTER", .text = after },
};

static const struct table_column policy_columns[] = {
	{ .title = "FLOWS", .path = ".flows" },
	{ .title = "BEFORE", .text = before },
	{ .title = "AFTER", .text = after },
};

static const struct table_column flow_columns[] = {
	{ .title = "PROTO", .text = protocol }, { .title = "SOURCE", .path = ".src" },
	{ .title = "SPORT", .path = ".sport" }, { .title = "DESTINATION", .path = ".dst" },
	{ .title = "DPORT", .path = ".dport" }, { .title = "SIDE", .path = ".side" },
	{ .title = "BEFORE", .text = before },	{ .title = "AFTER", .text = after },
};

#define PRINT(columns, rows)                                                                       \
	table_print(stdout,                                                                        \
		    &(struct table){ columns, sizeof(columns) / sizeof((columns)[0]), false,       \
				     output->no_headers },                                         \
		    rows)

static json_t *change_rows(const json_t *diff)
{
	json_t *rows = json_array(), *change, *one;
	size_t i, k;

	json_array_foreach(json_object_get(diff, "changes"), i, change)
		json_array_foreach(json_object_get(change, "traffic"), k, one)
			json_array_append_new(
				rows, json_pack("{s:O,s:O}", "change", change, "traffic", one));
	return rows;
}

static void print_flows(const struct output *output, const json_t *flows)
{
	json_int_t changed = number(flows, "changed");

	printf("%lld of %lld live flows get another verdict.\n", (long long)changed,
	       (long long)number(flows, "checked"));
	if (!changed)
		return;
	printf("\n");
	PRINT(policy_columns, json_object_get(flows, "by_policy"));
	printf("\n");
	PRINT(flow_columns, json_object_get(flows, "list"));
	if (changed > (json_int_t)json_array_size(json_object_get(flows, "list")))
		printf("and %lld more\n",
		       (long long)changed -
			       (long long)json_array_size(json_object_get(flows, "list")));
}

static void print_text(const struct output *output, const json_t *diff)
{
	_cleanup_json_ json_t *rows = change_rows(diff);
	json_t *title;
	size_t i;

	json_array_foreach(json_object_get(diff, "ignored"), i, title)
		fprintf(stderr, "%s: is not compared\n", json_string_value(title));
	if (json_array_size(rows))
		PRINT(change_columns, rows);
	else
		printf("No verdict of this node's endpoints changes.\n");
	if (number(diff, "changes_left_off"))
		printf("and %lld more\n", (long long)number(diff, "changes_left_off"));
	printf("\n");
	print_flows(output, json_object_get(diff, "flows"));
}

static void print(struct ctl *ctl, const struct output *output, const json_t *diff)
{
	struct err err;

	if (output->format == OUTPUT_TABLE || output->format == OUTPUT_WIDE)
		print_text(output, diff);
	else if (output_tree(output, diff, json_object_get(diff, "changes"), &err) < 0)
		ctl_error(ctl, "%s", err.text);
}

/* --- asking -------------------------------------------------------------------------------- */

/* What comes from a manifest is what the file says; what is stored is merged as apply does. */
static int prepare(struct jobs *jobs, struct job *job, struct err *err)
{
	_cleanup_free_ char *file = NULL;
	int r;

	if (!job->current || store_origin(jobs->options->ctl->store, &job->key, &file) < 0)
		return apply_prepare(jobs, job, err);
	r = apply_prepare(jobs, job, err);
	if (r < 0)
		return r;
	json_decref(job->wanted);
	job->wanted = json_deep_copy(job->input);
	job->write = true;
	return 0;
}

static json_t *request_of(const struct jobs *jobs)
{
	json_t *objects = json_array();

	for (size_t i = 0; i < jobs->count; i++)
		if (jobs->all[i].write && jobs->all[i].wanted)
			json_array_append(objects, jobs->all[i].wanted);
	return json_pack("{s:o}", "objects", objects);
}

static void ask(struct jobs *jobs)
{
	struct ctl *ctl = jobs->options->ctl;
	_cleanup_json_ json_t *request = request_of(jobs), *answer = NULL;
	const json_t *diff;
	struct err err;

	if (ctl->failed)
		return;
	if (agent_call(ctl, OP, request, &answer, &err) < 0) {
		ctl_error(ctl, "%s", err.text);
		return;
	}
	diff = json_object_get(answer, OP);
	print(ctl, &jobs->options->output, diff);
	*(bool *)jobs->arg = json_array_size(json_object_get(diff, "changes")) ||
			     number(json_object_get(diff, "flows"), "changed");
}

int verb_policy_diff(struct ctl *ctl, int argc, char **argv)
{
	static const struct options_spec spec = {
		.takes = TAKE_FILES | TAKE_VALIDATE | TAKE_NAMESPACE | TAKE_OUTPUT,
		.doc = "Which verdicts would change on this node if the files were applied: of "
		       "endpoints by peer and port, and of live flows. Changes nothing. Exit "
		       "status: 0 none, 1 some, 2 and above an error.",
	};
	_cleanup_(options_done) struct options options = { .ctl = ctl };
	bool differs = false;
	struct jobs jobs = { .options = &options,
			     .doing = "comparing",
			     .prepare = prepare,
			     .check = true,
			     .arg = &differs,
			     .report = ask };

	options_parse(&options, &spec, argc, argv);
	options.dry_run = true;
	if (run_on_files(&jobs))
		return STATUS_FAILED;
	return differs ? STATUS_DIFFERS : STATUS_SAME;
}
