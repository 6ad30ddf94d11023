/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One node in memory: the product's programs and maps, loaded in this process and pinned nowhere,
 * rows written by small builders, packets run through BPF_PROG_TEST_RUN. Several fixtures are
 * several nodes: the bytes one returns are another one's input. A program is loaded when the first
 * packet comes to its hook: most of what a packet test costs is the verifier's work.
 *
 * The load is the trace copy (mg_config.trace): a redirect's target does not show in its return
 * code, but in the step log. Every builder fails the running cmocka test when the kernel refuses.
 * The process must be in namespaces of its own (sandbox.h).
 */
#ifndef MARGAY_SELFTESTS_LIB_FIXTURE_H
#define MARGAY_SELFTESTS_LIB_FIXTURE_H

#include <stdbool.h>

#include "abi/config.h"
#include "abi/endpoint.h"
#include "abi/event.h"
#include "abi/flow.h"
#include "abi/ident.h"
#include "abi/node.h"
#include "abi/policy.h"
#include "abi/reason.h"
#include "abi/service.h"
#include "selftests/lib/wire.h"

struct bpf_object;

struct fixture {
	struct bpf_object *maps;		 /* all of them, and no program */
	struct bpf_object *program[MG_HOOK_MAX]; /* NULL: no packet came here yet */
	struct mg_config config;
	struct mg_local local; /* as written last */
	__u32 pages;	       /* numbers given so far, by the policy builders */
	__u32 classes;
	__u32 verdicts;
	__u32 sets;
};

/* mg_local has usual lifetimes and node 1, commit row 1 with column 0 is in force.
 * config NULL: defaults with trace; flows: rows of each flow table, 0: some thousands,
 * FIXTURE_WHOLE: each map as large as the product's. */
#define FIXTURE_WHOLE (~0U)
void fixture_open(struct fixture *fx, const struct mg_config *config, __u32 flows);
/* A second load beside an open one, which owns the maps that both use. */
void fixture_open_beside(struct fixture *fx, const struct fixture *with,
			 bool (*shared)(const char *map), const struct mg_config *config);
void fixture_close(struct fixture *fx);

/* Flows, drop counters and the step log are empty again; rows of configuration stay. */
void fixture_forget(struct fixture *fx);

/* A hash without rows. */
void fixture_empty(int fd, size_t key_size);

/* Descriptor of a map by its name. */
int fixture_map(const struct fixture *fx, const char *name);
void fixture_put(const struct fixture *fx, const char *map, const void *key, const void *value);
void fixture_put_at(const struct fixture *fx, const char *map, __u32 index, const void *value);
bool fixture_get(const struct fixture *fx, const char *map, const void *key, void *ret_value);
void fixture_del(const struct fixture *fx, const char *map, const void *key);

/* --- rows ------------------------------------------------------------------------------ */
/* A device with this index, so that TEST_RUN can name it. Idle where it is there already. */
void fixture_device(__u32 ifindex);

/* Address from text. */
union mg_addr fixture_addr(const char *text);

/* A ready endpoint: device MG_IFINDEX_BASE + slot, MAC addresses by slot, rows of mg_addrs for
 * both addresses with this identity, allow-all in all columns. */
void fixture_pod(const struct fixture *fx, __u16 slot, const char *ip4, const char *ip6,
		 __u16 identity);
void fixture_ep_flags(const struct fixture *fx, __u16 slot, __u32 flags);
struct mg_ep fixture_ep(const struct fixture *fx, __u16 slot);

void fixture_ident(const struct fixture *fx, const char *addr, struct mg_ident ident);
void fixture_net(const struct fixture *fx, const char *prefix, struct mg_ident ident);
void fixture_local(struct fixture *fx);

/* A service's address, and one backend of a set; of a set with affinity (member) also its row by
 * address. proto: IPPROTO_*. */
void fixture_front(const struct fixture *fx, const union mg_addr *addr, unsigned short port,
		   unsigned char proto, struct mg_front front);
/* The same for clients from outside. */
void fixture_front_far(const struct fixture *fx, const union mg_addr *addr, unsigned short port,
		       unsigned char proto, struct mg_front front);
/* A net of clients that a set with MG_FRONT_SOURCES is for: "203.0.113.0/24". */
void fixture_range(const struct fixture *fx, __u32 set, const char *prefix);
void fixture_back(const struct fixture *fx, __u32 set, __u32 slot, const union mg_addr *addr,
		  unsigned short port, bool member);

/* --- policy ---------------------------------------------------------------------------- */
__u32 fixture_verdict(struct fixture *fx, enum mg_action action, __u32 rule, __u32 log_rule);
/* Of a rule that is staged. */
__u32 fixture_staged(struct fixture *fx, enum mg_action action, __u32 rule);
__u32 fixture_class(struct fixture *fx, const struct mg_class *class);
struct fixture_entry {
	__u16 key;
	__u32 value;
};
/* Root of a table with these entries; what is not named reads 0. */
__u32 fixture_table(struct fixture *fx, const struct fixture_entry *entries, unsigned int count);
/* A set whose table gives identities classes. */
__u32 fixture_set(struct fixture *fx, const struct fixture_entry *entries, unsigned int count);
/* One that knows a single identity, with this class. */
__u32 fixture_set_for(struct fixture *fx, __u16 identity, const struct mg_class *class);
void fixture_assign(const struct fixture *fx, __u16 slot, __u32 column, enum mg_stage stage,
		    __u32 set);
/* Stores a fresh commit row and names it; raises change. */
void fixture_commit(const struct fixture *fx, struct mg_commit commit);
struct mg_control fixture_control(const struct fixture *fx);
void fixture_control_put(const struct fixture *fx, const struct mg_control *control);
/* An address changed its identity, came or went: its epoch, then change. */
void fixture_touch(const struct fixture *fx, const char *addr);

/* Now, as deadlines and flows_new_until count. */
__u64 fixture_boot_time(void);

/* --- runs ------------------------------------------------------------------------------ */
struct fixture_run {
	enum mg_hook hook;
	__u32 ifindex;
	__u32 ingress_ifindex;
	__u32 mark;
	__u32 segments; /* of a bundle (GSO); 0: none */
	const struct wire *in;
	unsigned int repeat; /* 0: once */
};

struct fixture_out {
	int code;	       /* TC_ACT_* */
	__u32 mark;	       /* after */
	__u32 duration;	       /* ns a run, of repeated ones */
	enum mg_reason reason; /* whose counter rose; MG_DROP_NONE: none did */
	unsigned int drops;    /* by how much all of them together */
	struct mg_steps steps;
	struct wire wire;
};

/* Descriptor of a hook's program. */
int fixture_program(struct fixture *fx, enum mg_hook hook);
void fixture_run(struct fixture *fx, const struct fixture_run *run, struct fixture_out *out);

/* The step of this kind, or NULL; the last one if there are several. */
const struct mg_step *fixture_step(const struct fixture_out *out, enum mg_step_kind kind);

/* The flow row between two ends, from which table: 0 none, 1 transient, 2 established. */
int fixture_flow(const struct fixture *fx, const struct wire_spec *packet,
		 struct mg_flow *ret_flow);
/* Writes it back where it stands. */
void fixture_flow_put(const struct fixture *fx, const struct wire_spec *packet,
		      const struct mg_flow *flow);

/* Sum over CPUs. */
struct mg_drop_count fixture_drops(const struct fixture *fx, enum mg_hook hook,
				   enum mg_reason reason);
struct mg_rule_stats fixture_rule(const struct fixture *fx, __u32 rule);

/* The next record of mg_events, or false. */
bool fixture_event(const struct fixture *fx, struct mg_event *ret_event);

const char *fixture_reason_name(enum mg_reason reason);

#endif
