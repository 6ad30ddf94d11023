/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/lease.h"

#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/utc.h"

void lease_init(struct lease *lease, const char *identity)
{
	*lease = (struct lease){ .identity = identity };
}

void lease_done(struct lease *lease)
{
	json_decref(lease->object);
	lease->object = NULL;
}

static const char *version_of(const json_t *object)
{
	return json_text_or(object, "metadata.resourceVersion", "");
}

static void keep(struct lease *lease, json_t *object)
{
	json_decref(lease->object);
	lease->object = json_incref(object);
}

void lease_seen(struct lease *lease, json_t *object, long long now)
{
	if (object && lease->object && !strcmp(version_of(object), version_of(lease->object)))
		return;
	keep(lease, object);
	lease->seen_ms = now;
}

void lease_written(struct lease *lease, json_t *stored, long long began)
{
	keep(lease, stored);
	lease->seen_ms = lease->renewed_ms = began;
}

void lease_lost(struct lease *lease)
{
	lease->renewed_ms = 0;
}

const char *lease_holder(const struct lease *lease)
{
	return lease->object ? json_text_or(lease->object, "spec.holderIdentity", "") : "";
}

static bool is_mine(const struct lease *lease)
{
	return !strcmp(lease_holder(lease), lease->identity);
}

bool lease_is_held(const struct lease *lease, long long now)
{
	return lease->renewed_ms && is_mine(lease) &&
	       now - lease->renewed_ms < LEASE_SECONDS * 1000LL;
}

bool lease_is_due(const struct lease *lease, long long now)
{
	return lease_is_held(lease, now) && now - lease->renewed_ms >= LEASE_RENEW_MS;
}

/* Our own from a former life is ours at once. */
bool lease_is_free(const struct lease *lease, long long now)
{
	const json_t *seconds;

	if (!*lease_holder(lease) || is_mine(lease))
		return true;
	seconds = json_at(lease->object, "spec.leaseDurationSeconds");
	return now - lease->seen_ms >=
	       1000LL * (json_is_integer(seconds) ? json_integer_value(seconds) : LEASE_SECONDS);
}

/* With metadata alone, of the version that is to be replaced. */
static json_t *frame(const struct lease *lease)
{
	json_t *object =
		json_pack("{s:s,s:s,s:{s:s,s:s}}", "apiVersion", "coordination.k8s.io/v1", "kind",
			  "Lease", "metadata", "name", LEASE_NAME, "namespace", LEASE_NAMESPACE);

	if (lease->object)
		json_object_set_new(json_object_get(object, "metadata"), "resourceVersion",
				    json_string(version_of(lease->object)));
	return object;
}

/* Kubernetes' MicroTime: an API server takes six digits of a second, no fewer. */
static void micro_time(uint64_t now_utc_ms, char text[UTC_TEXT_MAX + 3])
{
	char millis[UTC_TEXT_MAX];

	utc_format(now_utc_ms, millis);
	snprintf(text, UTC_TEXT_MAX + 3, "%.*s000Z", (int)strcspn(millis, "Z"), millis);
}

json_t *lease_claim(const struct lease *lease, uint64_t now_utc_ms)
{
	const json_t *former = json_object_get(lease->object, "spec");
	const json_t *changes = json_object_get(former, "leaseTransitions");
	json_t *object = frame(lease);
	char now[UTC_TEXT_MAX + 3];

	micro_time(now_utc_ms, now);
	json_object_set_new(
		object, "spec",
		json_pack("{s:s,s:i,s:s,s:s,s:I}", "holderIdentity", lease->identity,
			  "leaseDurationSeconds", LEASE_SECONDS, "acquireTime",
			  is_mine(lease) ? json_text_or(former, "acquireTime", now) : now,
			  "renewTime", now, "leaseTransitions",
			  json_integer_value(changes) + !is_mine(lease)));
	return object;
}

json_t *lease_release(const struct lease *lease)
{
	json_t *object = frame(lease);
	json_t *spec = json_deep_copy(json_object_get(lease->object, "spec"));

	json_object_set_new(spec, "holderIdentity", json_string(""));
	json_object_set_new(object, "spec", spec);
	return object;
}
