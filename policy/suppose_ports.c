/* SPDX-License-Identifier: Apache-2.0 */
/* Another port, another address with which an end of a rule matches. A known endpoint takes its
 * labels along to an address; where nobody was known it is another one's. */
#include <errno.h>

#include "base/inet.h"
#include "policy/suppose.h"

/* --- ports --------------------------------------------------------------------------------- */

static bool try_port(struct supposition *s, bool dst, uint32_t port)
{
	uint16_t before = s->end[dst].port;

	if (!port || port > UINT16_MAX)
		return false;
	s->end[dst].port = (uint16_t)port;
	if (suppose_needs_hold(s))
		return true;
	s->end[dst].port = before;
	return false;
}

static bool try_list(struct supposition *s, const struct rule_ports *ports, bool dst)
{
	for (unsigned int i = 0; i < ports->count; i++) {
		const struct rule_port *port = &ports->port[i];

		if (port->name)
			continue;
		if (try_port(s, dst, port->first) || try_port(s, dst, port->last) ||
		    try_port(s, dst, port->last + 1U) || try_port(s, dst, port->first - 1U))
			return true;
	}
	return false;
}

static bool try_ports(struct supposition *s, const struct rule_end *end, bool dst)
{
	const struct facts *facts = s->end[dst].facts;

	if (try_list(s, &end->ports, dst) || try_list(s, &end->not_ports, dst))
		return true;
	if (try_port(s, dst, s->end[dst].port + 1U) || try_port(s, dst, s->end[dst].port - 1U))
		return true;
	for (uint32_t i = 0; facts && i < facts->port_count; i++) {
		uint16_t port = facts->port[i].number;

		if (try_port(s, dst, port) || try_port(s, dst, port + 1U))
			return true;
	}
	return false;
}

static int other_port(struct supposition *s, const struct supposed_need *need)
{
	if (suppose_need(s, need) < 0)
		return -ENOENT;
	for (unsigned int i = s->need_count; i--;)
		if (s->need[i].what == SUPPOSE_PORT && s->need[i].dst == need->dst &&
		    try_ports(s, s->need[i].end, need->dst))
			return 0;
	return -ENOENT;
}

/* A port's name may be one of another protocol. */
static int by_name(struct supposition *s, const struct supposed_need *need)
{
	const struct supposed_need protocol = { .what = SUPPOSE_PROTOCOL, .holds = true };
	struct supposed_best best = { .found = false };

	for (unsigned int i = 0; i < SUPPOSE_PORT_PROTOS; i++) {
		struct supposition trial = *s;

		trial.proto = suppose_port_protos[i];
		if (trial.proto == s->proto || suppose_need(&trial, &protocol) < 0)
			continue;
		if (!suppose_port_fits(&trial, need->end, need->dst) &&
		    other_port(&trial, need) < 0)
			continue;
		if (suppose_needs_hold(&trial))
			suppose_offer(&best, &trial);
	}
	return suppose_take(&best, s);
}

int suppose_port(struct supposition *s, const struct rule_end *end, bool dst, bool want)
{
	const struct supposed_need need = {
		.what = SUPPOSE_PORT, .dst = dst, .holds = want, .end = end
	};
	struct supposition trial = *s;

	if (suppose_port_fits(s, end, dst) == want)
		return 0;
	if (other_port(&trial, &need) < 0)
		return want ? by_name(s, &need) : -ENOENT;
	*s = trial;
	return 0;
}

/* --- addresses ----------------------------------------------------------------------------- */

static bool try_addr(struct supposition *s, bool dst, const union mg_addr *addr)
{
	struct supposed_end *at = &s->end[dst];
	const struct supposed_end before = *at;

	/* what talks to itself asks no policy */
	if (addr_is4(addr) != addr_is4(&at->addr) || !addr_cmp(addr, &s->end[!dst].addr))
		return false;
	if (!at->endpoint)
		supposed_end_init(at, at->engine, addr); /* whoever that is */
	at->addr = *addr;
	at->port = before.port;
	if (suppose_needs_hold(s))
		return true;
	*at = before;
	return false;
}

/* The last address of a prefix. */
static union mg_addr last_of(const struct mg_prefix *net)
{
	union mg_addr addr = net->addr;

	for (unsigned int bit = net->len; bit < MG_ADDR_BITS; bit++)
		addr.b[bit / 8] |= (uint8_t)(0x80 >> bit % 8);
	return addr;
}

/* The one before; of the first of all the last of all. */
static union mg_addr before_of(union mg_addr addr)
{
	for (int i = 15; i >= 0 && !addr.b[i]--; i--)
		;
	return addr;
}

static bool try_nets(struct supposition *s, const struct rule_nets *nets, bool dst)
{
	for (unsigned int i = 0; i < nets->count; i++) {
		union mg_addr first = nets->net[i].addr, last = last_of(&nets->net[i]);
		union mg_addr before = before_of(first), behind = addr_add(&last, 1);

		if (try_addr(s, dst, &first) || try_addr(s, dst, &last) ||
		    try_addr(s, dst, &behind) || try_addr(s, dst, &before))
			return true;
	}
	return false;
}

int suppose_address(struct supposition *s, const struct rule_end *end, bool dst, bool want)
{
	const struct supposed_need need = {
		.what = SUPPOSE_ADDRESS, .dst = dst, .holds = want, .end = end
	};
	const union mg_addr *addr = &s->end[dst].addr;

	if (suppose_in_place(end, addr) == want)
		return 0;
	if (s->end[dst].fixed || suppose_need(s, &need) < 0)
		return -ENOENT;
	for (unsigned int i = s->need_count; i--;)
		if (s->need[i].what == SUPPOSE_ADDRESS && s->need[i].dst == dst &&
		    (try_nets(s, &s->need[i].end->nets, dst) ||
		     try_nets(s, &s->need[i].end->not_nets, dst)))
			return 0;
	return -ENOENT;
}
