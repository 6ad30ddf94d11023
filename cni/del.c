/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "cni/ipam.h"
#include "cni/job.h"
#include "cni/plugin.h"

/* True if the host's interface of the computed name is the other end of the container's: made by
 * us, and the record lost. */
static bool is_pair(const struct wire *wire, const struct attachment *attachment)
{
	struct net_link host, pod;

	return net_link_by_name(wire->host, attachment->host_ifname, &host, NULL) == 0 &&
	       net_link_by_name(wire->pod, attachment->ifname, &pod, NULL) == 0 &&
	       !strcmp(host.kind, "veth") && !strcmp(pod.kind, "veth") &&
	       host.peer == pod.ifindex && pod.peer == host.ifindex;
}

/* No record: nothing was made, or all is gone, or the state folder was emptied. */
static int unmake_unrecorded(struct job *job)
{
	struct plugin *plugin = job->plugin;
	struct cni_error ignored;

	job->attachment.external = plugin->config.ipam_type != NULL;
	if (job->attachment.external)
		ipam_prepare_del(&plugin->config, &job->attachment);
	if (*plugin->env.netns && wire_open(plugin->env.netns, &job->wire, &ignored) == 0 &&
	    is_pair(&job->wire, &job->attachment))
		return job_unmake(job);
	/* An interface of that name is another container's: only the agent and IPAM are told. */
	job->attachment.ready = true;
	return job_unmake(job);
}

/* The record says which interface it is: its lock, then the record as it is under the lock. */
static int load_locked(struct job *job)
{
	struct plugin *plugin = job->plugin;
	struct attachment *attachment = &job->attachment;
	struct attachment found = { 0 };
	struct err err;
	int r;

	r = attachment_load(plugin->config.state_dir, plugin->env.container, plugin->env.ifname,
			    &found, &err);
	if (!r)
		memcpy(attachment->host_ifname, found.host_ifname, sizeof(found.host_ifname));
	attachment_done(&found);
	r = job_lock(job);
	if (r < 0)
		return r;
	r = attachment_load(plugin->config.state_dir, plugin->env.container, plugin->env.ifname,
			    &found, &err);
	if (r < 0 && r != -ENOENT)
		log_warning("a record is ignored", "msg", err.text, NULL);
	if (r < 0)
		return 0;
	attachment_done(attachment);
	*attachment = found;
	job->agent_knows = true;
	return 1;
}

int command_del(struct plugin *plugin)
{
	_cleanup_job_ struct job job = JOB_NONE;
	struct err err;
	int r;

	if (state_prepare(plugin->config.state_dir, &err) < 0)
		return cni_fail_err(&plugin->error, CNI_IO, &err, "state folder");
	job_init(&job, plugin);
	r = load_locked(&job);
	if (r < 0)
		return r;
	job.hand_over = r;
	return r ? job_unmake(&job) : unmake_unrecorded(&job);
}
