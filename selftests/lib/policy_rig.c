/* SPDX-License-Identifier: Apache-2.0 */
#include "selftests/lib/policy_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <limits.h>
#include <string.h>

#include "abi/maps.h"
#include "base/inet.h"
#include "selftests/lib/sandbox.h"

struct rig rig;

static bool is_derived(const char *name)
{
#define ROW(map, key, value, class, help) { #map, #class },
	static const char *const rows[][2] = { MG_MAPS(ROW) };
#undef ROW

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (!strcmp(rows[i][0], name))
			return !strcmp(rows[i][1], "DERIVED");
	return false;
}

int rig_open(void **state)
{
	struct mg_config plain;
	char root[PATH_MAX];

	(void)state;
	if (sandbox_enter(root))
		return -1;
	fixture_open(&rig.fx, NULL, 0);
	plain = rig.fx.config;
	plain.trace = 0;
	/* Rows of the model are shared as dataplane/trace.h shares them; the rest is its own. */
	fixture_open_beside(&rig.plain, &rig.fx, is_derived, &plain);
	for (__u32 slot = 1; slot <= PW_PODS; slot++)
		fixture_device(MG_IFINDEX_BASE + slot);
	fixture_device(RIG_UPLINK);
	return 0;
}

int rig_close(void **state)
{
	(void)state;
	fixture_close(&rig.plain);
	fixture_close(&rig.fx);
	return 0;
}

/* --- rows ---------------------------------------------------------------------------------- */

static void put_row(const struct plan_row *row)
{
	static const char *const name[PLAN_MAPS] = {
		[PLAN_PAGE] = "mg_chunk0",	   [PLAN_SET] = "mg_sets",
		[PLAN_CLASS] = "mg_classes",	   [PLAN_VERDICT] = "mg_verdicts",
		[PLAN_SLOT] = "mg_slots",	   [PLAN_COMMIT_ROW] = "mg_commits",
		[PLAN_IDENT_DIG] = "mg_ident_dig", [PLAN_SET_DIG] = "mg_set_dig",
		[PLAN_RULE_DIG] = "mg_rule_dig",
	};
	struct mg_page scratch;
	const void *value;
	size_t size;

	if (row->del) {
		fixture_del(&rig.fx, name[row->map], &row->key);
		return;
	}
	value = plan_value(rig.engine, row, &scratch, &size);
	fixture_put_at(&rig.fx, name[row->map], row->key, value);
}

const struct pw_pod *rig_pod_at(const union mg_addr *addr)
{
	for (unsigned int i = 0; i < PW_PODS; i++)
		for (size_t k = 0; rig.world.pod[i].present && k < rig.world.pod[i].ip_count; k++)
			if (!addr_cmp(&rig.world.pod[i].ips[k], addr))
				return &rig.world.pod[i];
	return NULL;
}

static void put_move(const struct plan_move *move)
{
	struct mg_ident row = { .identity = move->identity };
	union mg_addr addr = move->prefix.addr;
	const struct pw_pod *pod = move->net ? NULL : rig_pod_at(&addr);

	if (move->gone && move->net)
		fixture_del(&rig.fx, "mg_nets", &move->prefix);
	else if (move->gone)
		fixture_del(&rig.fx, "mg_addrs", &addr);
	if (move->gone)
		return;
	if (move->net) {
		fixture_put(&rig.fx, "mg_nets", &move->prefix, &row);
		return;
	}
	assert_non_null(pod);
	row.flags = MG_ADDR_POD | MG_ADDR_POOL | MG_ADDR_ANY_POOL | (pod->slot ? MG_ADDR_LOCAL : 0);
	row.node = pod->slot ? 1 : 2;
	row.slot = pod->slot;
	fixture_put(&rig.fx, "mg_addrs", &addr, &row);
}

static void commit(__u32 row)
{
	struct mg_control control = fixture_control(&rig.fx);

	control.commit = row;
	control.change++;
	fixture_control_put(&rig.fx, &control);
}

void rig_settle(void)
{
	const struct plan *plan;

	for (int turn = 0; engine_pending(rig.engine); turn++) {
		assert_true(turn < 8);
		assert_int_equal(engine_build(rig.engine, &plan, NULL), 0);
		for (int phase = 0; phase < PLAN_PHASES; phase++) {
			for (size_t i = 0; i < plan->row_count[phase]; i++)
				put_row(&plan->row[phase][i]);
			for (size_t i = 0; phase == PLAN_MOVE && i < plan->move_count; i++)
				put_move(&plan->move[i]);
			if (phase == PLAN_COMMIT && plan->commits)
				commit(plan->commit);
		}
		pk_apply(rig.kernel, rig.engine, plan);
		engine_grace_done(rig.engine, engine_applied_build(rig.engine));
	}
}

void rig_put_endpoints(void)
{
	for (__u32 slot = 1; slot <= PW_PODS; slot++) {
		const struct pw_pod *pod = &rig.world.pod[slot - 1];
		struct mg_ep ep = { .ifindex = MG_IFINDEX_BASE + slot,
				    .flags = MG_EP_READY,
				    .mtu = 1500,
				    .slot = (__u16)slot,
				    .mac = { 2, 0, 0, 0, 0, (__u8)slot },
				    .host_mac = { 0xee, 0xee, 0xee, 0xee, 0xee, 0xee } };

		if (!pod->present || !pod->slot)
			ep = (struct mg_ep){ 0 };
		if (ep.slot)
			ep.ip4 = pod->ips[0];
		if (ep.slot && pod->ip_count > 1)
			ep.ip6 = pod->ips[1];
		fixture_put_at(&rig.fx, "mg_ep", slot, &ep);
	}
}

void rig_clear(void)
{
	const struct mg_slot none = { 0 };

	fixture_empty(fixture_map(&rig.fx, "mg_flow_t"), sizeof(struct mg_flow_key));
	fixture_empty(fixture_map(&rig.fx, "mg_flow_e"), sizeof(struct mg_flow_key));
	fixture_empty(fixture_map(&rig.plain, "mg_flow_t"), sizeof(struct mg_flow_key));
	fixture_empty(fixture_map(&rig.plain, "mg_flow_e"), sizeof(struct mg_flow_key));
	fixture_empty(fixture_map(&rig.fx, "mg_addrs"), sizeof(union mg_addr));
	fixture_empty(fixture_map(&rig.fx, "mg_nets"), sizeof(struct mg_prefix));
	for (__u32 slot = 1; slot <= PW_PODS; slot++)
		fixture_put_at(&rig.fx, "mg_slots", slot, &none);
	for (__u32 slot = PW_HOST_SLOT; slot < PW_HOST_SLOT + PW_HOSTS; slot++)
		fixture_put_at(&rig.fx, "mg_slots", slot, &none);
	commit(0);
}

void rig_put_hosts(uint64_t turn)
{
	const struct mg_uplink uplink = { .mtu = 1500, .host = turn % 3 ? PW_HOST_SLOT : 0 };
	const __u32 ifindex = RIG_UPLINK;

	fixture_put(&rig.fx, "mg_uplinks", &ifindex, &uplink);
	rig.fx.local.host_any = turn % 3 ? PW_HOST_SLOT + 1 : 0;
	rig.fx.local.flags = turn % 3 ? MG_LOCAL_HOST_POLICY : 0;
	fixture_local(&rig.fx);
}
