/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/rules.h"

#include <errno.h>
#include <string.h>

#include "base/inet.h"
#include "base/json.h"
#include "ctl/tier.h"

static int check_immutable(const struct job *job, const char *path, struct err *err)
{
	const json_t *before = json_at(job->current, path), *after = json_at(job->wanted, path);

	/* What was left to its default may be written out later, and the reverse. */
	if (!before || !after || json_equal((json_t *)before, (json_t *)after))
		return 0;
	return err_set(err, -EINVAL,
		       "%s: cannot be changed; make another pool and disable or delete this one",
		       path);
}

static bool overlap(const json_t *a, const json_t *b)
{
	const char *one = json_text_at(a, "spec.cidr"), *two = json_text_at(b, "spec.cidr");
	struct mg_prefix x, y;

	return one && two && !prefix_parse(one, false, &x) && !prefix_parse(two, false, &y) &&
	       prefix_overlaps(&x, &y);
}

static int overlap_error(const json_t *pool, const json_t *other, struct err *err)
{
	return err_set(err, -EINVAL, "spec.cidr: %s overlaps with %s of the pool \"%s\"",
		       json_text_or(pool, "spec.cidr", ""), json_text_or(other, "spec.cidr", ""),
		       json_text_or(other, "metadata.name", ""));
}

/* A pool of the same call that is about to be changed counts as it will be. */
static const struct job *job_of(const struct jobs *jobs, const char *name)
{
	for (size_t i = 0; i < jobs->count; i++)
		if (jobs->all[i].key.kind->id == KIND_IP_POOL && !jobs->all[i].failed &&
		    !strcmp(jobs->all[i].key.name, name))
			return &jobs->all[i];
	return NULL;
}

static int check_stored_pools(const struct jobs *jobs, const struct job *job, struct err *err)
{
	const struct store_query query = { .kind = store_kind(KIND_IP_POOL) };
	struct store_list list;
	json_t *other;
	size_t i;
	int r = store_list(jobs->options->ctl->store, &query, 1, &list, err);

	if (r < 0)
		return r;
	json_array_foreach(list.items, i, other)
		if (!r && !job_of(jobs, json_text_or(other, "metadata.name", "")) &&
		    overlap(job->wanted, other))
			r = overlap_error(job->wanted, other, err);
	store_list_done(&list);
	return r;
}

static int check_pool(const struct jobs *jobs, const struct job *job, struct err *err)
{
	int r = check_immutable(job, "spec.cidr", err);

	if (!r)
		r = check_immutable(job, "spec.blockSize", err);
	if (!r && !job->current)
		r = check_stored_pools(jobs, job, err);
	/* The first of two that overlap wins: those before this one are prepared already. */
	for (const struct job *other = jobs->all; !r && other < job; other++)
		if (other->key.kind->id == KIND_IP_POOL && !other->failed && other->wanted &&
		    overlap(job->wanted, other->wanted))
			r = overlap_error(job->wanted, other->wanted, err);
	return r;
}

int rules_check(const struct jobs *jobs, const struct job *job, struct err *err)
{
	if (job->op == STORE_DELETE && job->key.kind->id == KIND_TIER)
		return tier_may_go(jobs, job->key.name, err);
	if (job->op != STORE_DELETE && job->key.kind->id == KIND_IP_POOL)
		return check_pool(jobs, job, err);
	return 0;
}
