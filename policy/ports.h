/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a rule asks of protocol, ports and ICMP, once both ends' addresses are settled: for each
 * of six spaces the ranges of keys that it matches. A space is a protocol with a table of its
 * own (enum mg_l4; keys are ports, or ICMP type << 8 | code), or all other protocols (keys are
 * their numbers). Interned, since most rules ask one of few things.
 */
#ifndef MARGAY_POLICY_PORTS_H
#define MARGAY_POLICY_PORTS_H

#include "abi/policy.h"
#include "policy/hmap.h"
#include "policy/rule.h"
#include "policy/vec.h"

#define SPACE_OTHER MG_L4_MAX
#define SPACES (MG_L4_MAX + 1)
#define SPACE_PORTS 3 /* the first three have ports: TCP, UDP, SCTP */

unsigned int space_of(int proto); /* IPPROTO_* */

struct range {
	uint16_t low;
	uint16_t high;
};

typedef VEC(struct range) range_vec;

struct pm {
	struct hnode node;
	uint32_t refs;
	bool whole;	 /* everything */
	uint8_t special; /* bits of spaces that are not as most are: matched in part, or all where
			  * SPACE_OTHER is not, or the reverse */
	uint8_t sport;	 /* bit of a space: only with source ports of list SPACES + space */
	uint16_t first[SPACES + SPACE_PORTS + 1]; /* of each list, and the end of the last */
	struct range range[];			  /* ascending, disjoint, not adjacent */
};

static inline unsigned int pm_count(const struct pm *pm, unsigned int list)
{
	return pm->first[list + 1] - pm->first[list];
}

static inline const struct range *pm_ranges(const struct pm *pm, unsigned int list)
{
	return &pm->range[pm->first[list]];
}

/* Does a step with this match take part in space at all, at this source port? */
bool pm_takes_part(const struct pm *pm, unsigned int space, int sport);

struct pms {
	struct hmap by_content;
	range_vec list[SPACES + SPACE_PORTS]; /* under construction */
	range_vec out;			      /* results on their way */
	range_vec some;
	struct pm *plain[257]; /* of rules that ask for a protocol at most, by it + 1 */
};

/* What names and services resolve to: protocol << 16 | port. */
struct port_values {
	const uint32_t *ports; /* of names in ports */
	size_t port_count;
	const uint32_t *not_ports;
	size_t not_port_count;
};

struct rule_values {
	struct port_values src;
	struct port_values dst;
	const uint32_t *service; /* of dst.service */
	size_t service_count;
};

/* One reference. */
struct pm *pm_make(struct pms *pms, const struct rule *rule, const struct rule_values *values);
void pm_unref(struct pms *pms, struct pm *pm);
void pms_done(struct pms *pms);

#endif
