/* SPDX-License-Identifier: Apache-2.0 */
#include "model/update.h"

#include <errno.h>
#include <string.h>

#include "base/inet.h"
#include "model/field.h"
#include "model/ippool.h"

static const struct path spec_path = { .key = "spec" };
static const struct path cidr_path = { .up = &spec_path, .key = "cidr" };
static const struct path size_path = { .up = &spec_path, .key = "blockSize" };

static void check_pool_update(struct decode *d, const struct ip_pool *former,
			      const struct ip_pool *pool)
{
	char text[PREFIX_TEXT_MAX];

	if (memcmp(&former->cidr, &pool->cidr, sizeof(pool->cidr)))
		complain(d, &cidr_path, "cannot change: it is %s",
			 prefix_format(&former->cidr, text));
	else if (former->block_size != pool->block_size)
		complain(d, &size_path, "cannot change: it is %u", former->block_size);
}

int object_check_update(const struct object *former, const struct object *object,
			struct problems *problems)
{
	struct decode d = { .as = PROBLEM_ERROR, .problems = problems };
	const struct ip_pool *pool = ip_pool_of(object);

	if (pool && ip_pool_of(former))
		check_pool_update(&d, ip_pool_of(former), pool);
	return d.bad ? -EINVAL : 0;
}

int object_check_beside(const struct object *object, const struct object *other,
			struct problems *problems)
{
	struct decode d = { .as = PROBLEM_ERROR, .problems = problems };
	const struct ip_pool *pool = ip_pool_of(object), *beside = ip_pool_of(other);
	char text[PREFIX_TEXT_MAX];

	if (pool && beside && object_cmp(object, other) &&
	    prefix_overlaps(&pool->cidr, &beside->cidr))
		complain(&d, &cidr_path, "overlaps with IPPool %s (%s)", other->name,
			 prefix_format(&beside->cidr, text));
	return d.bad ? -EINVAL : 0;
}
