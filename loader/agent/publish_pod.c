/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/publish_pod.h"

#include <errno.h>
#include <string.h>

#include "agent/agent.h"
#include "base/arena.h"
#include "base/inet.h"
#include "base/json.h"

#define CONTAINER "cni.projectcalico.org/containerID"
#define ADDRESS "cni.projectcalico.org/podIP"
#define ADDRESSES "cni.projectcalico.org/podIPs"

static char *net_of(const union mg_addr *addr)
{
	char text[ADDR_TEXT_MAX];

	if (addr_is_zero(addr))
		return xstrdup("");
	return xasprintf("%s/%d", addr_format(addr, text), addr_is4(addr) ? 32 : 128);
}

json_t *publish_pod_says(const struct endpoint *endpoint, bool removed)
{
	static const union mg_addr none;
	_cleanup_free_ char *first = net_of(removed ? &none : &endpoint->ip4);
	_cleanup_free_ char *second = net_of(removed ? &none : &endpoint->ip6);
	_cleanup_free_ char *both =
		xasprintf("%s%s%s", first, *first && *second ? "," : "", second);

	return json_pack("{s:s, s:s, s:s}", CONTAINER, endpoint->container, ADDRESS,
			 *first ? first : second, ADDRESSES, both);
}

static const char *annotation(const json_t *annotations, const char *key)
{
	const char *text = json_string_value(json_object_get(annotations, key));

	return text ? text : "";
}

/* Whose word is taken: the first one's of a Pod, then that of its present container. A removal is
 * told by who said the address. */
static bool may_say(const struct agent *agent, const json_t *pod, const json_t *says)
{
	const json_t *have = json_at(pod, "metadata.annotations");

	if (strcmp(json_text_or(pod, "spec.nodeName", ""), agent->config.node) != 0)
		return false;
	return *annotation(says, ADDRESS) ||
	       !strcmp(annotation(have, CONTAINER), annotation(says, CONTAINER));
}

/* A copy of the Pod in which only the annotations are another tree. */
static json_t *with_annotations(const json_t *pod, const json_t *says)
{
	json_t *copy = json_copy((json_t *)pod);
	json_t *metadata = json_copy(json_object_get(pod, "metadata"));
	json_t *annotations = json_copy(json_object_get(metadata, "annotations"));

	if (!annotations)
		annotations = json_object();
	json_object_update(annotations, (json_t *)says);
	json_object_set_new(metadata, "annotations", annotations);
	json_object_set_new(copy, "metadata", metadata);
	return copy;
}

int publish_pod_make(const struct agent *agent, const struct publish_pod *publish, json_t **ret_pod,
		     struct err *err)
{
	const struct store_key key = { .kind = store_kind(KIND_POD),
				       .ns = publish->ns,
				       .name = publish->name };
	_cleanup_json_ json_t *pod = NULL, *wanted = NULL;
	int r = store_get(agent->store, &key, &pod, err);

	if (r == -ENOENT)
		return err_clear(err);
	if (r < 0)
		return r;
	if (!may_say(agent, pod, publish->says))
		return 0;
	wanted = with_annotations(pod, publish->says);
	if (json_equal(pod, wanted))
		return 0;
	*ret_pod = TAKE_PTR(wanted);
	return 1;
}
