/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The one configuration of a load, in .rodata (abi/config.h).
 */
#ifndef MARGAY_LIB_CONFIG_H
#define MARGAY_LIB_CONFIG_H

#include <bpf/bpf_helpers.h>

#include "abi/config.h"

const volatile struct mg_config mg_config __weak = {
	.slots = 4096,
	.mark = 0x01000000,
	.redirect_peer = 1,
};

#endif
