/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which plugins the runtime runs behind this one. A plugin is told its own configuration alone;
 * what follows stands in the network list, which is looked for in the runtime's folder (`net_dir`)
 * by the network's name and by our configuration as it stands there.
 */
#ifndef MARGAY_CNI_CHAIN_H
#define MARGAY_CNI_CHAIN_H

#include <stdbool.h>

struct cni_config;

/* Nothing behind ours wants the place of clsact at the host's interface, as `bandwidth` does with
 * its `ingress` qdisc. False also where the list is not found, or a plugin in it is not known. */
bool chain_leaves_clsact(const struct cni_config *config);

#endif
