/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Host endpoints of a random world (policy_world.h): labels, expected addresses, with or without
 * the profile that allows; the same for the engine and for the oracle.
 */
#ifndef MARGAY_SELFTESTS_POLICY_HOSTS_H
#define MARGAY_SELFTESTS_POLICY_HOSTS_H

#include "selftests/lib/policy_world.h"

#define PW_HOSTS 2
#define PW_HOST_SLOT 100 /* of the first */

struct pw_host {
	struct label label[PW_LABELS];
	struct labels labels;
	union mg_addr ips[2];
	bool default_allow;
};

struct pw_hosts {
	struct pw_host host[PW_HOSTS];
	struct oracle_host oracle[PW_HOSTS];
};

/* hosts must stay where it is: labels point into it. */
void pw_hosts_random(struct policy_world *world, struct pw_hosts *hosts);
void pw_hosts_tell(const struct pw_hosts *hosts, struct engine *engine);

#endif
