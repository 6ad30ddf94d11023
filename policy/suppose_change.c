/* SPDX-License-Identifier: Apache-2.0 */
/* What must be different for a rule to match, or to match no longer. */
#include <errno.h>
#include <netinet/in.h>

#include "base/inet.h"
#include "policy/suppose.h"

static bool is_icmp(uint8_t proto)
{
	return proto == IPPROTO_ICMP || proto == IPPROTO_ICMPV6;
}

/* --- protocol and ICMP --------------------------------------------------------------------- */

/* The message that the rule asks for, or one beside the one of before. */
static int set_icmp(struct supposition *s, const struct supposed_need *need)
{
	const struct rule *rule = need->rule;
	const uint8_t type = s->icmp_type, code = s->icmp_code;
	const uint8_t types[] = { rule->icmp_type == RULE_ANY ? type : (uint8_t)rule->icmp_type,
				  type, type ^ 1 };
	const uint8_t codes[] = { rule->icmp_code == RULE_ANY ? code : (uint8_t)rule->icmp_code,
				  code, code ^ 1 };

	if (suppose_need(s, need) < 0)
		return -ENOENT;
	for (unsigned int i = 0; i < 9; i++) {
		s->icmp_type = types[i / 3];
		s->icmp_code = codes[i % 3];
		if (suppose_needs_hold(s))
			return 0;
	}
	return -ENOENT;
}

static int change_icmp(struct supposition *s, const struct rule *rule)
{
	const struct supposed_need need = { .what = SUPPOSE_ICMP, .holds = true, .rule = rule };

	return !is_icmp(s->proto) || suppose_icmp_fits(s, rule) ? 0 : set_icmp(s, &need);
}

/* --- ends ---------------------------------------------------------------------------------- */

static void become_member(struct supposition *s, const struct engine_member *member, bool dst)
{
	uint16_t port = s->end[dst].port;

	if (addr_cmp(&s->end[dst].addr, &member->addr))
		supposed_end_init(&s->end[dst], s->end[dst].engine, &member->addr);
	s->end[dst].port = dst && member->port ? member->port : port;
	if (dst && member->proto)
		s->proto = member->proto;
}

/* What of it is different: who is there, or protocol and port alone. */
static int need_member(struct supposition *s, const struct supposition *before,
		       const struct rule_end *end, bool dst)
{
	const struct supposed_need service = {
		.what = SUPPOSE_SERVICE, .dst = dst, .holds = true, .end = end
	};
	const struct supposed_need port = {
		.what = SUPPOSE_PORT, .dst = dst, .holds = true, .end = end
	};
	const struct supposed_need protocol = { .what = SUPPOSE_PROTOCOL, .holds = true };

	if (addr_cmp(&s->end[dst].addr, &before->end[dst].addr))
		return suppose_need(s, &service);
	if (s->proto != before->proto && suppose_need(s, &protocol) < 0)
		return -ENOENT;
	return s->end[dst].port != before->end[dst].port ? suppose_need(s, &port) : 0;
}

static bool may_be(const struct supposition *s, const struct engine_member *member, bool dst)
{
	const struct supposed_end *at = &s->end[dst];

	if (!addr_cmp(&member->addr, &at->addr))
		return dst;
	return !at->fixed && !at->label_count && !at->ns &&
	       addr_is4(&member->addr) == addr_is4(&at->addr) &&
	       addr_cmp(&member->addr, &s->end[!dst].addr);
}

/* The nearest member at the same address, or (other) at another one. */
static bool find_member(struct supposition *s, const struct rule *rule, bool dst, bool other)
{
	const struct rule_end *end = dst ? &rule->dst : &rule->src;
	const struct atom *atom = suppose_service(s, end->service);
	struct supposed_best best = { .found = false };

	for (uint32_t i = 0; atom && i < atom->member_count; i++) {
		struct supposition trial = *s;

		if (!may_be(s, &atom->member[i], dst) ||
		    !addr_cmp(&atom->member[i].addr, &s->end[dst].addr) == other)
			continue;
		become_member(&trial, &atom->member[i], dst);
		if (need_member(&trial, s, end, dst) == 0 && suppose_needs_hold(&trial) &&
		    suppose_is_member(&trial, end->service, dst) &&
		    (!dst || suppose_proto_fits(&trial, rule, trial.proto)))
			suppose_offer(&best, &trial);
	}
	return suppose_take(&best, s) == 0;
}

/* Another one of the service, whoever that is; a destination's port is part of it. */
static int change_service(struct supposition *s, const struct rule *rule, bool dst)
{
	const struct rule_end *end = dst ? &rule->dst : &rule->src;

	if (suppose_is_member(s, end->service, dst) || find_member(s, rule, dst, false) ||
	    find_member(s, rule, dst, true))
		return 0;
	return -ENOENT;
}

static int known(struct supposition *s, bool dst)
{
	const struct supposed_need need = { .what = SUPPOSE_ENDPOINT, .dst = dst, .holds = true };

	if (s->end[dst].fixed)
		return -ENOENT;
	s->end[dst].endpoint = true;
	return suppose_need(s, &need);
}

static int change_end(struct supposition *s, const struct rule *rule, bool dst)
{
	const struct rule_end *end = dst ? &rule->dst : &rule->src;
	int r = end->service ? change_service(s, rule, dst) : 0;

	if (!r && suppose_lacks_owner(&s->end[dst], end))
		r = known(s, dst);
	if (!r && end->selector)
		r = suppose_selector(s, dst, end->selector, true);
	if (!r && end->not_selector)
		r = suppose_selector(s, dst, end->not_selector, false);
	if (!r)
		r = suppose_address(s, end, dst, true);
	if (!r)
		r = suppose_port(s, end, dst, true);
	return r;
}

/* All but the protocol, which fits or comes with a member of a service. */
static int match_rest(struct supposition *s, const struct rule *rule)
{
	int r = rule->dst.service ? change_service(s, rule, true) : 0;

	if (!r)
		r = change_icmp(s, rule);
	if (!r)
		r = change_end(s, rule, false);
	if (!r)
		r = change_end(s, rule, true);
	return r || suppose_matches(s, rule) ? r : -ENOENT;
}

static int set_proto(struct supposition *s, const struct rule *rule, int proto)
{
	const struct supposed_need need = { .what = SUPPOSE_PROTOCOL, .holds = true, .rule = rule };

	s->proto = (uint8_t)proto;
	if (is_icmp(s->proto)) {
		s->icmp_type = proto == IPPROTO_ICMP ? 8 : 128; /* asks for an echo */
		s->icmp_code = 0;
	}
	if (suppose_need(s, &need) < 0 || !suppose_needs_hold(s))
		return -ENOENT;
	return match_rest(s, rule);
}

int suppose_match(struct supposition *s, const struct rule *rule)
{
	const int tried[] = { rule->proto, IPPROTO_TCP, IPPROTO_UDP, IPPROTO_SCTP };
	struct supposed_best best = { .found = false };

	if (rule->ip_version && (rule->ip_version == 4) != addr_is4(&s->end[1].addr))
		return -ENOENT;
	if (suppose_proto_fits(s, rule, s->proto) || rule->dst.service)
		return match_rest(s, rule);
	for (unsigned int i = 0; i < sizeof(tried) / sizeof(tried[0]); i++) {
		struct supposition trial = *s;

		if (tried[i] != RULE_ANY && set_proto(&trial, rule, tried[i]) == 0)
			suppose_offer(&best, &trial);
	}
	return suppose_take(&best, s);
}

/* --- out of a rule's reach ----------------------------------------------------------------- */

/* Ports by name and those of services are of a protocol, too. */
static int other_proto(struct supposition *s, uint8_t proto)
{
	const struct supposed_need need = { .what = SUPPOSE_PROTOCOL };

	if (s->proto == proto)
		return -ENOENT;
	s->proto = proto;
	return suppose_need(s, &need);
}

static int other_icmp(struct supposition *s, const struct rule *rule)
{
	const struct supposed_need need = { .what = SUPPOSE_ICMP, .rule = rule };

	return is_icmp(s->proto) ? set_icmp(s, &need) : -ENOENT;
}

static int escape_end(struct supposition *s, const struct rule_end *end, bool dst, unsigned int way)
{
	switch (way) {
	case 0:
		return suppose_port(s, end, dst, false);
	case 1:
		return end->selector ? suppose_selector(s, dst, end->selector, false) : -ENOENT;
	case 2:
		return end->not_selector ? suppose_selector(s, dst, end->not_selector, true)
					 : -ENOENT;
	case 3:
		return suppose_address(s, end, dst, false);
	default:
		break;
	}
	return -ENOENT;
}

static int escape(struct supposition *s, const struct rule *rule, unsigned int way)
{
	bool dst = (way - SUPPOSE_PORT_PROTOS) % 2;

	if (way < SUPPOSE_PORT_PROTOS)
		return other_proto(s, suppose_port_protos[way]);
	way -= SUPPOSE_PORT_PROTOS;
	if (!way)
		return other_icmp(s, rule);
	return escape_end(s, dst ? &rule->dst : &rule->src, dst, (way - 1) / 2);
}

/* Ports by name and those of services are of a protocol, too: what was asked before is asked again.
 */
int suppose_escape(struct supposition *s, const struct rule *rule, unsigned int way)
{
	unsigned int before = s->need_count;

	if (escape(s, rule, way) < 0 || s->need_count == before || !suppose_needs_hold(s) ||
	    suppose_matches(s, rule))
		return -ENOENT;
	return 0;
}
