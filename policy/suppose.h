/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What if: a connection as it is, or as it would be if a few things about it were different, and
 * whether a rule in the neutral form (policy/rule.h) matches it. For people who ask what is missing
 * (policy/nearest.h), never for a verdict. Everything refers to the engine's memory and to the
 * policies', until the next engine_build().
 */
#ifndef MARGAY_POLICY_SUPPOSE_H
#define MARGAY_POLICY_SUPPOSE_H

#include "policy/engine_state.h"

#define SUPPOSE_LABELS 16
#define SUPPOSE_NEEDS 12
#define SUPPOSE_PORT_PROTOS 3 /* protocols that have ports */

/* What may be different; at each end the last seven. */
enum suppose_what {
	SUPPOSE_PROTOCOL,
	SUPPOSE_ICMP,	   /* type and code */
	SUPPOSE_PORT,	   /* at its end */
	SUPPOSE_ENDPOINT,  /* somebody known is there */
	SUPPOSE_NAMESPACE, /* that one, or its labels */
	SUPPOSE_ACCOUNT,
	SUPPOSE_LABEL,
	SUPPOSE_ADDRESS,
	SUPPOSE_SERVICE, /* a member of one: another address */
	SUPPOSE_MAX
};

/* One thing that is different, and what asked for it. */
struct supposed_need {
	enum suppose_what what;
	bool dst;		     /* at the destination */
	bool holds;		     /* false: what it asks is not to hold */
	const struct selector *test; /* of namespace, account and label: a leaf */
	const struct rule *rule;     /* of protocol and ICMP; NULL: a port's name */
	const struct rule_end *end;  /* of port, address and service */
};

struct supposed_label {
	const char *key;
	const char *value; /* NULL: absent */
};

struct supposed_end {
	const struct engine *engine;
	const struct facts *facts; /* NULL: of nobody known */
	union mg_addr addr;
	bool fixed;    /* a local endpoint: different in its port alone */
	bool unknown;  /* an enabled pool's address without an owner: any labels (abi/ident.h) */
	bool endpoint; /* somebody with labels */
	uint16_t port;
	uint16_t label_count;
	const char *ns;			 /* it is in that namespace; NULL: in its own */
	const struct tag_set *ns_labels; /* NULL: none are known */
	struct supposed_label label[SUPPOSE_LABELS];
};

struct supposition {
	struct supposed_end end[2]; /* source, destination */
	enum policy_direction direction;
	uint8_t proto;
	uint8_t icmp_type;
	uint8_t icmp_code;
	uint32_t changed; /* 1 << suppose_bit() */
	unsigned int need_count;
	struct supposed_need need[SUPPOSE_NEEDS];
};

/* Who is there, as the engine knows. */
void supposed_end_init(struct supposed_end *end, const struct engine *engine,
		       const union mg_addr *addr);

/* How many different things; by that, and by how many details. */
unsigned int suppose_things(const struct supposition *supposition);
unsigned int suppose_cost(const struct supposition *supposition);

/* The cheapest of several trials, the first of those that cost the same. */
struct supposed_best {
	struct supposition supposition;
	bool found;
};

void suppose_offer(struct supposed_best *best, const struct supposition *trial);
/* -ENOENT: none was offered, and the supposition stays. */
int suppose_take(const struct supposed_best *best, struct supposition *ret_supposition);

/* selector_lookup over struct supposed_end. */
const char *suppose_lookup(void *end, const char *key);
bool suppose_holds(const struct supposed_end *end, const struct selector *selector);

bool suppose_matches(const struct supposition *supposition, const struct rule *rule);

/* --- suppose_change.c: makes the supposition such that the rule matches, or by one way of several
 * (counted from 0) no longer does. -ENOENT: not so, the supposition is spoiled. What was asked
 * before holds still: a value that was chosen then may become another one that does as well. */
#define SUPPOSE_WAYS (SUPPOSE_PORT_PROTOS + 9)
int suppose_match(struct supposition *supposition, const struct rule *rule);
int suppose_escape(struct supposition *supposition, const struct rule *rule, unsigned int way);

/* --- among its files: suppose_ports.c, suppose_labels.c ------------------------------------ */

extern const uint8_t suppose_port_protos[SUPPOSE_PORT_PROTOS];

bool suppose_has_ports(uint8_t proto);
bool suppose_needs_ports(const struct rule *rule);
/* It asks what cannot be known of an address of unknown owner. */
bool suppose_lacks_owner(const struct supposed_end *at, const struct rule_end *end);
/* What the end asks of its port: also as the service's member, at a destination. */
bool suppose_port_fits(const struct supposition *supposition, const struct rule_end *end, bool dst);
bool suppose_in_place(const struct rule_end *end, const union mg_addr *addr);
bool suppose_proto_fits(const struct supposition *supposition, const struct rule *rule, int proto);
bool suppose_icmp_fits(const struct supposition *supposition, const struct rule *rule);
bool suppose_in_nets(const struct rule_nets *nets, const union mg_addr *addr);
bool suppose_is_member(const struct supposition *supposition, const char *service, bool dst);
/* The service's members as its atom has them; NULL: no rule in force names it. */
const struct atom *suppose_service(const struct supposition *supposition, const char *service);

/* Does all that was noted down hold? */
bool suppose_needs_hold(const struct supposition *supposition);
/* Notes it down. -ENOENT: there is no room. */
int suppose_need(struct supposition *supposition, const struct supposed_need *need);

int suppose_selector(struct supposition *supposition, bool dst, const struct selector *selector,
		     bool want);
/* Into what the end asks for, or (want false) out of it. */
int suppose_port(struct supposition *supposition, const struct rule_end *end, bool dst, bool want);
int suppose_address(struct supposition *supposition, const struct rule_end *end, bool dst,
		    bool want);

#endif
