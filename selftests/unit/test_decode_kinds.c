/* SPDX-License-Identifier: Apache-2.0 */
/* Right objects become the structs that others read: what policy and nodes need. */
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/inet.h"
#include "model/felix.h"
#include "model/felix_env.h"
#include "model/ippool.h"
#include "model/netpol.h"
#include "model/node.h"
#include "model/pod.h"
#include "selftests/lib/decode.h"

static void test_netpol(void **state)
{
	_cleanup_object_ struct object *object =
		decode_yaml("apiVersion: networking.k8s.io/v1\n"
			    "kind: NetworkPolicy\n"
			    "metadata: {name: p, namespace: shop}\n"
			    "spec:\n"
			    "  podSelector: {matchLabels: {app: db}, matchExpressions: [{key: x, "
			    "operator: Exists}]}\n"
			    "  ingress:\n"
			    "  - from:\n"
			    "    - {podSelector: {}}\n"
			    "    - {namespaceSelector: {matchLabels: {t: a}}, podSelector: "
			    "{matchLabels: {b: c}}}\n"
			    "    - {ipBlock: {cidr: 10.1.2.3/8, except: [10.9.9.9/16]}}\n"
			    "    ports:\n"
			    "    - {port: 80}\n"
			    "    - {port: http, protocol: UDP}\n"
			    "    - {port: 100, endPort: 200, protocol: SCTP}\n"
			    "    - {protocol: UDP}\n",
			    DECODE_STRICT);
	const struct network_policy *policy = network_policy_of(object);
	const struct netpol_rule *rule = policy->ingress.v;

	(void)state;
	assert_string_equal(object->ns, "shop");
	assert_selector(policy->pods, "(has(x) && app == \"db\")");
	assert_int_equal(policy->types, NETPOL_INGRESS);
	assert_int_equal(policy->ingress.count, 1);
	assert_int_equal(policy->egress.count, 0);
	assert_int_equal(rule->peer_count, 3);
	assert_selector(rule->peers[0].pods, "all()");
	assert_null(rule->peers[0].namespaces); /* missing, not empty: the policy's namespace */
	assert_selector(rule->peers[1].namespaces, "t == \"a\"");
	assert_selector(rule->peers[1].pods, "b == \"c\"");
	assert_true(rule->peers[2].is_block);
	assert_prefix(&rule->peers[2].block, "10.0.0.0/8");
	assert_int_equal(rule->peers[2].except_count, 1);
	assert_prefix(rule->peers[2].except, "10.9.0.0/16");
	assert_int_equal(rule->port_count, 4);
	assert_int_equal(rule->ports[0].protocol, IPPROTO_TCP);
	assert_int_equal(rule->ports[0].first, 80);
	assert_int_equal(rule->ports[0].last, 80);
	assert_int_equal(rule->ports[1].kind, NETPOL_PORT_NAME);
	assert_string_equal(rule->ports[1].name, "http");
	assert_int_equal(rule->ports[2].last, 200);
	assert_int_equal(rule->ports[3].kind, NETPOL_PORT_ANY);
	assert_int_equal(rule->ports[3].protocol, IPPROTO_UDP);
}

/* policyTypes by the API's inference. */
static void test_netpol_types(void **state)
{
	static const struct {
		const char *spec;
		unsigned int want;
	} cases[] = {
		{ "{podSelector: {}}", NETPOL_INGRESS },
		{ "{}", NETPOL_INGRESS },
		{ "{egress: []}", NETPOL_INGRESS },
		{ "{egress: [{}]}", NETPOL_INGRESS | NETPOL_EGRESS },
		{ "{egress: [{ports: [{port: 0}]}]}",
		  NETPOL_INGRESS | NETPOL_EGRESS }, /* dropped */
		{ "{policyTypes: []}", NETPOL_INGRESS },
		{ "{policyTypes: [Egress]}", NETPOL_EGRESS },
		{ "{policyTypes: [Egress], ingress: [{}]}", NETPOL_EGRESS },
		{ "{policyTypes: [Egress, Ingress]}", NETPOL_INGRESS | NETPOL_EGRESS },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		_cleanup_free_ char *yaml =
			xasprintf("apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\n"
				  "metadata: {name: p}\nspec: %s\n",
				  cases[i].spec);
		_cleanup_object_ struct object *object = decode_yaml(yaml, DECODE_LENIENT);

		assert_int_equal(network_policy_of(object)->types, cases[i].want);
		assert_selector(network_policy_of(object)->pods, "all()");
		assert_string_equal(object->ns, "default");
	}
}

/* Rules keep their places when one before them is dropped. */
static void test_netpol_dropped(void **state)
{
	_cleanup_object_ struct object *object = decode_yaml(
		"apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: p}\n"
		"spec:\n"
		"  podSelector: {}\n"
		"  ingress:\n"
		"  - ports: [{port: 1}]\n"
		"  - from: [{podSelector: {}}, {ipBlock: {cidr: x}}]\n"
		"  - ports: [{port: 3}]\n",
		DECODE_LENIENT);
	const struct network_policy *policy = network_policy_of(object);

	(void)state;
	assert_int_equal(policy->ingress.count, 2);
	assert_int_equal(policy->ingress.v[0].index, 0);
	assert_int_equal(policy->ingress.v[1].index, 2);
	assert_int_equal(policy->ingress.v[1].ports[0].first, 3);
	assert_int_equal(policy->ingress.v[1].peer_count, 0);
}

static void test_pod(void **state)
{
	_cleanup_object_ struct object *object = decode_yaml(
		"apiVersion: v1\nkind: Pod\n"
		"metadata: {name: p, namespace: a, deletionTimestamp: '2026-01-01T00:00:00Z'}\n"
		"spec:\n"
		"  serviceAccountName: robot\n"
		"  nodeName: n1\n"
		"  hostNetwork: true\n"
		"  hostname: first\n"
		"  subdomain: web\n"
		"  initContainers:\n"
		"  - {name: once, ports: [{name: once, containerPort: 1}]}\n"
		"  - {name: side, restartPolicy: Always, ports: [{name: side, containerPort: 2}]}\n"
		"  containers:\n"
		"  - ports:\n"
		"    - {name: http, containerPort: 80}\n"
		"    - {containerPort: 81}\n"
		"  - ports: [{name: dns, containerPort: 53, protocol: UDP}]\n"
		"status:\n"
		"  phase: Running\n"
		"  conditions: [{type: Initialized, status: 'False'}, {type: Ready, status: "
		"'True'}]\n"
		"  podIP: 10.0.0.1\n"
		"  podIPs: [{ip: 10.0.0.1}, {ip: 'fd00::1'}]\n",
		DECODE_STRICT);
	const struct pod *pod = pod_of(object);

	(void)state;
	assert_true(object->deleting);
	assert_string_equal(pod->service_account, "robot");
	assert_string_equal(pod->node, "n1");
	assert_true(pod->host_network);
	assert_true(pod->judged);
	assert_true(pod->ready);
	assert_string_equal(pod->hostname, "first");
	assert_string_equal(pod->subdomain, "web");
	assert_int_equal(pod->phase, POD_PHASE_RUNNING);
	assert_false(pod_is_done(pod));
	assert_int_equal(pod->ip_count, 2);
	assert_addr(&pod->ips[0], "10.0.0.1");
	assert_addr(&pod->ips[1], "fd00::1");
	assert_int_equal(pod->port_count, 3);
	assert_string_equal(pod->ports[0].name, "http");
	assert_int_equal(pod->ports[0].protocol, IPPROTO_TCP);
	assert_string_equal(pod->ports[1].name, "dns");
	assert_int_equal(pod->ports[1].protocol, IPPROTO_UDP);
	assert_int_equal(pod->ports[1].port, 53);
	assert_string_equal(pod->ports[2].name, "side");
}

static void test_pod_defaults(void **state)
{
	_cleanup_object_ struct object *bare =
		decode_yaml("apiVersion: v1\nkind: Pod\nmetadata: {name: p}\n", DECODE_STRICT);
	_cleanup_object_ struct object *old = decode_yaml(
		"apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nstatus: {podIP: 10.0.0.9}\n",
		DECODE_STRICT);
	_cleanup_object_ struct object *early =
		decode_yaml("apiVersion: v1\nkind: Pod\nmetadata:\n  name: p\n  annotations:\n"
			    "    cni.projectcalico.org/podIPs: 10.0.0.7/32,fd00::7/128\n",
			    DECODE_STRICT);

	(void)state;
	assert_string_equal(pod_of(bare)->service_account, "default");
	assert_string_equal(pod_of(bare)->node, "");
	assert_int_equal(pod_of(bare)->ip_count, 0);
	assert_false(pod_of(bare)->judged);
	assert_false(pod_of(bare)->ready);
	assert_string_equal(pod_of(bare)->hostname, "");
	assert_int_equal(pod_of(bare)->phase, POD_PHASE_UNKNOWN);
	assert_int_equal(pod_of(old)->ip_count, 1);
	assert_addr(pod_of(old)->ips, "10.0.0.9");
	assert_int_equal(pod_of(early)->ip_count, 2);
	assert_addr(&pod_of(early)->ips[0], "10.0.0.7");
	assert_addr(&pod_of(early)->ips[1], "fd00::7");
}

static void test_pool(void **state)
{
	_cleanup_object_ struct object *object = decode_yaml(
		"apiVersion: projectcalico.org/v3\nkind: IPPool\nmetadata: {name: p}\n"
		"spec: {cidr: 10.244.0.0/16, vxlanMode: CrossSubnet, natOutgoing: true}\n",
		DECODE_STRICT);
	_cleanup_object_ struct object *v6 = decode_yaml(
		"apiVersion: projectcalico.org/v3\nkind: IPPool\nmetadata: {name: q}\n"
		"spec: {cidr: 'fd00:1::/64', ipipMode: Always, assignmentMode: Manual,\n"
		"  allowedUses: [Tunnel], nodeSelector: rack == 'r1'}\n",
		DECODE_STRICT);
	const struct ip_pool *pool = ip_pool_of(object);

	(void)state;
	assert_prefix(&pool->cidr, "10.244.0.0/16");
	assert_int_equal(pool->vxlan, ENCAP_CROSS_SUBNET);
	assert_int_equal(pool->ipip, ENCAP_NEVER);
	assert_true(pool->nat_outgoing);
	assert_false(pool->disabled);
	assert_false(pool->manual);
	assert_int_equal(pool->block_size, 26);
	assert_int_equal(pool->uses, POOL_USE_TUNNEL | POOL_USE_WORKLOAD);
	assert_selector(pool->nodes, "all()");
	assert_selector(pool->namespaces, "all()");
	pool = ip_pool_of(v6);
	assert_int_equal(pool->block_size, 122);
	assert_int_equal(pool->ipip, ENCAP_ALWAYS);
	assert_true(pool->manual);
	assert_int_equal(pool->uses, POOL_USE_TUNNEL);
	assert_selector(pool->nodes, "rack == \"r1\"");
}

/* Both forms of a Node give the same struct. */
static void test_node(void **state)
{
	static const char *const forms[] = {
		"apiVersion: v1\nkind: Node\n"
		"metadata:\n"
		"  name: n1\n"
		"  annotations:\n"
		"    projectcalico.org/IPv4Address: 192.0.2.1/24\n"
		"    projectcalico.org/IPv4IPIPTunnelAddr: 10.244.0.1\n"
		"    projectcalico.org/IPv4VXLANTunnelAddr: 10.244.0.2\n"
		"    projectcalico.org/VXLANTunnelMACAddr: '66:11:22:33:44:55'\n"
		"    projectcalico.org/ASNumber: '64512'\n"
		"spec: {podCIDR: 10.1.0.0/24, podCIDRs: [10.1.0.0/24, 'fd00:1::/64']}\n"
		"status: {addresses: [{type: Hostname, address: n1}, {type: InternalIP, address: "
		"192.0.2.7},\n"
		"  {type: InternalIP, address: '2001:db8::1'}]}\n",
		"apiVersion: projectcalico.org/v3\nkind: Node\nmetadata: {name: n1}\n"
		"spec:\n"
		"  addresses: [{type: InternalIP, address: 192.0.2.7}, {type: InternalIP, address: "
		"'2001:db8::1'}]\n"
		"  bgp: {ipv4Address: 192.0.2.1/24, ipv4IPIPTunnelAddr: 10.244.0.1, asNumber: "
		"64512}\n"
		"  ipv4VXLANTunnelAddr: 10.244.0.2\n"
		"  vxlanTunnelMACAddr: '66:11:22:33:44:55'\n"
		"status: {podCIDRs: [10.1.0.0/24, 'fd00:1::/64']}\n",
	};
	static const uint8_t mac[6] = { 0x66, 0x11, 0x22, 0x33, 0x44, 0x55 };

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		_cleanup_object_ struct object *object = decode_yaml(forms[i], DECODE_STRICT);
		const struct node *node = node_of(object);

		assert_int_equal(object->kind, KIND_NODE);
		assert_prefix(&node->v4, "192.0.2.1/24");
		assert_prefix(&node->v6, "2001:db8::1/128");
		assert_addr(&node->ipip4, "10.244.0.1");
		assert_addr(&node->vxlan4, "10.244.0.2");
		assert_true(addr_is_zero(&node->vxlan6));
		assert_memory_equal(node->vxlan_mac4, mac, 6);
		assert_int_equal(node->as_number, 64512);
		assert_int_equal(node->cidr_count, 2);
		assert_prefix(&node->pod_cidrs[1], "fd00:1::/64");
		assert_int_equal(node->addr_count, 3);
		assert_string_equal(node->route_reflector_id, "");
	}
}

static void test_felix(void **state)
{
	_cleanup_object_ struct object *cluster = decode_yaml(
		"apiVersion: projectcalico.org/v3\nkind: FelixConfiguration\nmetadata: {name: "
		"default}\n"
		"spec: {vxlanPort: 4790, ipv6Support: false, logSeverityScreen: debug, "
		"natPortRange: '32000:33000',\n"
		"  natOutgoingAddress: 192.0.2.9, bpfAttachType: TC, wireguardEnabled: true,\n"
		"  bpfConntrackTimeouts: {udpTimeout: 1m30s, tcpFinsSeen: Auto}}\n",
		DECODE_STRICT);
	_cleanup_object_ struct object *own = decode_yaml(
		"apiVersion: projectcalico.org/v3\nkind: FelixConfiguration\nmetadata: {name: "
		"node.n1}\n"
		"spec: {vxlanPort: 4789, natPortRange: 40000, zzz: 1, healthHost: 0.0.0.0}\n",
		DECODE_STRICT);
	struct felix_params params;

	(void)state;
	felix_merge(&params, NULL, NULL);
	assert_int_equal(params.has, 0);
	assert_int_equal(params.vxlan_port, 4789);
	assert_int_equal(params.vxlan_vni, 4096);
	assert_true(params.ipv6);
	assert_int_equal(params.timeouts.tcp_established, 3600000);
	assert_string_equal(params.interface_prefix, "cali");
	felix_merge(&params, felix_config_of(cluster), felix_config_of(own));
	assert_int_equal(params.vxlan_port, 4789); /* given, though it is the default */
	assert_true(params.has & 1ULL << FELIX_HAS_vxlan_port);
	assert_false(params.has & 1ULL << FELIX_HAS_vxlan_vni);
	assert_false(params.ipv6);
	assert_int_equal(params.log_level, LOG_LEVEL_DEBUG);
	assert_int_equal(params.nat_ports.first, 40000);
	assert_int_equal(params.nat_ports.last, 40000);
	assert_addr(&params.nat_address, "192.0.2.9");
	assert_int_equal(params.attach_type, FELIX_ATTACH_TC);
	assert_int_equal(params.timeouts.udp, 90000);
	assert_int_equal(params.timeouts.tcp_fins_seen, 0);
	assert_int_equal(params.timeouts.icmp, 5000);
	assert_string_equal(params.health_host, "0.0.0.0");
	assert_int_equal(felix_config_of(cluster)->idle_count, 1);
	assert_string_equal(felix_config_of(cluster)->idle[0], "wireguardEnabled");
	assert_string_equal(felix_config_of(own)->idle[0], "zzz");
}

/* In the store, a bad parameter counts as not given. */
static void test_felix_lenient(void **state)
{
	_cleanup_object_ struct object *object = decode_yaml(
		"apiVersion: projectcalico.org/v3\nkind: FelixConfiguration\nmetadata: {name: "
		"default}\n"
		"spec: {vxlanPort: 70000, ipipMTU: 1400, bpfConntrackTimeouts: {udpTimeout: 0s}}\n",
		DECODE_LENIENT);
	const struct felix_params *params = &felix_config_of(object)->params;

	(void)state;
	assert_int_equal(params->has, 1ULL << FELIX_HAS_ipip_mtu);
	assert_int_equal(params->vxlan_port, 4789);
	assert_int_equal(params->timeouts.udp, 60000);
}

/* logActionRateLimit: N/second, minute, hour or day, and nothing else (FelixConfigurationSpec). */
static void test_felix_rate(void **state)
{
	static const struct {
		const char *text;
		unsigned int count;
		unsigned int seconds; /* 0: not a rate */
	} cases[] = {
		{ "10/second", 10, 1 }, { "9999/day", 9999, 86400 },
		{ "1/minute", 1, 60 },	{ "5/hour", 5, 3600 },
		{ "0/second", 0, 0 },	{ "05/second", 0, 0 },
		{ "10000/day", 0, 0 },	{ "10", 0, 0 },
		{ "/second", 0, 0 },	{ "1/second/", 0, 0 },
		{ "1/Second", 0, 0 },	{ "-1/second", 0, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		_cleanup_free_ char *text =
			xasprintf("apiVersion: projectcalico.org/v3\nkind: FelixConfiguration\n"
				  "metadata: {name: default}\nspec: {logActionRateLimit: \"%s\"}\n",
				  cases[i].text);
		_cleanup_object_ struct object *object = decode_yaml(text, DECODE_LENIENT);
		struct felix_params params;

		felix_merge(&params, felix_config_of(object), NULL);
		assert_int_equal(!!(params.has & 1ULL << FELIX_HAS_log_rate), !!cases[i].seconds);
		assert_int_equal(params.log_rate.count, cases[i].seconds ? cases[i].count : 10);
		assert_int_equal(params.log_rate.seconds, cases[i].seconds ? cases[i].seconds : 1);
	}
}

static struct object *decode_environment(char *const *environment, struct problems *problems)
{
	const struct decode_options options = { .mode = DECODE_LENIENT };
	struct object *object = NULL;
	json_t *root = felix_environment(environment);

	assert_non_null(root);
	assert_int_equal(object_decode(root, &options, &object, problems), 0);
	json_decref(root);
	return object;
}

/* Calico's manifests write names and some values in capitals. */
static void test_felix_environment(void **state)
{
	static char *const environment[] = {
		"PATH=/bin",
		"FELIX_IPV6SUPPORT=no",
		"FELIX_IPINIPMTU=1400",
		"FELIX_vxlanport=4790",
		"FELIX_DEFAULTENDPOINTTOHOSTACTION=DROP",
		"FELIX_FailsafeInboundHostPorts=22,udp:68, tcp:192.0.2.0/24:443,tcp:fd00::/8:80",
		"FELIX_FAILSAFEOUTBOUNDHOSTPORTS=none",
		"FELIX_BPFConntrackTimeouts=TCPSynSent=30s,UDPTimeout=1m,TCPFinsSeen=Auto",
		"FELIX_NATPORTRANGE=32000:33000",
		"FELIX_HEALTHHOST=",
		"FELIX_WIREGUARDENABLED=true",
		"FELIX_NOSUCH=1",
		NULL,
	};
	_cleanup_problems_ struct problems problems = { 0 };
	_cleanup_object_ struct object *object = decode_environment(environment, &problems);
	_cleanup_object_ struct object *cluster = decode_yaml(
		"apiVersion: projectcalico.org/v3\nkind: FelixConfiguration\nmetadata: {name: "
		"default}\nspec: {vxlanPort: 1111, vxlanVNI: 7}\n",
		DECODE_STRICT);
	struct felix_params params;

	(void)state;
	felix_merge(&params, felix_config_of(cluster), NULL);
	felix_overlay(&params, felix_config_of(object));
	assert_false(params.ipv6);
	assert_int_equal(params.ipip_mtu, 1400);
	assert_int_equal(params.vxlan_port, 4790);
	assert_int_equal(params.vxlan_vni, 7);
	assert_int_equal(params.to_host, FELIX_TO_HOST_DROP);
	assert_int_equal(params.failsafe_in.count, 4);
	assert_int_equal(params.failsafe_in.v[0].protocol, IPPROTO_TCP);
	assert_int_equal(params.failsafe_in.v[0].port, 22);
	assert_int_equal(params.failsafe_in.v[1].protocol, IPPROTO_UDP);
	assert_prefix(&params.failsafe_in.v[2].net, "192.0.2.0/24");
	assert_prefix(&params.failsafe_in.v[3].net, "fd00::/8");
	assert_int_equal(params.failsafe_in.v[3].port, 80);
	assert_int_equal(params.failsafe_out.count, 0);
	assert_true(params.has & 1ULL << FELIX_HAS_failsafe_out);
	assert_int_equal(params.timeouts.tcp_syn_sent, 30000);
	assert_int_equal(params.timeouts.udp, 60000);
	assert_int_equal(params.timeouts.tcp_fins_seen, 0);
	assert_int_equal(params.nat_ports.last, 33000);
	assert_string_equal(params.health_host, "localhost"); /* empty: not given */
	assert_int_equal(felix_config_of(object)->idle_count, 2);
	assert_string_equal(felix_config_of(object)->idle[0], "NOSUCH");
	assert_string_equal(felix_config_of(object)->idle[1], "wireguardEnabled");
}

/* What is wrong is named and counts as not given, the rest is taken. */
static void test_felix_environment_bad(void **state)
{
	static char *const environment[] = {
		"FELIX_IPV6SUPPORT=maybe",  "FELIX_VXLANPORT=port",
		"FELIX_VXLANVNI=8",	    "FELIX_FAILSAFEINBOUNDHOSTPORTS=tcp:ssh",
		"FELIX_BPFATTACHTYPE=glue", NULL
	};
	static char *const nothing[] = { "FELIXX=1", "FELIX_VXLANPORT=", NULL };
	_cleanup_problems_ struct problems problems = { 0 };
	_cleanup_object_ struct object *object = decode_environment(environment, &problems);
	const struct felix_params *params = &felix_config_of(object)->params;

	(void)state;
	assert_int_equal(params->has, 1ULL << FELIX_HAS_vxlan_vni);
	assert_int_equal(params->vxlan_vni, 8);
	assert_int_equal(params->failsafe_in.count, 9);
	assert_int_equal(problems.count, 4);
	assert_null(felix_environment(nothing));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_netpol),
		cmocka_unit_test(test_netpol_types),
		cmocka_unit_test(test_netpol_dropped),
		cmocka_unit_test(test_pod),
		cmocka_unit_test(test_pod_defaults),
		cmocka_unit_test(test_pool),
		cmocka_unit_test(test_node),
		cmocka_unit_test(test_felix),
		cmocka_unit_test(test_felix_lenient),
		cmocka_unit_test(test_felix_rate),
		cmocka_unit_test(test_felix_environment),
		cmocka_unit_test(test_felix_environment_bad),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
