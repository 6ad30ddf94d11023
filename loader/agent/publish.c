/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/publish.h"

#include <errno.h>
#include <string.h>

#include "agent/publish_pod.h"
#include "base/arena.h"
#include "base/inet.h"
#include "base/log.h"
#include "base/rpc.h"

#define BATCH_MAX 128

/* What is to be written of one object; object NULL: delete. */
struct publication {
	char *key; /* "namespace/name" */
	char *ns;
	char *name;
	json_t *object;
	json_t *pod; /* in a cluster object are annotations, and this is what is written */
	UT_hash_handle hh;
};

/* A transaction on its way: its publications are not in the queue meanwhile. */
struct publish_flight {
	struct agent *agent; /* NULL: it has ended */
	struct publication *publications[BATCH_MAX];
	struct store_write writes[BATCH_MAX];
	size_t count;
};

/* Calico's name of a WorkloadEndpoint: node-orchestrator-pod-endpoint, each dash doubled. */
static void put_part(FILE *out, const char *part)
{
	for (; *part; part++) {
		fputc(*part, out);
		if (*part == '-')
			fputc('-', out);
	}
}

static char *object_name(const struct agent *agent, const struct endpoint *endpoint)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		abort();
	put_part(out, agent->config.node);
	fputs("-k8s-", out);
	put_part(out, endpoint->pod);
	fputc('-', out);
	put_part(out, endpoint->ifname);
	fclose(out);
	return text;
}

static void add_net(json_t *list, const union mg_addr *addr)
{
	char text[ADDR_TEXT_MAX];

	if (addr_is_zero(addr))
		return;
	json_array_append_new(
		list, json_sprintf("%s/%d", addr_format(addr, text), addr_is4(addr) ? 32 : 128));
}

static json_t *labels_of(const struct endpoint *endpoint)
{
	json_t *labels = endpoint->labels ? json_deep_copy(endpoint->labels) : json_object();

	json_object_set_new(labels, "projectcalico.org/namespace", json_string(endpoint->ns));
	json_object_set_new(labels, "projectcalico.org/orchestrator", json_string("k8s"));
	return labels;
}

static json_t *object_of(const struct agent *agent, const struct endpoint *endpoint,
			 const char *name)
{
	json_t *nets = json_array();
	const uint8_t *mac = endpoint->mac;
	char text[18];

	add_net(nets, &endpoint->ip4);
	add_net(nets, &endpoint->ip6);
	snprintf(text, sizeof(text), "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2],
		 mac[3], mac[4], mac[5]);
	return json_pack(
		"{s:s,s:s,s:{s:s,s:s,s:o},s:{s:s,s:s,s:s,s:s,s:s,s:s,s:o,s:s,s:[o]}}", "apiVersion",
		"projectcalico.org/v3", "kind", "WorkloadEndpoint", "metadata", "name", name,
		"namespace", endpoint->ns, "labels", labels_of(endpoint), "spec", "orchestrator",
		"k8s", "node", agent->config.node, "containerID", endpoint->container, "pod",
		endpoint->pod, "endpoint", endpoint->ifname, "interfaceName", endpoint->host_ifname,
		"ipNetworks", nets, "mac", text, "profiles", json_sprintf("kns.%s", endpoint->ns));
}

static void publication_free(struct publication *publication)
{
	json_decref(publication->object);
	json_decref(publication->pod);
	free(publication->key);
	free(publication->ns);
	free(publication->name);
	free(publication);
}

static void drop(struct agent *agent, struct publication *publication)
{
	HASH_DEL(agent->publications, publication);
	publication_free(publication);
}

/* The newest word about an object replaces what waits. Takes its arguments; object NULL: delete. */
static void put(struct agent *agent, char *key, char *ns, char *name, json_t *object)
{
	struct publication *publication;

	HASH_FIND_STR(agent->publications, key, publication);
	if (publication)
		drop(agent, publication);
	publication = xcalloc(1, sizeof(*publication));
	publication->key = key;
	publication->ns = ns;
	publication->name = name;
	publication->object = object;
	HASH_ADD_KEYPTR(hh, agent->publications, publication->key, strlen(publication->key),
			publication);
	event_active(agent->publish_event, 0, 0);
}

static void enqueue(struct agent *agent, const struct endpoint *endpoint, bool removed)
{
	char *name;
	json_t *object;

	if (store_is_cluster(agent->store)) {
		put(agent, xasprintf("%s/%s", endpoint->ns, endpoint->pod), xstrdup(endpoint->ns),
		    xstrdup(endpoint->pod), publish_pod_says(endpoint, removed));
		return;
	}
	name = object_name(agent, endpoint);
	object = removed ? NULL : object_of(agent, endpoint, name);
	put(agent, xasprintf("%s/%s", endpoint->ns, name), xstrdup(endpoint->ns), name, object);
}

void publish_endpoint(struct agent *agent, const struct endpoint *endpoint)
{
	enqueue(agent, endpoint, false);
}

void publish_removed(struct agent *agent, const struct endpoint *endpoint)
{
	enqueue(agent, endpoint, true);
}

static struct store_key key_of(const struct publication *publication)
{
	return (struct store_key){
		.kind = store_kind_find("projectcalico.org/v3", "WorkloadEndpoint"),
		.ns = publication->ns,
		.name = publication->name,
	};
}

/* Labels that somebody set by `label workloadendpoint` live on over a restart of the agent. */
static void keep_labels(json_t *object, const json_t *stored)
{
	json_t *labels = json_object_get(json_object_get(object, "metadata"), "labels");
	const json_t *old = json_object_get(json_object_get(stored, "metadata"), "labels");

	if (json_is_object(old))
		json_object_update_missing(labels, (json_t *)old);
}

/* The store adds to metadata; what we say is in labels and spec. */
static bool says_the_same(const json_t *stored, const json_t *object)
{
	const json_t *a = json_object_get(stored, "metadata");
	const json_t *b = json_object_get(object, "metadata");

	return json_equal(json_object_get(a, "labels"), json_object_get(b, "labels")) &&
	       json_equal(json_object_get(stored, "spec"), json_object_get(object, "spec"));
}

static int make_pod_write(struct agent *agent, struct publication *publication,
			  struct store_write *ret_write, struct err *err)
{
	json_t *pod = NULL;
	int r = publish_pod_make(
		agent,
		&(struct publish_pod){ publication->ns, publication->name, publication->object },
		&pod, err);

	if (r <= 0)
		return r;
	json_decref(publication->pod);
	publication->pod = pod;
	*ret_write = (struct store_write){ .op = STORE_UPDATE, .object = pod };
	return 1;
}

/* 1: ret_write; 0: the store says so already; -errno. */
static int make_write(struct agent *agent, struct publication *publication,
		      struct store_write *ret_write, struct err *err)
{
	const struct store_key key = key_of(publication);
	_cleanup_json_ json_t *stored = NULL;
	int r;

	if (store_is_cluster(agent->store))
		return make_pod_write(agent, publication, ret_write, err);
	r = store_get(agent->store, &key, &stored, err);
	if (r < 0 && r != -ENOENT)
		return r;
	if (!publication->object) {
		*ret_write = (struct store_write){ .op = STORE_DELETE, .key = key };
		return !r;
	}
	*ret_write = (struct store_write){ .op = r ? STORE_CREATE : STORE_UPDATE,
					   .object = publication->object };
	if (r)
		return 1;
	keep_labels(publication->object, stored);
	return !says_the_same(stored, publication->object);
}

/* --- after a start -------------------------------------------------------------------------- */

static bool is_known(const struct agent *agent, const char *ns, const char *name)
{
	bool known = false;

	for (const struct endpoint *ep = agent->endpoints; ep && !known; ep = ep->hh.next) {
		_cleanup_free_ char *own = object_name(agent, ep);

		known = ep->committed && !strcmp(ep->ns, ns) && !strcmp(own, name);
	}
	return known;
}

static const char *text_at(const json_t *object, const char *part, const char *key)
{
	return json_string_value(json_object_get(json_object_get(object, part), key));
}

static int remove_leftover(size_t query, json_t *object, void *arg)
{
	const char *node = text_at(object, "spec", "node");
	const char *ns = text_at(object, "metadata", "namespace");
	const char *name = text_at(object, "metadata", "name");
	struct agent *agent = arg;

	(void)query;
	if (node && ns && name && !strcmp(node, agent->config.node) && !is_known(agent, ns, name))
		put(agent, xasprintf("%s/%s", ns, name), xstrdup(ns), xstrdup(name), NULL);
	return 0;
}

/* A former agent may have ended between ADD or DEL and the write behind it. */
static int review(struct agent *agent, struct err *err)
{
	const struct store_query query = { .kind = store_kind_find("projectcalico.org/v3",
								   "WorkloadEndpoint") };
	const struct store_reading reading = {
		.queries = &query, .count = 1, .fn = remove_leftover, .arg = agent
	};
	int r = 0;

	/* In a cluster Pods carry the word, and go by themselves. */
	if (!store_is_cluster(agent->store))
		r = store_read(agent->store, &reading, err);
	if (r < 0)
		return r;
	for (const struct endpoint *ep = agent->endpoints; ep; ep = ep->hh.next) {
		if (ep->committed)
			publish_endpoint(agent, ep);
	}
	agent->published = true;
	return 0;
}

/* Everything else may pass by itself: a folder's rights, a full disk, another writer. */
static bool is_hopeless(int r)
{
	return r == -EINVAL || r == -EROFS || r == -EBADMSG || r == -E2BIG || r == -EMSGSIZE;
}

static void give_up(struct publication *publication, const char *why)
{
	log_warning("an endpoint is not published", "object", publication->key, "why", why, NULL);
	publication_free(publication);
}

/* Back into the queue, where nothing newer is known of the object. */
static void put_back(struct agent *agent, struct publication *publication)
{
	struct publication *newer;

	HASH_FIND_STR(agent->publications, publication->key, newer);
	if (newer)
		publication_free(publication);
	else
		HASH_ADD_KEYPTR(hh, agent->publications, publication->key, strlen(publication->key),
				publication);
}

static void land(struct publish_flight *flight, int result)
{
	for (size_t i = 0; i < flight->count; i++) {
		struct publication *publication = flight->publications[i];
		int r = flight->writes[i].result;

		if (!result || !flight->agent)
			publication_free(publication);
		else if (is_hopeless(r))
			give_up(publication, strerror(-r));
		else
			put_back(flight->agent, publication);
	}
}

static void on_written(int result, struct store_write *writes, size_t count, const struct err *err,
		       void *context)
{
	struct publish_flight *flight = context;
	struct agent *agent = flight->agent;
	const struct timeval again = { .tv_sec = result < 0 };

	(void)err;
	land(flight, result);
	store_writes_done(writes, count);
	free(flight);
	if (!agent)
		return;
	agent->publish_flight = NULL;
	if (agent->publications)
		event_add(agent->publish_event, &again);
}

/* False: the store is out of reach. What it says already or will never take leaves the queue. */
static bool load(struct agent *agent, struct publish_flight *flight)
{
	struct publication *publication, *next;

	HASH_ITER(hh, agent->publications, publication, next) {
		struct store_write *write = &flight->writes[flight->count];
		struct err err = { 0 };
		int r = make_write(agent, publication, write, &err);

		if (r < 0 && !is_hopeless(r))
			return false;
		HASH_DEL(agent->publications, publication);
		if (r < 0)
			give_up(publication, err.text);
		else if (!r)
			publication_free(publication);
		else
			flight->publications[flight->count++] = publication;
		if (flight->count == BATCH_MAX)
			break;
	}
	return true;
}

/* All that waits is one transaction, written behind the loop. */
static void flush(evutil_socket_t fd, short what, void *context)
{
	const struct timeval again = { .tv_sec = 1 };
	struct agent *agent = context;
	struct publish_flight *flight;
	struct err err;

	(void)fd;
	(void)what;
	if (agent->publish_flight)
		return;
	if (!agent->published && (!agent->synced || review(agent, &err) < 0)) {
		event_add(agent->publish_event, &again);
		return;
	}
	flight = xcalloc(1, sizeof(*flight));
	if (!load(agent, flight))
		event_add(agent->publish_event, &again);
	if (!flight->count) {
		free(flight);
		return;
	}
	flight->agent = agent;
	agent->publish_flight = flight;
	store_commit_async(agent->store, flight->writes, flight->count, on_written, flight);
}

void publish_start(struct agent *agent)
{
	agent->publish_event = evtimer_new(agent->base, flush, agent);
	event_priority_set(agent->publish_event, 2); /* it waits for the disk: answers go first */
	event_active(agent->publish_event, 0, 0);
}

void publish_stop(struct agent *agent)
{
	struct publication *publication, *next;

	HASH_ITER(hh, agent->publications, publication, next)
		drop(agent, publication);
	if (agent->publish_flight)
		agent->publish_flight->agent = NULL;
	if (agent->publish_event)
		event_free(agent->publish_event);
}
