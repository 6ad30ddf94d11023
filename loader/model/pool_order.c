/* SPDX-License-Identifier: Apache-2.0 */
#include "model/pool_order.h"

#include <stdlib.h>
#include <string.h>

#include "base/inet.h"

static int by_age(const void *a, const void *b)
{
	const struct pool_place *x = a, *y = b;
	int r = strcmp(x->created, y->created);

	return r ? r : strcmp(x->name, y->name);
}

void pool_places_settle(struct pool_place *places, size_t count)
{
	if (count)
		qsort(places, count, sizeof(*places), by_age);
	for (size_t i = 0; i < count; i++) {
		places[i].behind = NULL;
		for (size_t j = 0; j < i && !places[i].behind; j++) {
			if (!places[j].behind && prefix_overlaps(places[i].cidr, places[j].cidr))
				places[i].behind = &places[j];
		}
	}
}
