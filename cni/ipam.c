/* SPDX-License-Identifier: Apache-2.0 */
#include "cni/ipam.h"

#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/inet.h"
#include "base/rpc.h"
#include "cni/agent.h"
#include "cni/attachment.h"
#include "cni/config.h"
#include "cni/env.h"
#include "cni/error.h"
#include "cni/exec.h"

/* What the plugin printed when it failed: the specification's error object, or nothing of use. */
static int plugin_failed(const struct ipam_call *call, int status, const char *output,
			 struct cni_error *error)
{
	_cleanup_json_ json_t *tree = json_loads(output, 0, NULL);
	const char *msg = json_string_value(json_object_get(tree, "msg"));
	const char *details = json_string_value(json_object_get(tree, "details"));
	json_int_t code = json_integer_value(json_object_get(tree, "code"));
	int r;

	if (!msg)
		return cni_fail(error, CNI_IPAM, "IPAM plugin %s failed with status %d",
				call->config->ipam_type, status);
	r = cni_fail(error, code > 0 && code < 10000 ? (int)code : CNI_IPAM, "IPAM plugin %s: %s",
		     call->config->ipam_type, msg);
	if (details)
		snprintf(error->details, sizeof(error->details), "%s", details);
	return r;
}

static int run(const struct ipam_call *call, const char *command,
	       const struct attachment *attachment, char **ret_output, struct cni_error *error)
{
	_cleanup_free_ char *input = attachment && attachment->config
					     ? xstrdup(attachment->config)
					     : json_dumps(call->config->tree, JSON_COMPACT);
	_cleanup_free_ char *output = NULL;
	struct cni_exec exec = {
		.plugin = call->config->ipam_type,
		.path = call->env->path,
		.command = command,
		.container = attachment ? attachment->container : "",
		.netns = attachment ? attachment->netns : "",
		.ifname = attachment ? attachment->ifname : "",
		.input = input ? input : "",
		.deadline = call->deadline,
	};
	struct err err;
	int status;

	if (cni_exec(&exec, &status, &output, &err) < 0)
		return cni_fail_err(error, CNI_IPAM, &err, "IPAM plugin %s cannot be run",
				    call->config->ipam_type);
	if (status)
		return plugin_failed(call, status, output, error);
	if (ret_output)
		*ret_output = TAKE_PTR(output);
	return 0;
}

/* The first net of the wanted family. */
static json_t *cidr_of(const json_t *cidrs, bool v6)
{
	struct mg_prefix prefix;
	json_t *value;
	size_t i;

	json_array_foreach((json_t *)cidrs, i, value) {
		if (json_is_string(value) &&
		    prefix_parse(json_string_value(value), false, &prefix) == 0 &&
		    prefix_is4(&prefix) == !v6)
			return value;
	}
	return NULL;
}

/* Replaces Calico's words wherever "subnet" holds one; counts them. ret_missing: no such net. */
static int replace_words(json_t *tree, const json_t *cidrs, bool *ret_missing)
{
	const char *word = json_string_value(json_object_get(tree, "subnet"));
	const char *key;
	json_t *value;
	int count = 0;
	size_t i;

	if (word && (!strcmp(word, "usePodCidr") || !strcmp(word, "usePodCidrIPv6"))) {
		json_t *cidr = cidr_of(cidrs, !strcmp(word, "usePodCidrIPv6"));

		count++;
		if (cidr)
			json_object_set(tree, "subnet", cidr);
		else
			*ret_missing = true;
	}
	json_object_foreach(tree, key, value)
		count += replace_words(value, cidrs, ret_missing);
	json_array_foreach(tree, i, value)
		count += replace_words(value, cidrs, ret_missing);
	return count;
}

static void keep_config(struct attachment *attachment, const json_t *tree)
{
	_cleanup_free_ char *text = json_dumps(tree, JSON_COMPACT);

	attachment->config = arena_strdup(attachment->arena, text);
}

int ipam_prepare(const struct ipam_call *call, struct attachment *attachment,
		 struct cni_error *error)
{
	_cleanup_json_ json_t *tree = json_deep_copy(call->config->tree);
	json_t *ipam = json_object_get(tree, "ipam");
	_cleanup_json_ json_t *cidrs = NULL;
	bool missing = false;
	int r;

	if (replace_words(ipam, NULL, &missing)) {
		r = agent_pod_cidrs(call->config, call->deadline, &cidrs, error);
		if (r < 0)
			return r;
		missing = false;
		replace_words(ipam, cidrs, &missing);
		if (missing)
			return cni_fail(error, CNI_TRY_AGAIN,
					"ipam: usePodCidr: the Node object has no such podCIDR");
	}
	keep_config(attachment, tree);
	return 0;
}

/* Nets for documentation, RFC 5737 and 3849: host-local demands one, and releases by container. */
void ipam_prepare_del(const struct cni_config *config, struct attachment *attachment)
{
	_cleanup_json_ json_t *tree = json_deep_copy(config->tree);
	_cleanup_json_ json_t *cidrs = json_pack("[s,s]", "192.0.2.0/24", "2001:db8::/64");
	bool missing = false;

	replace_words(json_object_get(tree, "ipam"), cidrs, &missing);
	keep_config(attachment, tree);
}

static int strange(const struct ipam_call *call, const char *what, struct cni_error *error)
{
	return cni_fail(error, CNI_IPAM, "IPAM plugin %s: result: %s", call->config->ipam_type,
			what);
}

static int take_ips(const json_t *ips, struct attachment *attachment)
{
	struct mg_prefix prefix;
	union mg_addr addr;
	json_t *value;
	size_t i;

	json_array_foreach((json_t *)ips, i, value) {
		const char *text = json_string_value(json_object_get(value, "address"));
		union mg_addr *target;

		if (!text || prefix_parse(text, true, &prefix) < 0)
			return -1;
		addr = prefix.addr;
		target = addr_is4(&addr) ? &attachment->ip4 : &attachment->ip6;
		if (!addr_is_zero(target))
			return -1;
		*target = addr;
	}
	return addr_is_zero(&attachment->ip4) && addr_is_zero(&attachment->ip6) ? -1 : 0;
}

static void default_route(struct attachment *attachment, bool v4)
{
	struct mg_prefix *route = &attachment->routes[attachment->route_count];

	memset(route, 0, sizeof(*route));
	if (v4) {
		route->addr = addr_from4(0);
		route->len = MG_V4_PREFIX_BITS;
	}
	attachment->route_count++;
}

/* The destinations it names, by our gateway; none named, or asked for: the default too. */
static int take_routes(const struct ipam_call *call, const json_t *routes,
		       struct attachment *attachment)
{
	size_t count = json_array_size(routes), i;
	json_t *value;

	if (count + 2 > ATTACHMENT_ROUTES_MAX)
		return -1;
	attachment->routes = arena_array(attachment->arena, count + 2, sizeof(*attachment->routes));
	json_array_foreach((json_t *)routes, i, value) {
		const char *text = json_string_value(json_object_get(value, "dst"));

		if (!text || prefix_parse(text, true, &attachment->routes[i]) < 0)
			return -1;
		attachment->route_count++;
	}
	if (count && !call->config->default_routes)
		return 0;
	if (!addr_is_zero(&attachment->ip4))
		default_route(attachment, true);
	if (!addr_is_zero(&attachment->ip6))
		default_route(attachment, false);
	return 0;
}

int ipam_add(const struct ipam_call *call, struct attachment *attachment, struct cni_error *error)
{
	_cleanup_json_ json_t *tree = NULL;
	_cleanup_free_ char *output = NULL;
	json_t *dns;
	int r;

	r = run(call, "ADD", attachment, &output, error);
	if (r < 0)
		return r;
	tree = json_loads(output, JSON_REJECT_DUPLICATES, NULL);
	if (!json_is_object(tree))
		return strange(call, "is not a JSON object", error);
	if (take_ips(json_object_get(tree, "ips"), attachment) < 0)
		return strange(call, "ips: one address, or one of each family", error);
	if (take_routes(call, json_object_get(tree, "routes"), attachment) < 0)
		return strange(call, "routes: at most 62, each with a net as dst", error);
	dns = json_object_get(tree, "dns");
	if (json_object_size(dns))
		attachment->dns = json_incref(dns);
	return 0;
}

int ipam_del(const struct ipam_call *call, const struct attachment *attachment,
	     struct cni_error *error)
{
	return run(call, "DEL", attachment, NULL, error);
}

int ipam_check(const struct ipam_call *call, const struct attachment *attachment,
	       struct cni_error *error)
{
	return run(call, "CHECK", attachment, NULL, error);
}

int ipam_gc(const struct ipam_call *call, struct cni_error *error)
{
	return run(call, "GC", NULL, NULL, error);
}

int ipam_status(const struct ipam_call *call, struct cni_error *error)
{
	return run(call, "STATUS", NULL, NULL, error);
}
