/* SPDX-License-Identifier: Apache-2.0 */
/* ClusterInformation (projectcalico.org/v3), the one object "default". */
#ifndef MARGAY_MODEL_CLUSTER_H
#define MARGAY_MODEL_CLUSTER_H

#include "model/object.h"

struct cluster_info {
	struct object base;
	const char *guid; /* "" : not given, like every string here */
	const char *type; /* clusterType */
	const char *calico_version;
	const char *variant;
	bool datastore_ready; /* by default true; false: plugin and agent refuse to start */
};

static inline const struct cluster_info *cluster_info_of(const struct object *object)
{
	return object && object->kind == KIND_CLUSTER_INFO ? (const struct cluster_info *)object
							   : NULL;
}

#endif
