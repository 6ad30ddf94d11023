/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/oracle.h"

#include <math.h>
#include <string.h>

#include "base/arena.h"
#include "base/inet.h"
#include "model/calico.h"
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
	return calico_policy_of(object) ? calico_policy_of(object)->tier : "default";
}

/* A NetworkPolicy of Kubernetes is a policy of order 1000. */
static double order_of_policy(const struct object *object)
{
	return calico_policy_of(object) ? calico_policy_of(object)->order : 1000;
}

static bool applies(const struct object *object, const struct oracle_question *q)
{
	if (object->kind == KIND_NETWORK_POLICY)
		return oracle_knp_applies(network_policy_of(object), q);
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

		if (!tier.name || !applies(object, q))
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
	if (object->kind == KIND_NETWORK_POLICY)
		return oracle_knp_judge(network_policy_of(object), q);
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
	return list->tier.pass ? ORACLE_PASS : ORACLE_DENY;
}

static size_t same_tier(const struct applied *list, size_t count)
{
	size_t n = 1;

	while (n < count && !strcmp(list[n].tier.name, list->tier.name))
		n++;
	return n;
}

/* Where no tier decides, the profile of the pod's namespace does: it allows. */
static bool judge_all(const struct applied *list, size_t count, const struct oracle_question *q)
{
	for (size_t at = 0, n; at < count; at += n) {
		enum oracle_answer answer;

		n = same_tier(list + at, count - at);
		answer = judge_tier(list + at, n, q);
		if (answer != ORACLE_PASS)
			return answer == ORACLE_ALLOW;
	}
	return true;
}

bool oracle_allows(const struct oracle_world *world, const struct oracle_pod *pod,
		   enum policy_direction direction, const struct oracle_packet *packet)
{
	const struct oracle_question q = { world, pod, direction, packet };
	struct applied *list = xcalloc(world->policy_count + 1, sizeof(*list));
	size_t count = gather(&q, list);
	bool allowed = judge_all(list, count, &q);

	for (size_t i = 0; i < count; i++)
		free(list[i].text);
	free(list);
	return allowed;
}
