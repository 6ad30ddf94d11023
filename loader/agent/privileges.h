/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the agent may do once it has started: CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON, no new
 * privileges, and no system call that it never needs (SECURITY.md has the list with reasons).
 * A step that needs more holds it for that step: the capability stays in the permitted set and is
 * raised by privileges_raise() alone.
 */
#ifndef MARGAY_AGENT_PRIVILEGES_H
#define MARGAY_AGENT_PRIVILEGES_H

#include <sys/capability.h>

struct err;

/* Drops everything else; cannot be undone. Call when sockets, folders and programs are there. */
int privileges_drop(struct err *err);

/* Adds (drops) a capability to the effective set for one step. */
int privileges_raise(cap_value_t capability, struct err *err);
int privileges_lower(cap_value_t capability, struct err *err);

#endif
