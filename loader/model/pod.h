/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Namespace, ServiceAccount and Pod (core/v1): what policy and endpoints need of them.
 * Everything lies in the object's arena.
 */
#ifndef MARGAY_MODEL_POD_H
#define MARGAY_MODEL_POD_H

#include <stdint.h>

#include "abi/addr.h"
#include "model/object.h"

/* base.labels are what namespaceSelector sees; the label kubernetes.io/metadata.name is
 * always among them, as the API server guarantees. */
#define LABEL_METADATA_NAME "kubernetes.io/metadata.name"

struct namespace
{
	struct object base;
};

struct service_account {
	struct object base;
};

enum pod_phase {
	POD_PHASE_UNKNOWN, /* also: no status yet */
	POD_PHASE_PENDING,
	POD_PHASE_RUNNING,
	POD_PHASE_SUCCEEDED,
	POD_PHASE_FAILED
};

/* A named port that a container declares; ports without a name matter to nobody here. */
struct pod_port {
	const char *name;
	uint16_t port;	  /* host order */
	uint8_t protocol; /* IPPROTO_TCP, _UDP, _SCTP */
};

struct pod {
	struct object base;
	const char *service_account; /* "default" where the Pod names none */
	const char *node;	     /* "" : not scheduled */
	const char *hostname;	     /* spec.hostname, "" : none */
	const char *subdomain;	     /* the headless Service that names it by hostname; "" : none */
	bool host_network;
	bool judged; /* status.conditions has one of type Ready: somebody watches the pod */
	bool ready;  /* it is True */
	enum pod_phase phase;
	size_t ip_count;
	union mg_addr *ips; /* status.podIPs, else status.podIP, else the annotation
			     * cni.projectcalico.org/podIPs, which the plugin writes earlier */
	size_t port_count;
	struct pod_port *
		ports; /* named ones, of containers and of sidecars (restartable init containers) */
};

/* Succeeded or Failed: its address may already belong to another pod. */
static inline bool pod_is_done(const struct pod *pod)
{
	return pod->phase == POD_PHASE_SUCCEEDED || pod->phase == POD_PHASE_FAILED;
}

/* Is it the Pod that a runtime names by this UID? True also where one of them has none. */
bool pod_is_named(const struct object *pod, const char *uid);

static inline const struct pod *pod_of(const struct object *object)
{
	return object && object->kind == KIND_POD ? (const struct pod *)object : NULL;
}

static inline const struct namespace *namespace_of(const struct object *object)
{
	return object && object->kind == KIND_NAMESPACE ? (const struct namespace *)object : NULL;
}

static inline const struct service_account *service_account_of(const struct object *object)
{
	return object && object->kind == KIND_SERVICE_ACCOUNT
		       ? (const struct service_account *)object
		       : NULL;
}

#endif
