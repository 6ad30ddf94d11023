/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The network configuration a runtime gives on stdin (CNI specification, "Plugin configuration
 * objects"), Calico's keys (reference: cni-plugin's NetConf) and our own, validated:
 *
 *	agent_socket      where the agent listens                 /run/margay/cni.sock
 *	agent_timeout_ms  how long ADD waits for it               10000
 *	state_dir         attachments, releases, lock             /var/lib/margay/cni
 *	pin_dir           pinned programs and maps                /sys/fs/bpf/margay
 *	net_dir           the runtime's network lists             /etc/cni/net.d
 *
 * Strings and trees belong to the configuration (its arena, its tree). Keys that have no effect
 * are listed, so that a person learns of them.
 */
#ifndef MARGAY_CNI_CONFIG_H
#define MARGAY_CNI_CONFIG_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <linux/types.h>

#include "cni/bandwidth.h"

struct arena;
struct cni_env;
struct cni_error;

#define CNI_CONFIG_MAX (256 * 1024) /* bytes on stdin */
#define CNI_LABELS_MAX 64
#define CNI_MTU_MIN 576
#define CNI_MTU_MAX 65535

enum cni_version {
	CNI_VERSION_0_3_1,
	CNI_VERSION_0_4_0,
	CNI_VERSION_1_0_0,
	CNI_VERSION_1_1_0,
	CNI_VERSION_MAX
};
extern const char *const cni_versions[CNI_VERSION_MAX];

struct cni_config {
	struct arena *arena;
	json_t *tree; /* as it came */
	enum cni_version version;
	const char *name; /* of the network */
	const char *agent_socket;
	const char *state_dir;
	const char *pin_dir; /* NULL: the default */
	const char *net_dir; /* where the runtime has its network lists */
	int agent_timeout_ms;
	__u32 mtu;	       /* 0: the agent's */
	const char *ipam_type; /* NULL: the agent's addresses */
	int ipv4, ipv6;	       /* 1 wanted, 0 not wanted, -1 not said */
	bool allow_forwarding; /* container_settings.allow_ip_forwarding */
	bool default_routes;   /* include_default_routes: also where IPAM names routes */
	const json_t *pools4;  /* arrays of strings; NULL: not given */
	const json_t *pools6;
	struct bandwidth bandwidth;
	const json_t *dns;   /* NULL */
	const json_t *prev;  /* prevResult; NULL */
	const json_t *valid; /* cni.dev/valid-attachments, may be null; NULL: absent */
	json_t *labels;	     /* own: object of strings; NULL */
	json_t *ips;	     /* own: array of addresses without length; NULL */
	json_t *ports;	     /* own: as cni/ports.h has them; NULL */
	const char *mac;     /* NULL */
	char *ignored;	     /* "a, b.c": keys without effect; NULL */
};

/* What is asked for in the environment (CNI_ARGS) counts where the configuration is silent. */
int cni_config_read(const char *text, size_t size, const struct cni_env *env,
		    struct cni_config *ret_config, struct cni_error *error);
void cni_config_done(struct cni_config *config);
#define _cleanup_config_ _cleanup_(cni_config_done)

/* CNI_VERSION_MAX: none of ours. */
enum cni_version cni_version_of(const char *text);

#endif
