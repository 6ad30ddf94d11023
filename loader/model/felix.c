/* SPDX-License-Identifier: Apache-2.0 */
#include "model/felix.h"

#include <netinet/in.h>

const struct felix_failsafe felix_failsafe_in[9] = {
	{ .protocol = IPPROTO_TCP, .port = 22 },   { .protocol = IPPROTO_UDP, .port = 68 },
	{ .protocol = IPPROTO_TCP, .port = 179 },  { .protocol = IPPROTO_TCP, .port = 2379 },
	{ .protocol = IPPROTO_TCP, .port = 2380 }, { .protocol = IPPROTO_TCP, .port = 5473 },
	{ .protocol = IPPROTO_TCP, .port = 6443 }, { .protocol = IPPROTO_TCP, .port = 6666 },
	{ .protocol = IPPROTO_TCP, .port = 6667 },
};

const struct felix_failsafe felix_failsafe_out[9] = {
	{ .protocol = IPPROTO_UDP, .port = 53 },   { .protocol = IPPROTO_UDP, .port = 67 },
	{ .protocol = IPPROTO_TCP, .port = 179 },  { .protocol = IPPROTO_TCP, .port = 2379 },
	{ .protocol = IPPROTO_TCP, .port = 2380 }, { .protocol = IPPROTO_TCP, .port = 5473 },
	{ .protocol = IPPROTO_TCP, .port = 6443 }, { .protocol = IPPROTO_TCP, .port = 6666 },
	{ .protocol = IPPROTO_TCP, .port = 6667 },
};

static const struct felix_params defaults = {
#define FELIX_BOOL(member, name, value) .member = value,
#define FELIX_INT(member, name, min, max, value) .member = value,
#define FELIX_TEXT(member, name, value) .member = value,
#define FELIX_ENUM(member, name, table, value) .member = value,
#define FELIX_OWN(member, type, name, decoder, ...) .member = __VA_ARGS__,
#include "model/felix.def"
#undef FELIX_BOOL
#undef FELIX_INT
#undef FELIX_TEXT
#undef FELIX_ENUM
#undef FELIX_OWN
};

static void overlay(struct felix_params *params, const struct felix_params *over)
{
#define TAKE(member)                                                                               \
	if (over->has & 1ULL << FELIX_HAS_##member)                                                \
		params->member = over->member;
#define FELIX_BOOL(member, ...) TAKE(member)
#define FELIX_INT(member, ...) TAKE(member)
#define FELIX_TEXT(member, ...) TAKE(member)
#define FELIX_ENUM(member, ...) TAKE(member)
#define FELIX_OWN(member, ...) TAKE(member)
#include "model/felix.def"
#undef FELIX_BOOL
#undef FELIX_INT
#undef FELIX_TEXT
#undef FELIX_ENUM
#undef FELIX_OWN
#undef TAKE
	params->has |= over->has;
}

void felix_overlay(struct felix_params *params, const struct felix_config *over)
{
	if (over)
		overlay(params, &over->params);
}

void felix_merge(struct felix_params *params, const struct felix_config *cluster,
		 const struct felix_config *node)
{
	*params = defaults;
	felix_overlay(params, cluster);
	felix_overlay(params, node);
}
