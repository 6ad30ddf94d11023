/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside of the library: one instance, its entries, cached blocks and queues.
 *
 *	entry	one address of this node and how far it is (below); the journal mirrors entries
 *	cache	the blocks that this node owns or has an address in, as last seen in the store
 *	request	an ADD that waits; ack: an answer that waits for the journal's fsync
 *
 * An entry's life: RESERVE -> TAKEN (given to a pod, on disk) -> LIVE (the store has the pod's
 * handle) -> RELEASING (on disk) -> gone. UNRESERVING: a reserve that goes back unused. What must
 * be on disk before anybody acts on it: TAKEN before the answer to ADD, RELEASING and UNRESERVING
 * before the store learns of them. With that, replaying the journal never makes an address
 * ours that another may have.
 */
#ifndef MARGAY_IPAM_INTERNAL_H
#define MARGAY_IPAM_INTERNAL_H

#include <uthash.h>

#include "base/inet.h"
#include "datastore/store.h"
#include "ipam/block.h"
#include "ipam/ipam.h"
#include "ipam/journal.h"
#include "ipam/pools.h"

#define COMMIT_OPS_MAX 128 /* addresses in one store commit */
#define COMMIT_TRIES 16	   /* conflicts in one tick before it yields */
#define DOWN_MIN_MS 500	   /* first pause after the store went out of reach */
#define DOWN_MAX_MS 15000
#define TARGET_CALM_MS 60000  /* without a shortage: the reserve's target is halved */
#define POOL_IDLE_MS 600000   /* without a pod: the reserve is given back */
#define BLOCK_SPARE_MS 600000 /* empty beside others with room: the block is given back */
#define RECLAIM_AGE_MS 60000  /* an empty block of another is left alone this long */
#define SHED_MS 10000	      /* between looks for surplus */
#define FIXED_WAIT_MS 6000    /* a fixed address that still rests is waited for */
#define CALICO_V3 "projectcalico.org/v3"
#define WANTED "wanted" /* secondary of a reserved address: the node that asks for it */
#define DEFAULT_NETWORK "k8s-pod-network"
#define RESERVE_HANDLE "margay-reserve-"

enum entry_state {
	ENTRY_RESERVE,
	ENTRY_TAKEN,
	ENTRY_LIVE,
	ENTRY_RELEASING,
	ENTRY_UNRESERVING,
};

struct entry {
	union mg_addr addr; /* key */
	enum entry_state state;
	struct mg_prefix block;
	char *pool;
	json_t *attr;  /* the block's attribute {handle_id, secondary}; RESERVE: the reserve's */
	__u64 order;   /* reserve: first claimed, first given */
	bool pinned;   /* reserve: for a fixed request only */
	bool in_batch; /* part of the commit in work */
	UT_hash_handle hh;
};

struct cached_block {
	struct mg_prefix cidr; /* key */
	struct block *block;
	bool stale;	/* read again before use */
	bool seen;	/* by the list in work */
	bool affine;	/* has its BlockAffinity */
	bool leaving;	/* spare for so long that it is given back: nothing is taken from it */
	__u64 spare_ms; /* since when nothing needs it; 0: something does */
	UT_hash_handle hh;
};

/* IPAMHandle objects follow from entries; what is remembered is whether one is stored. */
struct handle_note {
	char *id; /* key */
	bool stored;
	bool guessed;		    /* stored may be wrong: look before writing */
	bool dirty;		    /* the next commit compares and writes */
	bool touched;		    /* since the commit on its way was made */
	char *counts;		    /* as last written, JSON; NULL: unknown */
	char name[IPAM_HANDLE_MAX]; /* of the object, while it is being deleted */
	UT_hash_handle hh;
};

struct pool_note {
	char *name; /* key */
	unsigned int target;
	unsigned int demand; /* requests that wait for this pool now */
	__u64 short_ms;	     /* when it was last short */
	__u64 used_ms;	     /* when a request last chose it */
	__u64 searched;	     /* round of the last search that found nothing */
	__u64 searched_ms;   /* and when */
	UT_hash_handle hh;
};

struct request {
	struct request *next, *prev;
	char *handle;
	json_t *secondary; /* attribute texts without node and timestamp */
	enum pool_use use;
	enum ipam_family families;
	char *lists[2][3];
	struct ipam_label *ns_labels;
	size_t ns_count;
	union mg_addr fixed[2];
	size_t fixed_count;
	struct err bad; /* of the request's own texts */
	__u64 round;	/* in which it came */
	__u64 since_ms;
	ipam_done_fn *done;
	void *arg;
};

struct ack {
	struct ack *next, *prev;
	struct ipam_result result;
	union mg_addr taken[IPAM_ADDRS_MAX]; /* go back to the reserve if the journal fails */
	size_t taken_count;
	ipam_done_fn *done;
	void *arg;
};

struct batch;

struct ipam {
	struct store *store;
	char *node;
	char reserve_handle[IPAM_HANDLE_MAX + 32];
	unsigned int reserve;
	__u64 (*now)(void *arg);
	void *now_arg;
	void (*wake)(void *arg); /* NULL: commits are waited for */
	void *wake_arg;
	struct batch *flight; /* the commit on its way: no other store work meanwhile */
	struct ipam_labels labels;

	struct ipam_journal *journal;
	bool distrust; /* the journal lost something: no reserve before ipam_collect_garbage() */

	struct pools *pools; /* NULL: never read */
	struct entry *entries;
	struct cached_block *blocks;
	struct handle_note *handles;
	struct pool_note *notes;
	struct request *requests;
	struct ack *acks;
	__u64 order, round;
	__u64 pools_round; /* in which pools were read last */
	size_t conflicts;  /* addresses of pods that another was found to have */
	bool reload_pools, reload_blocks;
	bool noticed;	/* others changed blocks in the cache */
	bool fresh;	/* no journal was found and no block was read yet */
	__u64 shed_ms;	/* of the last shed_surplus() */
	int fixed_wait; /* ms until a fixed request wants to be tried again; -1 none */

	bool down;
	struct err down_err;
	__u64 down_until, down_pause;
};

/* --- ipam.c ---------------------------------------------------------------------------------- */
/* r < 0: the store did not do what was asked, and is left alone for a while. */
void ipam_reached(struct ipam *ipam, int r, const struct err *err);

/* --- access.c -------------------------------------------------------------------------------- */
int list_kinds(struct ipam *ipam, const char *const *kinds, size_t count,
	       struct store_list *ret_lists, struct err *err);
int get_object(struct ipam *ipam, const char *kind, const char *name, json_t **ret_object,
	       struct err *err);
int put_object(struct ipam *ipam, enum store_op op, json_t *object, json_t **ret_stored,
	       struct err *err);
int delete_object(struct ipam *ipam, const char *kind, const char *name, const char *expect,
		  struct err *err);

/* --- entries.c ------------------------------------------------------------------------------- */
struct entry *entry_find(struct ipam *ipam, const union mg_addr *addr);
struct entry *entry_add(struct ipam *ipam, const struct entry *like); /* texts are copied */
/* Changes the state and notes it in the journal; attr (may be NULL: stays) is borrowed. */
void entry_set(struct ipam *ipam, struct entry *entry, enum entry_state state, json_t *attr);
void entry_drop(struct ipam *ipam, struct entry *entry);
const char *entry_handle(const struct entry *entry);
const char *entry_ifname(const struct entry *entry);
bool entry_is_of(const struct entry *entry, const char *handle, const char *ifname);
json_t *reserve_attr(const struct ipam *ipam);
/* secondary with node and timestamp added, under the handle. */
json_t *owner_attr(const struct ipam *ipam, const char *handle, const json_t *secondary);
void entries_clear(struct ipam *ipam);
void journal_replay(void *ipam, json_t *record);
void journal_snapshot(void *ipam, struct ipam_journal *journal);

/* --- request.c ------------------------------------------------------------------------------- */
struct ack *ack_add(struct ipam *ipam, ipam_done_fn *done, void *arg);
void ack_addr(struct ipam *ipam, struct ack *ack, const struct entry *entry);
struct ack *ack_from(struct ipam *ipam, struct request *request, const struct err *err);
const char *owner_network(const struct ipam_owner *owner);
json_t *owner_secondary(const struct ipam_owner *owner);
void request_free(struct ipam *ipam, struct request *request);

/* --- queue.c --------------------------------------------------------------------------------- */
void queue_cancel(struct ipam *ipam); /* answers everything that waits with -ECANCELED */

/* --- status.c -------------------------------------------------------------------------------- */
struct pool_note *pool_note(struct ipam *ipam, const char *name);
void pool_notes_clear(struct ipam *ipam);
int ipam_next(struct ipam *ipam); /* ms until ipam_tick() has something to do */
unsigned int pool_target_min(const struct ipam *ipam, const struct pool *pool);
unsigned int pool_target_max(const struct ipam *ipam, const struct pool *pool);
unsigned int count_state(const struct ipam *ipam, const char *pool, enum entry_state state);
bool is_own(const struct ipam *ipam, const struct mg_prefix *cidr);
/* block_skip_fn with a struct ipam: reserved, or an entry of ours of which the store does not know
 * (any more): a refill must not take it from under a pod. */
bool is_unusable(const void *ipam, const union mg_addr *addr);
/* Out of reach, and not yet time to try again. */
bool is_down(const struct ipam *ipam);

/* --- read.c: store to memory ----------------------------------------------------------------- */
int read_pools(struct ipam *ipam, struct err *err);
int read_pools_saved(struct ipam *ipam);
int read_blocks(struct ipam *ipam, struct err *err);
/* Does the store say that this ordinal belongs to this node? */
bool is_mine(const struct ipam *ipam, const struct block *block, unsigned int ordinal);
/* Reads one block again if it is stale. -ENOENT: there is none (any more). */
int read_block(struct ipam *ipam, const struct mg_prefix *cidr, struct cached_block **ret_cached,
	       struct err *err);
/* Takes a block object that was read into the cache and reconciles the entries with it. */
int take_block(struct ipam *ipam, json_t *object, struct cached_block **ret_cached,
	       struct err *err);
/* Reads again what others changed: they may want an address of the reserve. */
int read_noticed(struct ipam *ipam, struct err *err);
struct cached_block *cached_find(struct ipam *ipam, const struct mg_prefix *cidr);
void cached_drop(struct ipam *ipam, struct cached_block *cached);

/* --- write.c: memory to store ---------------------------------------------------------------- */
/* One commit: what entries need, plus refills of own blocks. Returns 1 if it wrote, 0 if there was
 * nothing to do. */
int write_entries(struct ipam *ipam, struct err *err);
bool write_needed(struct ipam *ipam);
/* How many addresses the pool's reserve lacks. */
bool pool_wants(struct ipam *ipam, const struct pool *pool, unsigned int *ret_count);

/* --- handles.c ------------------------------------------------------------------------------- */
void handle_name(const char *id, char *text); /* [IPAM_HANDLE_MAX]: the object's name */
struct handle_note *handle_note(struct ipam *ipam, const char *id);
/* Looked at by the next commit. guess: one not known yet may be stored already. */
void handle_touch(struct ipam *ipam, const char *id, bool guess);
/* Finds out what is only guessed. */
int handles_look(struct ipam *ipam, struct err *err);
void handles_prune(struct ipam *ipam);
void handle_count_one(json_t *counts, const struct mg_prefix *cidr);
void handles_clear(struct ipam *ipam);
json_t *handle_counts(struct ipam *ipam, const char *id); /* {cidr: count}, commit in work done */
json_t *handle_object(const char *id, json_t *counts);

/* --- claim.c --------------------------------------------------------------------------------- */
/* For each pool that is waited for: a new block, an empty one of another, a borrowed address. */
int claim_for_waiting(struct ipam *ipam, struct err *err);
bool may_claim(struct ipam *ipam, const struct pool *pool);

/* --- affinity.c ------------------------------------------------------------------------------ */
/* The block for this node, made if there is none. -EEXIST: it is another's. */
int claim_block(struct ipam *ipam, const struct mg_prefix *cidr, struct cached_block **ret_cached,
		struct err *err);
int give_up_block(struct ipam *ipam, struct cached_block *cached, struct err *err);
int put_affinity(struct ipam *ipam, const struct mg_prefix *cidr, const char *state,
		 struct err *err);
int drop_affinity(struct ipam *ipam, const char *node, const struct mg_prefix *cidr,
		  struct err *err);
char *own_affinity(const struct ipam *ipam); /* "host:<node>"; the caller frees */
/* Affinities as the blocks in the cache say; what a claim that was cut off left behind. */
int mend_affinities(struct ipam *ipam, const json_t *affinities, struct err *err);

/* --- surplus.c ------------------------------------------------------------------------------- */
/* Marks what the reserve holds too much, forgets what is not needed any more. */
void shed_surplus(struct ipam *ipam);
/* Empty blocks of pools that are gone or do not select this node any more. */
int give_up_blocks(struct ipam *ipam, struct err *err);

/* --- fixed.c --------------------------------------------------------------------------------- */
/* Works off requests with fixed addresses; sets fixed_wait. */
int serve_fixed(struct ipam *ipam, struct err *err);

#endif
