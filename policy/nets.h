/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Prefixes: the nets that rules name, network sets' nets, services' members, pools and blocks, as
 * one sorted array in which each knows the prefix around it. What is true of a prefix is what is
 * true of the one around it, what hangs on it itself, and what is true of the sets it is in.
 *
 * ::ffff:0:0/96 is always there: an IPv6 prefix around it (::/0) says nothing of IPv4, though
 * IPv4 addresses are stored inside it.
 */
#ifndef MARGAY_POLICY_NETS_H
#define MARGAY_POLICY_NETS_H

#include "policy/engine.h"
#include "policy/netsets.h"
#include "policy/truth.h"
#include "policy/vec.h"

#define NET_NONE UINT32_MAX
#define NO_IDENTITY UINT16_MAX

struct net {
	struct mg_prefix prefix;
	uint32_t parent;    /* index, NET_NONE */
	struct truth *here; /* atoms of this very prefix */
	struct truth *sets; /* numbers of the network sets that have this very prefix */
	struct truth *all;  /* here and of sets, with those around it */
	uint16_t identity;  /* NO_IDENTITY: none yet */
	bool owned;	    /* set by engine_net_set() */
	bool unknown;	    /* inside an enabled pool, as far as known */
	bool touched;	    /* what is true of it has changed in this build */
	enum engine_net kind;
};

struct net_change {
	struct mg_prefix prefix;
	uint32_t order; /* of the changes of one prefix */
	truth_entry entry;
	bool has_entry;
	bool member; /* entry is a network set's number */
	bool add;
	bool owns; /* kind is meant */
	enum engine_net kind;
};

struct nets {
	VEC(struct net) net;
	VEC(struct net_change) change;
	VEC(struct net) gone; /* left in the last nets_update(), with their identities */
	bool sweep;	      /* atoms were dropped: look for prefixes nobody needs */
	bool again;	      /* what is true of a network set changed */
	struct truths *truths;
	struct truths members; /* lists of sets */
	const struct netsets *netsets;
	struct net_memo *memo; /* during nets_update() */
};

void nets_init(struct nets *nets, struct truths *truths, const struct netsets *netsets);
void nets_done(struct nets *nets);

/* Noted down; nets_update() brings them into effect. */
void nets_own(struct nets *nets, const struct mg_prefix *prefix, enum engine_net kind);
void nets_disown(struct nets *nets, const struct mg_prefix *prefix);
void nets_entry(struct nets *nets, const struct mg_prefix *prefix, truth_entry entry, bool add);
void nets_member(struct nets *nets, const struct mg_prefix *prefix, uint32_t set, bool add);

/* Sets touched where something changed; true if anything did. Removed prefixes are in gone. */
bool nets_update(struct nets *nets);

/* Does it need a row? Not where the prefix around it says the same. */
bool net_wanted(const struct nets *nets, const struct net *net);

/* Entries of dropped atoms (a bit set) go, those noted down too; truths_without() was called.
 * Nothing is touched. */
void nets_follow(struct nets *nets, const uint64_t *dropped);

/* The longest prefix that contains this one (len 128: an address); NULL: none. */
struct net *nets_match(const struct nets *nets, const struct mg_prefix *prefix);
/* The identity that a longest match gives, also where no row is. */
uint16_t nets_identity(const struct nets *nets, const struct mg_prefix *prefix);
struct net *nets_find(const struct nets *nets, const struct mg_prefix *prefix); /* exactly */

#endif
