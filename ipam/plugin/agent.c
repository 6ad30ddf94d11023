/* SPDX-License-Identifier: Apache-2.0 */
#include "ipam/plugin/agent.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/file.h"
#include "base/json.h"
#include "base/rpc.h"

#define SHORT_MS 3000 /* for what needs no agent */
#define RELEASE_MAX 65536

static void put_text(json_t *request, const char *key, const char *text)
{
	if (text && *text)
		json_object_set_new(request, key, json_string(text));
}

static json_t *request_for(const struct plugin_run *run, const char *op)
{
	const struct cni_config *config = &run->config;
	json_t *request =
		json_pack("{s:i, s:s, s:s}", "version", 1, "op", op, "network", config->name);

	put_text(request, "container", run->env.container);
	put_text(request, "ifname", run->env.ifname);
	put_text(request, "namespace", run->env.pod_namespace);
	put_text(request, "pod", run->env.pod);
	put_text(request, "uid", run->env.pod_uid);
	return request;
}

static void put_wishes(const struct plugin_run *run, json_t *request)
{
	const struct cni_config *config = &run->config;

	if (config->ipv4 >= 0)
		json_object_set_new(request, "ipv4", json_boolean(config->ipv4));
	if (config->ipv6 >= 0)
		json_object_set_new(request, "ipv6", json_boolean(config->ipv6));
	if (config->pools4)
		json_object_set(request, "ipv4_pools", (json_t *)config->pools4);
	if (config->pools6)
		json_object_set(request, "ipv6_pools", (json_t *)config->pools6);
	if (config->ips)
		json_object_set(request, "ips", config->ips);
}

static int refused(struct plugin_run *run, const json_t *answer)
{
	json_int_t code = json_integer_value(json_object_get(answer, "code"));
	int r = cni_fail(&run->error, code > 0 && code < 1000 ? (int)code : CNI_KERNEL, "%s",
			 json_text_or(answer, "msg", "the agent refused without a message"));

	snprintf(run->error.details, sizeof(run->error.details), "%s",
		 json_text_or(answer, "details", ""));
	return r;
}

static int call(struct plugin_run *run, const json_t *request, json_t **ret_answer)
{
	/* Only ADD is worth the wait. */
	bool patient = run->env.command == CNI_COMMAND_ADD;
	struct rpc_call rpc = {
		.path = run->config.agent_socket,
		.request = request,
		.deadline = rpc_now() + (patient ? run->config.agent_timeout_ms : SHORT_MS),
		.retry = patient,
	};
	_cleanup_json_ json_t *answer = NULL;
	struct err err;
	int r;

	r = rpc_call(&rpc, &answer, &err);
	if (r < 0) {
		cni_fail_err(&run->error, CNI_TRY_AGAIN, &err,
			     "margay-agent does not answer, is it running on this node?");
		return r == -ENOENT || r == -ECONNREFUSED ? -ENOTCONN : -EAGAIN;
	}
	if (!json_is_true(json_object_get(answer, "ok")))
		return refused(run, answer);
	if (ret_answer)
		*ret_answer = TAKE_PTR(answer);
	return 0;
}

int agent_ask(struct plugin_run *run, const char *op, json_t **ret_answer)
{
	_cleanup_json_ json_t *request = request_for(run, op);

	if (run->env.command == CNI_COMMAND_ADD)
		put_wishes(run, request);
	if (run->env.command == CNI_COMMAND_GC && run->config.valid)
		json_object_set(request, "valid", (json_t *)run->config.valid);
	return call(run, request, ret_answer);
}

/* --- releases that wait ---------------------------------------------------------------------- */

static char *release_path(const struct plugin_run *run)
{
	return xasprintf("%s/released/%s:%s.json", run->config.state_dir, run->env.container,
			 run->env.ifname);
}

int release_keep(struct plugin_run *run)
{
	_cleanup_free_ char *folder = xasprintf("%s/released", run->config.state_dir);
	_cleanup_json_ json_t *request = request_for(run, "ipam-release");
	_cleanup_free_ char *text = json_dumps(request, JSON_COMPACT);
	_cleanup_free_ char *path = release_path(run);
	struct err err;
	int r;

	r = dir_make(folder, 0700, &err);
	if (r < 0)
		return cni_fail_err(&run->error, CNI_IO, &err, "folder of releases");
	r = file_replace(AT_FDCWD, path, text, strlen(text), 0600);
	if (r < 0)
		return cni_fail(&run->error, CNI_IO, "%s: %s", path, strerror(-r));
	return 0;
}

int release_flush(struct plugin_run *run)
{
	_cleanup_free_ char *path = release_path(run), *text = NULL;
	_cleanup_json_ json_t *request = NULL;
	int r;

	r = file_read(AT_FDCWD, path, RELEASE_MAX, &text, NULL);
	if (r == -ENOENT)
		return 0;
	request = r < 0 ? NULL : json_loads(text, 0, NULL);
	r = request ? call(run, request, NULL) : 0;
	if (r < 0)
		return r;
	return unlink(path) < 0 && errno != ENOENT
		       ? cni_fail(&run->error, CNI_IO, "%s: %s", path, strerror(errno))
		       : 0;
}
