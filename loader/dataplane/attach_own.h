/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside dataplane/: what both ways of attaching share.
 */
#ifndef MARGAY_DATAPLANE_ATTACH_OWN_H
#define MARGAY_DATAPLANE_ATTACH_OWN_H

#include <stdbool.h>
#include <linux/types.h>

struct err;

#define ATTACH_TRIES 16

/* known or prog_id_is_ours(). */
bool attach_is_ours(__u32 id);
/* A descriptor of a program by id, from the known ones or the kernel; the caller closes. */
int attach_open_id(__u32 id);
/* A program that drops every packet; the caller closes. */
int attach_guard(int *ret_fd, struct err *err);

/* One that a killed repair left behind; false where programs cannot be opened by id. */
bool attach_is_guard(__u32 id);

/* First program at the device's TCX point; 0: none, or a kernel without TCX. */
__u32 tcx_head(int ifindex, bool egress);

#endif
