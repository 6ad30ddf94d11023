/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/oracle.h"

#include <math.h>
#include <string.h>

#include "base/arena.h"
#include "base/inet.h"
#include "model/calico.h"
#include "model/cluster_policy.h"
#include "model/netpol.h"

const struct oracle_pod *oracle_owner(const struct oracle_world *world, const union mg_addr *addr)
{
	for (size_t i = 0; i < world->pod_count; i++)
		for (size_t k = 0; k < world->pods[i].ip_count; k++)
			if (!addr_cmp(&world->pods[i].ips[k], addr))
				return &world->pods[i];
	return NULL;
}

bool oracle_in_net(const struct mg_prefix *net, const union mg_addr *addr)
{
	return prefix_is4(net) == addr_is4(addr) && prefix_contains(net, addr);
}

/* --- tiers --------------------------------------------------------------------------------- */

struct tier {
	const char *name; /* NULL: there is no such tier */
	double order;
	bool pass;
};

/* "default" ends in Deny; kube-admin before and kube-baseline behind it in Pass. */
static struct tier tier_named(const struct oracle_world *world, const char *name)
{
	if (!strcmp(name, "default"))
		return (struct tier){ "default", 1e6, false };
	if (!strcmp(name, "kube-admin"))
		return (struct tier){ "kube-admin", 1e3, true };
	if (!strcmp(name, "kube-baseline"))
		return (struct tier){ "kube-baseline", 1e7, true };
	for (size_t i = 0; i < world->tier_count; i++)
		if (!strcmp(world->tiers[i]->base.name, name))
			return (struct tier){ world->tiers[i]->base.name, world->tiers[i]->order,
					      world->tiers[i]->end_pass };
	return (struct tier){};
}

/* --- what applies, in order ---------------------------------------------------------------- */

struct applied {
	const struct object *object;
	struct tier tier;
	double order;
	char *text; /* "name/namespace/kind" */
};

static const char *tier_of_policy(const struct object *object)
{
	if (cluster_policy_of(object))
		return cluster_policy_of(object)->baseline ? "kube-baseline" : "kube-admin";
	return calico_policy_of(object) ? calico_policy_of(object)->tier : "default";
}

/* A NetworkPolicy of Kubernetes is a policy of order 1000. */
static double order_of_policy(const struct object *object)
{
	if (cluster_policy_of(object))
		return cluster_policy_of(object)->priority;
	return calico_policy_of(object) ? calico_policy_of(object)->order : 1000;
}

/* Of either of the two kinds. */
static const struct network_policy *kubernetes(const struct object *object)
{
	return object->kind == KIND_NETWORK_POLICY ? network_policy_of(object)
						   : staged_network_policy_of(object);
}

static bool is_staged(const struct object *object, enum calico_staged *ret_action)
{
	if (object->kind == KIND_STAGED_KUBERNETES_POLICY)
		*ret_action = staged_network_policy_of(object)->staged;
	else if (object->kind == KIND_STAGED_POLICY || object->kind == KIND_STAGED_GLOBAL_POLICY)
		*ret_action = calico_policy_of(object)->staged;
	else
		return false;
	return true;
}

static enum kind counterpart(enum kind kind)
{
	if (kind == KIND_NETWORK_POLICY)
		return KIND_STAGED_KUBERNETES_POLICY;
	return kind == KIND_CALICO_POLICY ? KIND_STAGED_POLICY : KIND_STAGED_GLOBAL_POLICY;
}

static bool has_counterpart(const struct oracle_world *world, const struct object *object)
{
	enum calico_staged action;

	for (size_t i = 0; i < world->policy_count; i++) {
		const struct object *other = world->policies[i];

		if (other->kind == counterpart(object->kind) && !strcmp(other->ns, object->ns) &&
		    !strcmp(other->name, object->name) && is_staged(other, &action) &&
		    (action == CALICO_SET || action == CALICO_DELETE))
			return true;
	}
	return false;
}

/* Is it there at all: staged policies are not enforced, and pending ones replace. */
static bool counts(const struct object *object, const struct oracle_question *q)
{
	enum calico_staged action;

	if (is_staged(object, &action))
		return q->pending && action == CALICO_SET;
	return !q->pending || cluster_policy_of(object) || !has_counterpart(q->world, object);
}

static bool applies(const struct object *object, const struct oracle_question *q)
{
	/* Kubernetes' kinds speak of pods. */
	if (q->host && !calico_policy_of(object))
		return false;
	if (kubernetes(object))
		return oracle_knp_applies(kubernetes(object), q);
	if (cluster_policy_of(object))
		return oracle_cnp_applies(cluster_policy_of(object), q);
	return oracle_calico_applies(calico_policy_of(object), q);
}

static int compare(double a, double b)
{
	return a < b ? -1 : a > b;
}

/* Lower orders first, none is last; equal tiers by name, equal policies by their text. */
static int applied_cmp(const void *a, const void *b)
{
	const struct applied *x = a, *y = b;
	int order = compare(x->tier.order, y->tier.order);

	if (!order)
		order = strcmp(x->tier.name, y->tier.name);
	if (!order)
		order = compare(x->order, y->order);
	if (!order)
		order = strcmp(x->text, y->text);
	return order ? order : strcmp(x->object->api, y->object->api);
}

static size_t gather(const struct oracle_question *q, struct applied *list)
{
	size_t count = 0;

	for (size_t i = 0; i < q->world->policy_count; i++) {
		const struct object *object = q->world->policies[i];
		struct tier tier = tier_named(q->world, tier_of_policy(object));

		if (!tier.name || !counts(object, q) || !applies(object, q))
			continue;
		list[count++] = (struct applied){
			.object = object,
			.tier = tier,
			.order = order_of_policy(object),
			.text = xasprintf("%s/%s/%s", object->name, object->ns,
					  kind_info(object->kind)->kind),
		};
	}
	if (count)
		qsort(list, count, sizeof(*list), applied_cmp);
	return count;
}

/* --- verdict ------------------------------------------------------------------------------- */

static enum oracle_answer judge(const struct object *object, const struct oracle_question *q)
{
	if (kubernetes(object))
		return oracle_knp_judge(kubernetes(object), q);
	if (cluster_policy_of(object))
		return oracle_cnp_judge(cluster_policy_of(object), q);
	return oracle_calico_judge(calico_policy_of(object), q);
}

/* The policies of one tier, and its end where none of them decides. */
static enum oracle_answer judge_tier(const struct applied *list, size_t count,
				     const struct oracle_question *q)
{
	for (size_t i = 0; i < count; i++) {
		enum oracle_answer answer = judge(list[i].object, q);

		if (answer != ORACLE_NO_MATCH)
			return answer;
	}
	/* Untracked and preDNAT policies: what no rule decides goes on to the other stages. */
	if (q->host && (q->stage == MG_STAGE_UNTRACKED_IN || q->stage == MG_STAGE_UNTRACKED_OUT ||
			q->stage == MG_STAGE_PREDNAT))
		return ORACLE_PASS;
	return list->tier.pass ? ORACLE_PASS : ORACLE_DENY;
}

static size_t same_tier(const struct applied *list, size_t count)
{
	size_t n = 1;

	while (n < count && !strcmp(list[n].tier.name, list->tier.name))
		n++;
	return n;
}

static enum oracle_answer judge_all(const struct applied *list, size_t count,
				    const struct oracle_question *q)
{
	for (size_t at = 0, n; at < count; at += n) {
		enum oracle_answer answer;

		n = same_tier(list + at, count - at);
		answer = judge_tier(list + at, n, q);
		if (answer != ORACLE_PASS)
			return answer;
	}
	return ORACLE_NO_MATCH;
}

static enum oracle_answer answer(const struct oracle_question *q)
{
	struct applied *list = xcalloc(q->world->policy_count + 1, sizeof(*list));
	size_t count = gather(q, list);
	enum oracle_answer found = judge_all(list, count, q);

	for (size_t i = 0; i < count; i++)
		free(list[i].text);
	free(list);
	return found;
}

/* Where no tier decides, the profile of the pod's namespace does: it allows. */
bool oracle_allows(const struct oracle_world *world, const struct oracle_pod *pod,
		   enum policy_direction direction, const struct oracle_packet *packet)
{
	const struct oracle_question q = {
		.world = world, .pod = pod, .direction = direction, .packet = packet
	};

	return answer(&q) != ORACLE_DENY;
}

bool oracle_pending(const struct oracle_world *world, const struct oracle_pod *pod,
		    enum policy_direction direction, const struct oracle_packet *packet)
{
	const struct oracle_question q = { .world = world,
					   .pod = pod,
					   .direction = direction,
					   .packet = packet,
					   .pending = true };

	return answer(&q) != ORACLE_DENY;
}

/* --- host endpoints ------------------------------------------------------------------------ */

static enum policy_direction direction_of(enum mg_stage stage)
{
	return stage == MG_STAGE_UNTRACKED_OUT || stage == MG_STAGE_FORWARD_OUT ||
			       stage == MG_STAGE_NORMAL_OUT
		       ? POLICY_OUT
		       : POLICY_IN;
}

/* The node's own traffic is denied where neither policy nor profile decides; what is passed on is
 * not. */
enum oracle_answer oracle_host(const struct oracle_world *world, const struct oracle_host *host,
			       enum mg_stage stage, const struct oracle_packet *packet)
{
	const struct oracle_question q = { .world = world,
					   .direction = direction_of(stage),
					   .packet = packet,
					   .host = host,
					   .stage = stage };
	enum oracle_answer found = answer(&q);

	if (found != ORACLE_NO_MATCH ||
	    (stage != MG_STAGE_NORMAL_IN && stage != MG_STAGE_NORMAL_OUT))
		return found;
	return host->default_allow ? ORACLE_ALLOW : ORACLE_DENY;
}
