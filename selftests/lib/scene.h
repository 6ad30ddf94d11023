/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cast of the packet tests, the same in both families: node 1 with four pods, another node
 * with one, the world; and rows, each one packet with what must become of it. Rows are data:
 * the tests assert them, a benchmark may repeat them, and what one node puts out can be the
 * input of another.
 */
#ifndef MARGAY_SELFTESTS_LIB_SCENE_H
#define MARGAY_SELFTESTS_LIB_SCENE_H

#include "selftests/lib/fixture.h"

enum place {
	POD_A,	   /* slot 1, identity 4 */
	POD_B,	   /* slot 2, identity 5 */
	POD_QUEUE, /* slot 3, identity 5, MG_EP_NO_PEER */
	POD_LATE,  /* slot 4, identity 5, not ready */
	POD_FAR,   /* on node 2, identity 6 */
	POOL_LOST, /* of node 1's own block, no pod has it */
	POOL_FAR,  /* of node 2's block, pod unknown */
	POOL_NONE, /* in the pool, in no block */
	NODE_OWN,
	NODE_FAR,
	WORLD,	 /* outside, in no net of a rule */
	GATEWAY, /* 169.254.1.1, fe80::ecee:eeff:feee:eeee */
	LINK_A,	 /* pod A's link-local address; IPv4: none, 169.254.7.7 */
	GROUP,	 /* a multicast group */
	NOBODY,	 /* 0.0.0.0, :: */
	PLACES,
};

/* Tables below are compared with; 0 and 1 mean what fixture.h says. */
#define SLOT_A 1
#define SLOT_B 2
#define SLOT_QUEUE 3
#define SLOT_LATE 4
#define IDENT_A 4
#define IDENT_B 5
#define IDENT_FAR 6

const char *place_text(enum place place, int family);
union mg_addr place_addr(enum place place, int family);
extern const unsigned char host_mac[6];
void pod_mac(__u16 slot, unsigned char *ret_mac);

/* A fixture (fixture_open()) with the cast in it. */
void scene_open(struct fixture *fx, const struct mg_config *config, __u32 flows);
/* Flows, counters, sets, flags and mg_local are as scene_open() left them. */
void scene_again(struct fixture *fx);

/* The node of a test program that needs but one, and its group set-up and tear-down: a sandbox,
 * and in it scene_open(). */
extern struct fixture node;
int scene_setup(void **state);
int scene_setup_with(const struct mg_config *config, __u32 flows);
int scene_teardown(void **state);

/* A packet from a pod, as it leaves it: addresses, MAC addresses, the family's kind of ICMP. */
struct wire_spec scene_packet(enum place src, enum place dst, int family);
/* What the receiver of spec answers: to a SYN or an echo request what opens the other way, to all
 * else the same the other way. */
struct wire_spec scene_answer(const struct wire_spec *spec);

enum fate {
	TO_PEER = 1, /* handed over to the pod at out_slot, hop limit less one */
	TO_DEVICE,   /* the same by its host-side device, with the mark */
	TO_STACK,    /* unchanged */
	TO_STACK_OK, /* and no other program on the device has a say */
	TO_SENDER,   /* turned into an answer */
	DROPPED,     /* for .reason */
	SWALLOWED,   /* dropped and not counted */
};

struct row {
	const char *what;
	enum place src;
	enum place dst;
	struct wire_spec packet; /* without addresses */
	void (*prepare)(struct fixture *fx, int family);
	void (*bend)(struct wire *wire, int family); /* after the packet is made */
	enum fate fate;
	enum mg_reason reason;
	__u16 out_slot;
	int family;	       /* 0: both */
	__u16 in_slot;	       /* whose hook; 0: SLOT_A */
	__u32 ingress_ifindex; /* to_pod */
	__u32 mark;
};

/* One row through a hook of pods; fails the test with the row's words. */
void row_run(struct fixture *fx, enum mg_hook hook, const struct row *row, int family);
/* An array of them, in both families. */
void rows_run(struct fixture *fx, enum mg_hook hook, const struct row *rows, size_t count);
#define ROWS_RUN(fx, hook, rows) rows_run(fx, hook, rows, sizeof(rows) / sizeof((rows)[0]))

/* Runs spec as a packet of slot's hook and returns what became of it. */
void scene_run(struct fixture *fx, enum mg_hook hook, __u16 slot, const struct wire_spec *spec,
	       struct fixture_out *out);
/* The same, and asserts code and reason. */
void scene_expect(struct fixture *fx, enum mg_hook hook, __u16 slot, const struct wire_spec *spec,
		  enum fate fate, enum mg_reason reason);

/* Fails unless the bytes are equal; says where they first differ. */
void wire_expect(const struct wire *got, const struct wire *want, const char *what);

#endif
