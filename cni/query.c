/* SPDX-License-Identifier: Apache-2.0 */
/* CHECK, GC and STATUS. */
#include <errno.h>
#include <string.h>

#include "base/inet.h"
#include "base/log.h"
#include "base/rpc.h"
#include "cni/agent.h"
#include "cni/check.h"
#include "cni/ipam.h"
#include "cni/job.h"
#include "cni/plugin.h"
#include "dataplane/pins.h"

#define OTHERS_MS 30000 /* for another IPAM plugin */

static struct ipam_call ipam_call(const struct plugin *plugin)
{
	return (struct ipam_call){ &plugin->config, &plugin->env, rpc_now() + OTHERS_MS };
}

/* --- CHECK --- */
static bool result_has(const json_t *prev, const union mg_addr *addr)
{
	struct mg_prefix prefix;
	union mg_addr found;
	json_t *ip;
	size_t i;

	json_array_foreach(json_object_get(prev, "ips"), i, ip) {
		const char *text = json_string_value(json_object_get(ip, "address"));

		if (!text || prefix_parse(text, true, &prefix) < 0)
			continue;
		found = prefix.addr;
		if (!addr_cmp(&found, addr))
			return true;
	}
	return addr_is_zero(addr);
}

/* The runtime's idea of the attachment against ours. */
static int check_result(const struct plugin *plugin, const struct attachment *attachment,
			struct cni_error *error)
{
	const json_t *prev = plugin->config.prev;
	json_t *interface;
	size_t i;

	if (!prev)
		return cni_fail(error, CNI_BAD_CONFIG, "prevResult: CHECK needs it");
	if (!result_has(prev, &attachment->ip4) || !result_has(prev, &attachment->ip6))
		return cni_fail(error, CNI_CHECK_FAILED,
				"prevResult: lacks an address of this attachment");
	json_array_foreach(json_object_get(prev, "interfaces"), i, interface) {
		const char *name = json_string_value(json_object_get(interface, "name"));

		if (name && !strcmp(name, attachment->host_ifname))
			return 0;
	}
	return cni_fail(error, CNI_CHECK_FAILED, "prevResult: lacks interface %s",
			attachment->host_ifname);
}

int command_check(struct plugin *plugin)
{
	_cleanup_job_ struct job job = JOB_NONE;
	struct ipam_call call = ipam_call(plugin);
	struct cni_error *error = &plugin->error;
	struct err err;
	int r;

	r = attachment_load(plugin->config.state_dir, plugin->env.container, plugin->env.ifname,
			    &job.attachment, &err);
	if (r < 0)
		return cni_fail_err(error, r == -ENOENT ? CNI_UNKNOWN_CONTAINER : CNI_IO, &err,
				    "no attachment %s of container %s", plugin->env.ifname,
				    plugin->env.container);
	if (!job.attachment.ready)
		return cni_fail(error, CNI_CHECK_FAILED, "ADD did not come to its end");
	r = check_result(plugin, &job.attachment, error);
	if (!r)
		r = wire_open(plugin->env.netns, &job.wire, error);
	if (!r)
		r = check_kernel(&job.wire, plugin->config.pin_dir, &job.attachment, error);
	if (!r)
		r = agent_check(&plugin->config, &job.attachment, error);
	if (!r && job.attachment.external)
		r = ipam_check(&call, &job.attachment, error);
	return r;
}

/* --- GC --- */
struct sweep {
	struct plugin *plugin;
	int result; /* the first failure; the others are tried nevertheless */
};

static bool is_valid(const struct plugin *plugin, const struct attachment *attachment)
{
	json_t *valid;
	size_t i;

	json_array_foreach((json_t *)plugin->config.valid, i, valid) {
		const char *container = json_string_value(json_object_get(valid, "containerID"));
		const char *ifname = json_string_value(json_object_get(valid, "ifname"));

		if (container && ifname && !strcmp(container, attachment->container) &&
		    !strcmp(ifname, attachment->ifname))
			return true;
	}
	return false;
}

static int sweep_one(const char *file, const struct attachment *attachment, void *data)
{
	struct sweep *sweep = data;
	int r;

	if (!attachment) {
		log_warning("no record of an attachment", "file", file, NULL);
		return 0;
	}
	if (strcmp(attachment->network, sweep->plugin->config.name) ||
	    is_valid(sweep->plugin, attachment))
		return 0;
	log_info("GC removes an attachment", "container", attachment->container, "ifname",
		 attachment->ifname, "pod", attachment->pod, NULL);
	r = unmake_attachment(sweep->plugin, attachment, true);
	if (r < 0 && !sweep->result)
		sweep->result = r;
	return 0;
}

/* The list as the agent has it; -EINVAL: an entry is none. */
static int valid_list(const json_t *valid, json_t **ret_list)
{
	_cleanup_json_ json_t *list = json_array();
	json_t *entry;
	size_t i;

	json_array_foreach((json_t *)valid, i, entry) {
		json_t *container = json_object_get(entry, "containerID");
		json_t *ifname = json_object_get(entry, "ifname");

		if (!json_is_string(container) || !json_is_string(ifname))
			return -EINVAL;
		json_array_append_new(
			list, json_pack("{s:O, s:O}", "container", container, "ifname", ifname));
	}
	*ret_list = TAKE_PTR(list);
	return 0;
}

int command_gc(struct plugin *plugin)
{
	struct ipam_call call = ipam_call(plugin);
	struct sweep sweep = { .plugin = plugin };
	_cleanup_json_ json_t *valid = NULL;
	struct err err;
	int r;

	if (!plugin->config.valid || valid_list(plugin->config.valid, &valid) < 0)
		return cni_fail(&plugin->error, CNI_BAD_CONFIG,
				"cni.dev/valid-attachments: must be a list of "
				"{containerID, ifname}");
	if (state_prepare(plugin->config.state_dir, &err) < 0 ||
	    attachment_each(plugin->config.state_dir, sweep_one, &sweep, &err) < 0)
		return cni_fail_err(&plugin->error, CNI_IO, &err, "state folder");
	state_sweep(plugin->config.state_dir);
	if (sweep.result < 0)
		return sweep.result;
	r = agent_gc(&plugin->config, valid, &plugin->error);
	if (!r && plugin->config.ipam_type)
		r = ipam_gc(&call, &plugin->error);
	return r;
}

/* --- STATUS --- */
int command_status(struct plugin *plugin)
{
	static const char *const programs[] = { "from_pod", "to_pod" };
	struct ipam_call call = ipam_call(plugin);
	struct err err;
	int r;

	r = agent_status(&plugin->config, &plugin->error);
	for (size_t i = 0; !r && i < 2; i++) {
		_cleanup_close_ int fd = -1;

		if (pin_open_prog(plugin->config.pin_dir, programs[i], &fd, &err) < 0)
			r = cni_fail_err(&plugin->error, CNI_LIMITED, &err, "program %s is missing",
					 programs[i]);
	}
	if (!r && plugin->config.ipam_type)
		r = ipam_status(&call, &plugin->error);
	return r;
}
