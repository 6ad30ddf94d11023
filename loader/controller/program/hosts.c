/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/program/hosts.h"

#include <errno.h>
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/json.h"
#include "base/log.h"
#include "base/rpc.h"
#include "model/controllers.h"
#include "model/decode.h"

#define NODES_A_TURN 100
#define AGAIN_MS 5000

struct hosts {
	struct store *store;
	struct auto_host *plan;
	struct object *config;
	long long due; /* rpc_now() before which nothing is tried */
};

/* --- what there is --------------------------------------------------------------------------- */

static void say_problems(const struct problems *problems)
{
	for (size_t i = 0; i < problems->count; i++) {
		_cleanup_free_ char *text = problem_text(&problems->v[i]);

		log_warning("configuration", "object", "KubeControllersConfiguration default",
			    "what", text, NULL);
	}
}

/* One that does not decode leaves the former one in force. */
static void config_set(struct hosts *hosts, const json_t *root)
{
	const struct decode_options options = { .mode = DECODE_LENIENT };
	_cleanup_problems_ struct problems problems = { 0 };
	struct object *object = NULL;

	if (root && strcmp(json_text_or(root, "metadata.name", ""), "default") != 0)
		return;
	if (root && object_decode(root, &options, &object, &problems) < 0) {
		say_problems(&problems);
		return;
	}
	say_problems(&problems);
	object_unref(hosts->config);
	hosts->config = object;
	auto_host_config(hosts->plan, object);
}

void hosts_event(struct hosts *hosts, const struct store_event *event)
{
	const bool gone = event->type == STORE_DELETED;

	if (event->kind->id == KIND_KUBE_CONTROLLERS_CONFIG)
		config_set(hosts, gone ? NULL : event->object);
	else if (gone)
		auto_host_del(hosts->plan, event->kind->id,
			      json_text_or(event->object, "metadata.name", ""));
	else
		auto_host_set(hosts->plan, event->kind->id, event->object);
}

/* --- writes --------------------------------------------------------------------------------- */

struct writing {
	struct hosts *hosts;
	struct err *err;
	int result;
};

/* Somebody else wrote: what is stored now is told soon, and then it is this node's turn again. */
static bool is_others(int r)
{
	return r == -ESTALE || r == -ENOENT || r == -EEXIST;
}

static void say(enum auto_host_op op, const char *name, int r)
{
	static const char *const done[] = { [AUTO_HOST_CREATE] = "a host endpoint is made",
					    [AUTO_HOST_UPDATE] = "a host endpoint is changed",
					    [AUTO_HOST_DELETE] = "a host endpoint is removed" };

	if (!r)
		log_info(done[op], "name", name, NULL);
	else if (r == -EEXIST)
		log_warning("a host endpoint is not made", "name", name, "why",
			    "somebody's own has its name", NULL);
}

static int write_one(struct writing *writing, enum auto_host_op op, const json_t *object)
{
	const struct store_key key = { .kind = store_kind(KIND_HOST_ENDPOINT),
				       .name = json_text_at(object, "metadata.name") };
	struct store *store = writing->hosts->store;

	switch (op) {
	case AUTO_HOST_CREATE:
		return store_create(store, object, NULL, writing->err);
	case AUTO_HOST_UPDATE:
		return store_update(store, object, NULL, writing->err);
	case AUTO_HOST_DELETE:
		break;
	}
	return store_delete(store, &key, json_text_at(object, "metadata.resourceVersion"),
			    writing->err);
}

static void on_emit(void *arg, enum auto_host_op op, const json_t *object)
{
	struct writing *writing = arg;
	int r;

	if (writing->result < 0)
		return;
	r = write_one(writing, op, object);
	say(op, json_text_at(object, "metadata.name"), r);
	if (r < 0 && !is_others(r))
		writing->result = r;
}

int hosts_work(struct hosts *hosts, struct err *err)
{
	struct writing writing = { .hosts = hosts, .err = err };
	const char *node;

	if (rpc_now() < hosts->due)
		return 0;
	for (unsigned int i = 0; i < NODES_A_TURN && writing.result >= 0; i++) {
		if (!auto_host_next(hosts->plan, on_emit, &writing, &node))
			return 0;
		if (writing.result < 0)
			auto_host_again(hosts->plan, node);
	}
	if (writing.result < 0)
		hosts->due = rpc_now() + AGAIN_MS;
	return writing.result;
}

const struct kube_controllers *hosts_config(const struct hosts *hosts)
{
	return kube_controllers_of(hosts->config);
}

struct hosts *hosts_new(struct store *store)
{
	struct hosts *hosts = xcalloc(1, sizeof(*hosts));

	hosts->store = store;
	hosts->plan = auto_host_new();
	return hosts;
}

void hosts_free(struct hosts *hosts)
{
	if (!hosts)
		return;
	auto_host_free(hosts->plan);
	object_unref(hosts->config);
	free(hosts);
}
