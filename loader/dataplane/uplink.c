/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/uplink.h"

bool uplink_matches(const struct net_link *link, const regex_t *pattern)
{
	return !link->master && link->flags & IFF_UP && !regexec(pattern, link->name, 0, NULL, 0);
}
