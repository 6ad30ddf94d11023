/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who we say we are with each request: what the kubeconfig holds, a token from a file that is read
 * anew once a minute (service account tokens rotate), or what a program printed, until it expires.
 * Nothing of it is ever part of a message. Private to datastore/.
 *
 * Source: kubernetes.io/docs/reference/config-api/client-authentication.v1.
 */
#ifndef MARGAY_DATASTORE_KUBE_AUTH_H
#define MARGAY_DATASTORE_KUBE_AUTH_H

#include <stdbool.h>

#include "base/cleanup.h"

struct err;
struct kube_auth;
struct kube_config;

/* Texts belong to the kube_auth, until its next call. NULL: none. */
struct kube_credentials {
	const char *token;
	const char *certificate, *key; /* PEM */
	const char *username, *password;
};

/* Borrows config. programs: a program that the kubeconfig names may be run. */
struct kube_auth *kube_auth_new(const struct kube_config *config, bool programs);
void kube_auth_free(struct kube_auth *auth); /* wipes */
DEFINE_CLEANUP(struct kube_auth *, kube_auth_free)
#define _cleanup_kube_auth_ _cleanup_(kube_auth_free_p)

/* May block while a program runs, 30 s at most. -EACCES: there is none to be had, and why. */
int kube_auth_get(struct kube_auth *auth, struct kube_credentials *ret_credentials,
		  struct err *err);

/* The server did not take them (401): what was read or printed is read or printed anew. False:
 * there is nothing that could be. */
bool kube_auth_refused(struct kube_auth *auth);

#endif
