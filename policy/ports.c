/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/ports.h"

#include <netinet/in.h>
#include <string.h>

static const struct range all_ports = { 0, 65535 };
static const struct range all_protocols = { 0, 255 };

/* --- sets of ranges ------------------------------------------------------------------------ */

static int range_cmp(const void *a, const void *b)
{
	return (int)((const struct range *)a)->low - (int)((const struct range *)b)->low;
}

static void normalize(range_vec *list)
{
	size_t n = 0;

	if (list->n)
		qsort(list->v, list->n, sizeof(*list->v), range_cmp);
	for (size_t i = 0; i < list->n; i++) {
		struct range *last = n ? &list->v[n - 1] : NULL;

		if (last && list->v[i].low <= (uint32_t)last->high + 1) {
			if (list->v[i].high > last->high)
				last->high = list->v[i].high;
		} else {
			list->v[n++] = list->v[i];
		}
	}
	list->n = n;
}

static void exchange(range_vec *a, range_vec *b)
{
	range_vec keep;

	memcpy(&keep, a, sizeof(keep));
	memcpy(a, b, sizeof(keep));
	memcpy(b, &keep, sizeof(keep));
}

/* list = everything in `all` that is not in list; list is normal. */
static void complement(struct pms *pms, range_vec *list, struct range all)
{
	range_vec *out = &pms->out;
	uint32_t next = all.low;

	out->n = 0;
	for (size_t i = 0; i < list->n; i++) {
		if (list->v[i].low > next)
			vec_push(out, (struct range){ next, list->v[i].low - 1 });
		next = (uint32_t)list->v[i].high + 1;
	}
	if (next <= all.high)
		vec_push(out, (struct range){ next, all.high });
	exchange(list, out);
}

/* list = what is in both; both are normal. */
static void intersect(struct pms *pms, range_vec *list, const range_vec *other)
{
	range_vec *out = &pms->out;

	out->n = 0;
	for (size_t i = 0, k = 0; i < list->n && k < other->n;) {
		struct range a = list->v[i], b = other->v[k];
		struct range both = { a.low > b.low ? a.low : b.low,
				      a.high < b.high ? a.high : b.high };

		if (both.low <= both.high)
			vec_push(out, both);
		if (a.high < b.high)
			i++;
		else
			k++;
	}
	exchange(list, out);
}

/* --- a rule's ------------------------------------------------------------------------------ */

unsigned int space_of(int proto)
{
	switch (proto) {
	case IPPROTO_TCP:
		return MG_L4_TCP;
	case IPPROTO_UDP:
		return MG_L4_UDP;
	case IPPROTO_SCTP:
		return MG_L4_SCTP;
	case IPPROTO_ICMP:
		return MG_L4_ICMP;
	case IPPROTO_ICMPV6:
		return MG_L4_ICMP6;
	}
	return SPACE_OTHER;
}

static void set_all(struct pms *pms, unsigned int space)
{
	pms->list[space].n = 0;
	vec_push(&pms->list[space], space == SPACE_OTHER ? all_protocols : all_ports);
}

static void take_out(struct pms *pms, int proto)
{
	unsigned int space = space_of(proto);
	range_vec *one = &pms->some;

	if (space != SPACE_OTHER) {
		pms->list[space].n = 0;
		return;
	}
	one->n = 0;
	vec_push(one, (struct range){ proto, proto });
	complement(pms, one, all_protocols);
	intersect(pms, &pms->list[space], one);
}

static void set_protocols(struct pms *pms, const struct rule *rule)
{
	for (unsigned int space = 0; space < SPACES; space++)
		if (rule->proto == RULE_ANY || space == space_of(rule->proto))
			set_all(pms, space);
	if (rule->proto != RULE_ANY && space_of(rule->proto) == SPACE_OTHER)
		pms->list[SPACE_OTHER].v[0] = (struct range){ rule->proto, rule->proto };
	if (rule->not_proto != RULE_ANY)
		take_out(pms, rule->not_proto);
}

static struct range icmp_range(int type, int code)
{
	if (code == RULE_ANY)
		return (struct range){ type << 8, type << 8 | 0xff };
	return (struct range){ type << 8 | code, type << 8 | code };
}

static void limit_icmp(struct pms *pms, const struct rule *rule)
{
	for (unsigned int space = MG_L4_ICMP; space <= MG_L4_ICMP6; space++) {
		range_vec *list = &pms->some;

		list->n = 0;
		if (rule->icmp_type != RULE_ANY) {
			vec_push(list, icmp_range(rule->icmp_type, rule->icmp_code));
			intersect(pms, &pms->list[space], list);
			list->n = 0;
		}
		if (rule->not_icmp_type != RULE_ANY) {
			vec_push(list, icmp_range(rule->not_icmp_type, rule->not_icmp_code));
			complement(pms, list, all_ports);
			intersect(pms, &pms->list[space], list);
		}
	}
}

/* 0: a service's endpoint takes every port. */
static struct range range_of(uint16_t port)
{
	return port ? (struct range){ port, port } : all_ports;
}

/* The ports that a list states for one space: numbers, and what names resolve to there. */
static void gather(range_vec *list, unsigned int space, const struct rule_ports *ports,
		   const uint32_t *value, size_t count)
{
	list->n = 0;
	for (unsigned int i = 0; i < ports->count; i++)
		if (!ports->port[i].name)
			vec_push(list, (struct range){ ports->port[i].first, ports->port[i].last });
	for (size_t i = 0; i < count; i++)
		if (space_of(value[i] >> 16) == space)
			vec_push(list, range_of((uint16_t)value[i]));
	normalize(list);
}

/* Ports of one end; list[] are those of destination or source ports, one a space. */
static void limit_ports(struct pms *pms, range_vec *list, const struct rule_end *end,
			const struct port_values *values)
{
	for (unsigned int space = 0; space < SPACE_PORTS; space++) {
		range_vec *some = &pms->some;

		if (end->ports.count) {
			gather(some, space, &end->ports, values->ports, values->port_count);
			intersect(pms, &list[space], some);
		}
		if (end->not_ports.count) {
			gather(some, space, &end->not_ports, values->not_ports,
			       values->not_port_count);
			complement(pms, some, all_ports);
			intersect(pms, &list[space], some);
		}
	}
}

static void limit_service(struct pms *pms, const struct rule_values *values)
{
	static const struct rule_ports none;

	for (unsigned int space = 0; space < SPACE_PORTS; space++) {
		range_vec *some = &pms->some;

		gather(some, space, &none, values->service, values->service_count);
		intersect(pms, &pms->list[space], some);
	}
}

static void limit_sports(struct pms *pms, const struct rule *rule, const struct rule_values *values)
{
	for (unsigned int space = 0; space < SPACE_PORTS; space++) {
		pms->list[SPACES + space].n = 0;
		vec_push(&pms->list[SPACES + space], all_ports);
	}
	limit_ports(pms, &pms->list[SPACES], &rule->src, &values->src);
	for (unsigned int space = 0; space < SPACE_PORTS; space++)
		if (!pms->list[SPACES + space].n)
			pms->list[space].n = 0;
}

/* --- interning ----------------------------------------------------------------------------- */

static bool is_all(const range_vec *list, unsigned int space)
{
	struct range all = space == SPACE_OTHER ? all_protocols : all_ports;

	return list->n == 1 && list->v[0].low == all.low && list->v[0].high == all.high;
}

static struct pm *pm_draft(const struct pms *pms)
{
	size_t count = 0, at = 0;
	struct pm *pm;

	for (unsigned int i = 0; i < SPACES + SPACE_PORTS; i++)
		count += pms->list[i].n;
	pm = xcalloc(1, sizeof(*pm) + count * sizeof(struct range));
	pm->whole = true;
	for (unsigned int i = 0; i < SPACES + SPACE_PORTS; i++) {
		bool sport = i >= SPACES, all = is_all(&pms->list[i], i);

		pm->first[i] = at;
		if (!sport || !all) {
			if (pms->list[i].n)
				memcpy(&pm->range[at], pms->list[i].v,
				       pms->list[i].n * sizeof(struct range));
			at += pms->list[i].n;
		}
		if (sport && !all && pms->list[i - SPACES].n)
			pm->sport |= 1U << (i - SPACES);
		if (!all)
			pm->whole = false;
	}
	pm->first[SPACES + SPACE_PORTS] = at;
	for (unsigned int space = 0; space < SPACES; space++) {
		bool some = pms->list[space].n && !is_all(&pms->list[space], space);

		if (some || pm->sport & 1U << space ||
		    !pms->list[space].n != !pms->list[SPACE_OTHER].n)
			pm->special |= 1U << space;
	}
	return pm;
}

static struct pm *pm_intern(struct pms *pms)
{
	struct pm *pm = pm_draft(pms), *old;
	size_t size = pm->first[SPACES + SPACE_PORTS] * sizeof(struct range);
	uint32_t hash = hash_bytes(pm->first, sizeof(pm->first), pm->sport);
	struct hnode *node;

	hash = hash_bytes(pm->range, size, hash);
	for (node = hmap_first(&pms->by_content, hash); node; node = hmap_same(node)) {
		old = (struct pm *)node;
		if (old->sport != pm->sport || memcmp(old->first, pm->first, sizeof(pm->first)) ||
		    memcmp(old->range, pm->range, size))
			continue;
		free(pm);
		old->refs++;
		return old;
	}
	pm->refs = 1;
	hmap_add(&pms->by_content, &pm->node, hash);
	return pm;
}

static struct pm *pm_build(struct pms *pms, const struct rule *rule,
			   const struct rule_values *values)
{
	bool ported = rule->dst.ports.count || rule->src.ports.count || rule->dst.service;

	for (unsigned int i = 0; i < SPACES + SPACE_PORTS; i++)
		pms->list[i].n = 0;
	set_protocols(pms, rule);
	limit_icmp(pms, rule);
	if (ported)
		for (unsigned int space = SPACE_PORTS; space < SPACES; space++)
			pms->list[space].n = 0;
	limit_ports(pms, pms->list, &rule->dst, &values->dst);
	if (rule->dst.service)
		limit_service(pms, values);
	limit_sports(pms, rule, values);
	return pm_intern(pms);
}

static bool asks_ports(const struct rule_end *end)
{
	return end->ports.count || end->not_ports.count || end->service;
}

struct pm *pm_make(struct pms *pms, const struct rule *rule, const struct rule_values *values)
{
	bool plain = rule->not_proto == RULE_ANY && rule->icmp_type == RULE_ANY &&
		     rule->not_icmp_type == RULE_ANY && !asks_ports(&rule->src) &&
		     !asks_ports(&rule->dst);
	struct pm **known = &pms->plain[rule->proto + 1];

	if (!plain)
		return pm_build(pms, rule, values);
	if (!*known)
		*known = pm_build(pms, rule, values);
	(*known)->refs++;
	return *known;
}

void pm_unref(struct pms *pms, struct pm *pm)
{
	if (!pm || --pm->refs)
		return;
	hmap_del(&pms->by_content, &pm->node);
	free(pm);
}

void pms_done(struct pms *pms)
{
	hmap_for_each(&pms->by_content, i, node, after) free(node);
	hmap_done(&pms->by_content);
	for (unsigned int i = 0; i < SPACES + SPACE_PORTS; i++)
		vec_done(&pms->list[i]);
	vec_done(&pms->out);
	vec_done(&pms->some);
}

bool pm_takes_part(const struct pm *pm, unsigned int space, int sport)
{
	const struct range *range;

	if (!pm_count(pm, space))
		return false;
	if (space >= SPACE_PORTS || !(pm->sport & 1U << space))
		return true;
	range = pm_ranges(pm, SPACES + space);
	for (unsigned int i = 0; i < pm_count(pm, SPACES + space); i++)
		if (sport >= range[i].low && sport <= range[i].high)
			return true;
	return false;
}
