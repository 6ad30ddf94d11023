/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From the datastore to the state: follow, decode, tell. Bad objects never stop the agent: what
 * does not decode is kept out by the store (its last valid copy is served), what decodes with a
 * bad part is served without it and named in the log.
 */
#include "agent/objects.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "agent/addresses.h"
#include "agent/confirm.h"
#include "agent/duties.h"
#include "agent/history.h"
#include "agent/node_condition.h"
#include "agent/own_address.h"
#include "agent/pool_status.h"
#include "agent/pools.h"
#include "agent/problems.h"
#include "agent/service_health.h"
#include "agent/settings.h"
#include "agent/trace.h"
#include "agent/trial.h"
#include "base/arena.h"
#include "base/file.h"
#include "base/heap.h"
#include "base/json.h"
#include "base/log.h"
#include "model/decode.h"
#include "model/pod.h"
#include "state/service.h"

#define KINDS_MAX 64
#define ADDRESS_MAX 4096
#define TIDY_SECONDS 1	      /* behind the last change */
#define TIDY_AGAIN_SECONDS 10 /* what is written behind is done by then */
#define TIDY_OBJECTS 500

static int decode(struct agent *agent, const struct store_event *event, struct object **ret_object)
{
	_cleanup_problems_ struct problems problems = { 0 };
	struct object *object = NULL;
	int r;

	r = object_decode(event->object, &(struct decode_options){ .mode = DECODE_LENIENT },
			  &object, &problems);
	if (!r && object->kind == KIND_FELIX_CONFIG) {
		_cleanup_free_ char *title = object_title(object);

		settings_report(agent, title, &problems);
	} else {
		problems_decoded(agent, event, r, &problems);
	}
	if (r < 0)
		return r;
	*ret_object = object;
	return 0;
}

/* What the store asks before it serves an object: design section 7, case 3. */
static int check(const json_t *root, struct err *err)
{
	_cleanup_problems_ struct problems problems = { 0 };
	_cleanup_object_ struct object *object = NULL;
	_cleanup_free_ char *text = NULL;
	int r;

	r = object_decode(root, &(struct decode_options){ .mode = DECODE_LENIENT }, &object,
			  &problems);
	if (!r)
		return 0;
	for (size_t i = 0; i < problems.count && !text; i++) {
		if (problems.v[i].severity == PROBLEM_ERROR)
			text = problem_text(&problems.v[i]);
	}
	return err_set(err, r, "%s", text ? text : "does not decode");
}

/* What beside policy and addresses depends on objects of a kind. */
static unsigned int concerns(enum kind kind)
{
	if (kind == KIND_NODE)
		return CHANGE_NODES | CHANGE_ROUTES | CHANGE_SERVICES;
	if (kind == KIND_IPAM_BLOCK)
		return CHANGE_ROUTES;
	if (kind == KIND_HOST_ENDPOINT)
		return CHANGE_LINKS;
	if (kind == KIND_SERVICE || kind == KIND_ENDPOINT_SLICE)
		return CHANGE_SERVICES;
	return kind == KIND_FELIX_CONFIG ? CHANGE_ALL : CHANGE_POLICY;
}

static void on_set(struct agent *agent, const struct object *object)
{
	if (object->kind == KIND_IP_POOL) {
		pools_set(agent, object);
		return;
	}
	if (object->kind == KIND_SERVICE)
		duties_wanted(agent);
	state_object_set(agent->state, object);
	service_health_set(agent, object);
	services_set(agent->services, object);
	agent_dirty(agent, concerns(object->kind));
}

static void on_delete(struct agent *agent, const struct store_event *event)
{
	struct store_key key;
	enum kind kind;
	char api[80];

	if (store_key_of(event->object, &key, NULL) < 0 ||
	    kind_find(store_kind_api_version(key.kind, api), key.kind->kind, &kind) < 0)
		return;
	if (kind == KIND_FELIX_CONFIG) {
		_cleanup_free_ char *title = xasprintf("FelixConfiguration %s", key.name);

		settings_report(agent, title, NULL);
	}
	problems_decoded(agent, event, 0, NULL);
	if (kind == KIND_IP_POOL) {
		pools_del(agent, key.name);
		return;
	}
	agent_dirty(agent, concerns(kind));
	state_object_del(agent->state, kind, key.ns ? key.ns : "", key.name);
	services_del(agent->services, kind, key.ns ? key.ns : "", key.name);
	service_health_del(agent, kind, key.ns ? key.ns : "", key.name);
}

void objects_apply(struct agent *agent, const struct store_event *event)
{
	_cleanup_object_ struct object *object = NULL;

	if (event->type == STORE_DELETED)
		on_delete(agent, event);
	else if (!decode(agent, event, &object))
		on_set(agent, object);
}

void objects_tell(struct agent *agent, const struct store_event *event)
{
	if (history_event(agent, event))
		objects_apply(agent, event);
}

static void own_node(struct agent *agent, const json_t *node)
{
	addresses_node(agent, node);
	service_health_node(agent, node);
	node_condition_seen(agent, node);
	if (own_address_node(agent, node))
		agent_dirty(agent, CHANGE_NODES);
}

/* IPAM reads its objects itself: it only wants to know which ones changed. */
static void tell_ipam(struct agent *agent, const struct store_event *event)
{
	const json_t *metadata = json_object_get(event->object, "metadata");
	const char *name = json_string_value(json_object_get(metadata, "name"));
	const char *version = json_string_value(json_object_get(metadata, "resourceVersion"));

	if (!agent->ipam || !name)
		return;
	if (!strcmp(event->kind->kind, "Node") && !*event->kind->group &&
	    !strcmp(name, agent->config.node) && event->type != STORE_DELETED)
		own_node(agent, event->object);
	if (strcmp(event->kind->group, API_GROUP_CALICO))
		return;
	ipam_notice(agent->ipam, event->kind->kind, name,
		    event->type == STORE_DELETED ? NULL : version);
	event_active(agent->ipam_event, 0, 0);
}

/* Trees of objects come and go in the heap: what a start or a crowd of changes left is given back
 * when it is over. */
static void on_tidy(evutil_socket_t fd, short what, void *context)
{
	const struct timeval again = { .tv_sec = TIDY_AGAIN_SECONDS };
	struct agent *agent = context;

	(void)fd;
	(void)what;
	agent->told = 0;
	if (heap_tidy())
		event_add(agent->tidy_event, &again);
}

static void tidy_later(struct agent *agent, size_t told)
{
	const struct timeval when = { .tv_sec = TIDY_SECONDS };

	agent->told += told;
	if (agent->tidy_event && agent->told >= TIDY_OBJECTS)
		event_add(agent->tidy_event, &when);
}

/* --- which store this node has known ------------------------------------------------------- */

/* An empty folder in place of the store (a mount that is missing) would open every pod: what was
 * read once must be there again. The file is taken away by `margayctl node reset`. */
static char *known_path(const struct agent *agent)
{
	return xasprintf("%s/datastore", agent->config.state_dir);
}

static bool store_is_known(const struct agent *agent)
{
	_cleanup_free_ char *path = known_path(agent), *text = NULL;
	size_t size;

	return !file_read(AT_FDCWD, path, ADDRESS_MAX, &text, &size) &&
	       !strcmp(text, agent->config.datastore);
}

static void note_store(const struct agent *agent)
{
	_cleanup_free_ char *path = known_path(agent);
	const char *address = agent->config.datastore;
	struct err err = { 0 };
	int r;

	if (store_is_known(agent))
		return;
	r = file_replace(AT_FDCWD, path, address, strlen(address), 0600);
	if (r < 0) {
		err_errno(&err, r, "%s", path);
		log_warning("cannot note the datastore", "why", err.text, NULL);
	}
}

/* Other nodes' questions: the answer is written, and needs what else the list had. */
static void answer(struct agent *agent)
{
	json_t *question;
	size_t i;

	json_array_foreach(agent->questions, i, question)
		trace_object(agent, question);
	json_array_clear(agent->questions);
}

/* Nothing of a list is missing any more: what concerns several objects is looked at now. */
static void on_whole(struct agent *agent)
{
	pools_settle(agent);
	if (!agent->synced)
		note_store(agent);
	agent->synced = true;
	answer(agent);
}

static void on_events(const struct store_event *events, size_t count, bool synced, void *arg)
{
	struct agent *agent = arg;

	for (size_t i = 0; i < count; i++) {
		struct store_event told;

		tell_ipam(agent, &events[i]);
		if (!strcmp(events[i].kind->kind, "TraceRequest")) {
			if (events[i].type != STORE_DELETED)
				json_array_append(agent->questions, events[i].object);
			continue;
		}
		confirm_event(agent, &events[i], &told);
		objects_tell(agent, &told);
		json_decref(told.object);
	}
	history_settle(agent);
	if (synced)
		on_whole(agent);
	tidy_later(agent, count);
	agent_dirty(agent, CHANGE_POLICY);
}

static void arm_timer(struct agent *agent)
{
	int store = store_timeout_ms(agent->store), follow = follow_timeout_ms(agent->follow);
	int ms = store < 0 || (follow >= 0 && follow < store) ? follow : store;
	struct timeval when = { .tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000 };

	if (ms >= 0)
		event_add(agent->store_timer, &when);
}

static void on_store(evutil_socket_t fd, short what, void *context)
{
	struct agent *agent = context;
	struct err err = { 0 };
	int r;

	(void)fd;
	(void)what;
	r = store_dispatch(agent->store, &err);
	if (!r)
		r = follow_dispatch(agent->follow, &err);
	if (!r)
		duties_dispatch(agent);
	problems_look(agent);
	if (r < 0 && !agent->store_down)
		log_warning("datastore out of reach", "why", err.text, NULL);
	if (!r && agent->store_down)
		log_info("datastore is back", NULL);
	agent->store_down = r < 0;
	arm_timer(agent);
}

/* --- the Pod of an ADD --------------------------------------------------------------------- */

/* What does not decode is not served. */
static struct object *read_pod(struct agent *agent, const char *ns, const char *name)
{
	const struct store_key key = { .kind = store_kind(KIND_POD), .ns = ns, .name = name };
	const struct decode_options options = { .mode = DECODE_LENIENT };
	_cleanup_problems_ struct problems problems = { 0 };
	_cleanup_json_ json_t *root = NULL;
	struct object *object = NULL;
	struct err err = { 0 };
	int r = store_get(agent->store, &key, &root, &err);

	if (!r)
		r = object_decode(root, &options, &object, &problems);
	else if (r != -ENOENT)
		log_warning("a Pod is added without its annotations", "namespace", ns, "pod", name,
			    "why", err.text, NULL);
	return r < 0 ? NULL : object;
}

/* State keeps objects of Pods of this node alone. The watch may be behind whoever starts the pod:
 * it knows no such Pod yet, or the former one of that name. */
int objects_pod(struct agent *agent, const char *ns, const char *name, const char *uid,
		struct object **ret_pod)
{
	const struct object *known = state_pod(agent->state, ns, name);
	_cleanup_object_ struct object *read = NULL;

	if (known && pod_is_named(known, uid)) {
		*ret_pod = object_ref(known);
		return 0;
	}
	read = read_pod(agent, ns, name);
	if (read ? !pod_is_named(read, uid) : known != NULL)
		return -ESTALE;
	*ret_pod = TAKE_PTR(read);
	return 0;
}

/* --- following ----------------------------------------------------------------------------- */

/* Nobody here reads these: the allocator asks the store itself (there is a handle for each pod),
 * and so do the duties, which Services call for; margay-controller has an object of its own. */
static bool is_read(enum kind kind)
{
	return kind == KIND_SERVICE ||
	       (kind_info(kind)->effect && kind != KIND_IPAM_HANDLE &&
		kind != KIND_BLOCK_AFFINITY && kind != KIND_LEASE && kind != KIND_SERVICE_CIDR &&
		kind != KIND_KUBE_CONTROLLERS_CONFIG);
}

static size_t wanted_kinds(struct store_query *queries)
{
	size_t count, used = 0;
	const struct store_kind *kinds = store_kinds(&count);
	enum kind kind;
	char api[80];

	for (size_t i = 0; i < count && used < KINDS_MAX; i++) {
		if (!kind_find(store_kind_api_version(&kinds[i], api), kinds[i].kind, &kind) &&
		    is_read(kind))
			queries[used++] = (struct store_query){ .kind = &kinds[i] };
	}
	return used;
}

int objects_open(struct agent *agent, struct err *err)
{
	bool known = store_is_known(agent);
	const struct store_options options = { .create = !known,
					       .manifests = agent->config.manifests,
					       .instance = agent->config.node,
					       .check = check };

	int r = store_open(agent->config.datastore, &options, &agent->store, err);

	if (r != -ENOENT || !known)
		return r;
	return err_set(err, r,
		       "datastore %s is empty, and was not when it was last read: is it mounted? "
		       "(a new one: remove %s/datastore)",
		       agent->config.datastore, agent->config.state_dir);
}

int objects_start(struct agent *agent, struct err *err)
{
	struct store_query queries[KINDS_MAX];
	struct follow_args args = { .queries = queries, .fn = on_events, .arg = agent };
	int r;

	r = history_start(agent, err);
	if (r < 0)
		return r;
	args.count = wanted_kinds(queries);
	agent->questions = json_array();
	r = follow_open(agent->store, &args, &agent->follow, err);
	if (r < 0)
		return r;
	problems_look(agent);
	agent->store_event = event_new(agent->base, store_fd(agent->store), EV_READ | EV_PERSIST,
				       on_store, agent);
	agent->store_timer = evtimer_new(agent->base, on_store, agent);
	event_add(agent->store_event, NULL);
	agent->tidy_event = evtimer_new(agent->base, on_tidy, agent);
	tidy_later(agent, TIDY_OBJECTS);
	arm_timer(agent);
	return 0;
}

void objects_stop(struct agent *agent)
{
	if (agent->store_event)
		event_free(agent->store_event);
	if (agent->store_timer)
		event_free(agent->store_timer);
	trial_stop(agent);
	confirm_stop(agent);
	history_stop(agent);
	pool_status_stop(agent);
	pools_stop(agent);
	problems_stop(agent);
	if (agent->tidy_event)
		event_free(agent->tidy_event);
	follow_close(agent->follow);
	store_close(agent->store);
	json_decref(agent->questions);
}
