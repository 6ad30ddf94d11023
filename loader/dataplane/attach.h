/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Programs on devices, ours first (design, "Beside others"): TCX from 6.6, else a clsact filter of
 * preference 1 and handle 1. Neither uses a BPF link: the attachment lives with the device, and
 * a swap is one call, without a moment in which none or two are attached.
 *
 * Devices are those of the caller's network namespace. "Ours" are the program that is given, the
 * programs made known by dp_attach_know() and, where the caller may open programs by id
 * (CAP_SYS_ADMIN), those of prog_id_is_ours().
 *
 * Where something ran ahead of ours, getting back to the front needs more than one call: meanwhile
 * a guard program ahead of all drops everything (some microseconds), so nothing is ever open.
 */
#ifndef MARGAY_DATAPLANE_ATTACH_H
#define MARGAY_DATAPLANE_ATTACH_H

#include <stdbool.h>
#include <linux/types.h>

struct err;

enum dp_way { DP_INGRESS, DP_EGRESS };
enum dp_attach_type { DP_ATTACH_AUTO, DP_ATTACH_TCX, DP_ATTACH_CLSACT };

struct dp_attached {
	__u32 id;    /* of our program; 0: none of ours is attached */
	__u32 ahead; /* id of a foreign program that runs before ours; 0: a filter without id */
	bool first;  /* ours is there and nothing runs before it */
	unsigned int count; /* programs or filters at this point, ours included */
};

struct dp_attach_ops {
	const char *name; /* "tcx", "clsact" */
	enum dp_attach_type type;
	/* Puts the program first; one of ours that is there is replaced in place. */
	int (*attach)(int ifindex, enum dp_way way, int prog_fd, struct err *err);
	/* 0 also if nothing of ours is attached, or the device is gone. */
	int (*detach)(int ifindex, enum dp_way way, struct err *err);
	/* The program alone. detach() also takes off a clsact on which nothing hangs any more;
	 * while it does, the kernel drops what a device that is up has to send (qdisc_graft()). */
	int (*take_off)(int ifindex, enum dp_way way, struct err *err);
	int (*query)(int ifindex, enum dp_way way, struct dp_attached *ret_attached,
		     struct err *err);
};

extern const struct dp_attach_ops dp_attach_tcx;
extern const struct dp_attach_ops dp_attach_clsact;

/*
 * The programs of this process's node, the former set's as well while it is replaced: a copy of
 * the descriptor is kept. Process-wide, because a process serves one node. -ENOSPC beyond 64.
 */
int dp_attach_know(int prog_fd);
void dp_attach_forget(void);

/* AUTO: TCX where the kernel has it. -EOPNOTSUPP: TCX was asked for and is not there. */
int dp_attach_pick(enum dp_attach_type type, const struct dp_attach_ops **ret_ops, struct err *err);

/* attach by ops, then removal of what stands of ours by the other way. */
int dp_attach(const struct dp_attach_ops *ops, int ifindex, enum dp_way way, int prog_fd,
	      struct err *err);
/* The same on a device with traffic: nothing is lost, an empty clsact may stay. */
int dp_attach_softly(const struct dp_attach_ops *ops, int ifindex, enum dp_way way, int prog_fd,
		     struct err *err);
/* Both ways, both directions. */
int dp_detach_all(int ifindex, struct err *err);

/* 0: program prog_fd is attached and first. 1: it was not, and is now. -errno: it is not and
 * could not be put there (err names what is ahead). */
int dp_attach_repair(const struct dp_attach_ops *ops, int ifindex, enum dp_way way, int prog_fd,
		     struct err *err);

/* Where program prog_fd stands at a point, as seen from ops. */
enum dp_place {
	DP_PLACE_RIGHT, /* first, and by ops alone */
	DP_PLACE_OTHER, /* first, but by the other way, or by both: dp_attach_softly() sets it right
			 */
	DP_PLACE_WRONG, /* not there, or behind another's: dp_attach_repair() */
};
int dp_attach_place(const struct dp_attach_ops *ops, int ifindex, enum dp_way way, int prog_fd,
		    enum dp_place *ret_place, struct err *err);

#endif
