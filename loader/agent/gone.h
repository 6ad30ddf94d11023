/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Attachments whose interface has gone without a DEL: of a runtime that never calls it (`ctr run
 * --cni`), or was killed together with its containers. What nobody has asked for again a while
 * later is released as DEL would, and its record with it. A DEL that comes after all finds nothing
 * to do.
 *
 * Where another IPAM plugin owns the addresses they stay: only DEL and GC can give them back.
 */
#ifndef MARGAY_AGENT_GONE_H
#define MARGAY_AGENT_GONE_H

#include "agent/agent.h"

/* The host's side of the endpoint is not there (any more). */
void gone_note(struct agent *agent, struct endpoint *endpoint);
void gone_stop(struct agent *agent);

#endif
