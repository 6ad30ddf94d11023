/* SPDX-License-Identifier: Apache-2.0 */
#include "base/heap.h"

#include <malloc.h>

#define LARGE (128 << 10)
#define MUCH (256 << 10)

void heap_configure(void)
{
	mallopt(M_MMAP_THRESHOLD, LARGE);
	mallopt(M_TRIM_THRESHOLD, LARGE);
	mallopt(M_ARENA_MAX, 1);
}

bool heap_tidy(void)
{
	static size_t last;
	size_t used = mallinfo2().uordblks, before = last;

	last = used;
	malloc_trim(0);
	return used > before + MUCH || before > used + MUCH;
}
