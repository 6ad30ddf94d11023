/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How the process's heap behaves: large pieces are mappings of their own and go back to the system
 * when they are freed, whatever was freed before (glibc would raise its threshold), and threads
 * share one heap.
 */
#ifndef MARGAY_BASE_HEAP_H
#define MARGAY_BASE_HEAP_H

#include <stdbool.h>

void heap_configure(void); /* before the first thread */

/* Gives back what lies free between pieces that are in use: after much came and went. True: much
 * came or went since the last time, so it may be worth to look again later. */
bool heap_tidy(void);

#endif
