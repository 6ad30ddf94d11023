/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ownership by attribute: what a function owns is freed when it returns, however it returns.
 *
 *	_cleanup_free_ char *path = NULL;
 *	_cleanup_close_ int fd = -1;
 *	return TAKE_PTR(path);		hands ownership on
 */
#ifndef MARGAY_BASE_CLEANUP_H
#define MARGAY_BASE_CLEANUP_H

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define _cleanup_(function) __attribute__((cleanup(function)))

/* Defines function_p(type *p), which calls function(*p), for _cleanup_(). */
#define DEFINE_CLEANUP(type, function)                                                             \
	static inline void function##_p(type *p)                                                   \
	{                                                                                          \
		if (*p)                                                                            \
			function(*p);                                                              \
	}

static inline void free_p(void *p)
{
	free(*(void **)p);
}

static inline void close_p(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

static inline void fclose_p(FILE **file)
{
	if (*file)
		fclose(*file);
}

#define _cleanup_free_ _cleanup_(free_p)
#define _cleanup_close_ _cleanup_(close_p)
#define _cleanup_fclose_ _cleanup_(fclose_p)

#define TAKE_PTR(p)                                                                                \
	({                                                                                         \
		__typeof__(p) *_taken_from = &(p);                                                 \
		__typeof__(p) _taken = *_taken_from;                                               \
		*_taken_from = NULL;                                                               \
		_taken;                                                                            \
	})

#define TAKE_FD(fd)                                                                                \
	({                                                                                         \
		int *_taken_from = &(fd);                                                          \
		int _taken = *_taken_from;                                                         \
		*_taken_from = -1;                                                                 \
		_taken;                                                                            \
	})

#endif
