/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/judge.h"

#include "policy/engine_state.h"
#include "policy/ports.h"

static const struct mg_class denies = { .verdict = MG_VERDICT_DROP };
static const struct mg_class allows = { .verdict = MG_VERDICT_ALLOW };

static const struct mg_class *class_at(const struct engine *e, uint32_t number)
{
	const struct number *class = number ? numbers_get(&e->tables.classes, number) : NULL;

	return class ? &((const struct class *)class)->row : &denies;
}

const struct mg_class *judge_class(const struct engine *e, uint32_t number,
				   const struct judge_ends *ends)
{
	const struct set *set = set_by_number(&e->sets, number);
	uint32_t root;

	if (number == MG_SET_NONE || number == MG_SET_ALLOW_ALL)
		return &allows;
	if (!set)
		return &denies;
	root = set->both ? table_get(&e->tables, set->root, ends->near) : set->root;
	return class_at(e, table_get(&e->tables, root, ends->far));
}

const struct mg_class *judge_source(const struct engine *e, const struct mg_class *class,
				    uint16_t sport)
{
	return class->sport ? class_at(e, table_get(&e->tables, class->sport, sport)) : class;
}

uint32_t judge_other(const struct engine *e, const struct mg_class *class, uint8_t proto)
{
	uint32_t found;

	for (int i = 0; i < MG_CLASS_OTHERS; i++)
		if (class->other_proto[i] && class->other_proto[i] == proto)
			return class->other_verdict[i];
	found = table_get(&e->tables, class->proto_table, proto);
	return found ? found - 1 : class->verdict;
}

uint32_t judge_packet(const struct engine *e, const struct mg_class *class,
		      const struct judge_packet *packet)
{
	unsigned int space = space_of(packet->proto);
	uint32_t found;

	class = judge_source(e, class, packet->sport);
	if (space == SPACE_OTHER)
		return judge_other(e, class, packet->proto);
	found = table_get(&e->tables, class->l4[space], packet->dport);
	return found ? found - 1 : class->verdict;
}

struct mg_verdict judge_row(const struct engine *e, uint32_t number)
{
	const struct number *verdict =
		number < MG_VERDICT_FIRST ? NULL : numbers_get(&e->tables.verdicts, number);

	if (verdict)
		return ((const struct verdict *)verdict)->row;
	return (struct mg_verdict){ .action = number == MG_VERDICT_ALLOW ? MG_ACTION_ALLOW
									 : MG_ACTION_DENY };
}
