/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For tests of controller/slicer.h: Services, pods and nodes as a test knows them, made into
 * objects and told, and a store that takes the writes (some of which fail, if wanted).
 */
#ifndef MARGAY_SELFTESTS_SLICER_WORLD_H
#define MARGAY_SELFTESTS_SLICER_WORLD_H

#include <jansson.h>
#include <stdbool.h>

#include "controller/slicer.h"

#define PODS 60
#define SERVICES 6
#define NODES 3

struct pod_fact {
	bool there, attached;	 /* a Pod object, a WorkloadEndpoint */
	unsigned int app, layer; /* labels */
	bool v4, v6;
	unsigned int judged; /* 0: no condition, 1: ready, 2: not */
	bool done, deleting;
	unsigned int node;
	unsigned int web; /* number of the port "web"; 0: none */
};

struct service_fact {
	bool there;
	unsigned int app, layer; /* of the selector; 0: not in it */
	unsigned int families;	 /* 1 IPv4, 2 IPv6, 3 both */
	bool named, publish, headless;
	unsigned int near; /* 0, 1 zone, 2 node */
	unsigned int ports;
};

struct world {
	struct slicer *slices;
	struct pod_fact pods[PODS];
	struct service_fact services[SERVICES];
	bool zoned[NODES];
	json_t *store; /* name -> EndpointSlice */
	unsigned long version;
	unsigned long writes;	 /* of the last world_settle() */
	unsigned int fail_every; /* 0: never */
	unsigned long long random;
};

void world_init(struct world *world, unsigned long long seed);
void world_done(struct world *world);
unsigned int dice(struct world *world, unsigned int sides); /* below sides */

/* Tells an object, and takes the reference. */
void world_tell(struct world *world, json_t *root);
json_t *pod_json(const struct pod_fact *pod, unsigned int i);
json_t *attachment_json(const struct pod_fact *pod, unsigned int i);
json_t *service_json(const struct service_fact *service, unsigned int i);
json_t *node_json(const struct world *world, unsigned int i);

/* All that waits is written. */
void world_settle(struct world *world);

#endif
