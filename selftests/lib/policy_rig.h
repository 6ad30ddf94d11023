/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A random world (policy_world.h) in the maps of two loads of the programs: the trace copy, and one
 * without the step log that shares the rows of the model and has flows and counters of its own.
 */
#ifndef MARGAY_SELFTESTS_POLICY_RIG_H
#define MARGAY_SELFTESTS_POLICY_RIG_H

#include "selftests/lib/fixture.h"
#include "selftests/lib/policy_hosts.h"
#include "selftests/lib/policy_kernel.h"
#include "selftests/lib/policy_world.h"

#define RIG_UPLINK 77

struct rig {
	struct fixture fx;
	struct fixture plain; /* without the step log */
	struct policy_world world;
	struct pw_hosts hosts;
	struct policy_kernel *kernel;
	struct engine *engine;
	unsigned int verdicts;
	unsigned int allowed;
	unsigned int host_verdicts;
	unsigned int staged; /* verdicts of staged sets */
	uint16_t port;	     /* the next source port: every packet opens a flow */
};

extern struct rig rig;

/* Group set-up and tear-down. */
int rig_open(void **state);
int rig_close(void **state);

/* Whatever a world before left goes; rows that the new engine does not name are never read. */
void rig_clear(void);
/* The engine's plans into the maps, until nothing is pending. */
void rig_settle(void);
void rig_put_endpoints(void);
/* The first host endpoint is the uplink's, the second for all interfaces; in every third world
 * there is none. */
void rig_put_hosts(uint64_t turn);

/* NULL: no pod has the address. */
const struct pw_pod *rig_pod_at(const union mg_addr *addr);

#endif
