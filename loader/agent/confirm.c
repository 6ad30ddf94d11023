/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/confirm.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include "agent/history.h"
#include "agent/objects.h"
#include "base/arena.h"
#include "base/json.h"
#include "base/log.h"
#include "base/utc.h"
#include "model/unconfirmed.h"
#include "policy/hmap.h"

#define WRITES_MAX 64
#define SPREAD_MS 1000 /* nodes do not write at the same moment: one of them is enough */
#define RETRY_MS 5000
#define HOPELESS_SECONDS 300 /* e.g. a manifest: only people change it */

struct waiting {
	char *key; /* "Kind.group namespace/name" */
	const struct store_kind *kind;
	json_t *object; /* as stored */
	struct unconfirmed unconfirmed;
	bool over; /* its time has passed: what it was is in force */
	UT_hash_handle hh;
};

struct confirm_flight {
	struct agent *agent; /* NULL: it has ended */
	struct store_write writes[WRITES_MAX];
	json_t *objects[WRITES_MAX];
	size_t count;
};

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static char *key_of(const struct store_event *event)
{
	return xasprintf("%s.%s %s/%s", event->kind->kind, event->kind->group,
			 json_text_or(event->object, "metadata.namespace", ""),
			 json_text_or(event->object, "metadata.name", ""));
}

static void arm(struct agent *agent);

/* --- what waits ---------------------------------------------------------------------------- */

static struct waiting *find(const struct agent *agent, const char *key)
{
	struct waiting *waiting;

	HASH_FIND_STR(agent->unconfirmed, key, waiting);
	return waiting;
}

static void forget(struct agent *agent, struct waiting *waiting)
{
	HASH_DEL(agent->unconfirmed, waiting);
	unconfirmed_done(&waiting->unconfirmed);
	json_decref(waiting->object);
	free(waiting->key);
	free(waiting);
}

static struct waiting *note(struct agent *agent, char *key, const struct store_event *event,
			    const struct unconfirmed *unconfirmed)
{
	struct waiting *waiting = xcalloc(1, sizeof(*waiting));

	waiting->key = key;
	waiting->kind = event->kind;
	waiting->object = json_incref(event->object);
	waiting->unconfirmed = *unconfirmed;
	HASH_ADD_KEYPTR(hh, agent->unconfirmed, waiting->key, strlen(waiting->key), waiting);
	return waiting;
}

static struct store_event former_event(const struct waiting *waiting)
{
	json_t *former = unconfirmed_former(&waiting->unconfirmed);

	return (struct store_event){ .type = former ? STORE_MODIFIED : STORE_DELETED,
				     .kind = waiting->kind,
				     .object = former ? former : json_incref(waiting->object) };
}

void confirm_event(struct agent *agent, const struct store_event *event,
		   struct store_event *ret_event)
{
	struct unconfirmed unconfirmed;
	struct waiting *waiting;
	char *key = key_of(event);

	*ret_event = *event;
	json_incref(ret_event->object);
	waiting = find(agent, key);
	if (waiting)
		forget(agent, waiting);
	if (event->type == STORE_DELETED || !unconfirmed_read(event->object, &unconfirmed)) {
		free(key);
		return;
	}
	waiting = note(agent, key, event, &unconfirmed);
	waiting->over = now_ms() >= unconfirmed.until;
	if (waiting->over) {
		json_decref(ret_event->object);
		*ret_event = former_event(waiting);
	}
	arm(agent);
}

/* --- back into the store ------------------------------------------------------------------- */

static void add_write(struct confirm_flight *flight, const struct waiting *waiting)
{
	json_t *former = unconfirmed_former(&waiting->unconfirmed);
	json_t *object = former ? json_deep_copy(former) : json_incref(waiting->object);
	const char *version = json_text_or(waiting->object, "metadata.resourceVersion", "");
	struct store_write *write = &flight->writes[flight->count];

	flight->objects[flight->count++] = object;
	write->object = object;
	if (former) {
		write->op = STORE_UPDATE;
		json_object_set_new(json_object_get(object, "metadata"), "resourceVersion",
				    json_string(version));
		json_decref(former);
		return;
	}
	write->op = STORE_DELETE;
	write->expect = version;
	store_key_of(object, &write->key, NULL);
}

static void flight_done(struct confirm_flight *flight)
{
	store_writes_done(flight->writes, flight->count);
	for (size_t i = 0; i < flight->count; i++)
		json_decref(flight->objects[i]);
	free(flight);
}

/* What somebody else has written meanwhile, the watch tells. */
static void on_written(int result, struct store_write *writes, size_t count, const struct err *err,
		       void *arg)
{
	struct timeval again = { .tv_sec = RETRY_MS / 1000 };
	struct confirm_flight *flight = arg;
	struct agent *agent = flight->agent;

	(void)writes;
	(void)count;
	if (agent) {
		agent->confirm_flight = NULL;
		if (result == 0)
			log_info("written back what nobody confirmed", NULL);
		else if (result != -ESTALE && result != -ENOENT)
			log_warning("what nobody confirmed is not yet written back", "why",
				    err->text, NULL);
		if (result < 0 && result != -ESTALE && !store_unreachable(result))
			again.tv_sec = HOPELESS_SECONDS;
		event_add(agent->confirm_event, &again);
	}
	flight_done(flight);
}

static void write_back(struct agent *agent)
{
	struct confirm_flight *flight;

	if (agent->confirm_flight || agent->store_down)
		return;
	flight = xcalloc(1, sizeof(*flight));
	for (const struct waiting *w = agent->unconfirmed; w && flight->count < WRITES_MAX;
	     w = w->hh.next)
		if (w->over && now_ms() >= w->unconfirmed.until + agent->confirm_spread)
			add_write(flight, w);
	if (!flight->count) {
		flight_done(flight);
		return;
	}
	flight->agent = agent;
	agent->confirm_flight = flight;
	store_commit_async(agent->store, flight->writes, flight->count, on_written, flight);
}

/* --- time ---------------------------------------------------------------------------------- */

static void expire(struct agent *agent, struct waiting *waiting)
{
	struct store_event event = former_event(waiting);

	log_warning("nobody confirmed: back to what it was", "object", waiting->key, NULL);
	waiting->over = true;
	agent->confirms_missed++;
	objects_tell(agent, &event);
	json_decref(event.object);
}

static void on_time(evutil_socket_t fd, short what, void *context)
{
	struct agent *agent = context;

	(void)fd;
	(void)what;
	for (struct waiting *w = agent->unconfirmed; w; w = w->hh.next)
		if (!w->over && now_ms() >= w->unconfirmed.until)
			expire(agent, w);
	history_settle(agent);
	write_back(agent);
	arm(agent);
}

/* Of those that wait; what is over and not written back is looked at again. */
static uint64_t next_ms(const struct agent *agent, uint64_t now)
{
	uint64_t next = UINT64_MAX;

	for (const struct waiting *w = agent->unconfirmed; w; w = w->hh.next) {
		uint64_t due = w->unconfirmed.until + (w->over ? agent->confirm_spread : 0);

		if (w->over && due <= now)
			due = now + RETRY_MS;
		if (due < next)
			next = due;
	}
	return next;
}

static void arm(struct agent *agent)
{
	uint64_t now = now_ms(), next = next_ms(agent, now), ms;
	struct timeval when;

	if (!agent->confirm_event) {
		agent->confirm_spread = hash_text(agent->config.node, 0) % SPREAD_MS;
		agent->confirm_event = evtimer_new(agent->base, on_time, agent);
	}
	if (next == UINT64_MAX)
		return;
	ms = next > now ? next - now : 0;
	when = (struct timeval){ .tv_sec = (time_t)(ms / 1000),
				 .tv_usec = (suseconds_t)(ms % 1000 * 1000) };
	event_add(agent->confirm_event, &when);
}

/* --- showing ------------------------------------------------------------------------------- */

json_t *confirm_show(const struct agent *agent)
{
	json_t *list = json_array();
	char until[UTC_TEXT_MAX];

	for (const struct waiting *w = agent->unconfirmed; w; w = w->hh.next)
		json_array_append_new(list, json_pack("{s:s,s:s,s:b}", "object", w->key, "until",
						      utc_format(w->unconfirmed.until, until),
						      "over", w->over));
	return list;
}

size_t confirm_count(const struct agent *agent)
{
	return HASH_COUNT(agent->unconfirmed);
}

void confirm_stop(struct agent *agent)
{
	struct waiting *waiting, *next;

	HASH_ITER(hh, agent->unconfirmed, waiting, next)
		forget(agent, waiting);
	if (agent->confirm_flight)
		agent->confirm_flight->agent = NULL;
	if (agent->confirm_event)
		event_free(agent->confirm_event);
}
