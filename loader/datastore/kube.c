/* SPDX-License-Identifier: Apache-2.0 */
#include "datastore/kube.h"

#include <errno.h>
#include <sys/epoll.h>

#include "base/arena.h"
#include "datastore/kube_config.h"

#define SILENT_SECONDS 150

static void kube_close(struct store *store)
{
	struct kube *kube = to_kube(store);

	kube_watches_free(kube);
	kube_http_free(kube->http);
	store_done(store);
	free(kube);
}

static int init(struct kube *kube, const char *path, const struct store_options *options,
		struct err *err)
{
	struct epoll_event event = { .events = EPOLLIN };
	struct kube_config *config;
	int r = store_init(&kube->store, &kube_ops, err);

	if (!r)
		r = kube_config_read(*path ? path : NULL, &config, err);
	if (r < 0)
		return r;
	r = kube_http_new(config, options->programs, &kube->http, err);
	if (r < 0)
		return r;
	event.data.fd = kube_http_fd(kube->http);
	if (epoll_ctl(kube->store.epoll, EPOLL_CTL_ADD, event.data.fd, &event) < 0)
		return err_errno(err, -errno, "epoll");
	return 0;
}

/* Asks the server nothing yet. */
static int kube_open(const char *address, const struct store_options *options,
		     struct store **ret_store, struct err *err)
{
	struct kube *kube = xcalloc(1, sizeof(*kube));
	int r;

	kube->check = options->check;
	kube->silent_ms = (int)(options->scan ? options->scan : SILENT_SECONDS) * 1000;
	r = init(kube, address, options, err);
	if (r < 0) {
		kube_close(&kube->store);
		return r;
	}
	*ret_store = &kube->store;
	return 0;
}

/* Manifests are the directory's. */
static int kube_origin(struct store *store, const struct store_key *key, char **ret_file)
{
	(void)store;
	(void)key;
	(void)ret_file;
	return -ENOENT;
}

static int kube_timeout_ms(const struct store *store)
{
	const struct kube *kube = to_kube(store);

	return kube_http_timeout_ms(kube->http);
}

static int kube_dispatch(struct store *store, struct err *err)
{
	struct kube *kube = to_kube(store);

	kube_jobs_run(kube);
	kube_http_turn(kube->http, 0, NULL);
	kube_jobs_run(kube);
	kube_watches_tidy(kube);
	return kube_watches_state(kube, err);
}

const struct store_ops kube_ops = {
	.scheme = "kubernetes",
	.cluster = true,
	.open = kube_open,
	.close = kube_close,
	.get = kube_get,
	.read = kube_read,
	.commit = kube_commit,
	.commit_async = kube_commit_async,
	.settle = kube_settle,
	.origin = kube_origin,
	.watch = kube_watch,
	.unwatch = kube_unwatch,
	.timeout_ms = kube_timeout_ms,
	.dispatch = kube_dispatch,
};
