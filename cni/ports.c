/* SPDX-License-Identifier: Apache-2.0 */
/* Apart from what checks them, so that reading a configuration needs no maps. */
#include "cni/ports.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

#include "base/err.h"
#include "base/inet.h"
#include "base/rpc.h"
#include "cni/error.h"

static int bad(struct cni_error *error, const char *key, const char *want)
{
	return cni_fail(error, CNI_BAD_CONFIG,
			"network configuration: runtimeConfig.portMappings: %s: must be %s", key,
			want);
}

static int read_port(const json_t *mapping, const char *key, json_t *entry, struct cni_error *error)
{
	const json_t *value = json_object_get(mapping, key);
	json_int_t port = json_integer_value(value);

	if (!json_is_integer(value) || port < 1 || port > UINT16_MAX)
		return bad(error, key, "a number from 1 to 65535");
	json_object_set_new(entry, key, json_integer(port));
	return 0;
}

/* Runtimes write protocols small, Kubernetes' API in capitals; none is TCP. */
static int read_protocol(const json_t *mapping, json_t *entry, struct cni_error *error)
{
	static const char *const protocols[] = { "tcp", "udp", "sctp" };
	const json_t *value = json_object_get(mapping, "protocol");
	const char *text = json_string_value(value);

	if (!value || (text && !*text))
		text = "tcp";
	for (size_t i = 0; text && i < 3; i++) {
		if (strcasecmp(text, protocols[i]) != 0)
			continue;
		json_object_set_new(entry, "protocol", json_string(protocols[i]));
		return 0;
	}
	return bad(error, "protocol", "tcp, udp or sctp");
}

static int read_address(const json_t *mapping, json_t *entry, struct cni_error *error)
{
	const json_t *value = json_object_get(mapping, "hostIP");
	const char *text = value && !json_is_null(value) ? json_string_value(value) : "";
	char plain[ADDR_TEXT_MAX] = "";
	union mg_addr addr;

	if (!text || (*text && addr_parse(text, &addr) < 0))
		return bad(error, "hostIP", "an address");
	if (*text)
		addr_format(&addr, plain);
	json_object_set_new(entry, "hostIP", json_string(plain));
	return 0;
}

static int read_mapping(const json_t *mapping, json_t *list, struct cni_error *error)
{
	_cleanup_json_ json_t *entry = json_object();
	int r;

	if (!json_is_object(mapping))
		return bad(error, "each", "an object");
	r = read_port(mapping, "hostPort", entry, error);
	if (!r)
		r = read_port(mapping, "containerPort", entry, error);
	if (!r)
		r = read_protocol(mapping, entry, error);
	if (!r)
		r = read_address(mapping, entry, error);
	if (!r)
		json_array_append(list, entry);
	return r;
}

int ports_read(const json_t *tree, json_t **ret_list, struct cni_error *error)
{
	_cleanup_json_ json_t *list = json_array();
	json_t *mapping;
	size_t i;

	if (tree && !json_is_null(tree) && !json_is_array(tree))
		return bad(error, "all", "a list");
	if (json_array_size(tree) > PORTS_MAX)
		return bad(error, "all", "at most 256 mappings");
	json_array_foreach((json_t *)tree, i, mapping) {
		int r = read_mapping(mapping, list, error);

		if (r < 0)
			return r;
	}
	*ret_list = json_array_size(list) ? TAKE_PTR(list) : NULL;
	return 0;
}
