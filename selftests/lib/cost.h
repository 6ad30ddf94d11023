/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What one packet costs in the loaded programs: BPF_PROG_TEST_RUN beside the same of an empty
 * program, whose time is subtracted. For benchmarks; fails the running cmocka test where the
 * kernel refuses. The node is scene.h's.
 */
#ifndef MARGAY_SELFTESTS_LIB_COST_H
#define MARGAY_SELFTESTS_LIB_COST_H

#include "selftests/lib/scene.h"

/* Loads the empty program; once a process is enough. */
void cost_open(void);

/* Nanoseconds a run of the program, and of the empty one; the TC code goes to ret_code. */
unsigned int cost_run(int fd, const struct wire *wire, __u32 ifindex, int repeat, int *ret_code);
unsigned int cost_empty(const struct wire *wire, __u32 ifindex, int repeat, int *ret_code);

/* For qsort() of unsigned int. */
int cost_order(const void *x, const void *y);

/* A datagram of pod A. */
struct wire_spec cost_udp(enum place to, int family);

/* COST_COLD_FLOWS flows of pod A to pod B, IPv4, with source ports from 1024, in turn and each run
 * once, in from_pod: the median of their cost, the empty program's subtracted; that one's in
 * ret_empty. flags: of TCP. */
#define COST_COLD_FLOWS 500
unsigned int cost_cold(unsigned char proto, unsigned char flags, unsigned int *ret_empty);

/* Puts pod A's connection to pod B with these ports into the established table; spec becomes its
 * last segment. */
void cost_handshake(struct wire_spec *spec, int family);

#endif
