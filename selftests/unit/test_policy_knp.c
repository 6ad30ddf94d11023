/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the API says of NetworkPolicy (networking.k8s.io/v1), sentence by sentence: YAML in,
 * verdicts out. Here the wanted answers are written down by hand, for the engine and the oracle
 * alike; the random tests compare only the two.
 */
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/inet.h"
#include "model/netpol.h"
#include "policy/knp.h"
#include "policy/oracle.h"
#include "selftests/lib/decode.h"
#include "selftests/lib/policy_kernel.h"

enum { WEB, DB, OTHER, LATE, PODS }; /* other: in namespace lab; late: in one without object */

static struct {
	const char *ns;
	struct label label[1];
	struct labels labels;
	struct label ns_label[2];
	struct labels ns_labels;
	struct pod_port port;
	const char *ip4, *ip6;
	union mg_addr ips[2];
} cast[PODS] = {
	[WEB] = { .ns = "shop",
		  .label = { { "app", "web" } },
		  .ip4 = "10.1.0.1",
		  .ip6 = "fd00::1",
		  .port = { "http", 8080, IPPROTO_TCP } },
	[DB] = { .ns = "shop",
		 .label = { { "app", "db" } },
		 .ip4 = "10.1.0.2",
		 .ip6 = "fd00::2",
		 .port = { "http", 80, IPPROTO_TCP } },
	[OTHER] = { .ns = "lab",
		    .label = { { "app", "web" } },
		    .ip4 = "10.1.0.3",
		    .ip6 = "fd00::3",
		    .port = { "http", 80, IPPROTO_UDP } },
	[LATE] = { .ns = "void",
		   .label = { { "app", "db" } },
		   .ip4 = "10.1.0.4",
		   .ip6 = "fd00::4",
		   .port = { "x", 1, IPPROTO_TCP } },
};

static struct engine *engine;
static struct policy_kernel *kernel;
static struct object *object;

static void tell_pod(int i)
{
	struct engine_label own = { cast[i].label[0].key, cast[i].label[0].value };
	struct engine_label ns[2] = { { cast[i].ns_label[0].key, cast[i].ns_label[0].value },
				      { cast[i].ns_label[1].key, cast[i].ns_label[1].value } };
	struct engine_port port = { cast[i].port.name, cast[i].port.port, cast[i].port.protocol };
	struct engine_endpoint endpoint = {
		.facts = { .kind = ENGINE_POD,
			   .namespace = cast[i].ns,
			   .labels = { &own, 1 },
			   .namespace_labels = { ns, cast[i].ns_labels.count },
			   .ports = &port,
			   .port_count = 1 },
		.ip4 = cast[i].ips[0],
		.ip6 = cast[i].ips[1],
	};

	for (int k = 0; k < 2; k++)
		engine_addr_set(engine, &cast[i].ips[k], &endpoint.facts);
	assert_int_equal(engine_endpoint_set(engine, i + 1, &endpoint), 0);
}

static void given(const char *yaml)
{
	engine = engine_new(NULL);
	kernel = pk_new();
	for (int i = 0; i < PODS; i++) {
		cast[i].labels = (struct labels){ 1, cast[i].label };
		cast[i].ns_label[0] = (struct label){ LABEL_METADATA_NAME, cast[i].ns };
		cast[i].ns_label[1] = (struct label){ "team", cast[i].ns };
		cast[i].ns_labels = (struct labels){ i == LATE ? 0 : 2, cast[i].ns_label };
		assert_int_equal(addr_parse(cast[i].ip4, &cast[i].ips[0]), 0);
		assert_int_equal(addr_parse(cast[i].ip6, &cast[i].ips[1]), 0);
		tell_pod(i);
	}
	object = decode_yaml(yaml, DECODE_STRICT);
	engine_policy_set(engine, knp_policy(network_policy_of(object)));
	pk_settle(kernel, engine);
}

static void done(void)
{
	object_unref(object);
	engine_free(engine);
	pk_free(kernel);
}

static bool oracle_says(int near, enum policy_direction direction,
			const struct oracle_packet *packet)
{
	const struct object *policy = object;
	struct oracle_pod pods[PODS];
	struct oracle_world world = {
		.pods = pods, .pod_count = PODS, .policies = &policy, .policy_count = 1
	};

	for (int i = 0; i < PODS; i++)
		pods[i] = (struct oracle_pod){ .ns = cast[i].ns,
					       .labels = &cast[i].labels,
					       .ns_labels = i == LATE ? NULL : &cast[i].ns_labels,
					       .ips = cast[i].ips,
					       .ip_count = 2,
					       .ports = &cast[i].port,
					       .port_count = 1 };
	return oracle_allows(&world, &pods[near], direction, packet);
}

/* Both must say so. peer: an address, of a pod or not. */
static void judged(int line, int near, enum policy_direction direction, const char *peer,
		   const char *what, bool want)
{
	struct pk_packet packet = { .sport = 40000, .icmp_type = 8 };
	enum mg_stage stage = direction == POLICY_IN ? MG_STAGE_WORKLOAD_IN : MG_STAGE_WORKLOAD_OUT;
	struct oracle_packet asked;
	char proto[8] = "";
	unsigned int port = 0;
	bool engine_says;

	assert_in_range(sscanf(what, "%7s %u", proto, &port), 1, 2);
	assert_int_equal(addr_parse(peer, &packet.peer), 0);
	packet.proto = !strcmp(proto, "tcp")	? IPPROTO_TCP
		       : !strcmp(proto, "udp")	? IPPROTO_UDP
		       : !strcmp(proto, "sctp") ? IPPROTO_SCTP
		       : !strcmp(proto, "gre")	? IPPROTO_GRE
		       : addr_is4(&packet.peer) ? IPPROTO_ICMP
						: IPPROTO_ICMPV6;
	packet.dport = port;
	asked = (struct oracle_packet){ .src = packet.peer,
					.dst = packet.peer,
					.proto = packet.proto,
					.sport = packet.sport,
					.dport = port };
	*(direction == POLICY_IN ? &asked.dst : &asked.src) =
		cast[near].ips[!addr_is4(&packet.peer)];
	engine_says = pk_allows(kernel, pk_judge(kernel, near + 1, stage, &packet));
	if (engine_says != want || oracle_says(near, direction, &asked) != want)
		fail_msg("line %d: %s and %s: engine %d, oracle %d, wanted %d", line, peer, what,
			 engine_says, oracle_says(near, direction, &asked), want);
}

#define from(peer, near, what, want) judged(__LINE__, near, POLICY_IN, peer, what, want)
#define to(near, peer, what, want) judged(__LINE__, near, POLICY_OUT, peer, what, want)

#define HEAD                                                                                       \
	"apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\n"                                  \
	"metadata: {name: p, namespace: shop}\nspec:\n"

/* "By default, a pod is non-isolated"; of a policy only the directions it names isolate. */
static void isolation_is_by_direction(void **state)
{
	(void)state;
	given(HEAD "  podSelector: {matchLabels: {app: web}}\n");
	from("10.1.0.2", WEB, "tcp 80", false);
	from("8.8.8.8", WEB, "icmp", false);
	to(WEB, "10.1.0.2", "tcp 80", true);
	from("10.1.0.1", DB, "tcp 80", true);
	from("10.1.0.1", OTHER, "tcp 80", true); /* equal labels, another namespace */
	from("10.1.0.1", LATE, "udp 53", true);	 /* a namespace without an object */
	done();
	given(HEAD "  podSelector: {}\n  policyTypes: [Egress]\n");
	to(WEB, "10.1.0.2", "tcp 80", false);
	to(DB, "fd00::3", "tcp 80", false);
	from("10.1.0.2", WEB, "tcp 80", true);
	done();
	given(HEAD "  podSelector: {}\n  egress: [{}]\n");
	to(WEB, "8.8.8.8", "gre", true); /* policyTypes: both, since there is an egress rule */
	from("10.1.0.2", WEB, "tcp 80", false);
	done();
	given(HEAD "  podSelector: {}\n  policyTypes: [Egress]\n  ingress: [{}]\n");
	from("10.1.0.3", WEB, "tcp 80", true); /* rules of a type not named isolate nobody */
	to(WEB, "10.1.0.2", "tcp 80", false);
	done();
}

/* "If this field is empty or missing, this rule matches all sources." An item of the list
 * with empty selectors is something else. */
static void missing_empty_and_all(void **state)
{
	(void)state;
	given(HEAD "  podSelector: {}\n  ingress: []\n");
	from("10.1.0.2", WEB, "tcp 80", false);
	done();
	given(HEAD "  podSelector: {}\n  ingress: [{from: []}]\n");
	from("8.8.8.8", WEB, "gre", true);
	from("2001:db8::1", WEB, "icmp", true);
	done();
	given(HEAD "  podSelector: {}\n  ingress: [{from: [{podSelector: {}}]}]\n");
	from("10.1.0.2", WEB, "tcp 80", true);
	from("fd00::2", WEB, "tcp 80", true);
	from("10.1.0.3", WEB, "tcp 80", false); /* all pods of this namespace only */
	from("8.8.8.8", WEB, "tcp 80", false);
	done();
	given(HEAD "  podSelector: {}\n  ingress: [{from: [{namespaceSelector: {}}]}]\n");
	from("10.1.0.3", WEB, "tcp 80", true);
	from("10.1.0.4", WEB, "tcp 80", true);
	from("8.8.8.8", WEB, "tcp 80", false); /* all pods, nobody else */
	done();
}

/* One item with both selectors is an "and", two items are an "or". */
static void items_and_selectors(void **state)
{
	(void)state;
	given(HEAD "  podSelector: {matchLabels: {app: db}}\n  ingress:\n"
		   "  - from:\n"
		   "    - namespaceSelector: {matchLabels: {team: lab}}\n"
		   "      podSelector: {matchLabels: {app: web}}\n");
	from("10.1.0.3", DB, "tcp 1", true);
	from("10.1.0.1", DB, "tcp 1", false);
	from("10.1.0.4", DB, "tcp 1", false);
	done();
	given(HEAD "  podSelector: {matchLabels: {app: db}}\n  ingress:\n"
		   "  - from:\n"
		   "    - namespaceSelector: {matchLabels: {team: lab}}\n"
		   "    - podSelector: {matchLabels: {app: web}}\n");
	from("10.1.0.3", DB, "tcp 1", true);
	from("10.1.0.1", DB, "tcp 1", true);
	from("10.1.0.4", DB, "tcp 1", false);
	done();
	given(HEAD
	      "  podSelector: {matchLabels: {app: db}}\n  ingress:\n"
	      "  - from:\n"
	      "    - namespaceSelector: {matchExpressions: [{key: team, operator: DoesNotExist}]}\n"
	      "    - namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: lab}}\n");
	from("10.1.0.4", DB, "tcp 1", true); /* no object: only the name's label */
	from("10.1.0.3", DB, "tcp 1", true);
	from("10.1.0.1", DB, "tcp 1", false);
	from("8.8.8.8", DB, "tcp 1", false); /* a negation does not reach what is no pod */
	done();
}

/* ipBlock: with except; pods are addresses too; families apart. */
static void blocks(void **state)
{
	(void)state;
	given(HEAD
	      "  podSelector: {matchLabels: {app: db}}\n  ingress:\n"
	      "  - from: [{ipBlock: {cidr: 10.1.0.0/16, except: [10.1.0.3/32, 10.1.7.0/24]}}]\n"
	      "  egress:\n"
	      "  - to: [{ipBlock: {cidr: '::/0'}}]\n");
	from("10.1.0.1", DB, "tcp 1", true);
	from("10.1.0.3", DB, "tcp 1", false);
	from("10.1.7.9", DB, "tcp 1", false);
	from("10.1.8.9", DB, "gre", true);
	from("10.2.0.1", DB, "tcp 1", false);
	from("fd00::1", DB, "tcp 1", false);
	to(DB, "fd00::1", "tcp 1", true);
	to(DB, "2001:db8::7", "icmp", true);
	to(DB, "10.1.0.1", "tcp 1", false); /* IPv4 lies in no IPv6 block */
	to(DB, "8.8.8.8", "tcp 1", false);
	done();
}

/* Ports: TCP where no protocol is given, ranges, names by the receiving pod; a rule with ports
 * never matches what has none. */
static void ports(void **state)
{
	(void)state;
	given(HEAD "  podSelector: {}\n  ingress:\n"
		   "  - ports: [{port: 80}, {protocol: UDP, port: 5000, endPort: 5002},\n"
		   "            {protocol: SCTP}]\n");
	from("8.8.8.8", WEB, "tcp 80", true);
	from("8.8.8.8", WEB, "tcp 81", false);
	from("8.8.8.8", WEB, "udp 80", false);
	from("8.8.8.8", WEB, "udp 4999", false);
	from("8.8.8.8", WEB, "udp 5000", true);
	from("8.8.8.8", WEB, "udp 5002", true);
	from("8.8.8.8", WEB, "udp 5003", false);
	from("8.8.8.8", WEB, "sctp 9", true);
	from("8.8.8.8", WEB, "icmp", false);
	from("8.8.8.8", WEB, "gre", false);
	done();
	given(HEAD "  podSelector: {}\n"
		   "  ingress: [{ports: [{port: http}]}]\n"
		   "  egress: [{ports: [{port: http}]}]\n");
	from("8.8.8.8", WEB, "tcp 8080", true); /* http of each receiver */
	from("8.8.8.8", WEB, "tcp 80", false);
	from("8.8.8.8", DB, "tcp 80", true);
	from("8.8.8.8", DB, "tcp 8080", false);
	to(WEB, "10.1.0.2", "tcp 80", true);
	to(WEB, "10.1.0.2", "tcp 8080", false);
	to(DB, "10.1.0.1", "tcp 8080", true);
	to(WEB, "10.1.0.3", "tcp 80", false); /* its http is UDP */
	to(WEB, "8.8.8.8", "tcp 80", false);  /* no pod, no names */
	done();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(isolation_is_by_direction),
		cmocka_unit_test(missing_empty_and_all),
		cmocka_unit_test(items_and_selectors),
		cmocka_unit_test(blocks),
		cmocka_unit_test(ports),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
