/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The neutral form of a policy: what every kind (Kubernetes NetworkPolicy, Calico's,
 * ClusterNetworkPolicy ...) is turned into before it is compiled. One struct policy is one
 * arena, immutable once made; engine_policy_set() takes it over.
 *
 * A rule holds where all that it states holds: both ends, protocol, ICMP, family. What a rule
 * leaves out asks nothing. Numbers in host byte order, addresses as abi/addr.h.
 *
 * Selectors are one tree over the labels of an endpoint, in which its namespace's labels have
 * the prefix "pcns.", its service account's "pcsa.", and these are always there for a pod:
 * projectcalico.org/namespace, projectcalico.org/orchestrator ('k8s'),
 * projectcalico.org/serviceaccount (where it has one). Such derived labels win over labels of
 * the pod itself of the same name, so a pod cannot claim another namespace.
 * (Meaning: Kubernetes networking.k8s.io/v1, Calico projectcalico.org/v3 EntityRule.)
 */
#ifndef MARGAY_POLICY_RULE_H
#define MARGAY_POLICY_RULE_H

#include <stdbool.h>
#include <stdint.h>

#include "abi/addr.h"
#include "abi/policy.h"

struct arena;
struct selector;

enum rule_action { RULE_ALLOW, RULE_DENY, RULE_PASS, RULE_LOG };

/* One port, a range, or a name that is looked up at the end it stands at. */
struct rule_port {
	const char *name; /* NULL: first to last */
	uint16_t first;
	uint16_t last;
};

struct rule_ports {
	const struct rule_port *port;
	unsigned int count; /* 0: nothing asked */
};

struct rule_nets {
	const struct mg_prefix *net; /* masked */
	unsigned int count;
	bool given; /* false: nothing asked; true with count 0: no address */
};

/* One end of a connection. */
struct rule_end {
	const struct selector *selector;     /* NULL: any address, known or not */
	const struct selector *not_selector; /* also holds for addresses that are no endpoint's */
	struct rule_nets nets;
	struct rule_nets not_nets;
	struct rule_ports ports;
	struct rule_ports not_ports;
	const char *service; /* "namespace/name": its members, with their ports; NULL: any */
	const char *domains; /* domain_text(), of a destination; NULL: any */
};

#define RULE_ANY (-1)

struct rule {
	enum rule_action action;
	uint16_t index;	    /* in the object's list; rules of one index share their number */
	uint8_t ip_version; /* 4, 6; 0: both */
	int16_t proto;	    /* 0-255, RULE_ANY */
	int16_t not_proto;
	int16_t icmp_type; /* 0-255, RULE_ANY; only with proto 1 or 58 */
	int16_t icmp_code;
	int16_t not_icmp_type;
	int16_t not_icmp_code;
	struct rule_end src;
	struct rule_end dst;
	const char *text; /* for people: "from pods app=web, tcp 80"; may be NULL */
};

/* Ends with nothing asked, every protocol. */
#define RULE_INIT                                                                                  \
	{                                                                                          \
		.proto = RULE_ANY,                                                                 \
		.not_proto = RULE_ANY,                                                             \
		.icmp_type = RULE_ANY,                                                             \
		.icmp_code = RULE_ANY,                                                             \
		.not_icmp_type = RULE_ANY,                                                         \
		.not_icmp_code = RULE_ANY,                                                         \
	}

enum policy_direction { POLICY_IN, POLICY_OUT };

/* Where a policy's rules are judged. Workloads' policies have POLICY_AT_NORMAL. */
#define POLICY_AT_NORMAL (1U << 0)    /* workloads; of a host endpoint its own traffic */
#define POLICY_AT_FORWARD (1U << 1)   /* applyOnForward */
#define POLICY_AT_PREDNAT (1U << 2)   /* preDNAT */
#define POLICY_AT_UNTRACKED (1U << 3) /* doNotTrack */

enum policy_staged { POLICY_ENFORCED, POLICY_STAGED_SET, POLICY_STAGED_DELETE };

struct policy {
	struct arena *arena;
	unsigned int refs;     /* the engine's business */
	const char *kind;      /* "NetworkPolicy", "GlobalNetworkPolicy" ... as in the API */
	const char *group;     /* "networking.k8s.io", "projectcalico.org" ... */
	const char *namespace; /* "": none */
	const char *name;
	const char *uid;		 /* what its rule numbers hang on; never NULL, never "" */
	const char *tier;		 /* "default" */
	double order;			 /* INFINITY: last */
	const struct selector *selector; /* endpoints it applies to; NULL: all */
	uint32_t stages;		 /* POLICY_AT_* */
	enum policy_staged staged;
	bool applies[2]; /* types: by enum policy_direction */
	const struct rule *rules[2];
	unsigned int rule_count[2];
};

/* An empty policy in an arena of its own; strings are copied. refs is 1. */
struct policy *policy_new(const char *group, const char *kind, const char *namespace,
			  const char *name, const char *uid);
struct policy *policy_ref(struct policy *policy);
void policy_unref(struct policy *policy); /* accepts NULL */

#endif
