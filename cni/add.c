/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "base/inet.h"
#include "base/log.h"
#include "base/rpc.h"
#include "cni/agent.h"
#include "cni/check.h"
#include "cni/job.h"
#include "cni/plugin.h"
#include "cni/result.h"

static bool same_ports(const struct attachment *a, const struct attachment *b)
{
	return a->ports == b->ports || (a->ports && b->ports && json_equal(a->ports, b->ports));
}

/* True if the agent holds old as it is recorded, and the kernel too: ADD came twice. */
static bool still_stands(struct job *job, const struct attachment *old)
{
	const struct cni_config *config = &job->plugin->config;
	struct attachment again = *old;
	struct cni_error ignored;
	int type;

	if (!old->ready || strcmp(old->pod, job->attachment.pod) ||
	    strcmp(old->pod_namespace, job->attachment.pod_namespace) ||
	    !same_ports(old, &job->attachment) ||
	    check_kernel(&job->wire, config->pin_dir, old, &ignored) < 0)
		return false;
	if (!again.external) {
		memset(&again.ip4, 0, sizeof(again.ip4));
		memset(&again.ip6, 0, sizeof(again.ip6));
	}
	if (agent_allocate(config, &again, job->deadline, &type, &ignored) < 0)
		return false;
	return again.slot == old->slot && !addr_cmp(&again.ip4, &old->ip4) &&
	       !addr_cmp(&again.ip6, &old->ip6) &&
	       agent_commit(config, old, job->deadline, &ignored) == 0;
}

/* What an earlier ADD of this attachment left: kept whole (1), or removed whole (0). */
static int settle_old(struct job *job)
{
	struct plugin *plugin = job->plugin;
	_cleanup_attachment_ struct attachment old = { 0 };
	struct err err;
	int r;

	r = attachment_load(plugin->config.state_dir, plugin->env.container, plugin->env.ifname,
			    &old, &err);
	if (r == -ENOENT)
		return 0;
	if (r < 0) {
		/* Our own file, made unreadable by somebody: what it says of interfaces is lost. */
		log_warning("a record is ignored", "msg", err.text, NULL);
		return 0;
	}
	if (still_stands(job, &old)) {
		plugin->output = result_build(&plugin->config, &old);
		return 1;
	}
	return unmake_attachment(plugin, &old,
				 strcmp(old.host_ifname, job->attachment.host_ifname));
}

static int free_host_name(struct job *job)
{
	struct net_link link;
	struct err err;
	int r = net_link_by_name(job->wire.host, job->attachment.host_ifname, &link, &err);

	if (!r) {
		r = job_replace(job);
		if (r < 0)
			return r;
		r = net_link_by_name(job->wire.host, job->attachment.host_ifname, &link, &err);
	}
	if (r == -ENODEV)
		return 0;
	if (r < 0)
		return cni_fail_err(&job->plugin->error, CNI_KERNEL, &err, "%s",
				    job->attachment.host_ifname);
	return cni_fail(&job->plugin->error, CNI_NAME_TAKEN,
			"interface %s exists on the host and is not Margay's",
			job->attachment.host_ifname);
}

static int free_pod_name(struct job *job)
{
	struct net_link link;
	struct err err;
	int r;

	r = net_link_by_name(job->wire.pod, job->attachment.ifname, &link, &err);
	if (r == -ENODEV)
		return 0;
	if (r < 0)
		return cni_fail_err(&job->plugin->error, CNI_KERNEL, &err, "%s",
				    job->attachment.ifname);
	return cni_fail(&job->plugin->error, CNI_NAME_TAKEN,
			"interface %s exists in the container already", job->attachment.ifname);
}

int command_add(struct plugin *plugin)
{
	_cleanup_job_ struct job job = JOB_NONE;
	struct err err;
	int r;

	if (plugin->config.ignored)
		log_warning("keys of the network configuration have no effect", "keys",
			    plugin->config.ignored, NULL);
	if (state_prepare(plugin->config.state_dir, &err) < 0)
		return cni_fail_err(&plugin->error, CNI_IO, &err, "state folder");
	job_init(&job, plugin);
	r = job_lock(&job);
	if (!r)
		r = wire_open(plugin->env.netns, &job.wire, &plugin->error);
	if (!r)
		r = settle_old(&job);
	if (r)
		return r < 0 ? r : 0;
	r = free_host_name(&job);
	if (!r)
		r = free_pod_name(&job);
	if (!r)
		r = job_make(&job);
	if (!r)
		plugin->output = result_build(&plugin->config, &job.attachment);
	return r;
}
