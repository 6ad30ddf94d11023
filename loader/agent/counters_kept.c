/* SPDX-License-Identifier: Apache-2.0 */
/* Counters that were read lately, for whoever asks often. */
#include <stdlib.h>
#include <string.h>

#include "agent/counters.h"
#include "base/arena.h"

static void grow(struct counters *counters, uint32_t end)
{
	uint32_t more = end - counters->end;

	counters->rule = xrealloc(counters->rule, end + 1, sizeof(*counters->rule));
	counters->digest = xrealloc(counters->digest, end + 1, sizeof(*counters->digest));
	memset(counters->rule + counters->end, 0, (more + 1) * sizeof(*counters->rule));
	memset(counters->digest + counters->end, 0, (more + 1) * sizeof(*counters->digest));
	counters->end = end;
}

void counters_follow(struct counters *counters, const struct engine *engine)
{
	uint32_t end = engine_rules_end(engine);

	if (end > counters->end)
		grow(counters, end);
	for (uint32_t i = 1; i < counters->end; i++) {
		const struct mg_digest *digest = engine_rule_digest(engine, i);

		if (!digest || !memcmp(digest, &counters->digest[i], sizeof(*digest)))
			continue;
		counters->digest[i] = *digest;
		counters->rule[i] = (struct mg_rule_stats){ 0 };
	}
}

long long counters_good_until(long long began, long long ended)
{
	return ended + (ended - began) * (COUNTERS_SHARE - 1);
}
