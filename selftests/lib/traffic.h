/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Traffic between namespaces from one process: a socket belongs to the namespace it was made in,
 * whatever namespace the thread is in later. For guests, where a process costs up to a second.
 *
 * Functions return 0 or -errno; -ETIMEDOUT: nothing moved for TRAFFIC_PATIENCE ms.
 */
#ifndef MARGAY_SELFTESTS_LIB_TRAFFIC_H
#define MARGAY_SELFTESTS_LIB_TRAFFIC_H

#include "abi/addr.h"

#define TRAFFIC_PATIENCE 30000

struct traffic_end {
	int netns; /* descriptor */
	union mg_addr addr;
};

/* Frames on an underlay, [0] towards the watched device, [1] out of it. */
struct traffic_seen {
	unsigned int tunnelled[2];
	unsigned int bare;	 /* IP beside the tunnel: a leak */
	unsigned int longest[2]; /* bytes */
};

/* An ICMP echo request and its answer, asked again each half second. */
int traffic_ping(const struct traffic_end *from, const struct traffic_end *to);

/* A packet socket on a device; the caller closes. */
int traffic_watch(int netns, const char *device);

/* A TCP connection that carries bytes there and as many back; both ends compare each byte and the
 * receiver the sender's address. -EBADMSG: they differ. What watch sees goes to seen. */
int traffic_stream(const struct traffic_end *from, const struct traffic_end *to, unsigned int bytes,
		   int watch, struct traffic_seen *seen);

/* Segments and datagrams that the namespace refused for their checksums, so far; or -errno. */
int traffic_bad_sums(int netns);

#endif
