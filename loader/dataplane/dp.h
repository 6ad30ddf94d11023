/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside dataplane/: what struct dp holds.
 */
#ifndef MARGAY_DATAPLANE_DP_H
#define MARGAY_DATAPLANE_DP_H

#include <stdbool.h>

#include "dataplane/load.h"
#include "dataplane/object.h"

#define DP_MAPS_MAX 48
#define DP_PROGS_MAX 24

enum map_class { MAP_DERIVED, MAP_RUNTIME, MAP_COUNTER, MAP_SCRATCH, MAP_WATCH };

struct dp_row {
	struct dp_map map;
	struct dp_map
		former; /* pinned until the takeover, of another layout or size; fd -1: none */
	char name[32];	/* the pin's */
	enum map_class class;
	bool made; /* in this dp_open() */
};

struct dp {
	char *root;
	struct mg_config mg;
	struct object_image image;
	struct dp_row rows[DP_MAPS_MAX];
	size_t row_count;
	int prog[DP_PROGS_MAX]; /* by index of dp_progs[]; -1: none */
	int former_prog[DP_PROGS_MAX];
	char *group_error[DP_GROUP_MAX];
	bool adopted;
	bool in_force;
	bool former_runtime; /* the pinned runtime maps have this build's layout */
	int grace[2];	     /* an array of maps and its element, where membarrier is refused */
};

/* Class of a map by its name: abi/maps.h; a map that is not listed there is SCRATCH. */
enum map_class dp_map_class(const char *name);

/* path of a pin: ROOT/folder/name + suffix. */
void dp_pin_path(const struct dp *dp, const char *folder, const char *name, const char *suffix,
		 char path[4096]);
/* Replaces what is pinned there. */
int dp_pin_over(const struct dp *dp, const char *folder, const char *name, int fd, struct err *err);

/* Pins what was made; with in_force also programs and meta. */
int dp_pin_set(struct dp *dp, bool in_force, struct err *err);

/* ROOT/meta */
int dp_meta_matches(const struct dp *dp, bool *ret_runtime_fits);
int dp_meta_write(const struct dp *dp, struct err *err);
/* Until dp_meta_write() pins and devices may belong to two sets: whoever finds this loads anew. */
int dp_meta_tear(const struct dp *dp, struct err *err);

/* Rows of runtime maps that are made anew, from the former ones; overwrite: only while the new
 * programs see no packet. */
int dp_carry_rows(const struct dp *dp, bool overwrite, struct err *err);

/* Maps of class WATCH are made by who watches (kernel_drops.c) and by nobody else. */
void dp_leave_watch_maps(const struct bpf_object *object);

/* Gives every map of dp to the object and takes the chunk's template out of it. */
int dp_reuse_maps(const struct dp *dp, struct bpf_object *object);

#endif
