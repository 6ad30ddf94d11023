/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A growing array: struct { type *v; size_t n, cap; }. Zeroed memory is an empty one.
 */
#ifndef MARGAY_POLICY_VEC_H
#define MARGAY_POLICY_VEC_H

#include <stddef.h>
#include <stdlib.h>

#include "base/arena.h"

#define VEC(type)                                                                                  \
	struct {                                                                                   \
		type *v;                                                                           \
		size_t n;                                                                          \
		size_t cap;                                                                        \
	}

#define vec_reserve(vec, want)                                                                     \
	do {                                                                                       \
		size_t _want = (want);                                                             \
		if (_want > (vec)->cap) {                                                          \
			size_t _cap = (vec)->cap ? (vec)->cap * 2 : 4;                             \
			if (_cap < _want)                                                          \
				_cap = _want;                                                      \
			(vec)->v = xrealloc((vec)->v, _cap, sizeof(*(vec)->v));                    \
			(vec)->cap = _cap;                                                         \
		}                                                                                  \
	} while (0)

#define vec_push(vec, ...)                                                                         \
	do {                                                                                       \
		vec_reserve(vec, (vec)->n + 1);                                                    \
		(vec)->v[(vec)->n++] = (__VA_ARGS__);                                              \
	} while (0)

#define vec_done(vec)                                                                              \
	do {                                                                                       \
		free((vec)->v);                                                                    \
		(vec)->v = NULL;                                                                   \
		(vec)->n = (vec)->cap = 0;                                                         \
	} while (0)

#endif
