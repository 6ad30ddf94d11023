/* SPDX-License-Identifier: Apache-2.0 */
#include "selftests/lib/policy_random.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/inet.h"

const char *const pw_words[4] = { "web", "db", "cache", "dns" };
const char *const pw_keys[4] = { "app", "tier", "env", "team" };
const char *const pw_port_names[3] = { "http", "dns", "metrics" };
const char *const pw_ns_names[PW_NAMESPACES] = { "shop", "infra", "lab", "void" };
const char *const pw_account_names[PW_ACCOUNTS] = { "builder", "runner" };

static const uint8_t protocols[] = { IPPROTO_TCP, IPPROTO_UDP, IPPROTO_SCTP };

uint32_t pw_random(struct policy_world *world, uint32_t below)
{
	/* xorshift64 (Marsaglia 2003) */
	world->random ^= world->random << 13;
	world->random ^= world->random >> 7;
	world->random ^= world->random << 17;
	return (uint32_t)(world->random >> 32) % below;
}

bool pw_chance(struct policy_world *world, uint32_t percent)
{
	return pw_random(world, 100) < percent;
}

uint64_t pw_seed(void)
{
	const char *text = getenv("MARGAY_SEED");
	uint64_t seed = text ? strtoull(text, NULL, 0) : (uint64_t)time(NULL) * 2654435761U;

	printf("# seed MARGAY_SEED=%llu\n", (unsigned long long)seed);
	return seed;
}

/* --- labels and pods ----------------------------------------------------------------------- */

static void random_labels(struct policy_world *world, struct label *label, struct labels *labels)
{
	*labels = (struct labels){ .v = label };
	for (unsigned int i = 0; i < PW_LABELS; i++)
		if (pw_chance(world, 45))
			label[labels->count++] =
				(struct label){ pw_keys[i], pw_pick(world, pw_words) };
	labels_sort(labels);
}

static void random_namespace(struct policy_world *world, unsigned int i)
{
	struct pw_namespace *ns = &world->ns[i];

	ns->name = pw_ns_names[i];
	ns->has_object = pw_chance(world, 80);
	random_labels(world, ns->label, &ns->labels);
	if (ns->labels.count == PW_LABELS)
		ns->labels.count--;
	ns->label[ns->labels.count++] = (struct label){ LABEL_METADATA_NAME, ns->name };
	labels_sort(&ns->labels);
	for (unsigned int k = 0; k < PW_ACCOUNTS; k++)
		random_labels(world, ns->account_label[k], &ns->account_labels[k]);
}

static void random_ports(struct policy_world *world, struct pw_pod *pod)
{
	static const uint16_t numbers[] = { 53, 80, 8080 };

	pod->port_count = 0;
	while (pod->port_count < PW_PORTS && pw_chance(world, 50))
		pod->port[pod->port_count++] =
			(struct pod_port){ pw_pick(world, pw_port_names), pw_pick(world, numbers),
					   pw_pick(world, protocols) };
}

static void random_pod(struct policy_world *world, unsigned int i)
{
	struct pw_pod *pod = &world->pod[i];

	pod->present = true;
	pod->ns = pw_random(world, PW_NAMESPACES);
	pod->account = pw_random(world, PW_ACCOUNTS + 1);
	pod->slot = pw_chance(world, 50) ? i + 1 : 0;
	random_labels(world, pod->label, &pod->labels);
	random_ports(world, pod);
	pod->ip_count = 1 + pw_chance(world, 60);
	pod->ips[0] = addr_from4(htonl(0x0a010000 + i + 1));
	pod->ips[1] = (union mg_addr){ .b = { 0xfd, 0, 0, 1, [15] = i + 1 } };
}

void pw_init(struct policy_world *world, uint64_t seed)
{
	*world = (struct policy_world){ .random = seed * 2 + 1 };
	for (int i = 0; i < 8; i++)
		pw_random(world, 2);
	for (unsigned int i = 0; i < PW_NAMESPACES; i++)
		random_namespace(world, i);
	for (unsigned int i = 0; i < PW_PODS; i++)
		if (pw_chance(world, 80))
			random_pod(world, i);
	pw_random_names(world);
	for (unsigned int i = 0; i < PW_OBJECTS; i++)
		if (pw_chance(world, i < PW_FIRST_POLICY ? 75 : 45))
			pw_object_set(world, i, pw_random_object(world, i));
}

void pw_done(struct policy_world *world)
{
	for (unsigned int i = 0; i < PW_OBJECTS; i++)
		pw_object_set(world, i, NULL);
}

void pw_copy(const struct policy_world *world, struct policy_world *ret_copy)
{
	*ret_copy = *world;
	for (unsigned int i = 0; i < PW_NAMESPACES; i++) {
		struct pw_namespace *ns = &ret_copy->ns[i];

		ns->labels.v = ns->label;
		for (unsigned int k = 0; k < PW_ACCOUNTS; k++)
			ns->account_labels[k].v = ns->account_label[k];
	}
	for (unsigned int i = 0; i < PW_PODS; i++)
		ret_copy->pod[i].labels.v = ret_copy->pod[i].label;
	for (unsigned int i = 0; i < PW_OBJECTS; i++) {
		json_incref(ret_copy->object[i].tree);
		if (ret_copy->object[i].object)
			object_ref(ret_copy->object[i].object);
	}
}

/* --- packets ------------------------------------------------------------------------------- */

static union mg_addr random_addr(struct policy_world *world, bool ip4)
{
	static const char *const four[] = { "10.1.0.9",	 "10.1.0.77", "10.1.9.9",    "10.9.9.9",
					    "192.0.2.5", "8.8.8.8",   "192.0.2.200", "10.1.0.15" };
	static const char *const six[] = { "fd00:1::9:9", "fd00:2::1", "2001:db8::1" };
	uint32_t i = pw_random(world, 24);
	union mg_addr addr;

	if (addr_parse(ip4 ? four[i % 8] : six[i % 3], &addr))
		abort();
	return addr;
}

static void random_protocol(struct policy_world *world, bool ip6, struct oracle_packet *packet)
{
	static const uint8_t protos[] = { IPPROTO_TCP,	IPPROTO_TCP,  IPPROTO_UDP,
					  IPPROTO_SCTP, IPPROTO_ICMP, 47 };
	static const uint16_t ports[] = { 1, 2, 52, 53, 54, 80, 81, 255, 256, 257, 8080, 65535 };

	packet->proto = pw_pick(world, protos);
	if (packet->proto == 47)
		return;
	if (packet->proto == IPPROTO_ICMP) {
		packet->proto = ip6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP;
		packet->icmp_type = pw_random(world, 3) * 8;
		packet->icmp_code = pw_random(world, 2);
		return;
	}
	packet->sport = 1024 + pw_random(world, 60000);
	packet->dport = pw_pick(world, ports);
}

bool pw_case(struct policy_world *world, const struct pw_view *view, struct pw_case *ret_case)
{
	unsigned int near, far, family;
	const struct oracle_pod *pod;
	union mg_addr peer;

	if (!view->oracle.pod_count)
		return false;
	near = pw_random(world, view->oracle.pod_count);
	far = pw_random(world, view->oracle.pod_count);
	pod = &view->pod[near];
	family = pw_random(world, pod->ip_count);
	if (!world->pod[view->index[near]].slot)
		return false;
	peer = random_addr(world, family == 0);
	if (pw_chance(world, 65) && far != near && family < view->pod[far].ip_count)
		peer = view->pod[far].ips[family];
	*ret_case = (struct pw_case){ .pod = near, .direction = pw_random(world, 2) };
	random_protocol(world, family, &ret_case->packet);
	ret_case->packet.src = ret_case->direction == POLICY_IN ? peer : pod->ips[family];
	ret_case->packet.dst = ret_case->direction == POLICY_IN ? pod->ips[family] : peer;
	return true;
}
