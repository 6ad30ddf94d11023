/* SPDX-License-Identifier: Apache-2.0 */
#include "cni/job.h"

#include <errno.h>
#include <string.h>

#include "base/arena.h"
#include "base/inet.h"
#include "base/log.h"
#include "base/rpc.h"
#include "cni/agent.h"
#include "cni/chain.h"
#include "cni/ipam.h"
#include "cni/names.h"
#include "cni/plugin.h"
#include "dataplane/attach.h"
#include "dataplane/netns.h"

#define UNDO_MS 30000 /* for another IPAM plugin to give back an address */

struct step {
	const char *name;
	int (*make)(struct job *job);
	int (*undo)(struct job *job, struct cni_error *error); /* NULL: goes with the interface */
};

static struct cni_error *error_of(struct job *job)
{
	return &job->plugin->error;
}

/* --- the record --- */
static int store_record(struct job *job)
{
	struct err err;

	if (attachment_store(job->plugin->config.state_dir, &job->attachment, &err) < 0)
		return cni_fail_err(error_of(job), CNI_IO, &err, "cannot record the attachment");
	return 0;
}

static int make_record(struct job *job)
{
	struct ipam_call call = { &job->plugin->config, &job->plugin->env, job->deadline };
	int r = 0;

	job->attachment.external = job->plugin->config.ipam_type != NULL;
	if (job->attachment.external)
		r = ipam_prepare(&call, &job->attachment, error_of(job));
	return r < 0 ? r : store_record(job);
}

static int undo_record(struct job *job, struct cni_error *error)
{
	struct err err;

	if (attachment_remove(job->plugin->config.state_dir, job->attachment.container,
			      job->attachment.ifname, &err) < 0)
		return cni_fail_err(error, CNI_IO, &err, "cannot remove the record");
	return 0;
}

/* --- addresses of another IPAM plugin --- */
static int make_addresses(struct job *job)
{
	struct ipam_call call = { &job->plugin->config, &job->plugin->env, job->deadline };

	return job->attachment.external ? ipam_add(&call, &job->attachment, error_of(job)) : 0;
}

static int undo_addresses(struct job *job, struct cni_error *error)
{
	struct ipam_call call = { &job->plugin->config, &job->plugin->env, rpc_now() + UNDO_MS };

	return job->attachment.external ? ipam_del(&call, &job->attachment, error) : 0;
}

/* --- the agent's part --- */
static void default_route(struct attachment *attachment, const union mg_addr *addr)
{
	struct mg_prefix *route = &attachment->routes[attachment->route_count];

	if (addr_is_zero(addr))
		return;
	memset(route, 0, sizeof(*route));
	if (addr_is4(addr)) {
		route->addr = addr_from4(0);
		route->len = MG_V4_PREFIX_BITS;
	}
	attachment->route_count++;
}

static void fill_defaults(struct job *job)
{
	struct attachment *attachment = &job->attachment;
	static const __u8 zero[6];

	if (!memcmp(attachment->host_mac, zero, 6))
		mac_parse(CNI_HOST_MAC, attachment->host_mac);
	if (job->plugin->config.mtu)
		attachment->mtu = job->plugin->config.mtu;
	if (attachment->routes)
		return;
	attachment->routes = arena_array(attachment->arena, 2, sizeof(*attachment->routes));
	default_route(attachment, &attachment->ip4);
	default_route(attachment, &attachment->ip6);
}

/* What a former DEL could not tell goes first, so that it cannot undo what comes now. */
static int settle_release(struct job *job)
{
	const struct cni_config *config = &job->plugin->config;
	_cleanup_json_ json_t *request = NULL;
	int r;

	r = release_load(config->state_dir, &job->attachment, &request);
	if (r == -ENOENT)
		return 0;
	if (!r)
		r = agent_release(config, request, job->deadline, error_of(job));
	if (r < 0 && request)
		return r;
	release_remove(config->state_dir, &job->attachment);
	return 0;
}

static int make_allocation(struct job *job)
{
	const struct cni_config *config = &job->plugin->config;
	int r;

	if (config->mac)
		mac_parse(config->mac, job->attachment.mac);
	r = settle_release(job);
	if (r < 0)
		return r;
	r = agent_allocate(config, &job->attachment, job->deadline, &job->attach_type,
			   error_of(job));
	/* A former sandbox without interface may hold what this one shall have. */
	if (r < 0 && r != -ENOTCONN && job_replace(job) > 0)
		r = agent_allocate(config, &job->attachment, job->deadline, &job->attach_type,
				   error_of(job));
	job->agent_knows = r != -ENOTCONN;
	if (!r)
		fill_defaults(job);
	return r;
}

static void put_link(const struct job *job, json_t *request)
{
	char name[IFNAMSIZ], peer[IFNAMSIZ];

	aside_ifnames(job->attachment.host_ifname, name, peer);
	json_object_set_new(request, "link", json_string(name));
}

static int undo_allocation(struct job *job, struct cni_error *error)
{
	const struct cni_config *config = &job->plugin->config;
	_cleanup_json_ json_t *request = agent_del_request(&job->attachment);
	bool taken = false;
	struct err err;
	int r;

	if (job->retired)
		put_link(job, request);
	r = agent_send_del(config, request, &taken);
	if (job->retired)
		json_object_del(request, "link");
	if (job->retired && !taken && wire_delete(job->wire.host, &job->attachment, error) < 0)
		return -EIO;
	if (r == 0) {
		release_remove(config->state_dir, &job->attachment);
		return 0;
	}
	if (!job->agent_knows)
		return 0;
	if (release_store(config->state_dir, &job->attachment, request, &err) < 0)
		return cni_fail_err(error, CNI_IO, &err, "cannot record the release");
	return 0;
}

/* --- interfaces --- */
static int make_interfaces(struct job *job)
{
	return wire_create(&job->wire, &job->attachment, error_of(job));
}

static bool is_same(const struct attachment *a, const struct attachment *b)
{
	return !strcmp(a->container, b->container) && !strcmp(a->ifname, b->ifname);
}

struct claim {
	const struct attachment *own;
	__u32 ifindex;
};

static int claims(const char *file, const struct attachment *other, void *data)
{
	const struct claim *claim = data;

	(void)file;
	return other && other->ready && !is_same(other, claim->own) &&
	       other->ifindex == claim->ifindex &&
	       !strcmp(other->host_ifname, claim->own->host_ifname);
}

/* An ADD that did not come to its end does not know the interface's index, and a later sandbox of
 * the pod has the name by now. */
static bool belongs_to_other(const struct job *job)
{
	struct claim claim = { .own = &job->attachment };
	struct net_link link;

	if (job->attachment.ready ||
	    net_link_by_name(job->wire.host, job->attachment.host_ifname, &link, NULL) < 0)
		return false;
	claim.ifindex = (__u32)link.ifindex;
	return attachment_each(job->plugin->config.state_dir, claims, &claim, NULL) > 0;
}

/* With DEL they are put out of the way, and deleted by the agent or after it was asked. */
static int undo_interfaces(struct job *job, struct cni_error *error)
{
	const char *netns = job->plugin->env.netns;
	struct err err;
	int r = -EAGAIN;

	if (!job->wire.host && net_open(&job->wire.host, &err) < 0)
		return cni_fail_err(error, CNI_KERNEL, &err, "netlink");
	if (belongs_to_other(job))
		return 0;
	if (job->hand_over && *netns)
		r = wire_retire(job->wire.host, netns, &job->attachment, &err);
	job->retired = r > 0;
	return r >= 0 ? 0 : wire_delete(job->wire.host, &job->attachment, error);
}

static int make_settings(struct job *job)
{
	return wire_settings(&job->wire, &job->plugin->config, &job->attachment, error_of(job));
}

/* Where the agent wants TCX, clsact does for the beginning, which waits for no RCU: the agent
 * changes it in a quiet moment. Not where something behind ours needs clsact's place, or hangs a
 * filter there that must see every packet. */
static bool begins_with_clsact(const struct job *job)
{
	const struct bandwidth *limits = &job->attachment.bandwidth;

	return job->attach_type == DP_ATTACH_TCX && !limits->ingress_rate && !limits->egress_rate &&
	       chain_leaves_clsact(&job->plugin->config);
}

static int make_programs(struct job *job)
{
	const char *pins = job->plugin->config.pin_dir;
	struct cni_error ignored;

	/* A kernel may have TCX and no clsact. */
	if (begins_with_clsact(job) &&
	    !wire_programs(pins, DP_ATTACH_CLSACT, &job->attachment, &ignored))
		return 0;
	return wire_programs(pins, job->attach_type, &job->attachment, error_of(job));
}

static int make_bandwidth(struct job *job)
{
	return bandwidth_set(&job->wire, &job->attachment, error_of(job));
}

static int undo_bandwidth(struct job *job, struct cni_error *error)
{
	struct err err;

	if (!job->wire.host && net_open(&job->wire.host, &err) < 0)
		return cni_fail_err(error, CNI_KERNEL, &err, "netlink");
	return bandwidth_unset(job->wire.host, &job->attachment, error);
}

static int make_host_side(struct job *job)
{
	return wire_host(&job->wire, &job->attachment, error_of(job));
}

static int make_pod_side(struct job *job)
{
	return wire_pod(&job->wire, &job->attachment, error_of(job));
}

static int make_commit(struct job *job)
{
	struct err err;

	if (netns_cookie(job->wire.netns_fd, &job->attachment.netns_cookie, &err) < 0)
		return cni_fail_err(error_of(job), CNI_KERNEL, &err, "cookie of the namespace");
	return agent_commit(&job->plugin->config, &job->attachment, job->deadline, error_of(job));
}

static int make_up(struct job *job)
{
	return wire_up(&job->wire, &job->attachment, error_of(job));
}

static int make_ready(struct job *job)
{
	job->attachment.ready = true;
	return store_record(job);
}

/* The pod's end goes up after the agent's word that its policy is in force, never before. */
static const struct step steps[] = {
	{ "record", make_record, undo_record },
	{ "addresses", make_addresses, undo_addresses },
	{ "allocation", make_allocation, undo_allocation },
	{ "interfaces", make_interfaces, undo_interfaces },
	{ "settings", make_settings, NULL },
	{ "programs", make_programs, NULL },
	{ "bandwidth", make_bandwidth, undo_bandwidth },
	{ "host side", make_host_side, NULL },
	{ "pod side", make_pod_side, NULL },
	{ "policy", make_commit, NULL },
	{ "up", make_up, NULL },
	{ "ready", make_ready, NULL },
};
#define STEP_COUNT ((int)(sizeof(steps) / sizeof(steps[0])))

/* From step last back to the first. The record stays if something else did. */
static int undo_from(struct job *job, int last, struct cni_error *error)
{
	struct cni_error later;
	int first = 0;

	for (int i = last; i >= 0; i--) {
		int r;

		if (!steps[i].undo || (!i && first))
			continue;
		r = steps[i].undo(job, first ? &later : error);
		if (r < 0 && !first)
			first = r;
	}
	return first;
}

int job_make(struct job *job)
{
	struct cni_error ignored;

	for (int i = 0; i < STEP_COUNT; i++) {
		int r = steps[i].make(job);

		if (r == 0)
			continue;
		log_error("ADD failed", "step", steps[i].name, "container",
			  job->attachment.container, "msg", job->plugin->error.msg, NULL);
		/* The interface is ours whatever the record says by now. */
		job->attachment.ready = false;
		if (undo_from(job, i, &ignored) < 0)
			log_error("ADD could not be undone, DEL or GC will", "msg", ignored.msg,
				  NULL);
		return r;
	}
	return 0;
}

int job_unmake(struct job *job)
{
	return undo_from(job, STEP_COUNT - 1, error_of(job));
}

int unmake_attachment(struct plugin *plugin, const struct attachment *attachment, bool lock)
{
	_cleanup_job_ struct job job = JOB_NONE;
	int r;

	job.plugin = plugin;
	job.deadline = rpc_now() + plugin->config.agent_timeout_ms;
	job.attachment = *attachment;
	job.agent_knows = true;
	r = lock ? job_lock(&job) : 0;
	if (!r)
		r = job_unmake(&job);
	memset(&job.attachment, 0, sizeof(job.attachment)); /* the caller's */
	return r;
}

/* --- others of the same interface --- */
struct owner {
	struct job *job;
	int found;
};

/* A pod has one sandbox at a time, so the old one gives way. */
static int give_way(const char *file, const struct attachment *other, void *data)
{
	struct owner *owner = data;
	const struct attachment *own = &owner->job->attachment;

	(void)file;
	if (!other || is_same(own, other) || strcmp(other->host_ifname, own->host_ifname) ||
	    strcmp(other->pod, own->pod) || strcmp(other->pod_namespace, own->pod_namespace))
		return 0;
	owner->found = 1;
	log_warning("another container of the same pod gives way", "pod", own->pod, "container",
		    other->container, NULL);
	return unmake_attachment(owner->job->plugin, other, false);
}

int job_replace(struct job *job)
{
	struct owner owner = { .job = job };
	struct err err;
	int r = attachment_each(job->plugin->config.state_dir, give_way, &owner, &err);

	if (r < 0 && !owner.found)
		return cni_fail_err(error_of(job), CNI_IO, &err, "records");
	return r < 0 ? r : owner.found;
}

void job_init(struct job *job, struct plugin *plugin)
{
	struct attachment *attachment = &job->attachment;
	const struct cni_env *env = &plugin->env;
	char prefix[CNI_HOST_PREFIX_MAX + 1];

	job->plugin = plugin;
	job->deadline = rpc_now() + plugin->config.agent_timeout_ms;
	attachment->arena = arena_new();
	attachment->container = arena_strdup(attachment->arena, env->container);
	attachment->ifname = arena_strdup(attachment->arena, env->ifname);
	attachment->network = arena_strdup(attachment->arena, plugin->config.name);
	attachment->netns = arena_strdup(attachment->arena, env->netns);
	attachment->pod = arena_strdup(attachment->arena, *env->pod ? env->pod : env->container);
	attachment->pod_namespace = arena_strdup(
		attachment->arena, *env->pod_namespace ? env->pod_namespace : "default");
	attachment->uid = arena_strdup(attachment->arena, env->pod_uid);
	attachment->bandwidth = plugin->config.bandwidth;
	attachment->labels = json_incref(plugin->config.labels);
	attachment->ports = json_incref(plugin->config.ports);
	host_prefix(plugin->config.state_dir, prefix);
	host_ifname(prefix, attachment->pod_namespace, attachment->pod, attachment->ifname,
		    attachment->host_ifname);
}

int job_lock(struct job *job)
{
	struct err err;
	int r;

	r = state_lock(job->plugin->config.state_dir, job->attachment.host_ifname, job->deadline,
		       &job->lock, &err);
	if (r < 0)
		return cni_fail_err(error_of(job), r == -ETIMEDOUT ? CNI_TRY_AGAIN : CNI_IO, &err,
				    "lock of the interface");
	return 0;
}

void job_done(struct job *job)
{
	attachment_done(&job->attachment);
	wire_done(&job->wire);
	close_p(&job->lock);
}
