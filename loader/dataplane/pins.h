/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pinned programs and maps by name, for who did not load them: the CNI plugin, margayctl.
 * Needs neither the object nor its skeleton. Descriptors are the caller's.
 *
 * root: NULL is DP_ROOT_DEFAULT. -ENOENT: not pinned (programs are missing: CNI STATUS 51).
 */
#ifndef MARGAY_DATAPLANE_PINS_H
#define MARGAY_DATAPLANE_PINS_H

#include <stdbool.h>
#include <stddef.h>

#include "dataplane/map.h"

struct err;

int pin_open_prog(const char *root, const char *name, int *ret_fd, struct err *err);
int pin_open_map(const char *root, const char *name, struct dp_map *ret_map, struct err *err);

/* Kernel's id of a program or map behind a descriptor. */
int prog_id_of(int prog_fd, __u32 *ret_id);

/* Its name in the kernel; needs CAP_SYS_ADMIN. */
int prog_name_of(__u32 id, char ret_name[16]);

/* True if the program is one of Margay's: its name is a hook's and it uses mg_drops. Needs
 * CAP_SYS_ADMIN (opening by id); false where that is missing. */
bool prog_id_is_ours(__u32 id);

#endif
