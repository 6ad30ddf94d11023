/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One set of programs and maps of this node: made once, pinned, found again by the next agent.
 *
 * ROOT/maps/NAME     every map of abi/maps.h but scratch	folders 0700, pins 0600
 * ROOT/progs/NAME    every program of dp_progs[]
 * ROOT/pages/ID-N    chunk N of mg_pages (opening a map by id would need CAP_SYS_ADMIN)
 * ROOT/meta          one row: what the pinned programs were made from
 * ROOT/.../NAME-new  on the way to become NAME, by rename
 *
 * dp_open() takes over pinned maps whose layout and size fit, makes the others, and takes over the
 * pinned programs too where object, configuration and maps are those of the last load; otherwise
 * it loads new ones. New programs see no packet before dp_takeover(): the agent fills the maps
 * first. Where no program was pinned before, dp_open() pins everything at once. The maps of
 * dp_get_map() are always those that the programs of this set use.
 *
 * Hook groups load separately: a group the verifier refuses stands in dp_group_error() and the
 * others work. The caller owns struct dp; it owns all its descriptors. Closing it leaves pins and
 * attachments as they are.
 *
 * Errors: -ENOMEM, -EAGAIN, -EBUSY are transient (dp_is_transient), everything else is permanent.
 */
#ifndef MARGAY_DATAPLANE_LOAD_H
#define MARGAY_DATAPLANE_LOAD_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>

#include "abi/config.h"
#include "base/cleanup.h"
#include "dataplane/map.h"

struct err;
struct dp;

#define DP_ROOT_DEFAULT "/sys/fs/bpf/margay"

enum dp_group {
	DP_GROUP_POD,
	DP_GROUP_NETDEV,
	DP_GROUP_TUNNEL,
	DP_GROUP_XDP,
	DP_GROUP_SOCK,
	DP_GROUP_MAX
};

/* Programs by name, in the order of an upgrade: receivers of marks and redirects first. */
struct dp_prog_def {
	const char *name;
	enum dp_group group;
};
extern const struct dp_prog_def dp_progs[];
extern const size_t dp_prog_count;
const char *dp_group_name(enum dp_group group);

struct dp_size {
	const char *map;
	__u32 entries;
};

struct dp_config {
	const char *root;	     /* NULL: DP_ROOT_DEFAULT */
	struct mg_config mg;	     /* .rodata; trace and old_flows are set by this library */
	const struct dp_size *sizes; /* other than the object's own; may be NULL */
	size_t size_count;
	const void *object; /* NULL: the skeleton of this build; tests bring their own */
	size_t object_size;
};

/* The defaults of bpf/lib/config.h: 4,096 slots, mark 0x01000000. */
struct dp_config dp_config_default(void);

int dp_open(const struct dp_config *config, struct dp **ret_dp, struct err *err);
void dp_close(struct dp *dp); /* accepts NULL */
DEFINE_CLEANUP(struct dp *, dp_close)
#define _cleanup_dp_ _cleanup_(dp_close_p)

/* NULL: no such map (of an adopted set also scratch). Valid until dp_close(). */
const struct dp_map *dp_get_map(const struct dp *dp, const char *name);
/* -ENOENT: no such program, or its group did not load. The descriptor stays dp's. */
int dp_prog_fd(const struct dp *dp, const char *name);
/* NULL: the group loaded (or the object has none of it); else the end of the verifier's log. */
const char *dp_group_error(const struct dp *dp, enum dp_group group);
bool dp_adopted(const struct dp *dp);	    /* the programs are those of the last load */
bool dp_flows_are_new(const struct dp *dp); /* flow tables were made in this dp_open() */
const char *dp_root(const struct dp *dp);

static inline bool dp_is_transient(int error)
{
	return error == -ENOMEM || error == -EAGAIN || error == -EBUSY;
}

/*
 * Puts this set into force in place of the pinned one: pins by rename, copies the flows of maps
 * that changed their size, then swaps the programs on every device of the caller's network
 * namespace, receivers first, each in one call. Nothing to do for an adopted set. May be called
 * again after a failure. Needs CAP_SYS_ADMIN where programs of a set older than the pinned one
 * are attached.
 */
int dp_takeover(struct dp *dp, struct err *err);
bool dp_is_in_force(const struct dp *dp); /* adopted, first of its node, or taken over */

/*
 * Waits until every program that was running when it was called has ended (8 to 11 ms):
 * membarrier, or where that is refused an update of an array-of-maps.
 */
int dp_grace(struct dp *dp);

#endif
