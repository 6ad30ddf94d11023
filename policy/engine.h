/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The policy engine's face (docs/policy-engine.md). It is told facts (addresses, nets,
 * policies, local endpoints) and answers with plans: rows to write, in the order in which
 * they may be written. It makes no system call and writes no map.
 *
 *	engine_addr_set(), engine_policy_set(), engine_endpoint_set() ...	any number
 *	engine_build(engine, &plan, &err)	what is to be written; the engine owns the plan
 *	... the caller writes phase after phase, in order ...
 *	engine_applied(engine)			every row of the plan is in the kernel
 *	... membarrier, in an idle turn ...
 *	engine_grace_done(engine, n)		nobody reads what was replaced: numbers are free
 *
 * A plan that could not be written whole is written again from its start: rows are values, not
 * steps. Until engine_applied() says that it was, engine_build() gives the same plan again.
 * Building again before engine_grace_done() is fine, the old numbers just stay taken.
 *
 * All strings are copied. Nothing here is thread-safe. Out of memory aborts.
 */
#ifndef MARGAY_POLICY_ENGINE_H
#define MARGAY_POLICY_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "abi/digest.h"
#include "abi/ident.h"
#include "abi/policy.h"
#include "policy/rule.h"

struct engine;
struct err;

/* Rows of the maps; what is 0 becomes the default of bpf/maps/. */
struct engine_limits {
	uint32_t pages;
	uint32_t sets;
	uint32_t classes;
	uint32_t verdicts;
	uint32_t identities;
	uint32_t slots;
	uint32_t rules; /* numbers beyond mg_rule_stats are judged, not counted */
	uint32_t nets;
};

struct engine *engine_new(const struct engine_limits *limits); /* NULL: defaults */
void engine_free(struct engine *engine);		       /* accepts NULL */
void engine_limit_nets(struct engine *engine, uint32_t rows);  /* once mg_nets has its size */

/* --- facts of addresses -------------------------------------------------------------------- */

struct engine_label {
	const char *key;
	const char *value;
};

struct engine_port {
	const char *name;
	uint16_t number;
	uint8_t proto; /* IPPROTO_* */
};

struct engine_labels {
	const struct engine_label *label;
	size_t count;
};

enum engine_kind {
	ENGINE_OUTSIDE,	 /* no endpoint: a node's own address; only nets match it */
	ENGINE_POD,	 /* a workload, here or elsewhere */
	ENGINE_HOST_END, /* a HostEndpoint */
	ENGINE_NETSET,	 /* a network set: its nets' addresses */
	ENGINE_DOMAINS,	 /* the engine's own: a network set's domains */
};

/* What selectors and named ports can ask. Zero what does not apply. */
struct engine_facts {
	enum engine_kind kind;
	const char *namespace;	     /* of a pod */
	const char *service_account; /* NULL or "": none */
	struct engine_labels labels;
	struct engine_labels namespace_labels;	     /* without prefix */
	struct engine_labels service_account_labels; /* without prefix */
	const struct engine_port *ports;
	size_t port_count;
};

/* Adds or changes. Cheap for many addresses of equal facts. */
void engine_addr_set(struct engine *engine, const union mg_addr *addr,
		     const struct engine_facts *facts);
void engine_addr_del(struct engine *engine, const union mg_addr *addr); /* unknown: nothing */

/* Pools and blocks: prefixes of mg_nets whose rows the caller makes, with the identity that
 * the plan's moves give. Rules' own nets need not be named. */
enum engine_net {
	ENGINE_NET_INHERIT, /* blocks: as the prefix around it */
	ENGINE_NET_UNKNOWN, /* an enabled pool: who owns an address is not known (yet) */
	ENGINE_NET_WORLD,   /* a disabled pool: addresses like any other */
};
void engine_net_set(struct engine *engine, const struct mg_prefix *prefix, enum engine_net kind);
void engine_net_del(struct engine *engine, const struct mg_prefix *prefix);

/* A network set, known by name: labels that hold for every address in one of the nets, whoever
 * has it, beside its own. facts.kind is ENGINE_NETSET. */
void engine_netset_set(struct engine *engine, const char *name, const struct engine_facts *facts,
		       const struct mg_prefix *net, size_t count);
/* Its domains (allowedEgressDomains): the labels hold for their addresses too, but only where a
 * rule that allows asks them of the destination of what an endpoint sends. After
 * engine_netset_set(), with the same facts. */
void engine_netset_domains(struct engine *engine, const char *name,
			   const struct engine_facts *facts, const char *const *domain,
			   size_t count);
void engine_netset_del(struct engine *engine, const char *name);

/* A name of the world has the address, or no more: what rules and sets say of domains is said of
 * it. name: lower case, no dot at the end. Told again: nothing. */
void engine_domain_set(struct engine *engine, const char *name, const union mg_addr *addr);
void engine_domain_del(struct engine *engine, const char *name, const union mg_addr *addr);
bool engine_domain_wanted(struct engine *engine, const char *name); /* does anything ask for it? */
/* Do rules of this endpoint ask for domains? As of the policies told. */
bool engine_endpoint_domains(struct engine *engine, uint32_t slot);

/* As of the last engine_build(). -ENOENT: not known to the engine; of a prefix: neither a
 * rule's net nor set by engine_net_set(). */
int engine_addr_identity(const struct engine *engine, const union mg_addr *addr,
			 uint16_t *ret_identity);
int engine_net_identity(const struct engine *engine, const struct mg_prefix *prefix,
			uint16_t *ret_identity);

/* The identity that a longest match gives, also where no row is. */
uint16_t engine_region_identity(const struct engine *engine, const struct mg_prefix *prefix);

/* --- policies and endpoints ---------------------------------------------------------------- */

/* Takes the policy over; one of the same group, kind, namespace and name is replaced. */
void engine_policy_set(struct engine *engine, struct policy *policy);
void engine_policy_del(struct engine *engine, const char *group, const char *kind,
		       const char *namespace, const char *name);

/* Tiers: "default" (1000000, Deny), "kube-admin" (1000, Pass) and "kube-baseline" (10000000,
 * Pass) are there from the start. action is RULE_DENY or RULE_PASS. A policy in a tier that is
 * not there applies nowhere. */
void engine_tier_set(struct engine *engine, const char *name, double order,
		     enum rule_action action);
void engine_tier_del(struct engine *engine, const char *name);

/* A service's member, for rules that name it: an address with a port behind it. As a source the
 * address alone counts. */
struct engine_member {
	union mg_addr addr;
	uint16_t port; /* 0: every port of proto */
	uint8_t proto; /* 0: no port at all */
};

/* Who knows them: calls each(arg, member). The engine asks for services that a rule names, when it
 * begins to (in engine_build()) and when they change; of others it keeps nothing. */
struct engine_services {
	void (*members)(void *ctx, const char *name,
			void (*each)(void *arg, const struct engine_member *member), void *arg);
	void *ctx;
};
void engine_services_from(struct engine *engine, const struct engine_services *from);
void engine_service_changed(struct engine *engine, const char *name); /* "namespace/name" */

/* A local endpoint: its near side of rules. */
struct engine_endpoint {
	struct engine_facts facts;
	union mg_addr ip4; /* v4-mapped; zero: none */
	union mg_addr ip6;
	bool default_deny; /* what holds where no policy applies or all pass; pods: false */
};
int engine_endpoint_set(struct engine *engine, uint32_t slot,
			const struct engine_endpoint *endpoint); /* -ERANGE: no such slot */
void engine_endpoint_del(struct engine *engine, uint32_t slot);

/* The set that judges at a stage once the last plan is in force; MG_SET_NONE: nothing does. */
uint32_t engine_endpoint_set_number(const struct engine *engine, uint32_t slot,
				    enum mg_stage stage);

/* --- plans --------------------------------------------------------------------------------- */

enum plan_phase {
	PLAN_FILL,    /* rows nobody can reach, then sets in force learn the new identities */
	PLAN_MOVE,    /* the moves: address and net rows get their identity */
	PLAN_PREPARE, /* rows nobody can reach: pages, classes, verdicts, sets, slots, commit row */
	PLAN_COMMIT,  /* mg_control.commit = plan->commit, one store; then change is raised */
	PLAN_AFTER,   /* tidying that must wait for the commit, e.g. slots of gone endpoints */
	PLAN_PHASES
};

enum plan_map {
	PLAN_PAGE, /* key: page number; element key % MG_CHUNK_PAGES of chunk key / MG_CHUNK_PAGES
		    */
	PLAN_SET,
	PLAN_CLASS,
	PLAN_VERDICT,
	PLAN_SLOT,
	PLAN_COMMIT_ROW,
	PLAN_IDENT_DIG,
	PLAN_SET_DIG,
	PLAN_RULE_DIG, /* not del: a new rule number, whose mg_rule_stats begin at zero */
	PLAN_MAPS
};

struct plan_row {
	enum plan_map map;
	uint32_t key;
	uint32_t value; /* see plan_value() */
	bool del;	/* only of PLAN_RULE_DIG, a hash */
};

/* One address (len 128, exact: a row of mg_addrs) or prefix (a row of mg_nets). */
struct plan_move {
	struct mg_prefix prefix;
	uint16_t identity;
	uint16_t before; /* what the row had, unless fresh */
	bool net;	 /* row of mg_nets */
	bool gone;	 /* remove the row, unless the caller has its own reason for it */
	bool fresh;	 /* was not there before */
};

struct plan {
	const struct plan_row *row[PLAN_PHASES];
	size_t row_count[PLAN_PHASES];
	const struct plan_move *move; /* of PLAN_MOVE, after its rows */
	size_t move_count;
	bool commits;	 /* false: PLAN_COMMIT has nothing to store */
	uint32_t commit; /* row number for mg_control.commit */
	bool changes;	 /* raise mg_control.change when all is written */
	bool hosts;	 /* raise mg_control.host_epoch too: a host set changed */
	bool empty;	 /* nothing to write at all */
};

/* The bytes of a row; scratch is used for pages. Valid until the next engine_build(). */
const void *plan_value(const struct engine *engine, const struct plan_row *row,
		       struct mg_page *scratch, size_t *ret_size);

/* *ret_plan is always set, and the engine's.
 * -ENOSPC: it does not fit; err names the map, the rows needed and policies that need them. What
 * is in force stays, new endpoints get MG_SET_DROP_ALL; the plan carries the rest. It is tried
 * again with the next change, and when engine_grace_done() may have made room.
 * -EAGAIN: no column is free before a grace period; the plan is empty. */
int engine_build(struct engine *engine, const struct plan **ret_plan, struct err *err);
void engine_applied(struct engine *engine);
/* The number of the last build that was applied; what it replaced is free when a grace period that
 * began after engine_applied() is over: engine_grace_done() with that number. */
uint64_t engine_applied_build(const struct engine *engine);
void engine_grace_done(struct engine *engine, uint64_t build);

/* There is something that engine_build() would look at. */
bool engine_pending(const struct engine *engine);

/* --- restart ------------------------------------------------------------------------------- */

struct engine_kernel_rule {
	uint32_t number;
	struct mg_digest digest;
};

struct engine_kernel_addr {
	union mg_addr addr;
	uint16_t identity;
};

struct engine_kernel_net {
	struct mg_prefix prefix;
	uint16_t identity;
};

/* What stands in the pinned maps. Rows of zeroes may be left out. Before the first build. */
struct engine_kernel {
	const struct mg_digest *ident_dig; /* by number */
	size_t ident_count;
	const struct mg_digest *set_dig;
	size_t set_dig_count;
	const struct mg_set *sets;
	size_t set_count;
	const struct mg_class *classes;
	size_t class_count;
	const struct mg_verdict *verdicts;
	size_t verdict_count;
	const struct mg_slot *slots;
	size_t slot_count;
	const struct mg_commit *commits; /* MG_COMMIT_ROWS */
	uint32_t commit;		 /* mg_control.commit */
	/* NULL: zero. What it points to may change with the next call. */
	const struct mg_page *(*page)(void *ctx, uint32_t number);
	uint32_t page_count;
	void *ctx;
	const struct engine_kernel_rule *rules;
	size_t rule_count;
	const struct engine_kernel_addr *addrs;
	size_t addr_count;
	const struct engine_kernel_net *nets;
	size_t net_count;
};
void engine_restore(struct engine *engine, const struct engine_kernel *kernel);

/* --- tools --------------------------------------------------------------------------------- */

/* A rule by its number, as it is in force or was until lately. */
struct engine_rule {
	const struct policy *policy;
	enum policy_direction direction;
	unsigned int index;
	enum rule_action action;
	const char *text;
};
int engine_rule_get(const struct engine *engine, uint32_t number, struct engine_rule *ret_rule);

/* The number of rule `index` of a policy that judges somewhere on this node, MG_RULE_NONE: of none;
 * digest (NULL: not asked) is what it is known by over restarts. */
uint32_t engine_rule_number(const struct engine *engine, const struct policy *policy,
			    enum policy_direction direction, unsigned int index);
const struct mg_digest *engine_rule_digest(const struct engine *engine, uint32_t number);
bool engine_has_log(const struct engine *engine);	/* some rule logs */
uint32_t engine_rules_end(const struct engine *engine); /* above every rule's number */

/* Of a verdict's tier number; NULL: there is no such tier (now). */
const char *engine_tier_name(const struct engine *engine, uint32_t number);

/* False: there is no such tier. */
struct engine_tier {
	double order;
	enum rule_action action; /* where no rule of the tier decides: RULE_DENY or RULE_PASS */
};
bool engine_tier_get(const struct engine *engine, const char *name, struct engine_tier *ret_tier);

/* What holds for an endpoint's own traffic where all policies pass, or none applies. */
bool engine_endpoint_denies(const struct engine *engine, uint32_t slot);

/* Policies of an endpoint in order: calls each(ctx, policy). */
void engine_endpoint_policies(const struct engine *engine, uint32_t slot,
			      enum policy_direction direction,
			      void (*each)(void *ctx, const struct policy *policy), void *ctx);

/* Text of an identity's atoms ("pods app == 'web' ..."); the caller frees. */
char *engine_identity_text(const struct engine *engine, uint16_t identity);

struct engine_stats {
	uint32_t used[PLAN_MAPS]; /* rows by map, those waiting for grace included */
	uint32_t limit[PLAN_MAPS];
	uint32_t identities;
	uint32_t atoms;
	uint32_t addresses;
	uint32_t facts; /* different ones */
	uint32_t nets;
	uint64_t generation; /* of the last commit */
};
void engine_stats(const struct engine *engine, struct engine_stats *ret_stats);

#endif
