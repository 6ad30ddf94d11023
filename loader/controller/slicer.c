/* SPDX-License-Identifier: Apache-2.0 */
/* What is known of a store's Services and endpoints, and which Services a change concerns. */
#include "controller/slicer.h"

#include <string.h>
#include <utlist.h>

#include "base/arena.h"
#include "controller/slicer_own.h"
#include "model/node.h"

static char *key_of(const char *ns, const char *name)
{
	return xasprintf("%s/%s", ns, name);
}

/* --- who waits ------------------------------------------------------------------------------ */

static void wait_for_turn(struct slicer *slices, struct known_service *service)
{
	if (service->waits)
		return;
	service->waits = true;
	DL_APPEND2(slices->waiting, service, before, behind);
}

static void stop_waiting(struct slicer *slices, struct known_service *service)
{
	if (!service->waits)
		return;
	service->waits = false;
	DL_DELETE2(slices->waiting, service, before, behind);
}

/* --- namespaces ----------------------------------------------------------------------------- */

static struct space *space_get(struct slicer *slices, const char *name)
{
	struct space *space;

	HASH_FIND_STR(slices->spaces, name, space);
	if (space)
		return space;
	space = xcalloc(1, sizeof(*space));
	space->name = xstrdup(name);
	HASH_ADD_KEYPTR(hh, slices->spaces, space->name, strlen(space->name), space);
	return space;
}

static void space_forget(struct slicer *slices, struct space *space)
{
	if (space->sources || space->services)
		return;
	HASH_DEL(slices->spaces, space);
	free(space->name);
	free(space);
}

/* --- sources -------------------------------------------------------------------------------- */

const struct labels *source_labels(const struct source *source)
{
	return source->pod ? &source->pod->labels : &source->attachments->object->labels;
}

bool source_is_selected(const struct source *source, const struct labels *selector)
{
	const struct labels *labels = source_labels(source);

	for (size_t i = 0; i < selector->count; i++) {
		const char *value = labels_get(labels, selector->v[i].key);

		if (!value || strcmp(value, selector->v[i].value))
			return false;
	}
	return selector->count;
}

/* Before a source changes and after: both the Services that had it and those that get it. */
static void tell(struct slicer *slices, const struct source *source)
{
	struct known_service *service;

	if (!source->pod && !source->attachments)
		return;
	DL_FOREACH(source->space->services, service) {
		if (service->object &&
		    source_is_selected(source, &service_of(service->object)->selector))
			wait_for_turn(slices, service);
	}
}

static struct source *source_get(struct slicer *slices, const char *ns, const char *pod)
{
	_cleanup_free_ char *key = key_of(ns, pod);
	struct source *source;

	HASH_FIND_STR(slices->sources, key, source);
	if (source)
		return source;
	source = xcalloc(1, sizeof(*source));
	source->key = TAKE_PTR(key);
	source->space = space_get(slices, ns);
	DL_APPEND(source->space->sources, source);
	HASH_ADD_KEYPTR(hh, slices->sources, source->key, strlen(source->key), source);
	return source;
}

static void source_forget(struct slicer *slices, struct source *source)
{
	struct space *space = source->space;

	if (source->pod || source->attachments)
		return;
	HASH_DEL(slices->sources, source);
	DL_DELETE(space->sources, source);
	space_forget(slices, space);
	free(source->key);
	free(source);
}

static void set_pod(struct slicer *slices, const char *ns, const char *name,
		    const struct object *object)
{
	struct source *source = source_get(slices, ns, name);

	tell(slices, source);
	object_unref(source->pod);
	source->pod = object ? object_ref(object) : NULL;
	tell(slices, source);
	source_forget(slices, source);
}

static void attachment_del(struct slicer *slices, const char *ns, const char *name)
{
	_cleanup_free_ char *key = key_of(ns, name);
	struct attachment *attachment;
	struct source *source;

	HASH_FIND_STR(slices->attachments, key, attachment);
	if (!attachment)
		return;
	source = attachment->source;
	tell(slices, source);
	DL_DELETE(source->attachments, attachment);
	HASH_DEL(slices->attachments, attachment);
	object_unref(attachment->object);
	free(attachment->key);
	free(attachment);
	tell(slices, source);
	source_forget(slices, source);
}

static void attachment_set(struct slicer *slices, const struct object *object)
{
	const struct workload_endpoint *workload = workload_endpoint_of(object);
	struct attachment *attachment;

	attachment_del(slices, object->ns, object->name);
	if (!*workload->pod)
		return;
	attachment = xcalloc(1, sizeof(*attachment));
	attachment->key = key_of(object->ns, object->name);
	attachment->object = object_ref(object);
	attachment->source = source_get(slices, object->ns, workload->pod);
	DL_APPEND(attachment->source->attachments, attachment);
	HASH_ADD_KEYPTR(hh, slices->attachments, attachment->key, strlen(attachment->key),
			attachment);
	tell(slices, attachment->source);
}

/* --- zones ---------------------------------------------------------------------------------- */

const char *slicer_zone(const struct slicer *slices, const char *node)
{
	const struct zone *zone;

	HASH_FIND_STR(slices->zones, node, zone);
	return zone ? zone->name : "";
}

/* A node that moves is rare: everybody looks again. */
static void set_zone(struct slicer *slices, const char *node, const char *name)
{
	struct known_service *service, *next;
	struct zone *zone;

	if (!strcmp(slicer_zone(slices, node), name))
		return;
	HASH_FIND_STR(slices->zones, node, zone);
	if (zone) {
		HASH_DEL(slices->zones, zone);
		free(zone->node);
		free(zone->name);
		free(zone);
	}
	if (*name) {
		zone = xcalloc(1, sizeof(*zone));
		zone->node = xstrdup(node);
		zone->name = xstrdup(name);
		HASH_ADD_KEYPTR(hh, slices->zones, zone->node, strlen(zone->node), zone);
	}
	HASH_ITER(hh, slices->services, service, next)
		wait_for_turn(slices, service);
}

/* --- services and their slices -------------------------------------------------------------- */

static struct known_service *service_get(struct slicer *slices, const char *ns, const char *name)
{
	_cleanup_free_ char *key = key_of(ns, name);
	struct known_service *service;

	HASH_FIND_STR(slices->services, key, service);
	if (service)
		return service;
	service = xcalloc(1, sizeof(*service));
	service->key = TAKE_PTR(key);
	service->name = strchr(service->key, '/') + 1;
	service->space = space_get(slices, ns);
	DL_APPEND(service->space->services, service);
	HASH_ADD_KEYPTR(hh, slices->services, service->key, strlen(service->key), service);
	return service;
}

static void service_forget(struct slicer *slices, struct known_service *service)
{
	struct space *space = service->space;

	if (service->object || service->slices)
		return;
	stop_waiting(slices, service);
	HASH_DEL(slices->services, service);
	DL_DELETE(space->services, service);
	space_forget(slices, space);
	free(service->key);
	free(service);
}

static void set_service(struct slicer *slices, const char *ns, const char *name,
			const struct object *object)
{
	struct known_service *service = service_get(slices, ns, name);

	object_unref(service->object);
	service->object = object ? object_ref(object) : NULL;
	wait_for_turn(slices, service);
	service_forget(slices, service);
}

static void slice_del(struct slicer *slices, const char *ns, const char *name)
{
	_cleanup_free_ char *key = key_of(ns, name);
	struct known_slice *slice;

	HASH_FIND_STR(slices->known, key, slice);
	if (!slice)
		return;
	if (slice->service) {
		DL_DELETE(slice->service->slices, slice);
		wait_for_turn(slices, slice->service);
		service_forget(slices, slice->service);
	}
	HASH_DEL(slices->known, slice);
	object_unref(slice->object);
	free(slice->key);
	free(slice);
}

static void slice_set(struct slicer *slices, const struct object *object)
{
	const struct endpoint_slice *from = endpoint_slice_of(object);
	struct known_slice *slice = xcalloc(1, sizeof(*slice));

	slice_del(slices, object->ns, object->name);
	slice->key = key_of(object->ns, object->name);
	slice->object = object_ref(object);
	HASH_ADD_KEYPTR(hh, slices->known, slice->key, strlen(slice->key), slice);
	if (strcmp(from->managed_by, SLICER_MANAGER))
		return;
	slice->service = service_get(slices, object->ns, from->service);
	DL_APPEND(slice->service->slices, slice);
	wait_for_turn(slices, slice->service);
}

bool slicer_has_name(const struct slicer *slices, const char *ns, const char *name)
{
	_cleanup_free_ char *key = key_of(ns, name);
	const struct known_slice *slice;

	HASH_FIND_STR(slices->known, key, slice);
	return slice;
}

/* --- what the owner calls ------------------------------------------------------------------- */

void slicer_set(struct slicer *slices, const struct object *object)
{
	const char *zone;

	if (object->kind == KIND_SERVICE) {
		set_service(slices, object->ns, object->name, object);
	} else if (object->kind == KIND_POD) {
		set_pod(slices, object->ns, object->name, object);
	} else if (object->kind == KIND_WORKLOAD_ENDPOINT) {
		attachment_set(slices, object);
	} else if (object->kind == KIND_ENDPOINT_SLICE) {
		slice_set(slices, object);
	} else if (object->kind == KIND_NODE) {
		zone = labels_get(&object->labels, LABEL_ZONE);
		set_zone(slices, object->name, zone ? zone : "");
	}
}

void slicer_del(struct slicer *slices, enum kind kind, const char *ns, const char *name)
{
	if (kind == KIND_SERVICE)
		set_service(slices, ns, name, NULL);
	else if (kind == KIND_POD)
		set_pod(slices, ns, name, NULL);
	else if (kind == KIND_WORKLOAD_ENDPOINT)
		attachment_del(slices, ns, name);
	else if (kind == KIND_ENDPOINT_SLICE)
		slice_del(slices, ns, name);
	else if (kind == KIND_NODE)
		set_zone(slices, name, "");
}

bool slicer_next(struct slicer *slices, uint64_t now_ms, slicer_emit_fn *emit, void *arg,
		 const char **ret_service)
{
	const struct plan_args args = { .now_ms = now_ms, .emit = emit, .arg = arg };
	struct known_service *service = slices->waiting;

	if (!service)
		return false;
	stop_waiting(slices, service);
	slicer_plan(slices, service, &args);
	*ret_service = service->key;
	return true;
}

void slicer_again(struct slicer *slices, const char *key)
{
	struct known_service *service;

	HASH_FIND_STR(slices->services, key, service);
	if (service)
		wait_for_turn(slices, service);
}

struct slicer *slicer_new(void)
{
	return xcalloc(1, sizeof(struct slicer));
}

void slicer_free(struct slicer *slices)
{
	if (!slices)
		return;
	while (slices->known)
		slice_del(slices, slices->known->object->ns, slices->known->object->name);
	while (slices->attachments)
		attachment_del(slices, slices->attachments->object->ns,
			       slices->attachments->object->name);
	while (slices->sources)
		set_pod(slices, slices->sources->pod->ns, slices->sources->pod->name, NULL);
	while (slices->services)
		set_service(slices, slices->services->space->name, slices->services->name, NULL);
	while (slices->zones)
		set_zone(slices, slices->zones->node, "");
	free(slices);
}
