/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Host policy on trial: after a change of what judges the node's own traffic the agent asks the
 * datastore for something. Where no answer comes for hostPolicyTrial seconds, the changes since are
 * taken back (history.h) and held until they change in the store, or `policy resume`.
 *
 * Any answer will do, a refusal too. Nothing is asked of a datastore that was out of reach before.
 */
#ifndef MARGAY_AGENT_TRIAL_H
#define MARGAY_AGENT_TRIAL_H

#include "agent/agent.h"

/* A round has put everything into force; hosts: host endpoints judge differently from now on. */
void trial_round(struct agent *agent, bool hosts);
bool trial_pending(const struct agent *agent);
unsigned long trial_failures(const struct agent *agent);
void trial_stop(struct agent *agent);

#endif
