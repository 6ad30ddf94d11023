/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an API server gives to Services that do not ask for one: cluster addresses, families, node
 * ports and the port for health checks; and addresses of load balancers, where an IPPool has some
 * (allot_balancer.c).
 *
 * Objects in, fields out: no I/O. What is in use follows from the Services themselves, so there is
 * nothing to keep or to lose. Choices begin at a place that follows from the Service's name, so
 * that a Service made anew mostly gets what it had; the lower part of each range is used last and
 * so left to people who choose themselves.
 *
 * Addresses come from ServiceCIDR objects, without one from 10.96.0.0/16 and fd00:10:96::/112;
 * node ports from 30000 to 32767.
 *
 * Source: Kubernetes documentation, "Service ClusterIP allocation" and "Virtual IPs and Service
 * Proxies"; API reference, ServiceSpec.
 */
#ifndef MARGAY_CONTROLLER_ALLOT_H
#define MARGAY_CONTROLLER_ALLOT_H

#include <jansson.h>
#include <stdbool.h>

#include "model/object.h"

struct allot;
struct err;

struct allot *allot_new(void);
void allot_free(struct allot *allot); /* accepts NULL */

/* Service, ServiceCIDR, IPPool and Namespace as the store has them; others are no news. A reference
 * is taken. */
void allot_set(struct allot *allot, const struct object *object);
void allot_del(struct allot *allot, enum kind kind, const char *ns, const char *name);

/* The next Service that lacks something: its object as last told, borrowed; NULL: none. It is asked
 * for again only when it changes, when there may be room again, or after allot_again(). */
const struct object *allot_next(struct allot *allot);
void allot_again(struct allot *allot, const char *service); /* "namespace/name" */

/* Puts what object (as last told) lacks into root, its JSON tree. true: something was put. err
 * (code 0: nothing) says what could not be had. The caller tells the result by allot_set(). */
bool allot_fill(struct allot *allot, const struct object *object, json_t *root, struct err *err);

#endif
