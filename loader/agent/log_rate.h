/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How many lines of one thing a log takes: so many in a time, and a burst of them at once
 * (FelixConfiguration logActionRateLimit and logActionRateLimitBurst). Times are milliseconds of
 * one clock that does not go back.
 */
#ifndef MARGAY_AGENT_LOG_RATE_H
#define MARGAY_AGENT_LOG_RATE_H

#include <stdbool.h>
#include <stdint.h>

/* Zero: a thing that has not been logged yet. */
struct log_rate {
	int64_t next;	   /* when the time of what was let through is used up */
	uint64_t left_out; /* since the last that was let through */
};

/* count: lines in time; both more than 0. ret_left_out: how many were left out before this one. */
static inline bool log_rate_takes(struct log_rate *rate, int64_t now, int64_t count, int64_t time,
				  int64_t burst, uint64_t *ret_left_out)
{
	int64_t each = time / count, next = rate->next > now ? rate->next : now;

	if (each < 1)
		each = 1;
	if (next - now > (burst > 1 ? burst - 1 : 0) * each) {
		rate->left_out++;
		return false;
	}
	rate->next = next + each;
	*ret_left_out = rate->left_out;
	rate->left_out = 0;
	return true;
}

#endif
