/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Exchanges two things of one type.
 */
#ifndef MARGAY_LIB_SWAP_H
#define MARGAY_LIB_SWAP_H

#define SWAP(x, y)                                                                                 \
	do {                                                                                       \
		__typeof__(x) swap_ = (x);                                                         \
		(x) = (y);                                                                         \
		(y) = swap_;                                                                       \
	} while (0)

#endif
