/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/compare_traffic.h"

#include <netinet/in.h>
#include <string.h>

#include "policy/engine_state.h"
#include "policy/judge.h"

#define KEYS 65536

enum compare_outcome compare_outcome(const struct engine *e, enum mg_stage stage, uint32_t number)
{
	struct mg_verdict verdict = judge_row(e, number);

	if (verdict.action != MG_ACTION_ALLOW)
		return COMPARE_DENIES;
	return stage <= MG_STAGE_PREDNAT && !verdict.rule ? COMPARE_GOES_ON : COMPARE_ALLOWS;
}

static bool differ(const struct compare_classes *classes, uint32_t before, uint32_t now)
{
	return before != now && compare_outcome(classes->engine, classes->stage, before) !=
					compare_outcome(classes->engine, classes->stage, now);
}

/* Extends the last entry where it only goes on. */
static void push(traffic_vec *traffic, const struct compare_traffic *one)
{
	struct compare_traffic *last = traffic->n ? &traffic->v[traffic->n - 1] : NULL;

	if (last && last->proto == one->proto && last->before == one->before &&
	    last->now == one->now && last->sport_first == one->sport_first &&
	    last->last + 1 == one->first)
		last->last = one->last;
	else
		vec_push(traffic, *one);
}

/* --- protocols with a table of ports or types ---------------------------------------------- */

static uint32_t verdict_of(const struct mg_class *class, uint32_t value)
{
	return value ? value - 1 : class->verdict;
}

static uint32_t run_end(const run_vec *runs, size_t i)
{
	return i + 1 < runs->n ? runs->v[i + 1].start : KEYS;
}

/* like: all but ports and verdicts of an entry. */
static void ports(const struct compare_classes *classes, enum mg_l4 l4,
		  const struct compare_traffic *like, traffic_vec *traffic)
{
	const struct mg_class *before = classes->before, *now = classes->now;
	run_vec a = {}, b = {};

	if (before->l4[l4] == now->l4[l4] && before->verdict == now->verdict)
		return;
	table_runs(&classes->engine->tables, before->l4[l4], &a);
	table_runs(&classes->engine->tables, now->l4[l4], &b);
	for (size_t i = 0, k = 0; i < a.n && k < b.n;) {
		uint32_t from = a.v[i].start > b.v[k].start ? a.v[i].start : b.v[k].start;
		uint32_t end_a = run_end(&a, i), end_b = run_end(&b, k);
		struct compare_traffic one = *like;

		one.first = (uint16_t)from;
		one.last = (uint16_t)((end_a < end_b ? end_a : end_b) - 1);
		one.before = verdict_of(before, a.v[i].value);
		one.now = verdict_of(now, b.v[k].value);
		if (differ(classes, one.before, one.now))
			push(traffic, &one);
		i += end_a <= end_b;
		k += end_b <= end_a;
	}
	vec_done(&a);
	vec_done(&b);
}

/* --- the others ---------------------------------------------------------------------------- */

static bool has_table(int proto)
{
	return proto == IPPROTO_TCP || proto == IPPROTO_UDP || proto == IPPROTO_SCTP ||
	       proto == IPPROTO_ICMP || proto == IPPROTO_ICMPV6;
}

static void others(const struct compare_classes *classes, const struct compare_traffic *like,
		   traffic_vec *traffic)
{
	struct compare_traffic one = *like;

	one.proto = COMPARE_OTHERS;
	one.before = classes->before->verdict;
	one.now = classes->now->verdict;
	if (differ(classes, one.before, one.now))
		vec_push(traffic, one);
	for (int proto = 0; proto < 256; proto++) {
		one.proto = proto;
		one.before = judge_other(classes->engine, classes->before, (uint8_t)proto);
		one.now = judge_other(classes->engine, classes->now, (uint8_t)proto);
		if (!has_table(proto) && differ(classes, one.before, one.now) &&
		    (one.before != classes->before->verdict || one.now != classes->now->verdict))
			vec_push(traffic, one);
	}
}

/* Every protocol, and each whole: one entry. */
static void fold(traffic_vec *traffic, size_t from)
{
	enum { TCP, UDP, SCTP, ICMP, OTHERS, PARTS };
	const struct compare_traffic *first = &traffic->v[from];

	if (traffic->n - from != PARTS || traffic->v[from + OTHERS].proto != COMPARE_OTHERS)
		return;
	for (size_t i = from; i < traffic->n; i++)
		if (traffic->v[i].first || traffic->v[i].last != KEYS - 1 ||
		    traffic->v[i].before != first->before || traffic->v[i].now != first->now)
			return;
	traffic->v[from].proto = COMPARE_ALL;
	traffic->n = from + 1;
}

static void one_source(const struct compare_classes *classes, const struct compare_traffic *range,
		       traffic_vec *traffic)
{
	const struct {
		enum mg_l4 l4;
		int proto;
	} parts[] = { { MG_L4_TCP, IPPROTO_TCP },
		      { MG_L4_UDP, IPPROTO_UDP },
		      { MG_L4_SCTP, IPPROTO_SCTP },
		      { classes->v6 ? MG_L4_ICMP6 : MG_L4_ICMP,
			classes->v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP } };
	struct compare_traffic like = *range;
	size_t from = traffic->n;

	if (classes->before == classes->now)
		return;
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		like.proto = parts[i].proto;
		ports(classes, parts[i].l4, &like, traffic);
	}
	others(classes, &like, traffic);
	if (traffic->n > from)
		fold(traffic, from);
}

/* --- source ports -------------------------------------------------------------------------- */

void compare_classes(const struct compare_classes *classes, traffic_vec *traffic)
{
	const struct engine *e = classes->engine;
	run_vec a = {}, b = {};

	table_runs(&e->tables, classes->before->sport, &a);
	table_runs(&e->tables, classes->now->sport, &b);
	for (size_t i = 0, k = 0; i < a.n && k < b.n;) {
		uint32_t from = a.v[i].start > b.v[k].start ? a.v[i].start : b.v[k].start;
		uint32_t end_a = run_end(&a, i), end_b = run_end(&b, k);
		const struct compare_traffic range = {
			.last = KEYS - 1,
			.sport_first = (uint16_t)from,
			.sport_last = (uint16_t)((end_a < end_b ? end_a : end_b) - 1)
		};
		struct compare_classes part = *classes;

		part.before = judge_source(e, classes->before, (uint16_t)from);
		part.now = judge_source(e, classes->now, (uint16_t)from);
		one_source(&part, &range, traffic);
		i += end_a <= end_b;
		k += end_b <= end_a;
	}
	vec_done(&a);
	vec_done(&b);
}
