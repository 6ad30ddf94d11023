/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `margayctl monitor --kernel-drops`: the program on skb:kfree_skb (dataplane/kernel_drops.h) is
 * there from the first watcher that asks for it to the last one's end.
 */
#ifndef MARGAY_AGENT_KERNEL_DROPS_H
#define MARGAY_AGENT_KERNEL_DROPS_H

#include "agent/agent.h"

struct mg_kdrop;

/* Harmless twice. Each record comes to monitor_kernel_drop(), what was too much once a second to
 * monitor_suppressed(). */
int kernel_drops_start(struct agent *agent, struct err *err);
void kernel_drops_stop(struct agent *agent);

/* A pod came (its namespace is known), or goes. */
void kernel_drops_watch(struct agent *agent, const struct endpoint *endpoint);
void kernel_drops_forget(struct agent *agent, const struct endpoint *endpoint);

/* What is no field of an ordinary record: reason, function, pod ("namespace/name", "" on the node
 * itself). */
void kernel_drop_names(struct agent *agent, const struct mg_kdrop *drop, json_t *record);

#endif
