/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/nets.h"

#include <string.h>

#include "base/inet.h"

static const struct mg_prefix all_ip4 = { .len = MG_V4_PREFIX_BITS,
					  .addr.b = { [10] = 0xff, [11] = 0xff } };

static int change_cmp(const void *a, const void *b)
{
	const struct net_change *x = a, *y = b;
	int order = prefix_order(&x->prefix, &y->prefix);

	return order ? order : (int)x->order - (int)y->order;
}

static bool contains(const struct mg_prefix *outer, const struct mg_prefix *inner)
{
	union mg_addr addr = inner->addr; /* packed there */

	return outer->len <= inner->len && prefix_contains(outer, &addr);
}

static void note(struct nets *nets, struct net_change change)
{
	prefix_mask(&change.prefix);
	vec_push(&nets->change, change);
}

void nets_own(struct nets *nets, const struct mg_prefix *prefix, enum engine_net kind)
{
	note(nets,
	     (struct net_change){ .prefix = *prefix, .owns = true, .add = true, .kind = kind });
}

void nets_disown(struct nets *nets, const struct mg_prefix *prefix)
{
	note(nets, (struct net_change){ .prefix = *prefix, .owns = true });
}

void nets_entry(struct nets *nets, const struct mg_prefix *prefix, truth_entry entry, bool add)
{
	note(nets, (struct net_change){
			   .prefix = *prefix, .entry = entry, .has_entry = true, .add = add });
}

void nets_member(struct nets *nets, const struct mg_prefix *prefix, uint32_t set, bool add)
{
	note(nets, (struct net_change){ .prefix = *prefix,
					.entry = truth_make(set, 0),
					.has_entry = true,
					.member = true,
					.add = add });
}

void nets_init(struct nets *nets, struct truths *truths, const struct netsets *netsets)
{
	*nets = (struct nets){ .truths = truths, .netsets = netsets };
	truths_init(&nets->members);
	vec_push(&nets->net, (struct net){ .prefix = all_ip4,
					   .parent = NET_NONE,
					   .here = truth_ref(truths->none),
					   .sets = truth_ref(nets->members.none),
					   .all = truth_ref(truths->none),
					   .identity = NO_IDENTITY });
}

static void net_free(struct nets *nets, struct net *net)
{
	truth_unref(nets->truths, net->here);
	truth_unref(&nets->members, net->sets);
	truth_unref(nets->truths, net->all);
}

void nets_done(struct nets *nets)
{
	for (size_t i = 0; i < nets->net.n; i++)
		net_free(nets, &nets->net.v[i]);
	vec_done(&nets->net);
	vec_done(&nets->change);
	vec_done(&nets->gone);
	truths_done(&nets->members);
}

/* --- changes ------------------------------------------------------------------------------- */

static void entries_change(struct nets *nets, struct net *net, const struct net_change *change)
{
	struct truths *truths = change->member ? &nets->members : nets->truths;
	struct truth **at = change->member ? &net->sets : &net->here, *old = *at;
	VEC(truth_entry) left = {};

	for (uint32_t i = 0; i < old->count; i++)
		if (change->add || old->entry[i] != change->entry)
			vec_push(&left, old->entry[i]);
	if (change->add)
		vec_push(&left, change->entry);
	*at = truth_intern(truths, left.v, left.n);
	truth_unref(truths, old);
	vec_done(&left);
}

static void net_change(struct nets *nets, struct net *net, const struct net_change *change)
{
	if (change->owns) {
		net->owned = change->add;
		net->kind = change->add ? change->kind : ENGINE_NET_INHERIT;
	}
	if (change->has_entry)
		entries_change(nets, net, change);
}

static bool net_needed(const struct net *net)
{
	return net->owned || net->here->count || net->sets->count ||
	       !prefix_order(&net->prefix, &all_ip4);
}

/* Merges the sorted changes into the array. */
static void merge(struct nets *nets)
{
	VEC(struct net) out = {};
	size_t at = 0, next = 0;

	vec_reserve(&out, nets->net.n + nets->change.n);
	while (at < nets->net.n || next < nets->change.n) {
		const struct net_change *change = &nets->change.v[next];
		struct net net;

		if (next == nets->change.n ||
		    (at < nets->net.n &&
		     prefix_order(&nets->net.v[at].prefix, &change->prefix) <= 0))
			net = nets->net.v[at++];
		else
			net = (struct net){ .prefix = change->prefix,
					    .here = truth_ref(nets->truths->none),
					    .sets = truth_ref(nets->members.none),
					    .identity = NO_IDENTITY };
		for (; next < nets->change.n &&
		       !prefix_order(&net.prefix, &nets->change.v[next].prefix);
		     next++)
			net_change(nets, &net, &nets->change.v[next]);
		if (net_needed(&net)) {
			vec_push(&out, net);
			continue;
		}
		if (net.identity != NO_IDENTITY)
			vec_push(&nets->gone, net);
		net_free(nets, &net);
	}
	vec_done(&nets->net);
	memcpy(&nets->net, &out, sizeof(out));
	nets->change.n = 0;
}

/* What is around net i, which comes right after net i - 1. */
static uint32_t parent_of(const struct nets *nets, uint32_t i)
{
	uint32_t parent = i ? i - 1 : NET_NONE;

	while (parent != NET_NONE && !contains(&nets->net.v[parent].prefix, &nets->net.v[i].prefix))
		parent = nets->net.v[parent].parent;
	return parent;
}

/* --- what is true -------------------------------------------------------------------------- */

/* Of one prefix and of a hundred thousand in the same sets it is the same. */
#define MEMOS 64

struct net_memo {
	struct truth *around;
	struct truth *here;
	struct truth *sets;
	struct truth *all; /* one reference; NULL: free */
};

static struct net_memo *memo_of(const struct nets *nets, const struct truth *around,
				const struct net *net)
{
	uint32_t hash = hash_u64((uintptr_t)around, 0);

	hash = hash_u64((uintptr_t)net->here, hash);
	return &nets->memo[hash_u64((uintptr_t)net->sets, hash) % MEMOS];
}

/* Takes over the reference of all. */
static struct truth *joined(struct nets *nets, struct truth *all, const struct truth *more)
{
	struct truth *both;

	if (!more || !more->count)
		return all;
	both = truth_union(nets->truths, all, more);
	truth_unref(nets->truths, all);
	return both;
}

static struct truth *make_all(struct nets *nets, struct truth *around, const struct net *net)
{
	struct truth *all = joined(nets, truth_ref(around), net->here);

	for (uint32_t i = 0; i < net->sets->count; i++) {
		uint32_t set = truth_atom(net->sets->entry[i]);

		all = joined(nets, all, nets->netsets->by_index.v[set]->facts->truth);
	}
	return all;
}

static struct truth *all_of(struct nets *nets, struct truth *around, const struct net *net)
{
	struct net_memo *memo;

	if (!net->here->count && !net->sets->count)
		return truth_ref(around);
	memo = memo_of(nets, around, net);
	if (memo->all && memo->around == around && memo->here == net->here &&
	    memo->sets == net->sets)
		return truth_ref(memo->all);
	truth_unref(nets->truths, memo->all);
	*memo = (struct net_memo){ around, net->here, net->sets, make_all(nets, around, net) };
	return truth_ref(memo->all);
}

bool net_wanted(const struct nets *nets, const struct net *net)
{
	const struct net *around = net->parent == NET_NONE ? NULL : &nets->net.v[net->parent];

	if (net->owned || net->here->count)
		return true;
	/* What ::/0 says is not said of IPv4. */
	if (!prefix_order(&net->prefix, &all_ip4))
		return around || net->sets->count;
	return net->all != (around ? around->all : nets->truths->none);
}

static bool derive(struct nets *nets, uint32_t i)
{
	struct net *net = &nets->net.v[i], *around = NULL;
	bool unknown = net->kind == ENGINE_NET_UNKNOWN;
	struct truth *all;

	net->parent = parent_of(nets, i);
	if (net->parent != NET_NONE && prefix_order(&net->prefix, &all_ip4))
		around = &nets->net.v[net->parent];
	if (net->kind == ENGINE_NET_INHERIT)
		unknown = around && around->unknown;
	all = all_of(nets, around ? around->all : nets->truths->none, net);
	net->touched = net->all != all || net->unknown != unknown;
	truth_unref(nets->truths, net->all);
	net->all = all;
	net->unknown = unknown;
	net->touched |= net->identity == NO_IDENTITY && net_wanted(nets, net);
	return net->touched;
}

static bool derive_all(struct nets *nets)
{
	struct net_memo memo[MEMOS] = { 0 };
	bool touched = false;

	nets->memo = memo;
	for (uint32_t i = 0; i < nets->net.n; i++)
		touched |= derive(nets, i);
	for (size_t i = 0; i < MEMOS; i++)
		truth_unref(nets->truths, memo[i].all);
	nets->memo = NULL;
	return touched;
}

bool nets_update(struct nets *nets)
{
	nets->gone.n = 0;
	for (size_t i = 0; i < nets->net.n; i++)
		nets->net.v[i].touched = false;
	if (!nets->change.n && !nets->sweep && !nets->again)
		return false;
	nets->sweep = nets->again = false;
	for (size_t i = 0; i < nets->change.n; i++)
		nets->change.v[i].order = i;
	if (nets->change.n)
		qsort(nets->change.v, nets->change.n, sizeof(*nets->change.v), change_cmp);
	merge(nets);
	return derive_all(nets) || nets->gone.n;
}

/* A member that a service got while its atom was dying would bring the atom's number back. */
static void forget_changes(struct nets *nets, const uint64_t *dropped)
{
	size_t n = 0;

	for (size_t i = 0; i < nets->change.n; i++) {
		const struct net_change *change = &nets->change.v[i];
		uint32_t atom = truth_atom(change->entry);

		if (change->has_entry && !change->member && dropped[atom / 64] >> atom % 64 & 1)
			continue;
		nets->change.v[n++] = *change;
	}
	nets->change.n = n;
}

void nets_follow(struct nets *nets, const uint64_t *dropped)
{
	forget_changes(nets, dropped);
	for (size_t i = 0; i < nets->net.n; i++) {
		truth_follow(nets->truths, &nets->net.v[i].here);
		truth_follow(nets->truths, &nets->net.v[i].all);
	}
	nets->sweep = true;
}

/* --- lookup -------------------------------------------------------------------------------- */

struct net *nets_match(const struct nets *nets, const struct mg_prefix *prefix)
{
	size_t low = 0, high = nets->net.n;
	uint32_t at;

	while (low < high) {
		size_t mid = (low + high) / 2;

		if (prefix_order(&nets->net.v[mid].prefix, prefix) <= 0)
			low = mid + 1;
		else
			high = mid;
	}
	at = low ? low - 1 : NET_NONE;
	while (at != NET_NONE && !contains(&nets->net.v[at].prefix, prefix))
		at = nets->net.v[at].parent;
	return at == NET_NONE ? NULL : &nets->net.v[at];
}

struct net *nets_find(const struct nets *nets, const struct mg_prefix *prefix)
{
	struct net *net = nets_match(nets, prefix);

	return net && !prefix_order(&net->prefix, prefix) ? net : NULL;
}

uint16_t nets_identity(const struct nets *nets, const struct mg_prefix *prefix)
{
	const struct net *net = nets_match(nets, prefix);

	while (net && net->identity == NO_IDENTITY)
		net = net->parent == NET_NONE ? NULL : &nets->net.v[net->parent];
	if (net)
		return net->identity;
	return prefix_is4(prefix) ? MG_IDENT_WORLD4 : MG_IDENT_WORLD6;
}
