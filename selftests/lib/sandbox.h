/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Namespaces of the test process itself: network and mounts, with a bpffs that goes with them.
 * What a test pins, attaches or adds is gone when the process ends, and the machine's own devices
 * are never seen.
 */
#ifndef MARGAY_SELFTESTS_LIB_SANDBOX_H
#define MARGAY_SELFTESTS_LIB_SANDBOX_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

/* Enters new namespaces and mounts a bpffs; ret_root: a folder in it that is not there yet.
 * 0, or -errno (root is needed). May be called again for fresh ones. */
int sandbox_enter(char ret_root[PATH_MAX]);

/* A BPF object of selftests/bpf/ by name ("tiny"), in memory; the caller frees. */
int sandbox_object(const char *name, void **ret_data, size_t *ret_size);

/* Keeps the agent's lasting capabilities alone: CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON. For a child.
 */
int sandbox_drop(void);

/* Has this kernel TCX (Linux 6.6)? By its version, so that a product that does not find it there
 * fails its tests and does not skip them. */
bool sandbox_tcx(void);

/* Ends the running cmocka test as skipped, with a reason that the runners show. */
#define sandbox_skip(reason)                                                                       \
	do {                                                                                       \
		print_message("# skip: %s\n", reason);                                             \
		skip();                                                                            \
	} while (0)

#define NO_TCX "this kernel has no TCX"

#endif
