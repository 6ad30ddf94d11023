/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The oracle: a naive evaluator of policies, written straight from the APIs' texts (Kubernetes
 * networking.k8s.io/v1, Calico projectcalico.org/v3), to judge the engine by. It walks every
 * policy, rule and peer for every packet and shares nothing with the engine but the decoded
 * objects and the evaluation of one selector on one set of labels.
 *	oracle.c	which policies, in which order, tiers
 *	oracle_knp.c	Kubernetes' rules
 *	oracle_calico.c	Calico's rules
 *	oracle_domain.c	domain names
 *	oracle_cnp.c	rules of Kubernetes' cluster-wide policies
 */
#ifndef MARGAY_POLICY_ORACLE_H
#define MARGAY_POLICY_ORACLE_H

#include "model/object.h"
#include "model/pod.h"
#include "model/slice.h"
#include "model/tier.h"
#include "policy/rule.h"

struct oracle_pod {
	const char *ns;
	const struct labels *labels;
	const struct labels *ns_labels;	     /* of the namespace's object; NULL: there is none */
	const char *account;		     /* service account; NULL: none */
	const struct labels *account_labels; /* of its object; NULL: there is none */
	const union mg_addr *ips;
	size_t ip_count;
	const struct pod_port *ports;
	size_t port_count;
};

struct oracle_set {
	const struct network_set *object;
	const struct labels *ns_labels; /* of a set in a namespace */
};

/* A host endpoint: rules mean its expected addresses by its labels. */
struct oracle_host {
	const struct labels *labels;
	const union mg_addr *ips;
	size_t ip_count;
	bool default_allow; /* profile projectcalico-default-allow */
};

/* What the world's name servers say. */
struct oracle_name {
	const char *name; /* lower case, no dot at the end */
	const union mg_addr *addrs;
	size_t addr_count;
};

struct oracle_world {
	const struct oracle_pod *pods; /* that can be peers: no host network, not completed */
	size_t pod_count;
	const struct object *const *policies; /* of any kind */
	size_t policy_count;
	const struct calico_tier *const *tiers; /* beside those that are built in */
	size_t tier_count;
	const struct oracle_set *sets;
	size_t set_count;
	const struct endpoint_slice *const *slices;
	size_t slice_count;
	const struct oracle_host *hosts;
	size_t host_count;
	const struct oracle_name *names;
	size_t name_count;
	const struct mg_prefix *pools; /* an address in one without a pod has an unknown owner */
	size_t pool_count;
};

struct oracle_packet {
	union mg_addr src;
	union mg_addr dst;
	uint8_t proto;
	uint16_t sport; /* host order; 0 where the protocol has none */
	uint16_t dport;
	uint8_t icmp_type;
	uint8_t icmp_code;
};

/* May the pod send (POLICY_OUT) or receive (POLICY_IN) the first packet of this connection? */
bool oracle_allows(const struct oracle_world *world, const struct oracle_pod *pod,
		   enum policy_direction direction, const struct oracle_packet *packet);

/* The same if every staged policy were in force: Set in place of its counterpart, Delete
 * without it. */
bool oracle_pending(const struct oracle_world *world, const struct oracle_pod *pod,
		    enum policy_direction direction, const struct oracle_packet *packet);

/* What the host endpoint's policies of a stage (one of host endpoints) say of the first packet of a
 * connection; ORACLE_NO_MATCH: nothing, other stages do. */
enum oracle_answer { ORACLE_NO_MATCH, ORACLE_ALLOW, ORACLE_DENY, ORACLE_PASS };
enum oracle_answer oracle_host(const struct oracle_world *world, const struct oracle_host *host,
			       enum mg_stage stage, const struct oracle_packet *packet);

/* --- among its files ----------------------------------------------------------------------- */

struct oracle_question {
	const struct oracle_world *world;
	const struct oracle_pod *pod;
	enum policy_direction direction;
	const struct oracle_packet *packet;
	bool pending;
	const struct oracle_host *host; /* NULL: pod is asked */
	enum mg_stage stage;		/* of host */
};

/* NULL: nobody known has the address. */
const struct oracle_pod *oracle_owner(const struct oracle_world *world, const union mg_addr *addr);
/* Does a name that one of the patterns matches have the address? */
bool oracle_in_domains(const struct oracle_world *world, const char *const *patterns, size_t count,
		       const union mg_addr *addr);
/* IPv4 is stored inside IPv6's range but is no part of it. */
bool oracle_in_net(const struct mg_prefix *net, const union mg_addr *addr);

struct network_policy;
bool oracle_knp_applies(const struct network_policy *policy, const struct oracle_question *q);
enum oracle_answer oracle_knp_judge(const struct network_policy *policy,
				    const struct oracle_question *q);

struct calico_policy;
bool oracle_calico_applies(const struct calico_policy *policy, const struct oracle_question *q);
enum oracle_answer oracle_calico_judge(const struct calico_policy *policy,
				       const struct oracle_question *q);

struct cluster_policy;
bool oracle_cnp_applies(const struct cluster_policy *policy, const struct oracle_question *q);
enum oracle_answer oracle_cnp_judge(const struct cluster_policy *policy,
				    const struct oracle_question *q);

#endif
