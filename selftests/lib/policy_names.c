/* SPDX-License-Identifier: Apache-2.0 */
/* Random worlds: names of the world outside and their addresses. */
#include <stdio.h>
#include <stdlib.h>

#include "base/inet.h"
#include "selftests/lib/policy_random.h"

static const char *const names[PW_NAMES] = { "example.com",
					     "www.example.com",
					     "a.b.example.com",
					     "api.example.org",
					     "example.org",
					     "api.cdn.net",
					     "com" };

/* Outside, of a pool without a pod, a pod's. */
static union mg_addr addr_at(unsigned int i)
{
	static const char *const texts[PW_NAME_ADDRS] = { "10.9.9.9",	 "192.0.2.5", "8.8.8.8",
							  "192.0.2.200", "10.1.0.77", "10.1.0.5",
							  "2001:db8::1" };
	union mg_addr addr;

	if (addr_parse(texts[i], &addr))
		abort();
	return addr;
}

void pw_random_names(struct policy_world *world)
{
	for (unsigned int i = 0; i < PW_NAMES; i++)
		for (unsigned int k = 0; k < PW_NAME_ADDRS; k++)
			world->name[i] |= (uint8_t)(pw_chance(world, 25) << k);
}

void pw_tell_name(const struct policy_world *world, struct engine *engine, unsigned int i)
{
	for (unsigned int k = 0; k < PW_NAME_ADDRS; k++) {
		union mg_addr addr = addr_at(k);

		if (world->name[i] >> k & 1)
			engine_domain_set(engine, names[i], &addr);
		else
			engine_domain_del(engine, names[i], &addr);
	}
}

void pw_change_name(struct policy_world *world, struct engine *engine)
{
	unsigned int i = pw_random(world, PW_NAMES);

	world->name[i] ^= 1U << pw_random(world, PW_NAME_ADDRS);
	if (engine)
		pw_tell_name(world, engine, i);
}

void pw_view_names(const struct policy_world *world, struct pw_view *view)
{
	for (unsigned int i = 0; i < PW_NAMES; i++) {
		struct oracle_name *name = &view->name[i];

		*name = (struct oracle_name){ .name = names[i], .addrs = view->name_addr[i] };
		for (unsigned int k = 0; k < PW_NAME_ADDRS; k++)
			if (world->name[i] >> k & 1)
				view->name_addr[i][name->addr_count++] = addr_at(k);
	}
	view->oracle.names = view->name;
	view->oracle.name_count = PW_NAMES;
}

static void print_name(const struct policy_world *world, unsigned int i)
{
	char text[ADDR_TEXT_MAX];

	printf("# name %s:", names[i]);
	for (unsigned int k = 0; k < PW_NAME_ADDRS; k++) {
		union mg_addr addr = addr_at(k);

		if (world->name[i] >> k & 1)
			printf(" %s", addr_format(&addr, text));
	}
	printf("\n");
}

void pw_print_names(const struct policy_world *world)
{
	for (unsigned int i = 0; i < PW_NAMES; i++)
		print_name(world, i);
}
