/* SPDX-License-Identifier: Apache-2.0 */
/* HostEndpoint (projectcalico.org/v3). */
#include "model/host.h"

#include <netinet/in.h>

#include "model/decode_kinds.h"
#include "model/names.h"
#include "model/pod.h"

static bool is_interface(const char *text)
{
	return !strcmp(text, "*") || name_is_interface(text);
}

/* Rules meet named ports of pods alone. */
static void warn_ports(struct decode *d, const struct path *path, const json_t *value)
{
	const struct path place = { .up = path, .key = "ports" };

	if (json_array_size(json_object_get(value, "ports")))
		warn_of(d, &place, "have no effect: named ports are ports of pods");
}

static void check_spec(struct decode *d, const struct path *path, const json_t *value, void *at)
{
	const struct host_endpoint *host = at;

	if (!*host->interface && !host->ip_count)
		complain(d, path, "needs interfaceName or expectedIPs");
	warn_ports(d, path, value);
	for (size_t i = 0; i < host->profile_count; i++) {
		const struct path list = { .up = path, .key = "profiles" };

		if (strcmp(host->profiles[i], PROFILE_DEFAULT_ALLOW))
			warn_of(d, &list, "%.64s has no effect", host->profiles[i]);
	}
}

static const struct field ip_field = { .read = read_addr };
static const struct field profile_field = { .read = read_text };
static const struct field spec_fields[] = {
	FIELD("node", struct host_endpoint, node, read_text,
	      .flags = FIELD_REQUIRED | FIELD_NOT_EMPTY),
	FIELD("interfaceName", struct host_endpoint, interface, read_text, .is_valid = is_interface,
	      .what = "an interface name or *"),
	FIELD_LIST("expectedIPs", struct host_endpoint, ip_count, ips, &ip_field),
	FIELD_LIST("profiles", struct host_endpoint, profile_count, profiles, &profile_field,
		   .max = 256),
	FIELD_KNOWN("ports"),
	FIELD_END
};
static const struct shape spec_shape = { .fields = spec_fields, .check = check_spec };
static const struct field fields[] = { FIELD_SAME("spec", &spec_shape, .flags = FIELD_REQUIRED),
				       FIELD_END };
static const struct shape shape = { .fields = fields };

static void host_defaults(struct decode *d, void *object)
{
	struct host_endpoint *host = object;

	(void)d;
	host->node = host->interface = "";
}

const struct decoder decoder_host_endpoint = { .size = sizeof(struct host_endpoint),
					       .shape = &shape,
					       .defaults = host_defaults };
