/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a container runtime is told when a command fails: the CNI specification's error object
 * (code, msg, details). The caller owns it; functions fill it only when they fail.
 */
#ifndef MARGAY_CNI_ERROR_H
#define MARGAY_CNI_ERROR_H

#include "base/err.h"

struct json_t;

/* 1 to 99 as the specification has them ("Error" of CNI 1.1); from 100 on our own. */
enum cni_code {
	CNI_BAD_VERSION = 1,
	CNI_UNSUPPORTED_FIELD = 2,
	CNI_UNKNOWN_CONTAINER = 3,
	CNI_BAD_ENVIRONMENT = 4,
	CNI_IO = 5,
	CNI_DECODE = 6,
	CNI_BAD_CONFIG = 7,
	CNI_TRY_AGAIN = 11,
	CNI_NOT_AVAILABLE = 50,
	CNI_LIMITED = 51,
	/* 100 is the agent's: no address */
	CNI_NAME_TAKEN = 101,	/* an interface, address or route belongs to somebody else */
	CNI_CHECK_FAILED = 102, /* CHECK found a difference */
	CNI_IPAM = 103,		/* the delegated IPAM plugin failed without an error of its own */
	CNI_KERNEL = 104,	/* the kernel refused something */
};

struct cni_error {
	int code; /* enum cni_code, or what the agent or a delegated plugin said */
	char msg[ERR_TEXT_MAX];
	char details[ERR_TEXT_MAX]; /* may be empty */
};

/* All return a negative errno, so that failing is one statement: -EAGAIN for CNI_TRY_AGAIN,
 * otherwise -EIO. err gives the details. */
int cni_fail(struct cni_error *error, int code, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
int cni_fail_err(struct cni_error *error, int code, const struct err *err, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

/* The object as the specification prints it. Never NULL; the caller's to release. */
struct json_t *cni_error_json(const struct cni_error *error, const char *version);

#endif
