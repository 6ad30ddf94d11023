/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside dataplane/: the kernel's names of drop reasons, read from its type information: enum
 * skb_drop_reason, the enum of each subsystem (names end in drop_reason) and enum
 * skb_drop_reason_subsys, whose number stands in the upper half of a reason.
 */
#ifndef MARGAY_DATAPLANE_KERNEL_REASON_H
#define MARGAY_DATAPLANE_KERNEL_REASON_H

#include <linux/types.h>
#include <stddef.h>

struct btf;
struct kernel_reasons;

struct kernel_reasons *kernel_reasons_new(const struct btf *btf);
void kernel_reasons_free(struct kernel_reasons *reasons); /* accepts NULL */
/* As dp_kernel_drops_reason(). */
const char *kernel_reasons_name(const struct kernel_reasons *reasons, __u32 reason, char *text,
				size_t size);

#endif
