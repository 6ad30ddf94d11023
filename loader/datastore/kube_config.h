/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the API server is and who we are to it: from a kubeconfig file as kubectl reads it, or,
 * in a pod, from the service account's folder. Private to datastore/.
 *
 * Source: kubernetes.io/docs/reference/config-api/kubeconfig.v1,
 * kubernetes.io/docs/tasks/run-application/access-api-from-pod,
 * kubernetes.io/docs/reference/config-api/client-authentication.v1 (exec).
 */
#ifndef MARGAY_DATASTORE_KUBE_CONFIG_H
#define MARGAY_DATASTORE_KUBE_CONFIG_H

#include <stddef.h>

#include "base/cleanup.h"

struct arena;
struct err;

#define KUBE_SERVERS_MAX 8
#define KUBE_ACCOUNT_FOLDER "/var/run/secrets/kubernetes.io/serviceaccount"

/* A program that prints an ExecCredential. */
struct kube_exec {
	const char *command;	  /* NULL: none. A path, or a name looked up in PATH */
	const char *api;	  /* "client.authentication.k8s.io/v1" */
	const char *hint;	  /* installHint; NULL: none */
	char *const *args;	  /* NULL behind the last */
	char *const *environment; /* "NAME=value" beside ours, NULL behind the last */
};

/* Texts belong to the arena. Of certificates and keys either the PEM text or nothing. */
struct kube_config {
	struct arena *arena;
	const char *from; /* what messages call it: the file with its context, or "the pod" */
	size_t server_count;
	const char *servers[KUBE_SERVERS_MAX]; /* "https://host:port[/path]", no slash at the end */
	const char *ca;			       /* PEM; NULL: the system's */
	const char *tls_name;		       /* the name the certificate is for; NULL: the host */
	const char *certificate;	       /* PEM of the client's; NULL: none */
	const char *key;
	const char *token;	/* NULL: none, or in token_file */
	const char *token_file; /* read anew now and then: tokens rotate */
	const char *username;
	const char *password;
	const char *namespace; /* of the context; "default" */
	struct kube_exec exec;
};

/*
 * path: a kubeconfig, several separated by ':' (of each name the first one counts, as with
 * KUBECONFIG); NULL: the environment's KUBECONFIG, else in a pod its service account, else
 * ~/.kube/config. -EINVAL: err names file and field. -EACCES: what a kubeconfig asks and we refuse
 * (a server without TLS or unverified). The caller frees.
 */
int kube_config_read(const char *path, struct kube_config **ret_config, struct err *err);

/* The same from a pod's folder and environment (KUBERNETES_SERVICE_HOST, _PORT); host may be a
 * list "a,b" of addresses of the same server's. -ENOENT: we are in no pod. */
struct kube_pod_env {
	const char *folder; /* KUBE_ACCOUNT_FOLDER */
	const char *host;
	const char *port;
};
int kube_config_pod(const struct kube_pod_env *pod, struct kube_config **ret_config,
		    struct err *err);

/* An empty one. */
struct kube_config *kube_config_new(void);
void kube_config_free(struct kube_config *config); /* accepts NULL; wipes what is secret */
DEFINE_CLEANUP(struct kube_config *, kube_config_free)
#define _cleanup_kube_config_ _cleanup_(kube_config_free_p)

#endif
