/* SPDX-License-Identifier: Apache-2.0 */
/* Members of services that rules name; their atoms keep them. */
#include <stdlib.h>

#include "base/arena.h"
#include "base/inet.h"
#include "policy/engine_state.h"

struct asking {
	struct atom *atom;
	uint32_t room;
};

static void add_member(void *arg, const struct engine_member *member)
{
	struct asking *asking = arg;
	struct atom *atom = asking->atom;

	if (atom->member_count == asking->room) {
		asking->room = asking->room ? asking->room * 2 : 4;
		atom->member = xrealloc(atom->member, asking->room, sizeof(*member));
	}
	atom->member[atom->member_count++] = *member;
}

static void ask(struct engine *e, struct atom *atom)
{
	struct asking asking = { .atom = atom };

	free(atom->member);
	atom->member = NULL;
	atom->member_count = 0;
	if (e->services.members)
		e->services.members(e->services.ctx, atom->name, add_member, &asking);
}

static void set_entries(struct engine *e, const struct atom *atom, bool add)
{
	for (uint32_t i = 0; i < atom->member_count; i++) {
		const struct engine_member *member = &atom->member[i];
		struct mg_prefix prefix = { .len = MG_ADDR_BITS, .addr = member->addr };

		nets_entry(&e->nets, &prefix,
			   truth_make(atom->index, (uint32_t)member->proto << 16 | member->port),
			   add);
	}
}

void service_begin(struct engine *e, struct atom *atom)
{
	ask(e, atom);
	set_entries(e, atom, true);
}

void engine_services_from(struct engine *e, const struct engine_services *from)
{
	e->services = *from;
}

void engine_service_changed(struct engine *e, const char *name)
{
	struct atom *atom = atom_by_service(&e->atoms, name);

	/* A fresh one is asked for by the build. */
	if (!atom || atom->fresh)
		return;
	set_entries(e, atom, false);
	ask(e, atom);
	set_entries(e, atom, true);
	e->regions = e->pending = true;
}
