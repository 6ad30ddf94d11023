/* SPDX-License-Identifier: Apache-2.0 */
#include "selftests/lib/policy_kernel.h"

#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/inet.h"

struct policy_kernel *pk_new(void)
{
	return xcalloc(1, sizeof(struct policy_kernel));
}

void pk_free(struct policy_kernel *kernel)
{
	for (size_t i = 0; i < PK_PAGES; i++)
		free(kernel->page[i]);
	free(kernel);
}

/* --- writing ------------------------------------------------------------------------------- */

static void write_page(struct policy_kernel *kernel, uint32_t key, const void *value)
{
	assert_in_range(key, 1, PK_PAGES - 1);
	if (!kernel->page[key])
		kernel->page[key] = xmalloc(sizeof(struct mg_page));
	memcpy(kernel->page[key], value, sizeof(struct mg_page));
}

#define WRITE(array, max)                                                                          \
	do {                                                                                       \
		assert_in_range(row->key, 0, (max) - 1);                                           \
		assert_int_equal(size, sizeof((array)[0]));                                        \
		memcpy(&(array)[row->key], value, size);                                           \
	} while (0)

void pk_write_row(struct policy_kernel *kernel, const struct engine *engine,
		  const struct plan_row *row)
{
	struct mg_page scratch;
	const void *value;
	size_t size;

	kernel->rows_written++;
	if (row->del) {
		assert_int_equal(row->map, PLAN_RULE_DIG);
		memset(&kernel->rule_dig[row->key], 0, sizeof(kernel->rule_dig[0]));
		return;
	}
	value = plan_value(engine, row, &scratch, &size);
	assert_non_null(value);
	switch (row->map) {
	case PLAN_PAGE:
		write_page(kernel, row->key, value);
		break;
	case PLAN_SET:
		WRITE(kernel->set, PK_SETS);
		break;
	case PLAN_CLASS:
		WRITE(kernel->class, PK_CLASSES);
		break;
	case PLAN_VERDICT:
		WRITE(kernel->verdict, PK_VERDICTS);
		break;
	case PLAN_SLOT:
		WRITE(kernel->slot, PK_SLOTS);
		break;
	case PLAN_COMMIT_ROW:
		WRITE(kernel->commit_row, MG_COMMIT_ROWS);
		break;
	case PLAN_IDENT_DIG:
		WRITE(kernel->ident_dig, PK_IDENTS);
		break;
	case PLAN_SET_DIG:
		WRITE(kernel->set_dig, PK_SETS);
		break;
	case PLAN_RULE_DIG:
		WRITE(kernel->rule_dig, PK_RULES);
		break;
	case PLAN_MAPS:
		fail();
	}
}

static size_t row_find(const struct pk_rows *rows, const struct mg_prefix *prefix)
{
	size_t i = 0;

	while (i < rows->count && memcmp(&rows->row[i].prefix, prefix, sizeof(*prefix)))
		i++;
	return i;
}

void pk_move(struct policy_kernel *kernel, const struct plan_move *move)
{
	struct pk_rows *rows = move->net ? &kernel->nets : &kernel->addrs;
	size_t i = row_find(rows, &move->prefix);

	if (move->gone) {
		assert_true(i < rows->count);
		rows->row[i] = rows->row[--rows->count];
		return;
	}
	assert_int_equal(move->fresh, i == rows->count);
	assert_true(i < PK_ROWS);
	rows->row[i] = (struct pk_row){ move->prefix, move->identity };
	rows->count += i == rows->count;
}

void pk_phase(struct policy_kernel *kernel, const struct engine *engine, const struct plan *plan,
	      enum plan_phase phase)
{
	for (size_t i = 0; i < plan->row_count[phase]; i++)
		pk_write_row(kernel, engine, &plan->row[phase][i]);
	for (size_t i = 0; phase == PLAN_MOVE && i < plan->move_count; i++)
		pk_move(kernel, &plan->move[i]);
	if (phase == PLAN_COMMIT && plan->commits)
		kernel->commit = plan->commit;
}

void pk_apply(struct policy_kernel *kernel, struct engine *engine, const struct plan *plan)
{
	for (int phase = 0; phase < PLAN_PHASES; phase++)
		pk_phase(kernel, engine, plan, phase);
	engine_applied(engine);
}

void pk_settle(struct policy_kernel *kernel, struct engine *engine)
{
	const struct plan *plan;

	for (int turn = 0; engine_pending(engine); turn++) {
		assert_true(turn < 8);
		assert_int_equal(engine_build(engine, &plan, NULL), 0);
		pk_apply(kernel, engine, plan);
		engine_grace_done(engine, engine_applied_build(engine));
	}
}

/* --- reading, as bpf/lib/policy.h ---------------------------------------------------------- */

static uint32_t page_get(const struct policy_kernel *kernel, uint32_t page, uint32_t entry)
{
	return page < PK_PAGES && kernel->page[page] ? kernel->page[page]->v[entry & 0xff] : 0;
}

static uint32_t lookup(const struct policy_kernel *kernel, uint32_t root, uint32_t key)
{
	uint32_t leaf = root ? page_get(kernel, root, key >> 8) : 0;

	return leaf ? page_get(kernel, leaf, key) : 0;
}

static uint32_t l4_of(const struct pk_packet *packet, uint32_t *ret_key)
{
	*ret_key = packet->dport;
	switch (packet->proto) {
	case IPPROTO_TCP:
		return MG_L4_TCP;
	case IPPROTO_UDP:
		return MG_L4_UDP;
	case IPPROTO_SCTP:
		return MG_L4_SCTP;
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		*ret_key = packet->icmp_type << 8 | packet->icmp_code;
		return packet->proto == IPPROTO_ICMP ? MG_L4_ICMP : MG_L4_ICMP6;
	}
	return MG_L4_MAX;
}

static uint32_t other(const struct policy_kernel *kernel, const struct mg_class *class,
		      uint8_t proto)
{
	uint32_t found;

	for (int i = 0; i < MG_CLASS_OTHERS; i++)
		if (class->other_proto[i] && class->other_proto[i] == proto)
			return class->other_verdict[i];
	found = lookup(kernel, class->proto_table, proto);
	return found ? found - 1 : class->verdict;
}

static uint32_t classify(const struct policy_kernel *kernel, uint32_t root,
			 const struct pk_packet *packet)
{
	uint16_t identity = pk_identity(kernel, &packet->peer);
	const struct mg_class *class = &kernel->class[lookup(kernel, root, identity)];
	uint32_t table, key, found;

	if (class->sport)
		class = &kernel->class[lookup(kernel, class->sport, packet->sport)];
	table = l4_of(packet, &key);
	if (table >= MG_L4_MAX)
		return other(kernel, class, packet->proto);
	found = lookup(kernel, class->l4[table], key);
	return found ? found - 1 : class->verdict;
}

uint16_t pk_identity(const struct policy_kernel *kernel, const union mg_addr *addr)
{
	struct mg_prefix exact = { .len = MG_ADDR_BITS, .addr = *addr };
	size_t i = row_find(&kernel->addrs, &exact);
	const struct pk_row *best = NULL;

	if (i < kernel->addrs.count)
		return kernel->addrs.row[i].identity;
	for (i = 0; i < kernel->nets.count; i++) {
		const struct pk_row *row = &kernel->nets.row[i];

		if (prefix_contains(&row->prefix, addr) &&
		    (!best || row->prefix.len > best->prefix.len))
			best = row;
	}
	if (best)
		return best->identity;
	return addr_is4(addr) ? MG_IDENT_WORLD4 : MG_IDENT_WORLD6;
}

uint32_t pk_set(const struct policy_kernel *kernel, uint32_t slot, enum mg_stage stage)
{
	return kernel->slot[slot].set[kernel->commit_row[kernel->commit].column][stage];
}

uint32_t pk_judge(const struct policy_kernel *kernel, uint32_t slot, enum mg_stage stage,
		  const struct pk_packet *packet)
{
	uint32_t set = pk_set(kernel, slot, stage);

	if (set == MG_SET_NONE || set == MG_SET_DROP_ALL)
		return MG_VERDICT_DROP;
	/* The programs take the short way with MG_SET_ALLOW_ALL; its table says the same. */
	return classify(kernel, kernel->set[set].table, packet);
}

uint32_t pk_judge_host(const struct policy_kernel *kernel, uint32_t slot, enum mg_stage stage,
		       const union mg_addr *near, const struct pk_packet *packet)
{
	uint32_t set = pk_set(kernel, slot, stage), root = kernel->set[set].table;

	if (set == MG_SET_NONE || set == MG_SET_DROP_ALL)
		return MG_VERDICT_DROP;
	if (kernel->set[set].flags & MG_SET_BOTH_ENDS)
		root = lookup(kernel, root, pk_identity(kernel, near));
	return classify(kernel, root, packet);
}

bool pk_allows(const struct policy_kernel *kernel, uint32_t verdict)
{
	if (verdict < MG_VERDICT_FIRST)
		return verdict == MG_VERDICT_ALLOW;
	return kernel->verdict[verdict].action == MG_ACTION_ALLOW;
}

/* --- restart ------------------------------------------------------------------------------- */

static const struct mg_page *read_page(void *ctx, uint32_t number)
{
	const struct policy_kernel *kernel = ctx;
	static struct mg_page copy; /* one buffer for all calls, as engine.h allows */

	if (number >= PK_PAGES || !kernel->page[number])
		return NULL;
	copy = *kernel->page[number];
	return &copy;
}

/* As the agent reads it back. The caller frees rules, addrs and nets. */
static void read_back(const struct policy_kernel *kernel, struct engine_kernel *ret_kernel)
{
	struct engine_kernel_addr *addrs = xcalloc(PK_ROWS, sizeof(*addrs));
	struct engine_kernel_rule *rules = xcalloc(PK_RULES, sizeof(*rules));
	struct engine_kernel_net *nets = xcalloc(PK_ROWS, sizeof(*nets));
	static const struct mg_digest zero;

	*ret_kernel = (struct engine_kernel){
		.ident_dig = kernel->ident_dig,
		.ident_count = PK_IDENTS,
		.set_dig = kernel->set_dig,
		.set_dig_count = PK_SETS,
		.sets = kernel->set,
		.set_count = PK_SETS,
		.classes = kernel->class,
		.class_count = PK_CLASSES,
		.verdicts = kernel->verdict,
		.verdict_count = PK_VERDICTS,
		.slots = kernel->slot,
		.slot_count = PK_SLOTS,
		.commits = kernel->commit_row,
		.commit = kernel->commit,
		.page = read_page,
		.page_count = PK_PAGES,
		.ctx = (void *)kernel,
		.rules = rules,
		.addrs = addrs,
		.nets = nets,
	};
	for (uint32_t i = 0; i < PK_RULES; i++)
		if (memcmp(&kernel->rule_dig[i], &zero, sizeof(zero)))
			rules[ret_kernel->rule_count++] =
				(struct engine_kernel_rule){ i, kernel->rule_dig[i] };
	for (size_t i = 0; i < kernel->addrs.count; i++)
		addrs[ret_kernel->addr_count++] =
			(struct engine_kernel_addr){ kernel->addrs.row[i].prefix.addr,
						     kernel->addrs.row[i].identity };
	for (size_t i = 0; i < kernel->nets.count; i++)
		nets[ret_kernel->net_count++] =
			(struct engine_kernel_net){ kernel->nets.row[i].prefix,
						    kernel->nets.row[i].identity };
}

struct engine *pk_restart(const struct policy_kernel *kernel)
{
	struct engine *engine = engine_new(NULL);
	struct engine_kernel found;

	read_back(kernel, &found);
	engine_restore(engine, &found);
	free((void *)found.rules);
	free((void *)found.addrs);
	free((void *)found.nets);
	return engine;
}
