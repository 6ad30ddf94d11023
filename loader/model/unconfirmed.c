/* SPDX-License-Identifier: Apache-2.0 */
#include "model/unconfirmed.h"

#include <errno.h>
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/json.h"
#include "base/utc.h"

bool unconfirmed_covers(enum kind kind)
{
	static const enum kind covered[] = {
		KIND_NETWORK_POLICY,
		KIND_CALICO_POLICY,
		KIND_GLOBAL_POLICY,
		KIND_TIER,
		KIND_NETWORK_SET,
		KIND_GLOBAL_NETWORK_SET,
		KIND_HOST_ENDPOINT,
		KIND_STAGED_POLICY,
		KIND_STAGED_GLOBAL_POLICY,
		KIND_CLUSTER_NETWORK_POLICY,
		KIND_ADMIN_POLICY,
		KIND_BASELINE_ADMIN_POLICY,
		KIND_STAGED_KUBERNETES_POLICY,
	};

	for (size_t i = 0; i < sizeof(covered) / sizeof(covered[0]); i++)
		if (covered[i] == kind)
			return true;
	return false;
}

static const json_t *annotations_of(const json_t *object)
{
	return json_object_get(json_object_get(object, "metadata"), "annotations");
}

bool unconfirmed_read(const json_t *object, struct unconfirmed *ret_unconfirmed)
{
	const json_t *text = json_object_get(annotations_of(object), UNCONFIRMED_ANNOTATION);
	_cleanup_json_ json_t *tree = NULL;
	uint64_t until;

	if (!json_is_string(text))
		return false;
	tree = json_read(json_string_value(text), json_string_length(text));
	until = utc_parse(json_text_at(tree, "until"));
	if (!until || !json_object_get(tree, "former"))
		return false;
	*ret_unconfirmed = (struct unconfirmed){ .until = until, .tree = json_incref(tree) };
	return true;
}

void unconfirmed_done(struct unconfirmed *unconfirmed)
{
	json_decref(unconfirmed->tree);
	unconfirmed->tree = NULL;
}

json_t *unconfirmed_former(const struct unconfirmed *unconfirmed)
{
	json_t *former = json_object_get(unconfirmed->tree, "former");

	return json_is_object(former) ? json_incref(former) : NULL;
}

/* Never NULL. */
static json_t *former_of(const json_t *before)
{
	struct unconfirmed unconfirmed;
	json_t *former;

	if (!before)
		return json_null();
	if (unconfirmed_read(before, &unconfirmed)) {
		former = unconfirmed_former(&unconfirmed);
		unconfirmed_done(&unconfirmed);
		return former ? former : json_null();
	}
	former = json_deep_copy(before);
	json_object_del(json_object_get(former, "metadata"), "resourceVersion");
	json_object_del(json_object_get(former, "metadata"), "managedFields");
	return former;
}

int unconfirmed_mark(json_t *object, const json_t *before, uint64_t until, struct err *err)
{
	json_t *metadata = json_object_get(object, "metadata");
	json_t *annotations = json_object_get(metadata, "annotations");
	_cleanup_json_ json_t *tree = NULL;
	_cleanup_free_ char *text = NULL;
	char when[UTC_TEXT_MAX];

	tree = json_pack("{s:s,s:o}", "until", utc_format(until, when), "former",
			 former_of(before));
	text = json_dumps(tree, JSON_COMPACT | JSON_SORT_KEYS);
	if (strlen(text) > UNCONFIRMED_MAX)
		return err_set(err, -E2BIG, "what it was has no room beside it: more than %d bytes",
			       UNCONFIRMED_MAX);
	if (!json_is_object(annotations)) {
		annotations = json_object();
		json_object_set_new(metadata, "annotations", annotations);
	}
	json_object_set_new(annotations, UNCONFIRMED_ANNOTATION, json_string(text));
	return 0;
}

void unconfirmed_clear(json_t *object)
{
	json_t *metadata = json_object_get(object, "metadata");
	json_t *annotations = json_object_get(metadata, "annotations");

	json_object_del(annotations, UNCONFIRMED_ANNOTATION);
	if (annotations && !json_object_size(annotations))
		json_object_del(metadata, "annotations");
}
