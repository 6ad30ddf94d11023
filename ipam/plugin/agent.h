/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One run of margay-ipam, its requests to the agent, and the release that waits on disk while the
 * agent does not answer (docs/cni-socket.md, "What DEL could not tell").
 */
#ifndef MARGAY_IPAM_PLUGIN_AGENT_H
#define MARGAY_IPAM_PLUGIN_AGENT_H

#include <jansson.h>

#include "cni/config.h"
#include "cni/env.h"
#include "cni/error.h"

struct arena;

struct plugin_run {
	struct arena *arena;
	struct cni_env env;
	struct cni_config config;
	struct cni_error error;
	json_t *output; /* printed at the end; NULL: nothing */
};

/* The agent's own refusal becomes the plugin's. ret_answer may be NULL. -ENOTCONN: nobody is
 * there; -EAGAIN: no answer in time. */
int agent_ask(struct plugin_run *run, const char *op, json_t **ret_answer);

/* Leaves the release on disk. */
int release_keep(struct plugin_run *run);
/* Tells the agent what waits for this attachment, and removes it. */
int release_flush(struct plugin_run *run);

#endif
