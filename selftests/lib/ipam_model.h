/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The model's nodes and their faults: a fuse that kills a node at its n-th write or fsync, outages,
 * lost answers, other nodes that work inside a node's write, and power cuts.
 */
#ifndef MARGAY_SELFTESTS_IPAM_MODEL_H
#define MARGAY_SELFTESTS_IPAM_MODEL_H

#include "ipam/journal.h"
#include "selftests/lib/ipam_test.h"

#define NODES 3
#define PODS_MAX 64
#define RELEASED_MAX 4096

enum pod_state { POD_NONE, POD_ASKING, POD_LIVE };

struct model;

struct pod {
	struct model *model;
	enum pod_state state;
	unsigned int node, serial;
	char name[16];
	union mg_addr addrs[2];
	size_t count;
	bool fixed;
};

struct model_node {
	struct model *model;
	struct ipam_test_node *node;
	struct journal_ops ops;
	int fuse; /* calls until it dies; -1: none */
	bool dead;
	off_t synced; /* bytes of the journal that survive a power cut */
	int outage;   /* steps */
};

struct model {
	struct ipam_test test;
	struct model_node nodes[NODES];
	struct pod pods[PODS_MAX];
	struct {
		union mg_addr addr;
		__u64 when;
	} released[RELEASED_MAX];
	size_t released_count;
	unsigned int serial, depth;
	unsigned long long random;
	unsigned int adds, refusals, kills, cuts;
};

/* A number below sides, from the model's seed. */
unsigned int model_roll(struct model *model, unsigned int sides);
void model_node_init(struct model *model, struct model_node *node, struct ipam_test_node *test);
/* A turn of the node's loop. */
void model_work(struct model *model, unsigned int n);
/* What was not synced may be there, in part, or not at all. */
void model_cut_power(struct model *model, struct model_node *node);

#endif
