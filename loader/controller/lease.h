/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who of several agents has the cluster-wide duties: a Lease (coordination.k8s.io/v1), written by
 * compare-and-swap. The rules without the I/O.
 *
 * Clocks of nodes need not agree: a lease has run out when its object has not changed for its
 * duration on the looker's own monotonic clock. The holder, for its part, stops when its last write
 * is older than that. Who sends other writes puts the renewal into the same transaction: they
 * happen only while the lease is held. Times "now" are monotonic milliseconds (rpc_now()).
 *
 * Source: Kubernetes API reference, Lease v1.
 */
#ifndef MARGAY_CONTROLLER_LEASE_H
#define MARGAY_CONTROLLER_LEASE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#define LEASE_NAMESPACE "kube-system"
#define LEASE_NAME "margay-controller"
#define LEASE_SECONDS 15
#define LEASE_RENEW_MS (LEASE_SECONDS * 1000 / 3)

struct lease {
	const char *identity; /* borrowed */
	json_t *object;	      /* as last seen; NULL: there is none */
	long long seen_ms;    /* when this version was seen first */
	long long renewed_ms; /* our last write that succeeded, or its begin; 0: none */
};

void lease_init(struct lease *lease, const char *identity);
void lease_done(struct lease *lease);

/* What the store has; NULL: none. Borrowed. */
void lease_seen(struct lease *lease, json_t *object, long long now);
/* Our write succeeded: began before it was sent. */
void lease_written(struct lease *lease, json_t *stored, long long began);
void lease_lost(struct lease *lease);

bool lease_is_held(const struct lease *lease, long long now);
bool lease_is_due(const struct lease *lease, long long now);  /* held, time to renew */
bool lease_is_free(const struct lease *lease, long long now); /* may be taken */
const char *lease_holder(const struct lease *lease);	      /* "" : nobody */

/* The object that takes or renews it, with the resourceVersion it replaces (none: create). The
 * caller has the reference. now_utc_ms: since 1970. */
json_t *lease_claim(const struct lease *lease, uint64_t now_utc_ms);
/* The object that gives it up, so that another one need not wait. */
json_t *lease_release(const struct lease *lease);

#endif
