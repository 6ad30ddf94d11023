/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <endian.h>
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "abi/epoch.h"
#include "base/err.h"
#include "base/inet.h"
#include "dataplane/netlink.h"
#include "selftests/lib/fixture.h"

void fixture_device(__u32 ifindex)
{
	_cleanup_net_ struct net_sock *sock = NULL;
	struct net_veth veth = { .ifindex = (int)ifindex, .peer_netns = -1 };
	char name[IFNAMSIZ], peer[IFNAMSIZ];
	struct err err = { 0 };

	if (if_indextoname(ifindex, name))
		return;
	snprintf(name, sizeof(name), "t%u", ifindex);
	snprintf(peer, sizeof(peer), "p%u", ifindex);
	veth.name = name;
	veth.peer_name = peer;
	if (net_open(&sock, &err) || net_veth_create(sock, &veth, &err))
		fail_msg("device %u: %s", ifindex, err.text);
}

union mg_addr fixture_addr(const char *text)
{
	union mg_addr addr;

	if (addr_parse(text, &addr))
		fail_msg("address %s", text);
	return addr;
}

void fixture_ident(const struct fixture *fx, const char *addr, struct mg_ident ident)
{
	union mg_addr key = fixture_addr(addr);

	fixture_put(fx, "mg_addrs", &key, &ident);
}

void fixture_net(const struct fixture *fx, const char *prefix, struct mg_ident ident)
{
	struct mg_prefix key;

	if (prefix_parse(prefix, true, &key))
		fail_msg("prefix %s", prefix);
	fixture_put(fx, "mg_nets", &key, &ident);
}

void fixture_pod(const struct fixture *fx, __u16 slot, const char *ip4, const char *ip6,
		 __u16 identity)
{
	const struct mg_ident ident = { .identity = identity,
					.node = fx->local.node,
					.slot = slot,
					.flags = MG_ADDR_POD | MG_ADDR_LOCAL | MG_ADDR_POOL |
						 MG_ADDR_ANY_POOL };
	struct mg_ep ep = { .ip4 = fixture_addr(ip4),
			    .ip6 = fixture_addr(ip6),
			    .ifindex = MG_IFINDEX_BASE + slot,
			    .flags = MG_EP_READY,
			    .mtu = 1500,
			    .slot = slot,
			    .mac = { 2, 0, 0, 0, (__u8)(slot >> 8), (__u8)slot },
			    .host_mac = { 0xee, 0xee, 0xee, 0xee, 0xee, 0xee } };
	struct mg_slot sets = { 0 };

	for (int column = 0; column < MG_COLUMNS; column++) {
		sets.set[column][MG_STAGE_WORKLOAD_IN] = MG_SET_ALLOW_ALL;
		sets.set[column][MG_STAGE_WORKLOAD_OUT] = MG_SET_ALLOW_ALL;
	}
	fixture_device(ep.ifindex);
	fixture_put_at(fx, "mg_ep", slot, &ep);
	fixture_put_at(fx, "mg_slots", slot, &sets);
	fixture_ident(fx, ip4, ident);
	fixture_ident(fx, ip6, ident);
}

struct mg_ep fixture_ep(const struct fixture *fx, __u16 slot)
{
	__u32 key = slot;
	struct mg_ep ep;

	if (!fixture_get(fx, "mg_ep", &key, &ep))
		fail_msg("endpoint %u", key);
	return ep;
}

void fixture_ep_flags(const struct fixture *fx, __u16 slot, __u32 flags)
{
	struct mg_ep ep = fixture_ep(fx, slot);

	ep.flags = flags;
	fixture_put_at(fx, "mg_ep", slot, &ep);
}

void fixture_front(const struct fixture *fx, const union mg_addr *addr, unsigned short port,
		   unsigned char proto, struct mg_front front)
{
	const struct mg_front_key key = { .addr = *addr, .port = htobe16(port), .proto = proto };

	fixture_put(fx, "mg_fronts", &key, &front);
}

void fixture_front_far(const struct fixture *fx, const union mg_addr *addr, unsigned short port,
		       unsigned char proto, struct mg_front front)
{
	const struct mg_front_key key = {
		.addr = *addr, .port = htobe16(port), .proto = proto, .scope = MG_FRONT_FAR
	};

	fixture_put(fx, "mg_fronts", &key, &front);
}

void fixture_range(const struct fixture *fx, __u32 set, const char *prefix)
{
	struct mg_range_key key = { .set = set };
	struct mg_prefix net;
	const __u32 one = 1;

	if (prefix_parse(prefix, true, &net))
		fail_msg("prefix %s", prefix);
	key.len = MG_RANGE_BITS + net.len;
	key.addr = net.addr;
	fixture_put(fx, "mg_ranges", &key, &one);
}

void fixture_back(const struct fixture *fx, __u32 set, __u32 slot, const union mg_addr *addr,
		  unsigned short port, bool member)
{
	const struct mg_back_key key = { .set = set, .slot = slot };
	const struct mg_back back = { .addr = *addr, .port = htobe16(port) };
	const struct mg_member by_addr = { .addr = *addr, .set = set, .port = htobe16(port) };

	fixture_put(fx, "mg_backs", &key, &back);
	if (member)
		fixture_put(fx, "mg_members", &by_addr, &slot);
}

static __u32 put_verdict(struct fixture *fx, const struct mg_verdict *row)
{
	fixture_put_at(fx, "mg_verdicts", fx->verdicts, row);
	return fx->verdicts++;
}

__u32 fixture_verdict(struct fixture *fx, enum mg_action action, __u32 rule, __u32 log_rule)
{
	return put_verdict(
		fx,
		&(struct mg_verdict){ .rule = rule, .log_rule = log_rule, .action = (__u8)action });
}

__u32 fixture_staged(struct fixture *fx, enum mg_action action, __u32 rule)
{
	return put_verdict(
		fx, &(struct mg_verdict){ .rule = rule, .action = (__u8)action, .staged = 1 });
}

__u32 fixture_class(struct fixture *fx, const struct mg_class *class)
{
	fixture_put_at(fx, "mg_classes", fx->classes, class);
	return fx->classes++;
}

static __u32 put_page(struct fixture *fx, const struct mg_page *page)
{
	fixture_put_at(fx, "mg_chunk0", fx->pages, page);
	return fx->pages++;
}

__u32 fixture_table(struct fixture *fx, const struct fixture_entry *entries, unsigned int count)
{
	struct mg_page root = { 0 };

	for (unsigned int high = 0; high < MG_PAGE_ENTRIES; high++) {
		struct mg_page leaf = { 0 };
		bool used = false;

		for (unsigned int i = 0; i < count; i++) {
			if (entries[i].key >> 8 != high)
				continue;
			leaf.v[entries[i].key & 255] = entries[i].value;
			used = true;
		}
		if (used)
			root.v[high] = put_page(fx, &leaf);
	}
	return put_page(fx, &root);
}

__u32 fixture_set(struct fixture *fx, const struct fixture_entry *entries, unsigned int count)
{
	const struct mg_set set = { .table = fixture_table(fx, entries, count) };

	fixture_put_at(fx, "mg_sets", fx->sets, &set);
	return fx->sets++;
}

__u32 fixture_set_for(struct fixture *fx, __u16 identity, const struct mg_class *class)
{
	const struct fixture_entry entry = { identity, fixture_class(fx, class) };

	return fixture_set(fx, &entry, 1);
}

void fixture_assign(const struct fixture *fx, __u16 slot, __u32 column, enum mg_stage stage,
		    __u32 set)
{
	struct mg_slot row;
	__u32 key = slot;

	if (!fixture_get(fx, "mg_slots", &key, &row))
		fail_msg("slot %u", key);
	row.set[column][stage] = set;
	fixture_put(fx, "mg_slots", &key, &row);
}

struct mg_control fixture_control(const struct fixture *fx)
{
	struct mg_control control;
	__u32 zero = 0;

	if (!fixture_get(fx, "mg_control", &zero, &control))
		fail_msg("mg_control");
	return control;
}

void fixture_control_put(const struct fixture *fx, const struct mg_control *control)
{
	fixture_put_at(fx, "mg_control", 0, control);
}

void fixture_commit(const struct fixture *fx, struct mg_commit commit)
{
	struct mg_control control = fixture_control(fx);

	control.commit = (control.commit + 1) % MG_COMMIT_ROWS;
	control.change++;
	fixture_put_at(fx, "mg_commits", control.commit, &commit);
	fixture_control_put(fx, &control);
}

void fixture_touch(const struct fixture *fx, const char *addr)
{
	struct mg_control control = fixture_control(fx);
	union mg_addr key = fixture_addr(addr);

	control.epoch[mg_epoch_hash(&key)]++;
	control.change++;
	fixture_control_put(fx, &control);
}

__u64 fixture_boot_time(void)
{
	struct timespec now;

	clock_gettime(CLOCK_BOOTTIME, &now);
	return (__u64)now.tv_sec * 1000000000ULL + (__u64)now.tv_nsec;
}
