/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reader of the ring buffer mg_events. The descriptor becomes readable when records wait; the
 * event loop then calls dp_events_read(). Records are lent to the function for the call.
 */
#ifndef MARGAY_DATAPLANE_EVENTS_H
#define MARGAY_DATAPLANE_EVENTS_H

#include "abi/event.h"
#include "base/cleanup.h"
#include "dataplane/map.h"

struct dp_events;

typedef void (*dp_event_fn)(const struct mg_event *event, void *data);

int dp_events_open(const struct dp_map *map, dp_event_fn function, void *data,
		   struct dp_events **ret_events, struct err *err);
void dp_events_close(struct dp_events *events); /* accepts NULL */
DEFINE_CLEANUP(struct dp_events *, dp_events_close)

/* Leaves out what waits now: records that nobody asked for. */
void dp_events_skip(struct dp_events *events);

int dp_events_fd(const struct dp_events *events);
/* Hands on at most max records (0: all that wait); returns how many, or -errno. Records of a
 * wrong size are counted in ret_bad (may be NULL) and not handed on. */
int dp_events_read(struct dp_events *events, unsigned int max, unsigned int *ret_bad);

#endif
