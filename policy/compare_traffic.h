/* SPDX-License-Identifier: Apache-2.0 */
/* Two classes: the packets to which they do different things. Of compare.c. */
#ifndef MARGAY_POLICY_COMPARE_TRAFFIC_H
#define MARGAY_POLICY_COMPARE_TRAFFIC_H

#include "policy/compare.h"
#include "policy/vec.h"

typedef VEC(struct compare_traffic) traffic_vec;

struct compare_classes {
	const struct engine *engine;
	enum mg_stage stage;
	bool v6; /* of peers of which family: ICMP or ICMPv6 */
	const struct mg_class *before;
	const struct mg_class *now;
};

/* Added to what is there. */
void compare_classes(const struct compare_classes *classes, traffic_vec *ret_traffic);

#endif
