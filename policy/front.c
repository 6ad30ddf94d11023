/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/front.h"

#include "policy/calico.h"
#include "policy/cnp.h"
#include "policy/engine.h"
#include "policy/knp.h"

bool front_is_policy(enum kind kind)
{
	return kind == KIND_NETWORK_POLICY || kind == KIND_CALICO_POLICY ||
	       kind == KIND_GLOBAL_POLICY || kind == KIND_STAGED_POLICY ||
	       kind == KIND_STAGED_GLOBAL_POLICY || kind == KIND_STAGED_KUBERNETES_POLICY ||
	       kind == KIND_CLUSTER_NETWORK_POLICY || kind == KIND_ADMIN_POLICY ||
	       kind == KIND_BASELINE_ADMIN_POLICY;
}

struct policy *front_policy(const struct object *object)
{
	if (object->kind == KIND_NETWORK_POLICY)
		return knp_policy(network_policy_of(object));
	if (object->kind == KIND_STAGED_KUBERNETES_POLICY)
		return knp_policy(staged_network_policy_of(object));
	if (calico_policy_of(object))
		return calico_policy(calico_policy_of(object));
	if (cluster_policy_of(object))
		return cnp_policy(cluster_policy_of(object));
	return NULL;
}

void front_set(struct engine *engine, const struct object *object)
{
	struct policy *policy = front_policy(object);

	if (policy)
		engine_policy_set(engine, policy);
	else
		front_del(engine, object->kind, object->ns, object->name);
}

void front_del(struct engine *engine, enum kind kind, const char *ns, const char *name)
{
	engine_policy_del(engine, kind_info(kind)->group, kind_info(kind)->kind, ns, name);
}
