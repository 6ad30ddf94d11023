/* SPDX-License-Identifier: Apache-2.0 */
/* Does the kernel hold an attachment as it was made? */
#ifndef MARGAY_CNI_CHECK_H
#define MARGAY_CNI_CHECK_H

struct attachment;
struct cni_error;
struct wire;

/* The first difference is the error (CNI_CHECK_FAILED). Interfaces, addresses, routes, neighbours,
 * programs (ours, and first), endpoint row. */
int check_kernel(const struct wire *wire, const char *pin_dir, const struct attachment *attachment,
		 struct cni_error *error);

#endif
