/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The maps of the policy engine in ordinary memory, and a reader of them that does exactly what
 * bpf/lib/policy.h does: to judge plans without a kernel, also half written ones.
 */
#ifndef MARGAY_SELFTESTS_POLICY_KERNEL_H
#define MARGAY_SELFTESTS_POLICY_KERNEL_H

#include "policy/engine.h"

#define PK_PAGES 65536
#define PK_SETS 16384
#define PK_CLASSES 32768
#define PK_VERDICTS 65536
#define PK_SLOTS 4096
#define PK_IDENTS 65536
#define PK_RULES 65536
#define PK_ROWS 8192 /* addresses, prefixes */

struct pk_row {
	struct mg_prefix prefix;
	uint16_t identity;
};

struct pk_rows {
	struct pk_row row[PK_ROWS];
	size_t count;
};

/* What is reused before grace: numbers given back are watched. */
struct policy_kernel {
	struct mg_page *page[PK_PAGES]; /* NULL: zero */
	struct mg_set set[PK_SETS];
	struct mg_class class[PK_CLASSES];
	struct mg_verdict verdict[PK_VERDICTS];
	struct mg_slot slot[PK_SLOTS];
	struct mg_commit commit_row[MG_COMMIT_ROWS];
	struct mg_digest ident_dig[PK_IDENTS];
	struct mg_digest set_dig[PK_SETS];
	struct mg_digest rule_dig[PK_RULES];
	struct pk_rows addrs;
	struct pk_rows nets;
	uint32_t commit;
	size_t rows_written;
};

struct policy_kernel *pk_new(void);
void pk_free(struct policy_kernel *kernel);

/* One row, one move, one phase (its commit included), all of a plan. */
void pk_write_row(struct policy_kernel *kernel, const struct engine *engine,
		  const struct plan_row *row);
void pk_move(struct policy_kernel *kernel, const struct plan_move *move);
void pk_phase(struct policy_kernel *kernel, const struct engine *engine, const struct plan *plan,
	      enum plan_phase phase);
void pk_apply(struct policy_kernel *kernel, struct engine *engine, const struct plan *plan);

/* engine_build(), everything written, applied and graced, until nothing is pending. */
void pk_settle(struct policy_kernel *kernel, struct engine *engine);

struct pk_packet {
	union mg_addr peer;
	uint8_t proto;
	uint16_t sport;
	uint16_t dport;
	uint8_t icmp_type;
	uint8_t icmp_code;
};

uint16_t pk_identity(const struct policy_kernel *kernel, const union mg_addr *addr);
uint32_t pk_set(const struct policy_kernel *kernel, uint32_t slot, enum mg_stage stage);

/* Number of the verdict at one stage of a slot. */
uint32_t pk_judge(const struct policy_kernel *kernel, uint32_t slot, enum mg_stage stage,
		  const struct pk_packet *packet);
/* The same of a host endpoint's slot, whose near end is an address too. */
uint32_t pk_judge_host(const struct policy_kernel *kernel, uint32_t slot, enum mg_stage stage,
		       const union mg_addr *near, const struct pk_packet *packet);

bool pk_allows(const struct policy_kernel *kernel, uint32_t verdict);

/* A new engine that knows what stands in the maps, as after a restart of the agent. */
struct engine *pk_restart(const struct policy_kernel *kernel);

#endif
