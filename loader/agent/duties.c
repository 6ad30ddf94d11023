/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/duties.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include "base/arena.h"
#include "base/json.h"
#include "base/log.h"
#include "base/rpc.h"
#include "controller/allot.h"
#include "controller/lease.h"
#include "controller/slicer.h"
#include "model/decode.h"

#define TICK_MS 2000	 /* looks at the lease */
#define AGAIN_MS 300	 /* after a write that failed: the watch tells why meanwhile */
#define BATCH_WRITES 512 /* of one transaction; a Service is not split */
#define BATCH_SERVICES 128

/* Writes on their way; [0] is the lease's. */
struct flight {
	struct duties *duties; /* NULL: it has ended */
	struct store_write *writes;
	json_t **objects;
	size_t count, room;
	char *services[BATCH_SERVICES];
	size_t service_count;
	long long began;
};

struct duties {
	struct agent *agent;
	struct event *tick, *work;
	struct lease lease;
	bool wanted;
	struct follow *follow; /* while the lease is held */
	struct slicer *slicer;
	struct allot *allot;
	struct flight *flight;
	size_t batch; /* Services of the next transaction: one after a failure */
	bool waits;   /* a failure was told, nothing succeeded since */
};

static uint64_t now_utc_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void work_in(struct duties *duties, int ms)
{
	const struct timeval when = { .tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000 };

	event_add(duties->work, &when);
}

/* --- what is known -------------------------------------------------------------------------- */

static void learn(struct duties *duties, const json_t *root)
{
	const struct decode_options options = { .mode = DECODE_LENIENT };
	_cleanup_problems_ struct problems problems = { 0 };
	_cleanup_object_ struct object *object = NULL;

	/* What is wrong with it, objects.c tells. */
	if (object_decode(root, &options, &object, &problems))
		return;
	slicer_set(duties->slicer, object);
	allot_set(duties->allot, object);
}

static void unlearn(struct duties *duties, const struct store_key *key)
{
	const char *ns = key->ns ? key->ns : "";

	slicer_del(duties->slicer, key->kind->id, ns, key->name);
	allot_del(duties->allot, key->kind->id, ns, key->name);
}

static void on_events(const struct store_event *events, size_t count, bool synced, void *arg)
{
	struct duties *duties = arg;

	for (size_t i = 0; i < count; i++) {
		struct store_key key;

		if (events[i].type != STORE_DELETED)
			learn(duties, events[i].object);
		else if (!store_key_of(events[i].object, &key, NULL))
			unlearn(duties, &key);
	}
	if (synced)
		work_in(duties, 0);
}

static void take_up(struct duties *duties)
{
	static const enum kind kinds[] = { KIND_NAMESPACE,    KIND_IP_POOL,
					   KIND_SERVICE_CIDR, KIND_SERVICE,
					   KIND_POD,	      KIND_WORKLOAD_ENDPOINT,
					   KIND_NODE,	      KIND_ENDPOINT_SLICE };
	const size_t count = sizeof(kinds) / sizeof(kinds[0]);
	struct store_query queries[sizeof(kinds) / sizeof(kinds[0])] = { 0 };
	const struct follow_args args = {
		.queries = queries, .count = count, .fn = on_events, .arg = duties
	};
	struct err err = { 0 };

	for (size_t i = 0; i < count; i++)
		queries[i].kind = store_kind(kinds[i]);
	log_info("has the cluster's duties", NULL);
	duties->slicer = slicer_new();
	duties->allot = allot_new();
	duties->batch = BATCH_SERVICES;
	if (follow_open(duties->agent->store, &args, &duties->follow, &err) < 0)
		log_warning("cannot read what the duties need", "why", err.text, NULL);
}

static void lay_down(struct duties *duties)
{
	if (!duties->slicer)
		return;
	log_info("has the cluster's duties no more", NULL);
	follow_close(duties->follow);
	duties->follow = NULL;
	slicer_free(duties->slicer);
	allot_free(duties->allot);
	duties->slicer = NULL;
	duties->allot = NULL;
	event_del(duties->work);
}

/* --- writing -------------------------------------------------------------------------------- */

static void flight_add(struct flight *flight, const struct store_write *write, json_t *object)
{
	if (flight->count == flight->room) {
		flight->room = flight->room ? flight->room * 2 : 16;
		flight->writes = xrealloc(flight->writes, flight->room, sizeof(*flight->writes));
		flight->objects = xrealloc(flight->objects, flight->room, sizeof(*flight->objects));
	}
	flight->objects[flight->count] = object;
	flight->writes[flight->count++] = *write;
}

static void flight_free(struct flight *flight)
{
	store_writes_done(flight->writes, flight->count);
	for (size_t i = 0; i < flight->count; i++)
		json_decref(flight->objects[i]);
	for (size_t i = 0; i < flight->service_count; i++)
		free(flight->services[i]);
	free(flight->writes);
	free(flight->objects);
	free(flight);
}

static void add_slice(void *arg, enum slicer_op op, json_t *object)
{
	struct store_write write = { .op = STORE_DELETE, .object = object };

	if (op == SLICER_DELETE) {
		store_key_of(object, &write.key, NULL);
		write.expect = json_text_at(object, "metadata.resourceVersion");
		write.object = NULL;
	} else {
		write.op = op == SLICER_CREATE ? STORE_CREATE : STORE_UPDATE;
	}
	flight_add(arg, &write, object);
}

/* --- what Services lack --------------------------------------------------------------------- */

static struct store_key service_key(const struct object *object)
{
	return (struct store_key){ .kind = store_kind(KIND_SERVICE),
				   .ns = object->ns,
				   .name = object->name };
}

/* What was chosen is not in force: as it is in the store, it waits again. */
static void forget_choice(struct duties *duties, const char *service)
{
	_cleanup_free_ char *ns = xstrdup(service);
	_cleanup_json_ json_t *root = NULL;
	char *name = strchr(ns, '/');
	struct store_key key = { .kind = store_kind(KIND_SERVICE), .ns = ns };

	*name++ = 0;
	key.name = name;
	if (!store_get(duties->agent->store, &key, &root, NULL))
		learn(duties, root);
	allot_again(duties->allot, service);
}

/* Manifests are never written: what they lack, people write. */
static bool is_writable(struct duties *duties, const struct object *object)
{
	const struct store_key key = service_key(object);
	_cleanup_free_ char *file = NULL, *title = NULL;

	if (store_origin(duties->agent->store, &key, &file) < 0)
		return true;
	title = object_title(object);
	log_warning("a Service of a manifest lacks clusterIP or nodePort: it is given none",
		    "object", title, "file", file, NULL);
	return false;
}

/* One Service's write; what it is given counts as used from here on. */
static void give(struct duties *duties, struct flight *flight, const struct object *object)
{
	const struct store_key key = service_key(object);
	_cleanup_object_ struct object *held = object_ref(object);
	_cleanup_json_ json_t *stored = NULL, *root = NULL;
	struct err err = { 0 };

	if (!is_writable(duties, object) ||
	    store_get(duties->agent->store, &key, &stored, NULL) < 0 ||
	    strcmp(json_text_or(stored, "metadata.resourceVersion", ""), object->version) != 0)
		return; /* of another version the watch will tell */
	root = json_deep_copy(stored);
	if (allot_fill(duties->allot, object, root, &err)) {
		flight_add(flight, &(struct store_write){ .op = STORE_UPDATE, .object = root },
			   json_incref(root));
		flight->services[flight->service_count++] =
			xasprintf("%s/%s", held->ns, held->name);
		learn(duties, root);
	}
	if (err.code) {
		_cleanup_free_ char *title = object_title(held);

		log_warning("a Service is not given what it lacks", "object", title, "why",
			    err.text, NULL);
	}
}

static void load_choices(struct duties *duties, struct flight *flight)
{
	const struct object *object;

	while (flight->service_count < duties->batch) {
		object = allot_next(duties->allot);
		if (!object)
			return;
		give(duties, flight, object);
	}
}

static struct flight *flight_new(struct duties *duties)
{
	struct flight *flight = xcalloc(1, sizeof(*flight));
	json_t *claim = lease_claim(&duties->lease, now_utc_ms());

	flight->duties = duties;
	flight->began = rpc_now();
	flight_add(flight,
		   &(struct store_write){ .op = duties->lease.object ? STORE_UPDATE : STORE_CREATE,
					  .object = claim },
		   claim);
	return flight;
}

static void load(struct duties *duties, struct flight *flight)
{
	const uint64_t now = now_utc_ms();
	const char *service;

	/* Slices follow what is given: they come behind it. */
	load_choices(duties, flight);
	if (flight->service_count)
		return;
	while (flight->count < BATCH_WRITES && flight->service_count < duties->batch &&
	       slicer_next(duties->slicer, now, add_slice, flight, &service))
		flight->services[flight->service_count++] = xstrdup(service);
}

/* What was written is known at once; the watch tells it again. */
static void landed(struct duties *duties, const struct flight *flight)
{
	lease_written(&duties->lease, flight->writes[0].stored, flight->began);
	if (!duties->slicer) {
		take_up(duties);
		return;
	}
	for (size_t i = 1; i < flight->count; i++) {
		const struct store_write *write = &flight->writes[i];

		if (write->op != STORE_DELETE)
			learn(duties, write->stored);
		else
			unlearn(duties, &write->key);
	}
	if (duties->batch < BATCH_SERVICES)
		duties->batch *= 2;
	duties->waits = false;
	work_in(duties, 0);
}

static void failed(struct duties *duties, const struct flight *flight, int result,
		   const struct err *err)
{
	const int of_lease = flight->writes[0].result;

	/* Another one was faster, or the object is gone: the next tick looks. */
	if (of_lease == -ESTALE || of_lease == -EEXIST || of_lease == -ENOENT) {
		lease_lost(&duties->lease);
	} else if (result != -ESTALE && result != -EEXIST && result != -ENOENT && !duties->waits) {
		log_warning("the cluster's duties wait", "why", err->text, NULL);
		duties->waits = true;
	}
	for (size_t i = 0; duties->slicer && i < flight->service_count; i++) {
		slicer_again(duties->slicer, flight->services[i]);
		forget_choice(duties, flight->services[i]);
	}
	duties->batch = 1;
	work_in(duties, AGAIN_MS);
}

static void on_written(int result, struct store_write *writes, size_t count, const struct err *err,
		       void *arg)
{
	struct flight *flight = arg;
	struct duties *duties = flight->duties;

	(void)writes;
	(void)count;
	if (duties) {
		duties->flight = NULL;
		if (result < 0)
			failed(duties, flight, result, err);
		else
			landed(duties, flight);
	}
	flight_free(flight);
}

static void flight_send(struct duties *duties, struct flight *flight)
{
	duties->flight = flight;
	store_commit_async(duties->agent->store, flight->writes, flight->count, on_written, flight);
}

static void on_work(evutil_socket_t fd, short what, void *arg)
{
	struct duties *duties = arg;
	struct flight *flight;

	(void)fd;
	(void)what;
	if (duties->flight || !duties->follow || !follow_is_synced(duties->follow) ||
	    !lease_is_held(&duties->lease, rpc_now()))
		return;
	flight = flight_new(duties);
	load(duties, flight);
	if (flight->count > 1)
		flight_send(duties, flight);
	else
		flight_free(flight);
}

/* --- the lease ------------------------------------------------------------------------------ */

static int look(struct duties *duties)
{
	const struct store_key key = { .kind = store_kind(KIND_LEASE),
				       .ns = LEASE_NAMESPACE,
				       .name = LEASE_NAME };
	_cleanup_json_ json_t *object = NULL;
	int r = store_get(duties->agent->store, &key, &object, NULL);

	if (!r || r == -ENOENT)
		lease_seen(&duties->lease, object, rpc_now());
	return r == -ENOENT ? 0 : r;
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
	const struct timeval again = { .tv_sec = TICK_MS / 1000, .tv_usec = TICK_MS % 1000 * 1000 };
	struct duties *duties = arg;
	const long long now = rpc_now();

	(void)fd;
	(void)what;
	event_add(duties->tick, &again);
	if (!lease_is_held(&duties->lease, now))
		lay_down(duties);
	if (duties->flight || !duties->agent->synced)
		return;
	if (lease_is_held(&duties->lease, now)) {
		if (lease_is_due(&duties->lease, now))
			flight_send(duties, flight_new(duties));
	} else if (duties->wanted && !look(duties) && lease_is_free(&duties->lease, now)) {
		flight_send(duties, flight_new(duties));
	}
}

void duties_wanted(struct agent *agent)
{
	struct duties *duties = agent->duties;

	/* In a cluster they are kube-controller-manager's. */
	if (duties->wanted || store_is_cluster(agent->store))
		return;
	duties->wanted = true;
	event_active(duties->tick, 0, 0);
}

void duties_dispatch(struct agent *agent)
{
	struct err err;

	/* Out of reach: the store's own reader says so. */
	if (agent->duties->follow)
		follow_dispatch(agent->duties->follow, &err);
}

bool duties_held(const struct agent *agent)
{
	return agent->duties && agent->duties->slicer;
}

/* --- life ----------------------------------------------------------------------------------- */

void duties_start(struct agent *agent)
{
	const struct timeval when = { .tv_sec = TICK_MS / 1000 };
	struct duties *duties = xcalloc(1, sizeof(*duties));

	agent->duties = duties;
	duties->agent = agent;
	lease_init(&duties->lease, agent->config.node);
	duties->tick = evtimer_new(agent->base, on_tick, duties);
	duties->work = evtimer_new(agent->base, on_work, duties);
	event_priority_set(duties->work, 2);
	event_add(duties->tick, &when);
}

/* Others need not wait until it runs out. */
static void give_up(struct duties *duties)
{
	_cleanup_json_ json_t *object = NULL;
	struct err err = { 0 };

	if (!lease_is_held(&duties->lease, rpc_now()))
		return;
	object = lease_release(&duties->lease);
	if (store_update(duties->agent->store, object, NULL, &err) < 0)
		log_info("the cluster's duties are not handed over", "why", err.text, NULL);
}

void duties_stop(struct agent *agent)
{
	struct duties *duties = agent->duties;

	if (!duties)
		return;
	if (duties->flight)
		duties->flight->duties = NULL;
	else
		give_up(duties);
	follow_close(duties->follow);
	slicer_free(duties->slicer);
	allot_free(duties->allot);
	lease_done(&duties->lease);
	event_free(duties->tick);
	event_free(duties->work);
	free(duties);
	agent->duties = NULL;
}
