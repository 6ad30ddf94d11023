/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/default_pool.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/inet.h"
#include "base/json.h"

#define NAME_MAX_SIZE 48

struct wanted {
	int family;
	default_pool_get get;
	void *arg;
};

static const char *value_of(const struct wanted *wanted, const char *what, const char *otherwise)
{
	char name[NAME_MAX_SIZE];
	const char *value;

	snprintf(name, sizeof(name), "CALICO_IPV%dPOOL_%s", wanted->family, what);
	value = wanted->get(wanted->arg, name);
	return value && *value ? value : otherwise;
}

static int take_cidr(const struct wanted *wanted, json_t *spec, struct err *err)
{
	const char *cidr = value_of(wanted, "CIDR", NULL);
	struct mg_prefix prefix;

	if (!cidr)
		return -ENOENT;
	if (!strchr(cidr, '/') || prefix_parse(cidr, true, &prefix) < 0 ||
	    prefix_is4(&prefix) != (wanted->family == 4))
		return err_set(err, -EINVAL, "CALICO_IPV%dPOOL_CIDR: \"%s\" is no IPv%d network",
			       wanted->family, cidr, wanted->family);
	json_object_set_new(spec, "cidr", json_string(cidr));
	return 0;
}

/* Names a mode as the API does; "Off" is an old name of "Never". */
static int take_mode(const struct wanted *wanted, const char *what, const char *otherwise,
		     json_t *spec, struct err *err)
{
	static const char *const modes[] = { "Always", "CrossSubnet", "Never" };
	const char *value = value_of(wanted, what, otherwise);

	if (!strcasecmp(value, "Off"))
		value = "Never";
	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		if (strcasecmp(value, modes[i]) != 0)
			continue;
		json_object_set_new(spec, !strcmp(what, "IPIP") ? "ipipMode" : "vxlanMode",
				    json_string(modes[i]));
		return 0;
	}
	return err_set(err, -EINVAL,
		       "CALICO_IPV%dPOOL_%s: \"%s\" is not Always, CrossSubnet or Never",
		       wanted->family, what, value);
}

static int take_block_size(const struct wanted *wanted, json_t *spec, struct err *err)
{
	const char *text = value_of(wanted, "BLOCK_SIZE", NULL);
	char *end;
	long bits;

	if (!text)
		return 0;
	bits = strtol(text, &end, 10);
	if (*end || bits < 1 || bits > (wanted->family == 4 ? 32 : 128))
		return err_set(err, -EINVAL, "CALICO_IPV%dPOOL_BLOCK_SIZE: \"%s\" is no length",
			       wanted->family, text);
	json_object_set_new(spec, "blockSize", json_integer(bits));
	return 0;
}

static int fill(const struct wanted *wanted, json_t *spec, struct err *err)
{
	bool is4 = wanted->family == 4;
	/* One encapsulation at a time: who asks for VXLAN alone gets no IP-in-IP. */
	const char *vxlan = value_of(wanted, "VXLAN", "Never");
	const char *ipip = is4 && (!strcasecmp(vxlan, "Never") || !strcasecmp(vxlan, "Off"))
				   ? "Always"
				   : "Never";
	int r = take_cidr(wanted, spec, err);

	if (!r)
		r = take_mode(wanted, "IPIP", ipip, spec, err);
	if (!r)
		r = take_mode(wanted, "VXLAN", "Never", spec, err);
	if (!r)
		r = take_block_size(wanted, spec, err);
	if (r < 0)
		return r;
	json_object_set_new(
		spec, "natOutgoing",
		json_boolean(!strcasecmp(value_of(wanted, "NAT_OUTGOING", is4 ? "true" : "false"),
					 "true")));
	json_object_set_new(spec, "nodeSelector",
			    json_string(value_of(wanted, "NODE_SELECTOR", "all()")));
	return 0;
}

int default_pool_of(int family, default_pool_get get, void *arg, json_t **ret_object,
		    struct err *err)
{
	const struct wanted wanted = { .family = family, .get = get, .arg = arg };
	_cleanup_json_ json_t *spec = json_object();
	int r = fill(&wanted, spec, err);

	*ret_object = NULL;
	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return r;
	*ret_object = json_pack("{s:s,s:s,s:{s:s},s:O}", "apiVersion", "projectcalico.org/v3",
				"kind", "IPPool", "metadata", "name",
				family == 4 ? "default-ipv4-ippool" : "default-ipv6-ippool", "spec",
				spec);
	return 0;
}
