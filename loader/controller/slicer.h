/* SPDX-License-Identifier: Apache-2.0 */
/*
 * EndpointSlices of Services with selectors, for stores without Kubernetes' own controller.
 *
 * Objects in, writes out: no I/O, no clock. The owner tells every Service, Pod,
 * WorkloadEndpoint, Node and EndpointSlice that the store has and each change; what changed marks
 * the Services it concerns, and slicer_next() takes one of them and says what is to be written so
 * that its slices are right: as few slices as can be are touched (100 endpoints each, an endpoint
 * stays where it is, an object whose ports went is used again). One thread.
 *
 * Ours are the slices whose label endpointslice.kubernetes.io/managed-by is SLICER_MANAGER; all
 * others are left alone. A container that has a WorkloadEndpoint and no Pod object (plain CNI) is
 * an endpoint by its labels there, ready as long as it is attached.
 *
 * Source: Kubernetes API reference, EndpointSlice v1 and Service v1; "EndpointSlices" and
 * "Traffic distribution" in its documentation.
 */
#ifndef MARGAY_CONTROLLER_SLICER_H
#define MARGAY_CONTROLLER_SLICER_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "model/object.h"

#define SLICER_MANAGER "endpointslice-controller.margay.dev"
#define SLICER_ENDPOINTS_MAX 100

struct slicer;

struct slicer *slicer_new(void);
void slicer_free(struct slicer *slices); /* accepts NULL */

/* An object as the store has it; a reference is taken. Other kinds are no news. */
void slicer_set(struct slicer *slices, const struct object *object);
void slicer_del(struct slicer *slices, enum kind kind, const char *ns, const char *name);

enum slicer_op { SLICER_CREATE, SLICER_UPDATE, SLICER_DELETE };

/* object: the whole slice, with the resourceVersion it replaces; the callee's reference. A slice
 * to be deleted has metadata alone. */
typedef void slicer_emit_fn(void *arg, enum slicer_op op, json_t *object);

/* The next Service that waits: its writes by emit, in ret_service its "namespace/name" (valid
 * until the next call of anything here). false: none waits. now_ms: of the change, since 1970. */
bool slicer_next(struct slicer *slices, uint64_t now_ms, slicer_emit_fn *emit, void *arg,
		 const char **ret_service);

/* Writes of a Service failed: it waits again. */
void slicer_again(struct slicer *slices, const char *service);

#endif
