/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Addresses of Services of type LoadBalancer, from IPPools with allowedUses LoadBalancer.
 *
 * As long as there is no such pool, a load balancer's status is somebody else's and is not looked
 * at. One address a family. Who asks for one (annotation projectcalico.org/loadBalancerIPs, or
 * spec.loadBalancerIP) gets that one or none; who names pools (projectcalico.org/ipv4pools,
 * ipv6pools) gets one of theirs; else every pool counts that is enabled, assigns automatically
 * and selects the namespace. Services that name one key (projectcalico.org/loadBalancerSharingKey)
 * share an address as long as their ports differ, and their externalTrafficPolicy does not.
 */
#include <errno.h>
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/inet.h"
#include "base/json.h"
#include "controller/allot_own.h"

#define CLASS_CALICO "calico"
#define ASKED_ADDRS "projectcalico.org/loadBalancerIPs"
#define ASKED_POOLS4 "projectcalico.org/ipv4pools"
#define ASKED_POOLS6 "projectcalico.org/ipv6pools"
#define SHARING_KEY "projectcalico.org/loadBalancerSharingKey"
#define POOL_BITS_MAX 20 /* of a larger pool the first addresses */

static const char *annotation(const struct service *service, const char *key)
{
	return labels_get(&service->base.annotations, key);
}

static bool is_ours(const struct allot *allot, const struct service *service)
{
	const char *class = service->load_balancer_class;

	return service->type == SERVICE_LOAD_BALANCER && allot->pools &&
	       (!*class || !strcmp(class, CLASS_CALICO));
}

/* --- pools ---------------------------------------------------------------------------------- */

static bool selects(const struct allot *allot, const struct ip_pool *pool, const char *ns)
{
	struct label name = { LABEL_METADATA_NAME, ns };
	const struct labels bare = { .count = 1, .v = &name };
	const struct spacename *space;

	HASH_FIND_STR(allot->spaces, ns, space);
	return labels_match(space ? &space->object->labels : &bare, pool->namespaces);
}

/* The text of the list of names or CIDRs names the pool; NULL: nobody is named. */
static bool is_named(const struct ip_pool *pool, const json_t *list)
{
	char cidr[PREFIX_TEXT_MAX];
	const json_t *item;
	size_t i;

	prefix_format(&pool->cidr, cidr);
	json_array_foreach(list, i, item) {
		const char *text = json_string_value(item);

		if (text && (!strcmp(text, pool->base.name) || !strcmp(text, cidr)))
			return true;
	}
	return false;
}

/* Whether new addresses of the family may come from the pool. asked: pools named, NULL: none. */
static bool gives(const struct allot *allot, const struct ip_pool *pool,
		  const struct service *service, bool is6, const json_t *asked)
{
	if (pool->disabled || prefix_is4(&pool->cidr) == is6)
		return false;
	if (asked)
		return is_named(pool, asked);
	return !pool->manual && selects(allot, pool, service->base.ns);
}

static bool is_in_a_pool(const struct allot *allot, const union mg_addr *addr)
{
	for (const struct range *pool = allot->pools; pool; pool = pool->next)
		if (prefix_contains(&ip_pool_of(pool->object)->cidr, addr))
			return true;
	return false;
}

/* --- sharing -------------------------------------------------------------------------------- */

static bool has_ingress(const struct service *service, const union mg_addr *addr)
{
	for (size_t i = 0; i < service->ingress_count; i++)
		if (!addr_cmp(&service->ingress[i].addr, addr))
			return true;
	return false;
}

static bool ports_meet(const struct service *a, const struct service *b)
{
	for (size_t i = 0; i < a->port_count; i++)
		for (size_t k = 0; k < b->port_count; k++)
			if (a->ports[i].port == b->ports[k].port &&
			    a->ports[i].protocol == b->ports[k].protocol)
				return true;
	return false;
}

static bool may_share(const struct service *a, const struct service *b)
{
	const char *key = annotation(a, SHARING_KEY), *other = annotation(b, SHARING_KEY);

	return key && other && !strcmp(key, other) && a->external_traffic == b->external_traffic &&
	       !ports_meet(a, b);
}

/* Nobody else has it, or all who have it share it with the Service. */
static bool is_free(const struct allot *allot, const struct service *service,
		    const union mg_addr *addr)
{
	if (!allot_addr_is_used(allot, addr))
		return true;
	for (const struct allotted *entry = allot->services; entry; entry = entry->hh.next) {
		const struct service *other = service_of(entry->object);

		if (object_cmp(&other->base, &service->base) && has_ingress(other, addr) &&
		    !may_share(service, other))
			return false;
	}
	return true;
}

/* An address of somebody with the same key. */
static bool find_shared(const struct allot *allot, const struct service *service, bool is6,
			union mg_addr *ret_addr)
{
	for (const struct allotted *entry = allot->services; entry; entry = entry->hh.next) {
		const struct service *other = service_of(entry->object);

		if (!object_cmp(&other->base, &service->base) || !may_share(service, other))
			continue;
		for (size_t i = 0; i < other->ingress_count; i++) {
			const union mg_addr *addr = &other->ingress[i].addr;

			if (addr_is4(addr) != is6 && is_in_a_pool(allot, addr) &&
			    is_free(allot, service, addr)) {
				*ret_addr = *addr;
				return true;
			}
		}
	}
	return false;
}

/* --- one address ---------------------------------------------------------------------------- */

/* false: none is asked for in this family. */
static bool asked_addr(const struct service *service, bool is6, union mg_addr *ret_addr)
{
	const char *text = annotation(service, ASKED_ADDRS);
	_cleanup_json_ json_t *list = text ? json_read(text, strlen(text)) : NULL;
	const json_t *item;
	union mg_addr addr;
	size_t i;

	json_array_foreach(list, i, item) {
		if (json_is_string(item) && !addr_parse(json_string_value(item), &addr) &&
		    addr_is4(&addr) != is6) {
			*ret_addr = addr;
			return true;
		}
	}
	if (list || addr_is_zero(&service->load_balancer_ip) ||
	    addr_is4(&service->load_balancer_ip) == is6)
		return false;
	*ret_addr = service->load_balancer_ip;
	return true;
}

static bool search_pool(const struct allot *allot, const struct service *service,
			const struct ip_pool *pool, union mg_addr *ret_addr)
{
	const uint32_t bits = MG_ADDR_BITS - pool->cidr.len;
	const uint32_t size = 1U << (bits < POOL_BITS_MAX ? bits : POOL_BITS_MAX);
	const union mg_addr first = pool->cidr.addr;
	_cleanup_free_ char *key = xasprintf("%s/%s", service->base.ns, service->base.name);
	const uint32_t start = allot_hash(key);

	for (uint32_t i = 0; i < size; i++) {
		*ret_addr = addr_add(&first, (start + i) % size);
		if (!allot_addr_is_used(allot, ret_addr))
			return true;
	}
	return false;
}

/* 1: ret_addr; 0: no pool is for it; -ENOSPC: they are full. */
static int search(const struct allot *allot, const struct service *service, bool is6,
		  union mg_addr *ret_addr)
{
	const char *text = annotation(service, is6 ? ASKED_POOLS6 : ASKED_POOLS4);
	_cleanup_json_ json_t *asked = text ? json_read(text, strlen(text)) : NULL;
	int r = asked ? -ENOSPC : 0;

	if (find_shared(allot, service, is6, ret_addr))
		return 1;
	for (const struct range *pool = allot->pools; pool; pool = pool->next) {
		if (!gives(allot, ip_pool_of(pool->object), service, is6, asked))
			continue;
		if (search_pool(allot, service, ip_pool_of(pool->object), ret_addr))
			return 1;
		r = -ENOSPC;
	}
	return r;
}

/* What the Service has already, as long as a pool has it and nobody else may not share it. */
static bool own_addr(const struct allot *allot, const struct service *service, bool is6,
		     union mg_addr *ret_addr)
{
	for (size_t i = 0; i < service->ingress_count; i++) {
		const union mg_addr *addr = &service->ingress[i].addr;

		if (addr_is4(addr) == is6 || !is_in_a_pool(allot, addr) ||
		    !is_free(allot, service, addr))
			continue;
		*ret_addr = *addr;
		return true;
	}
	return false;
}

static int take_asked(const struct allot *allot, const struct service *service,
		      const union mg_addr *addr, struct err *err)
{
	char text[ADDR_TEXT_MAX];

	addr_format(addr, text);
	if (!is_in_a_pool(allot, addr))
		return err_set(err, -ENOENT, "%s is in no IPPool for load balancers", text);
	if (!is_free(allot, service, addr))
		return err_set(err, -EADDRINUSE, "%s has another Service", text);
	return 1;
}

static int choose(const struct allot *allot, const struct service *service, bool is6,
		  union mg_addr *ret_addr, struct err *err)
{
	int r;

	if (asked_addr(service, is6, ret_addr))
		return take_asked(allot, service, ret_addr, err);
	if (own_addr(allot, service, is6, ret_addr))
		return 1;
	r = search(allot, service, is6, ret_addr);
	return r < 0 ? err_set(err, r, "no IPv%d address for load balancers is left", is6 ? 6 : 4)
		     : r;
}

/* --- all of them ---------------------------------------------------------------------------- */

struct chosen {
	union mg_addr addrs[2];
	size_t count;
};

static int plan(const struct allot *allot, const struct service *service, struct chosen *chosen,
		struct err *err)
{
	bool is6[2];
	const size_t count = allot_families(allot, service, is6);

	for (size_t i = 0; i < count; i++) {
		int r = choose(allot, service, is6[i], &chosen->addrs[chosen->count], err);

		if (r < 0)
			return r;
		chosen->count += r > 0;
	}
	return 0;
}

static bool is_given(const struct service *service, const struct chosen *chosen)
{
	if (service->ingress_count != chosen->count)
		return false;
	for (size_t i = 0; i < chosen->count; i++)
		if (!has_ingress(service, &chosen->addrs[i]))
			return false;
	return true;
}

bool allot_lacks_ingress(const struct allot *allot, const struct service *service)
{
	struct chosen chosen = { .count = 0 };

	return is_ours(allot, service) &&
	       (plan(allot, service, &chosen, NULL) < 0 || !is_given(service, &chosen));
}

bool allot_fill_ingress(const struct allot *allot, const struct service *service, json_t *root,
			struct err *err)
{
	struct chosen chosen = { .count = 0 };
	char text[ADDR_TEXT_MAX];
	json_t *list, *status;

	if (!is_ours(allot, service) || plan(allot, service, &chosen, err) < 0 ||
	    is_given(service, &chosen))
		return false;
	list = json_array();
	for (size_t i = 0; i < chosen.count; i++)
		json_array_append_new(list, json_pack("{s:s,s:s}", "ip",
						      addr_format(&chosen.addrs[i], text), "ipMode",
						      "VIP"));
	status = json_object_get(root, "status");
	if (!status)
		json_object_set_new(root, "status", status = json_object());
	json_object_set_new(status, "loadBalancer", json_pack("{s:o}", "ingress", list));
	return true;
}
