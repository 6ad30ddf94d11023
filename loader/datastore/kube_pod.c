/* SPDX-License-Identifier: Apache-2.0 */
/* The API server as a pod finds it: the service account's folder and two variables. */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/file.h"
#include "datastore/kube_config.h"

#define TEXT_MAX (256 * 1024)

static void add_servers(struct kube_config *config, const struct kube_pod_env *pod)
{
	const char *at = pod->host, *port = pod->port && *pod->port ? pod->port : "443";

	while (*at && config->server_count < KUBE_SERVERS_MAX) {
		size_t size = strcspn(at, ",");
		bool is6 = memchr(at, ':', size) && *at != '[';

		if (size)
			config->servers[config->server_count++] =
				arena_printf(config->arena, "https://%s%.*s%s:%s", is6 ? "[" : "",
					     (int)size, at, is6 ? "]" : "", port);
		at += size;
		at += *at == ',';
	}
}

/* A file of the folder; the text belongs to the arena. */
static int read_text(struct kube_config *config, const char *folder, const char *name,
		     const char **ret_text)
{
	_cleanup_free_ char *path = xasprintf("%s/%s", folder, name), *text = NULL;
	size_t size;
	int r = file_read(AT_FDCWD, path, TEXT_MAX, &text, &size);

	if (!r)
		*ret_text = arena_strdup(config->arena, text);
	return r;
}

static int read_account(struct kube_config *config, const char *folder, struct err *err)
{
	int r;

	config->token_file = arena_printf(config->arena, "%s/token", folder);
	if (access(config->token_file, R_OK) < 0)
		return err_errno(err, -errno, "%s", config->token_file);
	r = read_text(config, folder, "ca.crt", &config->ca);
	if (r < 0)
		return err_errno(err, r, "%s/ca.crt", folder);
	if (read_text(config, folder, "namespace", &config->namespace) < 0 || !*config->namespace)
		config->namespace = "default";
	return 0;
}

int kube_config_pod(const struct kube_pod_env *pod, struct kube_config **ret_config,
		    struct err *err)
{
	_cleanup_kube_config_ struct kube_config *config = NULL;
	int r;

	if (!pod->host || !*pod->host)
		return err_set(err, -ENOENT, "KUBERNETES_SERVICE_HOST is not set");
	config = kube_config_new();
	config->from = "the pod's service account";
	add_servers(config, pod);
	r = read_account(config, pod->folder, err);
	if (r < 0)
		return r;
	*ret_config = TAKE_PTR(config);
	return 0;
}
