/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random Services, EndpointSlices and nodes, random first packets, and whoever claims to do what
 * the Service API says: held against the oracle (service_oracle.h), packet by packet.
 *
 * Objects are JSON trees that went through the decoder, so that a failed case prints as it would
 * be applied. Numbers and names are few, so that packets often meet a Service and often nearly do.
 */
#ifndef MARGAY_SELFTESTS_SERVICE_WORLD_H
#define MARGAY_SELFTESTS_SERVICE_WORLD_H

#include <jansson.h>

#include "model/node.h"
#include "selftests/lib/service_oracle.h"

#define SW_NODES 3
#define SW_SERVICES 8
#define SW_SLICES 24
#define SW_OBJECTS (SW_NODES + SW_SERVICES + SW_SLICES)

struct sw_world {
	uint64_t random;
	/* As they would be read from a store, nodes first; what so points to. */
	struct object *objects[SW_OBJECTS];
	json_t *trees; /* of the same objects */
	size_t object_count;
	struct so_node nodes[SW_NODES];
	const struct service *services[SW_SERVICES];
	const struct endpoint_slice *slices[SW_SLICES];
	struct so_world so;
};

void sw_init(struct sw_world *world, uint64_t seed);
void sw_done(struct sw_world *world);
void sw_fill(struct sw_world *world); /* everything anew */
/* A first packet: both ends of one family, the source as `from` has it. Nobody outside asks for
 * cluster addresses. */
void sw_query(struct sw_world *world, struct so_query *query);
unsigned int sw_dice(struct sw_world *world, unsigned int sides); /* below sides */

/* What became of a packet. addr, port: its destination, where it was translated. */
struct sw_seen {
	enum so_verdict verdict;
	union mg_addr addr;
	uint16_t port;
};

struct sw_subject {
	void *context;
	/* Another world: nothing of the former one is left, no affinity either. */
	void (*tell)(void *context, const struct sw_world *world);
	/* A packet that opens a connection of its own: asked twice, the source port differs. */
	void (*ask)(void *context, const struct so_query *query, struct sw_seen *ret_seen);
};

struct sw_run {
	uint64_t seed;
	unsigned int worlds;
	unsigned int packets;		       /* in each */
	unsigned int verdicts[SO_DROPPED + 1]; /* result: how often */
	unsigned int kept;		       /* result: affinity was put to the test */
};

/* NULL: all agreed; else the first difference, with the world. The caller frees. */
char *sw_run(const struct sw_subject *subject, struct sw_run *run);

#endif
