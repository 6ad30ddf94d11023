/* SPDX-License-Identifier: Apache-2.0 */
#include "cni/agent.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "base/arena.h"
#include "base/inet.h"
#include "base/rpc.h"
#include "cni/attachment.h"
#include "cni/config.h"
#include "cni/error.h"
#include "cni/names.h"
#include "dataplane/attach.h"

#define SHORT_MS 3000 /* for what needs no agent: DEL, CHECK, GC */

static json_t *request_new(const char *op)
{
	return json_pack("{s:i, s:s}", "version", 1, "op", op);
}

static json_t *request_for(const char *op, const struct attachment *attachment)
{
	json_t *request = request_new(op);

	json_object_set_new(request, "container", json_string(attachment->container));
	json_object_set_new(request, "ifname", json_string(attachment->ifname));
	json_object_set_new(request, "network", json_string(attachment->network));
	json_object_set_new(request, "namespace", json_string(attachment->pod_namespace));
	json_object_set_new(request, "pod", json_string(attachment->pod));
	return request;
}

/* An answer {"ok":false} to the plugin's own error. */
static int refused(const json_t *answer, struct cni_error *error)
{
	const char *msg = json_string_value(json_object_get(answer, "msg"));
	const char *details = json_string_value(json_object_get(answer, "details"));
	json_int_t code = json_integer_value(json_object_get(answer, "code"));
	int r;

	r = cni_fail(error, code > 0 && code < 1000 ? (int)code : CNI_KERNEL, "%s",
		     msg ? msg : "the agent refused without a message");
	if (details)
		snprintf(error->details, sizeof(error->details), "%s", details);
	return r;
}

static int call(const struct cni_config *config, const json_t *request, long long deadline,
		json_t **ret_answer, struct cni_error *error)
{
	struct rpc_call rpc = {
		.path = config->agent_socket,
		.request = request,
		.deadline = deadline,
		.retry = true,
	};
	_cleanup_json_ json_t *answer = NULL;
	struct err err;
	int r;

	r = rpc_call(&rpc, &answer, &err);
	if (r < 0) {
		cni_fail_err(error, CNI_TRY_AGAIN, &err,
			     "margay-agent does not answer, is it running on this node?");
		return r == -ENOENT || r == -ECONNREFUSED ? -ENOTCONN : -EAGAIN;
	}
	if (!json_is_true(json_object_get(answer, "ok")))
		return refused(answer, error);
	if (ret_answer)
		*ret_answer = TAKE_PTR(answer);
	return 0;
}

static int strange(struct cni_error *error, const char *what)
{
	return cni_fail(error, CNI_KERNEL, "margay-agent's answer: %s is not as agreed", what);
}

static void put_if(json_t *request, const char *key, const json_t *value)
{
	if (value)
		json_object_set(request, key, (json_t *)value);
}

static json_t *address_list(const struct attachment *attachment)
{
	json_t *list = json_array();
	char text[ADDR_TEXT_MAX];

	if (!addr_is_zero(&attachment->ip4))
		json_array_append_new(list, json_string(addr_format(&attachment->ip4, text)));
	if (!addr_is_zero(&attachment->ip6))
		json_array_append_new(list, json_string(addr_format(&attachment->ip6, text)));
	return list;
}

static json_t *bandwidth_json(const struct bandwidth *bandwidth)
{
	return json_pack("{s:I, s:I, s:I, s:I}", "ingressRate", (json_int_t)bandwidth->ingress_rate,
			 "ingressBurst", (json_int_t)bandwidth->ingress_burst, "egressRate",
			 (json_int_t)bandwidth->egress_rate, "egressBurst",
			 (json_int_t)bandwidth->egress_burst);
}

static json_t *allocate_request(const struct cni_config *config,
				const struct attachment *attachment)
{
	json_t *request = request_for("allocate", attachment);

	json_object_set_new(request, "host_ifname", json_string(attachment->host_ifname));
	if (*attachment->uid)
		json_object_set_new(request, "uid", json_string(attachment->uid));
	if (config->ipv4 >= 0)
		json_object_set_new(request, "ipv4", json_boolean(config->ipv4));
	if (config->ipv6 >= 0)
		json_object_set_new(request, "ipv6", json_boolean(config->ipv6));
	put_if(request, "ipv4_pools", config->pools4);
	put_if(request, "ipv6_pools", config->pools6);
	put_if(request, "ips", config->ips);
	put_if(request, "labels", config->labels);
	put_if(request, "portMappings", attachment->ports);
	if (config->bandwidth.ingress_rate || config->bandwidth.egress_rate)
		json_object_set_new(request, "bandwidth", bandwidth_json(&config->bandwidth));
	if (config->mac)
		json_object_set_new(request, "mac", json_string(config->mac));
	if (config->mtu)
		json_object_set_new(request, "mtu", json_integer(config->mtu));
	if (attachment->external)
		json_object_set_new(request, "addresses", address_list(attachment));
	return request;
}

/* "10.0.0.5" or "10.0.0.5/32"; one of each family. */
static int take_addresses(const json_t *list, struct attachment *attachment)
{
	struct mg_prefix prefix;
	union mg_addr addr;
	json_t *value;
	size_t i;

	json_array_foreach((json_t *)list, i, value) {
		const char *text = json_string_value(value);
		union mg_addr *target;

		if (!text || prefix_parse(text, true, &prefix) < 0 || prefix.len != MG_ADDR_BITS)
			return -EBADMSG;
		addr = prefix.addr;
		target = addr_is4(&addr) ? &attachment->ip4 : &attachment->ip6;
		if (!addr_is_zero(target))
			return -EBADMSG;
		*target = addr;
	}
	return addr_is_zero(&attachment->ip4) && addr_is_zero(&attachment->ip6) ? -EBADMSG : 0;
}

static int take_routes(const json_t *list, struct attachment *attachment)
{
	json_t *value;
	size_t i;

	if (!json_is_array(list) || json_array_size(list) > ATTACHMENT_ROUTES_MAX)
		return -EBADMSG;
	attachment->routes = arena_array(attachment->arena, json_array_size(list) + 1,
					 sizeof(*attachment->routes));
	attachment->route_count = 0;
	json_array_foreach((json_t *)list, i, value) {
		const char *text = json_string_value(value);

		if (!text || prefix_parse(text, true, &attachment->routes[i]) < 0)
			return -EBADMSG;
		attachment->route_count++;
	}
	return 0;
}

static int take_mac(const json_t *answer, const char *key, __u8 mac[6])
{
	const json_t *value = json_object_get(answer, key);

	if (!value)
		return 0;
	return json_is_string(value) ? mac_parse(json_string_value(value), mac) : -EBADMSG;
}

static int take_number(const json_t *answer, const char *key, json_int_t limit, __u32 *target)
{
	const json_t *value = json_object_get(answer, key);

	if (!json_is_integer(value) || json_integer_value(value) < 0 ||
	    json_integer_value(value) > limit)
		return -EBADMSG;
	*target = (__u32)json_integer_value(value);
	return 0;
}

static int take_attach_type(const json_t *answer, int *ret_type)
{
	const char *text = json_string_value(json_object_get(answer, "attach"));

	if (!text)
		*ret_type = DP_ATTACH_AUTO;
	else if (!strcmp(text, "tcx"))
		*ret_type = DP_ATTACH_TCX;
	else if (!strcmp(text, "clsact"))
		*ret_type = DP_ATTACH_CLSACT;
	else
		return -EBADMSG;
	return 0;
}

int agent_allocate(const struct cni_config *config, struct attachment *attachment,
		   long long deadline, int *ret_attach_type, struct cni_error *error)
{
	_cleanup_json_ json_t *request = allocate_request(config, attachment);
	_cleanup_json_ json_t *answer = NULL;
	int type, r;

	r = call(config, request, deadline, &answer, error);
	if (r < 0)
		return r;
	if (!attachment->external &&
	    take_addresses(json_object_get(answer, "addresses"), attachment) < 0)
		return strange(error, "addresses");
	if (take_number(answer, "slot", 65535, &attachment->slot) < 0 || !attachment->slot)
		return strange(error, "slot");
	if (take_number(answer, "ifindex", INT32_MAX, &attachment->ifindex) < 0)
		return strange(error, "ifindex");
	if (take_number(answer, "mtu", CNI_MTU_MAX, &attachment->mtu) < 0)
		return strange(error, "mtu");
	if (take_mac(answer, "mac", attachment->mac) < 0 ||
	    take_mac(answer, "host_mac", attachment->host_mac) < 0)
		return strange(error, "mac or host_mac");
	if (!attachment->route_count && json_object_get(answer, "routes") &&
	    take_routes(json_object_get(answer, "routes"), attachment) < 0)
		return strange(error, "routes");
	if (take_attach_type(answer, &type) < 0)
		return strange(error, "attach");
	*ret_attach_type = type;
	return 0;
}

int agent_commit(const struct cni_config *config, const struct attachment *attachment,
		 long long deadline, struct cni_error *error)
{
	_cleanup_json_ json_t *request = request_for("commit", attachment);
	char mac[MAC_TEXT_MAX], host_mac[MAC_TEXT_MAX];
	int r;

	mac_format(attachment->mac, mac);
	mac_format(attachment->host_mac, host_mac);
	json_object_set_new(request, "host_ifname", json_string(attachment->host_ifname));
	json_object_set_new(request, "netns", json_string(attachment->netns));
	json_object_set_new(request, "slot", json_integer(attachment->slot));
	json_object_set_new(request, "ifindex", json_integer(attachment->ifindex));
	json_object_set_new(request, "mtu", json_integer(attachment->mtu));
	json_object_set_new(request, "netns_cookie",
			    json_integer((json_int_t)attachment->netns_cookie));
	json_object_set_new(request, "mac", json_string(mac));
	json_object_set_new(request, "host_mac", json_string(host_mac));
	r = call(config, request, deadline, NULL, error);
	/* It was started anew between the two halves of ADD: the next ADD begins with the first. */
	if (r < 0 && error->code == CNI_UNKNOWN_CONTAINER)
		error->code = CNI_TRY_AGAIN;
	return r;
}

json_t *agent_del_request(const struct attachment *attachment)
{
	json_t *request = request_for("del", attachment);

	if (attachment->external)
		json_object_set_new(request, "external", json_true());
	return request;
}

/* Without retry: who needs no agent does not wait for one to come up. */
static int call_short(const struct cni_config *config, const json_t *request, json_t **ret_answer)
{
	struct rpc_call rpc = {
		.path = config->agent_socket,
		.request = request,
		.deadline = rpc_now() + SHORT_MS,
	};

	return rpc_call(&rpc, ret_answer, NULL);
}

int agent_release(const struct cni_config *config, const json_t *request, long long deadline,
		  struct cni_error *error)
{
	return call(config, request, deadline, NULL, error);
}

int agent_send_del(const struct cni_config *config, const json_t *request, bool *ret_link)
{
	_cleanup_json_ json_t *answer = NULL;
	int r = call_short(config, request, &answer);

	if (r < 0)
		return r;
	if (!json_is_true(json_object_get(answer, "ok")))
		return -EREMOTEIO;
	*ret_link = json_is_true(json_object_get(answer, "link"));
	return 0;
}

int agent_check(const struct cni_config *config, const struct attachment *attachment,
		struct cni_error *error)
{
	_cleanup_json_ json_t *request = request_for("check", attachment);
	_cleanup_json_ json_t *answer = NULL;
	struct attachment held = { 0 };

	if (call_short(config, request, &answer) < 0)
		return 0;
	if (!json_is_true(json_object_get(answer, "ok")))
		return refused(answer, error);
	if (take_addresses(json_object_get(answer, "addresses"), &held) < 0 ||
	    take_number(answer, "slot", 65535, &held.slot) < 0 ||
	    take_number(answer, "ifindex", INT32_MAX, &held.ifindex) < 0)
		return strange(error, "addresses, slot or ifindex");
	if (addr_cmp(&held.ip4, &attachment->ip4) || addr_cmp(&held.ip6, &attachment->ip6))
		return cni_fail(error, CNI_CHECK_FAILED, "the agent holds other addresses");
	if (held.slot != attachment->slot || held.ifindex != attachment->ifindex)
		return cni_fail(error, CNI_CHECK_FAILED,
				"the agent holds slot %u and ifindex %u, recorded are %u and %u",
				held.slot, held.ifindex, attachment->slot, attachment->ifindex);
	return 0;
}

int agent_gc(const struct cni_config *config, const json_t *valid, struct cni_error *error)
{
	_cleanup_json_ json_t *request = request_new("gc");
	_cleanup_json_ json_t *answer = NULL;

	json_object_set_new(request, "network", json_string(config->name));
	json_object_set(request, "valid", (json_t *)valid);
	if (call_short(config, request, &answer) < 0)
		return 0;
	return json_is_true(json_object_get(answer, "ok")) ? 0 : refused(answer, error);
}

int agent_status(const struct cni_config *config, struct cni_error *error)
{
	_cleanup_json_ json_t *request = request_new("status");
	_cleanup_json_ json_t *answer = NULL;
	struct rpc_call rpc = {
		.path = config->agent_socket,
		.request = request,
		.deadline = rpc_now() + SHORT_MS,
	};
	struct err err;

	json_object_set_new(request, "network", json_string(config->name));
	if (config->ipam_type)
		json_object_set_new(request, "external", json_true());
	if (rpc_call(&rpc, &answer, &err) < 0)
		return cni_fail_err(error, CNI_NOT_AVAILABLE, &err, "margay-agent does not answer");
	return json_is_true(json_object_get(answer, "ok")) ? 0 : refused(answer, error);
}

int agent_pod_cidrs(const struct cni_config *config, long long deadline, json_t **ret_cidrs,
		    struct cni_error *error)
{
	_cleanup_json_ json_t *request = request_new("node");
	_cleanup_json_ json_t *answer = NULL;
	json_t *cidrs;
	int r;

	r = call(config, request, deadline, &answer, error);
	if (r < 0)
		return r;
	cidrs = json_object_get(answer, "pod_cidrs");
	if (!json_is_array(cidrs))
		return strange(error, "pod_cidrs");
	*ret_cidrs = json_incref(cidrs);
	return 0;
}
