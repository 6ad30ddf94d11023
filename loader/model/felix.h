/* SPDX-License-Identifier: Apache-2.0 */
/*
 * FelixConfiguration (projectcalico.org/v3): the parameters that have an effect (felix.def),
 * each with the knowledge whether it is given, so that `node.NAME` overrides `default`
 * parameter by parameter.
 *
 *	struct felix_params params;
 *	felix_merge(&params, felix_config_of(default_object), felix_config_of(node_object));
 *
 * Strings belong to the objects merged; without one, to the program. Who keeps params keeps
 * the objects.
 */
#ifndef MARGAY_MODEL_FELIX_H
#define MARGAY_MODEL_FELIX_H

#include <stdint.h>

#include "abi/addr.h"
#include "base/log.h"
#include "model/object.h"

enum felix_nat_exclusions { FELIX_NAT_POOLS, FELIX_NAT_POOLS_AND_HOSTS };
enum felix_spoofing { FELIX_SPOOFING_DISABLED, FELIX_SPOOFING_ANY };
enum felix_attach { FELIX_ATTACH_TC, FELIX_ATTACH_TCX, FELIX_ATTACH_NETKIT };
enum felix_revoked { FELIX_REVOKED_DROP, FELIX_REVOKED_RESET };
enum felix_to_host { FELIX_TO_HOST_ACCEPT, FELIX_TO_HOST_DROP, FELIX_TO_HOST_RETURN };
enum felix_connect_time { FELIX_CONNECT_TCP, FELIX_CONNECT_ALL, FELIX_CONNECT_NONE };
enum felix_switch { FELIX_DISABLED, FELIX_ENABLED };
enum felix_scaling { FELIX_SCALING_DISABLED, FELIX_DOUBLE_IF_FULL };
enum felix_client_auth {
	FELIX_NO_CLIENT_CERT,
	FELIX_REQUIRE_ANY_CERT,
	FELIX_VERIFY_CERT_IF_GIVEN,
	FELIX_REQUIRE_AND_VERIFY_CERT
};

/* Ports of source NAT, inclusive; 0 to 0: not restricted (the design's default ranges). */
struct felix_port_range {
	uint16_t first;
	uint16_t last;
};

/* A port that no host policy closes; net: of the far end, both families where none is given. */
struct felix_failsafe {
	uint8_t protocol; /* IPPROTO_* */
	uint16_t port;
	struct mg_prefix net; /* len 0: any */
};

#define FELIX_FAILSAFES_MAX 256

struct felix_failsafes {
	size_t count;
	const struct felix_failsafe *v;
};

/* Felix's defaults: SSH, DHCP, BGP, etcd, Typha, the API server; DNS. */
extern const struct felix_failsafe felix_failsafe_in[9], felix_failsafe_out[9];
#define FELIX_FAILSAFES_IN { 9, felix_failsafe_in }
#define FELIX_FAILSAFES_OUT { 9, felix_failsafe_out }

/* Where node ports hold: kube-proxy's nodePortAddresses. */
struct felix_nets {
	size_t count; /* 0: at every address of every node */
	const struct mg_prefix *v;
	bool primary; /* nothing else: at each node's first address of a family alone */
};

#define FELIX_NETS_MAX 256

/* So many in so many seconds. */
struct felix_rate {
	uint32_t count;
	uint32_t seconds;
};

#define FELIX_LOG_RATE { .count = 10, .seconds = 1 }

/* Lifetimes in milliseconds; 0: Auto (the kernel's own value). */
struct felix_timeouts {
	uint32_t creation_grace;
	uint32_t tcp_syn_sent;
	uint32_t tcp_established;
	uint32_t tcp_fins_seen;
	uint32_t tcp_reset_seen;
	uint32_t udp;
	uint32_t generic;
	uint32_t icmp;
};

#define FELIX_TIMEOUTS_DEFAULT                                                                     \
	{ .creation_grace = 10000,                                                                 \
	  .tcp_syn_sent = 20000,                                                                   \
	  .tcp_established = 3600000,                                                              \
	  .tcp_reset_seen = 40000,                                                                 \
	  .udp = 60000,                                                                            \
	  .generic = 600000,                                                                       \
	  .icmp = 5000 }

#define FELIX_BOOL(member, ...) FELIX_HAS_##member,
#define FELIX_INT(member, ...) FELIX_HAS_##member,
#define FELIX_TEXT(member, ...) FELIX_HAS_##member,
#define FELIX_ENUM(member, ...) FELIX_HAS_##member,
#define FELIX_OWN(member, ...) FELIX_HAS_##member,
enum felix_param {
#include "model/felix.def"
	FELIX_PARAM_MAX
};
#undef FELIX_BOOL
#undef FELIX_INT
#undef FELIX_TEXT
#undef FELIX_ENUM
#undef FELIX_OWN

#define FELIX_BOOL(member, ...) bool member;
#define FELIX_INT(member, ...) uint32_t member;
#define FELIX_TEXT(member, ...) const char *member;
#define FELIX_ENUM(member, ...) int member;
#define FELIX_OWN(member, type, ...) type member;
struct felix_params {
	uint64_t has; /* bit FELIX_HAS_x: given, not the default */
#include "model/felix.def"
};
#undef FELIX_BOOL
#undef FELIX_INT
#undef FELIX_TEXT
#undef FELIX_ENUM
#undef FELIX_OWN

_Static_assert(FELIX_PARAM_MAX <= 64, "felix_params.has");

struct felix_config {
	struct object base;
	struct felix_params params; /* members without their bit hold the default */
	size_t idle_count;
	const char **idle; /* parameters given that have no effect, sorted: to be reported */
};

/* Built-in defaults, then the object `default`, then `node.NAME`; each may be NULL. */
void felix_merge(struct felix_params *params, const struct felix_config *cluster,
		 const struct felix_config *node);

/* What is given in over, on top; NULL: nothing. */
void felix_overlay(struct felix_params *params, const struct felix_config *over);

static inline const struct felix_config *felix_config_of(const struct object *object)
{
	return object && object->kind == KIND_FELIX_CONFIG ? (const struct felix_config *)object
							   : NULL;
}

#endif
