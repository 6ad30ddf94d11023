/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every verb of margayctl gets: where the store and the agent are. Made by main.c, filled from
 * the command line, the environment and calicoctl's configuration file (docs/datastore.md).
 */
#ifndef MARGAY_CTL_CTL_H
#define MARGAY_CTL_CTL_H

#include <argp.h>
#include <stdbool.h>

#include "base/err.h"

struct store;

#define CTL_SOCKET "/run/margay/ctl.sock"
#define CTL_MANIFESTS "/etc/margay/manifests.d"
#define CTL_STORE "dir:/var/lib/margay/store"
#define CTL_CONFIG "/etc/calico/calicoctl.cfg"
#define CTL_AGENT_CONFIG "/etc/margay/agent.yaml"

/* What a field that is not known does to the object that has it (kubectl's --validate). */
enum ctl_unknown { CTL_UNKNOWN_WARN, CTL_UNKNOWN_REFUSE, CTL_UNKNOWN_IGNORE };

struct ctl {
	const char *program;   /* as called: "margayctl", "calicoctl", "kubectl-margay" */
	bool calicoctl;	       /* called by that name: -l is --log-level */
	const char *datastore; /* NULL: not given on the command line */
	const char *manifests;
	const char *config;
	const char *socket;
	const char *ns;	     /* -n before the verb; NULL: not given */
	struct store *store; /* NULL until ctl_store() */
	enum ctl_unknown unknown;
	bool failed; /* an error was printed: the exit status is 1 */
};

/* Options that every verb takes: a child of its argp, whose input is the struct ctl. */
extern const struct argp ctl_argp;

/* Opens the store that is meant. For writing it is made if it is not there. */
int ctl_store(struct ctl *ctl, bool write, struct err *err);
void ctl_done(struct ctl *ctl);

/* A text of the agent's settings (CTL_AGENT_CONFIG); otherwise where it is not there or cannot be
 * read. The caller frees. */
char *ctl_agent_setting(const char *key, const char *otherwise);

/* "error: ..." on stderr; the exit status becomes 1. */
void ctl_error(struct ctl *ctl, const char *format, ...) __attribute__((format(printf, 2, 3)));
void ctl_warning(struct ctl *ctl, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
