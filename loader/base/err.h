/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A failure that a person will read. The caller owns the object (on its stack); functions
 * return 0 or -errno and fill it only when they fail. A NULL err is accepted: nobody reads.
 *
 *	return err_set(err, -EINVAL, "%s: %s", path, what);
 *	return err_wrap(err, r, "pool %s", name);	prepends "pool x: " to what is there
 */
#ifndef MARGAY_BASE_ERR_H
#define MARGAY_BASE_ERR_H

#define ERR_TEXT_MAX 512

struct err {
	int code;		 /* -errno; 0: no failure */
	char text[ERR_TEXT_MAX]; /* without a newline */
};

/* Both return code, so that failing is one statement. */
int err_set(struct err *err, int code, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
int err_wrap(struct err *err, int code, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* "what: strerror(-code)" */
int err_errno(struct err *err, int code, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* 0: what an inner call refused was no failure after all. */
int err_clear(struct err *err);

#endif
