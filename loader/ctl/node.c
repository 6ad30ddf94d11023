/* SPDX-License-Identifier: Apache-2.0 */
/*
 * margayctl node checksystem, node status and node reset; node plan is plan.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/file.h"
#include "base/rpc.h"
#include "ctl/agent.h"
#include "ctl/remove.h"
#include "ctl/show.h"
#include "ctl/verb.h"
#include "dataplane/probe.h"
#include "dataplane/reset.h"

/* The agent writes it for the plugin. */
#define PREFIX_FILE "/var/lib/margay/cni/interface-prefix"
#define PREFIX_MAX 8

static const struct table_column feature_columns[] = {
	{ .title = "FEATURE", .path = ".feature" },
	{ .title = "PRESENT", .path = ".present" },
	{ .title = "REQUIRED", .path = ".required" },
	{ .title = "DETAIL", .path = ".detail", .empty = "" },
	{ .title = "WITHOUT IT", .path = ".without" },
};

static json_t *probe(struct ctl *ctl, struct err *err)
{
	struct dp_feature features[DP_FEATURE_MAX];
	json_t *rows = json_array();

	(void)err;
	dp_probe(features);
	for (unsigned int i = 0; i < DP_FEATURE_MAX; i++)
		json_array_append_new(rows,
				      json_pack("{s:s,s:b,s:b,s:s,s:s}", "feature",
						features[i].name, "present", features[i].present,
						"required", features[i].required, "detail",
						features[i].detail, "without", features[i].lack));
	for (unsigned int i = 0; i < DP_FEATURE_MAX; i++)
		ctl->failed |= features[i].required && !features[i].present;
	return rows;
}

int verb_node_checksystem(struct ctl *ctl, int argc, char **argv)
{
	const struct show show = { .doc = "What this kernel has, and what a lack costs.",
				   .nothing = "Nothing.",
				   .columns = feature_columns,
				   .count = sizeof(feature_columns) / sizeof(feature_columns[0]) };

	if (show_made(ctl, argc, argv, &show, probe))
		ctl_error(ctl, "this kernel lacks something that Margay cannot do without");
	return ctl->failed;
}

/* --- status -------------------------------------------------------------------------------- */

/* calicoctl lists BGP peers here; there is no BGP yet. */
static const struct table_column status_columns[] = {
	{ .title = "PROCESS", .path = ".process" },
	{ .title = "RUNNING", .path = ".running" },
	{ .title = "READY", .path = ".ready" },
	{ .title = "REASONS", .path = ".reasons", .empty = "" },
	{ .title = "BGP PEERS", .path = ".bgp_peers" },
};

static json_t *process(struct ctl *ctl, struct err *err)
{
	_cleanup_json_ json_t *answer = NULL;
	bool runs = agent_call(ctl, "status", NULL, &answer, err) == 0;

	ctl->failed |= !runs;
	return json_pack("[{s:s, s:b, s:b, s:s, s:[]}]", "process", "margay-agent", "running", runs,
			 "ready", json_is_true(json_at(answer, "status.ready")), "reasons",
			 runs ? json_text_or(answer, "status.reasons", "") : err->text,
			 "bgp_peers");
}

int verb_node_status(struct ctl *ctl, int argc, char **argv)
{
	const struct show show = {
		.doc = "Whether the agent of this node runs and is ready; \"status\" tells more.",
		.columns = status_columns,
		.count = sizeof(status_columns) / sizeof(status_columns[0])
	};

	return show_made(ctl, argc, argv, &show, process);
}

/* --- reset --------------------------------------------------------------------------------- */

struct reset {
	struct ctl *ctl;
	bool yes;
};

static const struct argp_option reset_options[] = {
	{ "yes", 'y', NULL, 0, "do it: without this the command only says what it would do", 0 },
	{ 0 },
};

static error_t parse_reset(int key, char *arg, struct argp_state *state)
{
	struct reset *reset = state->input;

	(void)arg;
	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = reset->ctl;
		return 0;
	case 'y':
		reset->yes = true;
		return 0;
	}
	return ARGP_ERR_UNKNOWN;
}

static bool agent_runs(struct ctl *ctl)
{
	_cleanup_json_ json_t *answer = NULL;
	struct err err;

	return agent_call(ctl, "status", NULL, &answer, &err) == 0;
}

/* What agent and plugin keep; the store is shared by nodes and stays. */
static const char *const own_paths[] = { "/run/margay", "/var/lib/margay/cni",
					 "/var/lib/margay/ipam", "/var/lib/margay/datastore" };

/* interfacePrefix, where it is another than Calico's. */
static bool own_prefix(char ret_prefix[PREFIX_MAX + 1])
{
	_cleanup_free_ char *text = NULL;
	size_t size;

	if (file_read(AT_FDCWD, PREFIX_FILE, PREFIX_MAX, &text, &size) < 0 || !size)
		return false;
	snprintf(ret_prefix, PREFIX_MAX + 1, "%s", text);
	return strcmp(ret_prefix, "cali") != 0;
}

int verb_node_reset(struct ctl *ctl, int argc, char **argv)
{
	static const struct argp_child children[] = { { &ctl_argp, 0, NULL, 0 }, { 0 } };
	const struct argp argp = { .options = reset_options,
				   .parser = parse_reset,
				   .doc = "Removes every program, map, route, interface and file "
					  "of Margay from this node. "
					  "Pods lose their network. The datastore stays.",
				   .children = children };
	const struct dp_reset what = { .link_prefix = "cali" };
	struct reset reset = { .ctl = ctl };
	struct dp_reset_report report = { 0 }, more = { 0 };
	char prefix[PREFIX_MAX + 1];
	struct err err = { 0 };
	int r;

	if (argp_parse(&argp, argc, argv, 0, NULL, &reset))
		return 1;
	if (!reset.yes) {
		printf("would remove: programs on devices, pins below /sys/fs/bpf/margay, "
		       "interfaces cali*, "
		       "the idle VXLAN device, routes of protocol 80, and");
		for (size_t i = 0; i < sizeof(own_paths) / sizeof(own_paths[0]); i++)
			printf(" %s", own_paths[i]);
		printf("\nsay --yes to do it\n");
		return 0;
	}
	if (agent_runs(ctl)) {
		ctl_error(ctl, "margay-agent runs on this node: stop it first");
		return 1;
	}
	r = dp_reset_node(&what, &report, &err);
	if (!r && own_prefix(prefix)) {
		r = dp_reset_node(&(struct dp_reset){ .link_prefix = prefix }, &more, &err);
		report.links += more.links;
		report.detached += more.detached;
	}
	for (size_t i = 0; i < sizeof(own_paths) / sizeof(own_paths[0]); i++) {
		int removed = remove_tree(own_paths[i], r < 0 ? NULL : &err);

		r = r < 0 ? r : removed;
	}
	printf("detached %u programs, deleted %u interfaces, %u routes, %u pins\n", report.detached,
	       report.links, report.routes, report.pins);
	if (r < 0)
		ctl_error(ctl, "%s", err.text);
	return ctl->failed;
}
