/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The classification engine (docs/policy-engine.md): sets, tables, classes, verdicts,
 * and the commit that puts a column of set numbers into force with one store.
 *
 * table_get(root, key): page root, entry key >> 8, names the leaf page; its entry
 * key & 255 is the value. Page 0 is all zero. A page is u32[256]; mg_pages is an array
 * of arrays, chunk page / MG_CHUNK_PAGES, element page % MG_CHUNK_PAGES.
 */
#ifndef MARGAY_ABI_POLICY_H
#define MARGAY_ABI_POLICY_H

#include <linux/types.h>

#define MG_PAGE_ENTRIES 256
#define MG_CHUNK_PAGES 1024
#define MG_CHUNKS_MAX 256

struct mg_page {
	__u32 v[MG_PAGE_ENTRIES];
};

/* Those of a host endpoint first: policies with doNotTrack, with preDNAT (of what comes in alone),
 * with applyOnForward, and all others. */
enum mg_stage {
	MG_STAGE_UNTRACKED_IN,
	MG_STAGE_UNTRACKED_OUT,
	MG_STAGE_PREDNAT,
	MG_STAGE_FORWARD_IN,
	MG_STAGE_FORWARD_OUT,
	MG_STAGE_NORMAL_IN,
	MG_STAGE_NORMAL_OUT,
	MG_STAGE_WORKLOAD_IN,
	MG_STAGE_WORKLOAD_OUT,
	MG_STAGE_STAGED_IN,
	MG_STAGE_STAGED_OUT,
	MG_STAGE_MAX
};

#define MG_COLUMNS 4

/* mg_slot, by endpoint slot: one set for each stage and direction in each column.
 * MG_SET_NONE: this stage does not judge here. */
struct mg_slot {
	__u32 set[MG_COLUMNS][MG_STAGE_MAX];
};

#define MG_SET_NONE 0
#define MG_SET_DROP_ALL 1  /* of an endpoint whose policy did not fit, or is not there yet */
#define MG_SET_ALLOW_ALL 2 /* no policy selects the endpoint */
#define MG_SET_FIRST 3

#define MG_SET_BOTH_ENDS (1U << 0) /* of a host endpoint: see mg_set.table */

struct mg_set {
	__u32 table; /* root: peer identity -> class number; of MG_SET_BOTH_ENDS: near identity ->
		      * root of such a table for the far one */
	__u32 flags; /* MG_SET_BOTH_ENDS */
};

/* Protocols with a port (ICMP: type << 8 | code) table of their own. */
enum mg_l4 { MG_L4_TCP, MG_L4_UDP, MG_L4_SCTP, MG_L4_ICMP, MG_L4_ICMP6, MG_L4_MAX };

#define MG_CLASS_OTHERS 8

/* mg_class. Class 0: drop everything (verdict MG_VERDICT_DROP). */
struct mg_class {
	__u32 verdict;	     /* default verdict number */
	__u32 l4[MG_L4_MAX]; /* root: port -> verdict + 1; 0: no table. Entry 0: default */
	__u32 sport;	     /* root: source port -> class, looked up first; 0: none */
	__u32 proto_table;   /* root: protocol number -> verdict + 1; 0: none */
	__u32 other_verdict[MG_CLASS_OTHERS];
	__u8 other_proto[MG_CLASS_OTHERS]; /* 0: unused */
};

enum mg_action { MG_ACTION_DENY, MG_ACTION_ALLOW };

#define MG_VERDICT_DROP 0
#define MG_VERDICT_ALLOW 1
#define MG_VERDICT_FIRST 2

#define MG_RULE_NONE 0 /* no rule: the end of a tier, or no policy at all */

#define MG_SET_BITS 14	/* of a set's number */
#define MG_RULE_BITS 18 /* of a rule's number */
#define MG_SETS_MAX (1U << MG_SET_BITS)
#define MG_RULES_MAX ((1U << MG_RULE_BITS) - 1)

/* mg_judged.staged_rule: denied, by a rule that is in force or the end of a tier. No rule's
 * number. */
#define MG_RULE_DENIED MG_RULES_MAX

/* One side of a judgement: what decided, and what would if staged policies were in force. Zero:
 * this side was not judged here. */
struct mg_judged {
	__u64 rule : MG_RULE_BITS;	  /* deciding; MG_RULE_NONE: implicit */
	__u64 staged_rule : MG_RULE_BITS; /* a staged policy's, MG_RULE_DENIED, or else
					   * MG_RULE_NONE: allowed. Where staged_set is 0: the
					   * rule of the host endpoint for all interfaces */
	__u64 set : MG_SET_BITS;	  /* that judged; 0: not here */
	__u64 staged_set : MG_SET_BITS;	  /* 0: nothing staged concerns this side */
};

/* mg_verdict */
struct mg_verdict {
	__u32 rule;	/* deciding rule number, MG_RULE_NONE: implicit */
	__u32 log_rule; /* last Log rule passed on the way; 0: none */
	__u32 tier;	/* number of the tier whose end decided where rule is none; 0: profile */
	__u8 action;	/* enum mg_action */
	__u8 staged;	/* 1: rule is of a staged policy, and decides nothing in force */
	__u8 pad[2];
};

#define MG_COMMIT_ROWS 64

/* mg_commit: immutable once named by mg_control.commit. */
struct mg_commit {
	__u32 column;
	__u32 fallback;	  /* column used past the deadline */
	__u64 deadline;	  /* boot time, ns; 0: none */
	__u64 generation; /* what tools show */
};

#define MG_EPOCHS 4096

/* mg_control: one row, mapped by the agent (BPF_F_MMAPABLE), each member one aligned store. */
struct mg_control {
	__u32 commit;	  /* row of mg_commit in force */
	__u32 change;	  /* raised after every change that may concern a live flow */
	__u32 host_epoch; /* raised when a host set of this node changes */
	__u32 net_epoch;  /* raised when a row of mg_nets changes: of addresses without exact row */
	__u32 epoch[MG_EPOCHS]; /* by mg_epoch_hash(address): of addresses with exact rows */
};

/* mg_rule_stats, per CPU, by rule number; rules beyond are judged and not counted. */
struct mg_rule_stats {
	__u64 connections;
	__u64 packets;
	__u64 bytes;
};

_Static_assert(sizeof(struct mg_page) == 1024, "mg_page");
_Static_assert(sizeof(struct mg_slot) == 176, "mg_slot");
_Static_assert(sizeof(struct mg_set) == 8, "mg_set");
_Static_assert(sizeof(struct mg_class) == 72, "mg_class");
_Static_assert(sizeof(struct mg_judged) == 8, "mg_judged");
_Static_assert(sizeof(struct mg_verdict) == 16, "mg_verdict");
_Static_assert(sizeof(struct mg_commit) == 24, "mg_commit");
_Static_assert(sizeof(struct mg_control) == 16 + 4 * MG_EPOCHS, "mg_control");

#endif
