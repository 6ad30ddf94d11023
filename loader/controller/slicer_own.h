/* SPDX-License-Identifier: Apache-2.0 */
/* Private to controller/: what slicer.c knows and slice_plan.c works on. */
#ifndef MARGAY_CONTROLLER_SLICER_OWN_H
#define MARGAY_CONTROLLER_SLICER_OWN_H

#include <uthash.h>

#include "controller/slicer.h"
#include "model/pod.h"
#include "model/service.h"
#include "model/slice.h"
#include "model/workload.h"

/* One object of a source's WorkloadEndpoints. */
struct attachment {
	char *key; /* "namespace/name" */
	struct object *object;
	struct source *source;
	struct attachment *prev, *next;
	UT_hash_handle hh;
};

/* What may be an endpoint: a Pod object, its attachments, or both. */
struct source {
	char *key;	    /* "namespace/pod" */
	struct object *pod; /* NULL: attachments alone */
	struct attachment *attachments;
	struct space *space;
	struct source *prev, *next; /* of the namespace */
	UT_hash_handle hh;
};

struct known_slice {
	char *key; /* "namespace/name" */
	struct object *object;
	struct known_service *service; /* NULL: not ours */
	struct known_slice *prev, *next;
	UT_hash_handle hh;
};

struct known_service {
	char *key; /* "namespace/name" */
	const char *name;
	struct object *object;	    /* NULL: gone; its slices go, too */
	struct known_slice *slices; /* ours, of this Service */
	struct space *space;
	bool waits;
	struct known_service *prev, *next;     /* of the namespace */
	struct known_service *before, *behind; /* of those that wait */
	UT_hash_handle hh;
};

/* A namespace. */
struct space {
	char *name;
	struct source *sources;
	struct known_service *services;
	UT_hash_handle hh;
};

struct zone {
	char *node;
	char *name;
	UT_hash_handle hh;
};

struct slicer {
	struct space *spaces;
	struct source *sources;
	struct attachment *attachments;
	struct known_service *services;
	struct known_slice *known;
	struct zone *zones;
	struct known_service *waiting;
};

/* Labels that a selector is held against: the Pod's, else those of an attachment. */
const struct labels *source_labels(const struct source *source);
bool source_is_selected(const struct source *source, const struct labels *selector);
const char *slicer_zone(const struct slicer *slices, const char *node); /* "" : not known */
bool slicer_has_name(const struct slicer *slices, const char *ns, const char *name);

/* What the endpoints of a Service should be, in an arena (slice_want.c). */
struct want {
	struct slice_port *ports;
	size_t port_count;
	struct slice_endpoint *endpoints; /* sorted: endpoint_cmp() */
	size_t count, room;
	struct want *next; /* other ports, by name resolved otherwise in some pods */
};

int endpoint_cmp(const struct slice_endpoint *a, const struct slice_endpoint *b);
bool endpoint_equal(const struct slice_endpoint *a, const struct slice_endpoint *b);
bool ports_equal(const struct slice_port *a, size_t a_count, const struct slice_port *b,
		 size_t b_count);
bool want_family(const struct service *service, bool is6);
/* NULL: no endpoints at all. */
struct want *want_of(const struct slicer *slices, const struct known_service *service, bool is6,
		     struct arena *arena);
struct labels want_labels(const struct service *service, struct arena *arena);

/* Emits what brings the Service's slices there (slice_plan.c). */
struct plan_args {
	uint64_t now_ms;
	slicer_emit_fn *emit;
	void *arg;
};
void slicer_plan(const struct slicer *slices, const struct known_service *service,
		 const struct plan_args *args);

/* A slice as an object of the API; the caller has the reference (slice_json.c). object.base has
 * name, version ("" : it is new) and labels. */
json_t *slice_json(const struct service *service, const struct endpoint_slice *slice,
		   uint64_t now_ms);
json_t *slice_json_key(const struct object *slice);

#endif
