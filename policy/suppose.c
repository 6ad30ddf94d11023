/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/suppose.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "base/inet.h"
#include "model/selector.h"

/* --- ends ---------------------------------------------------------------------------------- */

static bool owner_unknown(const struct engine *e, const union mg_addr *addr)
{
	const struct mg_prefix prefix = { .len = MG_ADDR_BITS, .addr = *addr };
	const struct ident *ident;
	uint16_t identity;

	if (engine_addr_identity(e, addr, &identity) < 0)
		identity = engine_region_identity(e, &prefix);
	ident = ident_get(&e->idents, identity);
	return ident && base_unknown(ident->key.base);
}

void supposed_end_init(struct supposed_end *end, const struct engine *e, const union mg_addr *addr)
{
	const struct addr_row *row = addrs_find(&e->addrs, addr);
	const struct facts *facts = row ? e->facts.by_index.v[row->facts] : NULL;

	*end = (struct supposed_end){ .engine = e, .addr = *addr };
	if (facts && facts->kind != ENGINE_OUTSIDE) {
		end->facts = facts;
		end->endpoint = true;
	}
	end->unknown = !end->facts && owner_unknown(e, addr);
}

/* Keys that the namespace gives. */
static bool of_namespace(const char *key)
{
	return !strcmp(key, LABEL_NAMESPACE) || !strcmp(key, TAG_ORCHESTRATOR) ||
	       !strncmp(key, PREFIX_NAMESPACE, strlen(PREFIX_NAMESPACE));
}

static const char *namespace_label(const struct supposed_end *end, const char *key)
{
	if (end->ns_labels)
		return tag_set_lookup(end->ns_labels, key);
	if (!strcmp(key, TAG_ORCHESTRATOR))
		return "k8s";
	if (!strcmp(key, LABEL_NAMESPACE) || !strcmp(key, PREFIX_NAMESPACE TAG_NAME) ||
	    !strcmp(key, PREFIX_NAMESPACE TAG_METADATA_NAME))
		return end->ns;
	return NULL;
}

const char *suppose_lookup(void *context, const char *key)
{
	const struct supposed_end *end = context;

	for (unsigned int i = 0; i < end->label_count; i++)
		if (!strcmp(end->label[i].key, key))
			return end->label[i].value;
	if (end->ns && of_namespace(key))
		return namespace_label(end, key);
	return end->facts ? facts_lookup((void *)end->facts, key) : NULL;
}

static bool own_holds(const struct supposed_end *end, const struct selector *selector)
{
	return end->endpoint && selector_eval(selector, suppose_lookup, (void *)end);
}

bool suppose_holds(const struct supposed_end *end, const struct selector *selector)
{
	return own_holds(end, selector) ||
	       netsets_hold(&end->engine->netsets, &end->addr, selector);
}

/* --- ports, nets, services ------------------------------------------------------------------ */

const uint8_t suppose_port_protos[SUPPOSE_PORT_PROTOS] = { IPPROTO_TCP, IPPROTO_UDP, IPPROTO_SCTP };

bool suppose_has_ports(uint8_t proto)
{
	return space_of(proto) < SPACE_PORTS;
}

bool suppose_needs_ports(const struct rule *rule)
{
	return rule->src.ports.count || rule->dst.ports.count || rule->dst.service;
}

/* A name counts where the end's selector holds for the endpoint itself. */
static bool names_port(const struct supposition *s, const struct rule_end *end, const char *name,
		       bool dst)
{
	const struct supposed_end *at = &s->end[dst];

	if (!at->facts || (end->selector && !own_holds(at, end->selector)))
		return false;
	for (uint32_t i = 0; i < at->facts->port_count; i++)
		if (!strcmp(at->facts->port[i].name->key, name) &&
		    at->facts->port[i].proto == s->proto && at->facts->port[i].number == at->port)
			return true;
	return false;
}

static bool lists_port(const struct supposition *s, const struct rule_end *end,
		       const struct rule_ports *ports, bool dst)
{
	for (unsigned int i = 0; i < ports->count; i++) {
		const struct rule_port *port = &ports->port[i];

		if (port->name ? names_port(s, end, port->name, dst)
			       : s->end[dst].port >= port->first && s->end[dst].port <= port->last)
			return true;
	}
	return false;
}

static bool port_matches(const struct supposition *s, const struct rule_end *end, bool dst)
{
	if (end->ports.count &&
	    !(suppose_has_ports(s->proto) && lists_port(s, end, &end->ports, dst)))
		return false;
	return !(end->not_ports.count && suppose_has_ports(s->proto) &&
		 lists_port(s, end, &end->not_ports, dst));
}

bool suppose_in_nets(const struct rule_nets *nets, const union mg_addr *addr)
{
	for (unsigned int i = 0; i < nets->count; i++)
		if (prefix_is4(&nets->net[i]) == addr_is4(addr) &&
		    prefix_contains(&nets->net[i], addr))
			return true;
	return false;
}

bool suppose_in_place(const struct rule_end *end, const union mg_addr *addr)
{
	return (!end->nets.given || suppose_in_nets(&end->nets, addr)) &&
	       (!end->not_nets.given || !suppose_in_nets(&end->not_nets, addr));
}

const struct atom *suppose_service(const struct supposition *s, const char *service)
{
	return atom_by_service(&s->end[0].engine->atoms, service);
}

/* As a source the address alone counts. */
bool suppose_is_member(const struct supposition *s, const char *service, bool dst)
{
	const struct atom *atom = suppose_service(s, service);

	for (uint32_t i = 0; atom && i < atom->member_count; i++) {
		const struct engine_member *member = &atom->member[i];

		if (!addr_cmp(&member->addr, &s->end[dst].addr) &&
		    (!dst || (suppose_has_ports(s->proto) && member->proto == s->proto &&
			      (!member->port || member->port == s->end[dst].port))))
			return true;
	}
	return false;
}

bool suppose_port_fits(const struct supposition *s, const struct rule_end *end, bool dst)
{
	return port_matches(s, end, dst) &&
	       (!dst || !end->service || suppose_is_member(s, end->service, dst));
}

/* --- rules --------------------------------------------------------------------------------- */

static bool has_names(const struct rule_ports *ports)
{
	for (unsigned int i = 0; i < ports->count; i++)
		if (ports->port[i].name)
			return true;
	return false;
}

/* It may be a pod with any labels. */
bool suppose_lacks_owner(const struct supposed_end *at, const struct rule_end *end)
{
	return at->unknown && !at->endpoint &&
	       (end->not_selector || has_names(&end->ports) || has_names(&end->not_ports));
}

static bool end_matches(const struct supposition *s, const struct rule_end *end, bool dst)
{
	const struct supposed_end *at = &s->end[dst];

	if (suppose_lacks_owner(at, end))
		return false;
	if ((end->selector && !suppose_holds(at, end->selector)) ||
	    (end->not_selector && suppose_holds(at, end->not_selector)) ||
	    (end->nets.given && !suppose_in_nets(&end->nets, &at->addr)) ||
	    (end->not_nets.given && suppose_in_nets(&end->not_nets, &at->addr)))
		return false;
	if (end->service && !suppose_is_member(s, end->service, dst))
		return false;
	return port_matches(s, end, dst);
}

static bool icmp_is(const struct supposition *s, int type, int code)
{
	return (s->proto == IPPROTO_ICMP || s->proto == IPPROTO_ICMPV6) && s->icmp_type == type &&
	       (code == RULE_ANY || s->icmp_code == code);
}

bool suppose_matches(const struct supposition *s, const struct rule *rule)
{
	if (rule->ip_version && (rule->ip_version == 4) != addr_is4(&s->end[1].addr))
		return false;
	if ((rule->proto != RULE_ANY && rule->proto != s->proto) || rule->not_proto == s->proto)
		return false;
	if (rule->icmp_type != RULE_ANY && !icmp_is(s, rule->icmp_type, rule->icmp_code))
		return false;
	if (rule->not_icmp_type != RULE_ANY && icmp_is(s, rule->not_icmp_type, rule->not_icmp_code))
		return false;
	return end_matches(s, &rule->src, false) && end_matches(s, &rule->dst, true);
}

/* --- differences --------------------------------------------------------------------------- */

/* What concerns no end has one bit. A member of a service is another address. */
static uint32_t what_bit(enum suppose_what what, bool dst)
{
	if (what == SUPPOSE_SERVICE)
		what = SUPPOSE_ADDRESS;
	return 1U << (what + (what >= SUPPOSE_PORT && dst ? SUPPOSE_MAX : 0));
}

bool suppose_proto_fits(const struct supposition *s, const struct rule *rule, int proto)
{
	bool four = addr_is4(&s->end[1].addr);

	if (proto == (four ? IPPROTO_ICMPV6 : IPPROTO_ICMP))
		return false;
	if ((rule->proto != RULE_ANY && rule->proto != proto) || rule->not_proto == proto)
		return false;
	return !suppose_needs_ports(rule) || suppose_has_ports((uint8_t)proto);
}

bool suppose_icmp_fits(const struct supposition *s, const struct rule *rule)
{
	if (rule->icmp_type != RULE_ANY &&
	    (s->icmp_type != rule->icmp_type ||
	     (rule->icmp_code != RULE_ANY && s->icmp_code != rule->icmp_code)))
		return false;
	return rule->not_icmp_type == RULE_ANY || s->icmp_type != rule->not_icmp_type ||
	       (rule->not_icmp_code != RULE_ANY && s->icmp_code != rule->not_icmp_code);
}

static bool need_holds(const struct supposition *s, const struct supposed_need *need)
{
	const struct supposed_end *at = &s->end[need->dst];

	switch (need->what) {
	case SUPPOSE_PROTOCOL:
		return !need->rule || suppose_proto_fits(s, need->rule, s->proto) == need->holds;
	case SUPPOSE_ICMP:
		return suppose_icmp_fits(s, need->rule) == need->holds;
	case SUPPOSE_PORT:
		return suppose_port_fits(s, need->end, need->dst) == need->holds;
	case SUPPOSE_ENDPOINT:
	case SUPPOSE_NAMESPACE:
	case SUPPOSE_ACCOUNT:
	case SUPPOSE_LABEL:
		if (!need->test)
			return at->endpoint;
		return selector_eval(need->test, suppose_lookup, (void *)at) == need->holds;
	case SUPPOSE_ADDRESS:
		return suppose_in_place(need->end, &at->addr) == need->holds;
	case SUPPOSE_SERVICE:
		return suppose_is_member(s, need->end->service, need->dst);
	case SUPPOSE_MAX:
		break;
	}
	return true;
}

bool suppose_needs_hold(const struct supposition *s)
{
	for (unsigned int i = 0; i < s->need_count; i++)
		if (!need_holds(s, &s->need[i]))
			return false;
	return true;
}

int suppose_need(struct supposition *s, const struct supposed_need *need)
{
	if (s->need_count == SUPPOSE_NEEDS)
		return -ENOENT;
	s->changed |= what_bit(need->what, need->dst);
	s->need[s->need_count++] = *need;
	return 0;
}

/* Whoever has labels is known by that. */
unsigned int suppose_things(const struct supposition *s)
{
	uint32_t changed = s->changed;

	for (int dst = 0; dst < 2; dst++)
		if (changed & (what_bit(SUPPOSE_NAMESPACE, dst) | what_bit(SUPPOSE_ACCOUNT, dst) |
			       what_bit(SUPPOSE_LABEL, dst)))
			changed &= ~what_bit(SUPPOSE_ENDPOINT, dst);
	return (unsigned int)__builtin_popcount(changed);
}

unsigned int suppose_cost(const struct supposition *s)
{
	return suppose_things(s) * (SUPPOSE_NEEDS + 1) + s->need_count;
}

void suppose_offer(struct supposed_best *best, const struct supposition *trial)
{
	if (best->found && suppose_cost(trial) >= suppose_cost(&best->supposition))
		return;
	best->supposition = *trial;
	best->found = true;
}

int suppose_take(const struct supposed_best *best, struct supposition *ret_supposition)
{
	if (!best->found)
		return -ENOENT;
	*ret_supposition = best->supposition;
	return 0;
}
