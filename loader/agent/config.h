/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an agent is told at its start: command line over environment over /etc/margay/agent.yaml
 * over built-in values. What may change while it runs is FelixConfiguration
 *(docs/configuration.md).
 *
 * agent.yaml has the long options' names in camel case:
 *	nodeName: n1
 *	datastore: dir:/var/lib/margay/store
 *	ipv4: autodetect		# or a method, an address with prefix, or none
 */
#ifndef MARGAY_AGENT_CONFIG_H
#define MARGAY_AGENT_CONFIG_H

#include "base/log.h"

struct err;

struct agent_config {
	char *file;	 /* agent.yaml; may be absent unless named on the command line */
	char *node;	 /* default: the host's name in lower case */
	char *datastore; /* "dir:/var/lib/margay/store" */
	char *manifests; /* /etc/margay/manifests.d; absent is fine */
	char *bpffs;	 /* /sys/fs/bpf/margay */
	char *cgroup;	 /* NULL: cgroupV2Path, else where a cgroup2 hierarchy is mounted */
	char *run_dir;	 /* /run/margay: sockets */
	char *state_dir; /* /var/lib/margay: journal, attachments */
	char *ip4;	 /* "autodetect", a method, "none", "10.0.0.1/24" */
	char *ip6;
	char *ip4_method; /* what autodetect is: dataplane/detect.h */
	char *ip6_method;
	char *log_level;
	char *host_trial_text;
	unsigned int host_trial; /* seconds that host policy may cut the store off; 0: for ever */
	enum log_level level;
};

/* Fills config; what it points to lives until agent_config_done(). Prints usage and ends the
 * process on --help and on a wrong option, as argp does. */
int agent_config_load(struct agent_config *config, int argc, char **argv, struct err *err);
void agent_config_done(struct agent_config *config);

#endif
