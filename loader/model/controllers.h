/* SPDX-License-Identifier: Apache-2.0 */
/*
 * KubeControllersConfiguration (projectcalico.org/v3), the one object "default": what of it
 * concerns margay-controller.
 */
#ifndef MARGAY_MODEL_CONTROLLERS_H
#define MARGAY_MODEL_CONTROLLERS_H

#include <stdint.h>

#include "abi/addr.h"
#include "model/object.h"

struct selector;

/* controllers.node.hostEndpoint.templates[]: a host endpoint of each node that it selects. */
struct host_template {
	const char *name; /* generateName: part of the endpoint's name */
	size_t net_count;
	struct mg_prefix *nets; /* interfaceCIDRs: of the node's addresses those within */
	const char *pattern;	/* interfacePattern; "": none. It has no effect */
	struct labels labels;
	const struct selector *nodes; /* NULL: all */
};

#define CONTROLLERS_HAS_LEAK_GRACE (1ULL << 0)

struct kube_controllers {
	struct object base;
	uint64_t has;
	int auto_create;      /* hostEndpoint.autoCreate */
	int default_endpoint; /* hostEndpoint.createDefaultHostEndpoint */
	size_t template_count;
	struct host_template *templates;
	uint32_t leak_grace_ms; /* where it is given; 0: never */
};

static inline const struct kube_controllers *kube_controllers_of(const struct object *object)
{
	return object && object->kind == KIND_KUBE_CONTROLLERS_CONFIG
		       ? (const struct kube_controllers *)object
		       : NULL;
}

#endif
