/* SPDX-License-Identifier: Apache-2.0 */
#include "selftests/lib/policy_hosts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <netinet/in.h>

#include "base/arena.h"
#include "base/inet.h"

static struct engine_labels labels_of(const struct pw_host *host)
{
	return (struct engine_labels){ (const struct engine_label *)host->labels.v,
				       host->labels.count };
}

void pw_hosts_tell(const struct pw_hosts *hosts, struct engine *engine)
{
	for (unsigned int i = 0; i < PW_HOSTS; i++) {
		const struct pw_host *host = &hosts->host[i];
		_cleanup_free_ char *key = xasprintf("HostEndpoint/%u", i);
		const struct engine_facts expected = { .kind = ENGINE_NETSET,
						       .labels = labels_of(host) };
		const struct engine_endpoint endpoint = {
			.facts = { .kind = ENGINE_HOST_END, .labels = labels_of(host) },
			.default_deny = !host->default_allow,
		};
		struct mg_prefix nets[2];

		for (int k = 0; k < 2; k++)
			nets[k] = (struct mg_prefix){ MG_ADDR_BITS, host->ips[k] };
		engine_netset_set(engine, key, &expected, nets, 2);
		assert_int_equal(engine_endpoint_set(engine, PW_HOST_SLOT + i, &endpoint), 0);
	}
}

void pw_hosts_random(struct policy_world *world, struct pw_hosts *hosts)
{
	for (unsigned int i = 0; i < PW_HOSTS; i++) {
		struct pw_host *host = &hosts->host[i];

		host->labels = (struct labels){ .v = host->label };
		for (unsigned int k = 0; k < PW_LABELS; k++)
			if (pw_chance(world, 60))
				host->label[host->labels.count++] =
					(struct label){ pw_keys[k], pw_pick(world, pw_words) };
		labels_sort(&host->labels);
		host->default_allow = pw_chance(world, 50);
		/* the first ones' addresses are nobody's, the other's are in a block of rules */
		host->ips[0] = addr_from4(htonl(i ? 0xc0000205 : 0x0a640001));
		host->ips[1] = (union mg_addr){ .b = { 0xfd, 9, [15] = (uint8_t)i } };
		hosts->oracle[i] =
			(struct oracle_host){ &host->labels, host->ips, 2, host->default_allow };
	}
}
