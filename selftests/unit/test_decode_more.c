/* SPDX-License-Identifier: Apache-2.0 */
/* Right objects become the structs that others read: IPAM, workloads, services. */
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/inet.h"
#include "model/cluster.h"
#include "model/field.h"
#include "model/ipam.h"
#include "model/service.h"
#include "model/slice.h"
#include "model/update.h"
#include "model/workload.h"
#include "selftests/lib/decode.h"

static void test_ipam(void **state)
{
	_cleanup_object_ struct object *object = decode_yaml(
		"apiVersion: projectcalico.org/v3\nkind: IPAMBlock\nmetadata: {name: 10-0-0-0-30}\n"
		"spec:\n"
		"  cidr: 10.0.0.0/30\n"
		"  affinity: host:n1\n"
		"  allocations: [0, null, 1, null]\n"
		"  unallocated: [3, 1]\n"
		"  attributes:\n"
		"  - {handle_id: net.abc, secondary: {pod: p, namespace: a}}\n"
		"  - {handle_id: null, releasedAt: '2026-01-01T00:00:00Z'}\n"
		"  sequenceNumber: 18446744073\n"
		"  sequenceNumberForAllocation: {'2': 7, '0': 5}\n",
		DECODE_STRICT);
	_cleanup_object_ struct object *handle = decode_yaml(
		"apiVersion: projectcalico.org/v3\nkind: IPAMHandle\nmetadata: {name: h}\n"
		"spec: {handleID: net.abc, block: {10.0.0.0/30: 1, 'fd00::/122': 2}}\n",
		DECODE_STRICT);
	_cleanup_object_ struct object *affinity = decode_yaml(
		"apiVersion: projectcalico.org/v3\nkind: BlockAffinity\nmetadata: {name: a}\n"
		"spec: {state: confirmed, node: n1, type: host, cidr: 10.0.0.0/30, deleted: "
		"'false'}\n",
		DECODE_STRICT);
	const struct ipam_block *block = ipam_block_of(object);

	(void)state;
	assert_int_equal(block->size, 4);
	assert_int_equal(block->allocations[1], IPAM_UNALLOCATED);
	assert_int_equal(block->allocations[2], 1);
	assert_int_equal(block->free_count, 2);
	assert_int_equal(block->unallocated[0], 3);
	assert_string_equal(block->attributes[0].handle, "net.abc");
	assert_string_equal(labels_get(&block->attributes[0].secondary, "pod"), "p");
	assert_string_equal(block->attributes[1].handle, "");
	assert_true(block->sequence == 18446744073ULL);
	assert_int_equal(block->sequence_count, 2);
	assert_int_equal(block->sequences[0].ordinal, 0);
	assert_true(block->sequences[0].sequence == 5);
	assert_int_equal(ipam_handle_of(handle)->count, 2);
	assert_prefix(&ipam_handle_of(handle)->blocks[1].cidr, "fd00::/122");
	assert_int_equal(ipam_handle_of(handle)->blocks[1].count, 2);
	assert_int_equal(block_affinity_of(affinity)->state, AFFINITY_CONFIRMED);
	assert_false(block_affinity_of(affinity)->is_virtual);
	assert_false(block_affinity_of(affinity)->deleted);
}

static void test_workload(void **state)
{
	_cleanup_object_ struct object *object = decode_yaml(
		"apiVersion: projectcalico.org/v3\nkind: WorkloadEndpoint\n"
		"metadata: {name: n1-k8s-p-eth0, namespace: a, labels: {app: x}}\n"
		"spec: {orchestrator: k8s, node: n1, pod: p, endpoint: eth0, interfaceName: "
		"cali0123456789a,\n"
		"  ipNetworks: [10.0.0.1/32, 'fd00::1/128'], mac: 'ee:ee:ee:ee:ee:ee',\n"
		"  profiles: [kns.a], ports: [{name: http, protocol: tcp, port: 80}],\n"
		"  allowSpoofedSourcePrefixes: [10.9.0.0/16]}\n",
		DECODE_STRICT);
	const struct workload_endpoint *wep = workload_endpoint_of(object);

	(void)state;
	assert_string_equal(wep->node, "n1");
	assert_string_equal(wep->workload, "");
	assert_int_equal(wep->ip_count, 2);
	assert_addr(&wep->ips[1], "fd00::1");
	assert_int_equal(wep->mac[5], 0xee);
	assert_string_equal(wep->profiles[0], "kns.a");
	assert_int_equal(wep->ports[0].protocol, IPPROTO_TCP);
	assert_prefix(wep->sources, "10.9.0.0/16");
}

static void test_cluster_info(void **state)
{
	const char *head = "apiVersion: projectcalico.org/v3\nkind: ClusterInformation\n"
			   "metadata: {name: default}\n";
	_cleanup_free_ char *off = xasprintf("%sspec: {datastoreReady: false}\n", head);
	_cleanup_object_ struct object *absent = decode_yaml(head, DECODE_STRICT);
	_cleanup_object_ struct object *closed = decode_yaml(off, DECODE_STRICT);

	(void)state;
	assert_true(cluster_info_of(absent)->datastore_ready);
	assert_string_equal(cluster_info_of(absent)->guid, "");
	assert_false(cluster_info_of(closed)->datastore_ready);
}

/* A Service by its spec (a YAML flow mapping) and what comes behind it. */
static struct object *service_yaml(const char *spec)
{
	_cleanup_free_ char *text =
		xasprintf("apiVersion: v1\nkind: Service\nmetadata:\n  name: s\n  annotations:\n"
			  "    projectcalico.org/natExcludeService: 'true'\n"
			  "    lb.projectcalico.org/external-traffic-strategy: maglev\n"
			  "    projectcalico.org/udpConntrackCleanup: TerminatingImmediately\n"
			  "spec: %s\n",
			  spec);

	return decode_yaml(text, DECODE_LENIENT);
}

static void test_service_ports(void **state)
{
	_cleanup_object_ struct object *object =
		service_yaml("{type: NodePort,\n"
			     "  ports: [{name: dns, protocol: UDP, port: 53, targetPort: dns, "
			     "nodePort: 30053},\n"
			     "    {name: web, port: 80, targetPort: 8080, appProtocol: http},\n"
			     "    {name: bad, port: 0},\n"
			     "    {name: plain, protocol: SCTP, port: 81, nodePort: 70000}]}");
	const struct service *service = service_of(object);

	(void)state;
	assert_int_equal(service->type, SERVICE_NODE_PORT);
	assert_int_equal(service->port_count, 3);
	assert_string_equal(service->ports[0].target_name, "dns");
	assert_int_equal(service->ports[0].target_port, 0);
	assert_int_equal(service->ports[0].protocol, IPPROTO_UDP);
	assert_int_equal(service->ports[0].node_port, 30053);
	assert_int_equal(service->ports[1].target_port, 8080);
	assert_null(service->ports[1].target_name);
	assert_int_equal(service->ports[1].protocol, IPPROTO_TCP);
	assert_string_equal(service->ports[1].app_protocol, "http");
	assert_string_equal(service->ports[2].name, "plain");
	assert_int_equal(service->ports[2].protocol, IPPROTO_SCTP);
	assert_int_equal(service->ports[2].target_port, 81);
	assert_int_equal(service->ports[2].node_port, 0);
}

static void test_service_fields(void **state)
{
	_cleanup_object_ struct object *object = service_yaml(
		"{type: LoadBalancer, clusterIP: 10.96.0.1, clusterIPs: [10.96.0.1, 'fd00::a'],\n"
		"  ipFamilies: [IPv4, IPv6], ipFamilyPolicy: RequireDualStack,\n"
		"  externalIPs: [192.0.2.7, 127.0.0.1], ports: [{port: 80}], selector: {app: "
		"dns},\n"
		"  externalTrafficPolicy: Local, internalTrafficPolicy: Local,\n"
		"  sessionAffinity: ClientIP,\n"
		"  sessionAffinityConfig: {clientIP: {timeoutSeconds: 60}},\n"
		"  trafficDistribution: PreferSameNode, publishNotReadyAddresses: true,\n"
		"  healthCheckNodePort: 32000, allocateLoadBalancerNodePorts: false,\n"
		"  loadBalancerClass: example.com/lb, loadBalancerIP: 192.0.2.1,\n"
		"  loadBalancerSourceRanges: [198.51.100.9/24]}\n"
		"status: {loadBalancer: {ingress: [{ip: 192.0.2.1, ipMode: Proxy},\n"
		"  {ip: '2001:db8::1'}, {hostname: x}]}}");
	const struct service *service = service_of(object);

	(void)state;
	assert_int_equal(service->type, SERVICE_LOAD_BALANCER);
	assert_false(service->headless);
	assert_true(service_is_proxied(service));
	assert_int_equal(service->cluster_ip_count, 2);
	assert_addr(&service->cluster_ips[0], "10.96.0.1");
	assert_addr(&service->cluster_ips[1], "fd00::a");
	assert_int_equal(service->family_count, 2);
	assert_false(service->is6[0]);
	assert_true(service->is6[1]);
	assert_int_equal(service->family_policy, SERVICE_REQUIRE_DUAL_STACK);
	assert_int_equal(service->external_ip_count, 1);
	assert_addr(service->external_ips, "192.0.2.7");
	assert_string_equal(labels_get(&service->selector, "app"), "dns");
	assert_int_equal(service->external_traffic, SERVICE_TRAFFIC_LOCAL);
	assert_int_equal(service->internal_traffic, SERVICE_TRAFFIC_LOCAL);
	assert_true(service->client_ip_affinity);
	assert_int_equal(service->affinity_timeout_s, 60);
	assert_int_equal(service->distribution, SERVICE_DISTRIBUTION_SAME_NODE);
	assert_true(service->publish_not_ready);
	assert_int_equal(service->health_check_node_port, 32000);
	assert_false(service->allocate_node_ports);
	assert_string_equal(service->load_balancer_class, "example.com/lb");
	assert_addr(&service->load_balancer_ip, "192.0.2.1");
	assert_true(service->limits_sources);
	assert_prefix(service->source_ranges, "198.51.100.0/24");
	assert_int_equal(service->ingress_count, 2);
	assert_addr(&service->ingress[0].addr, "192.0.2.1");
	assert_true(service->ingress[0].proxy);
	assert_addr(&service->ingress[1].addr, "2001:db8::1");
	assert_false(service->ingress[1].proxy);
	assert_true(service->nat_exclude);
	assert_true(service->maglev);
	assert_int_equal(service->udp_cleanup, SERVICE_UDP_CLEANUP_TERMINATING);
}

static void test_service_defaults(void **state)
{
	_cleanup_object_ struct object *object = decode_yaml(
		"apiVersion: v1\nkind: Service\nmetadata: {name: s}\nspec: {ports: [{port: 80}]}\n",
		DECODE_STRICT);
	const struct service *service = service_of(object);

	(void)state;
	assert_int_equal(service->type, SERVICE_CLUSTER_IP);
	assert_false(service->headless);
	assert_int_equal(service->cluster_ip_count, 0);
	assert_int_equal(service->family_count, 0);
	assert_int_equal(service->family_policy, SERVICE_FAMILIES_UNSET);
	assert_int_equal(service->affinity_timeout_s, 10800);
	assert_int_equal(service->distribution, SERVICE_DISTRIBUTION_NONE);
	assert_true(service->allocate_node_ports);
	assert_string_equal(service->load_balancer_class, "");
	assert_string_equal(service->ports[0].name, "");
	assert_int_equal(service->selector.count, 0);
	assert_false(service->limits_sources);
	assert_false(service->nat_exclude);
	assert_int_equal(service->udp_cleanup, SERVICE_UDP_CLEANUP_GONE);
}

/* Ranges that were all bad do not open the Service to everybody; of an earlier type nothing
 * stays. */
static void test_service_closed(void **state)
{
	_cleanup_object_ struct object *bad = service_yaml(
		"{type: LoadBalancer, ports: [{port: 80}], loadBalancerSourceRanges: [x]}");
	_cleanup_object_ struct object *former =
		service_yaml("{ports: [{port: 80}], loadBalancerSourceRanges: [10.0.0.0/8]}\n"
			     "status: {loadBalancer: {ingress: [{ip: 192.0.2.1}]}}");

	(void)state;
	assert_true(service_of(bad)->limits_sources);
	assert_int_equal(service_of(bad)->source_range_count, 0);
	assert_false(service_of(former)->limits_sources);
	assert_int_equal(service_of(former)->ingress_count, 0);
}

/* Who handles a Service: no proxy where it is headless or a name, another one by label. */
static void test_service_proxied(void **state)
{
	static const struct {
		const char *labels, *spec;
		bool proxied, headless;
	} cases[] = {
		{ "", "{ports: [{port: 80}]}", true, false },
		{ "", "{clusterIP: None}", false, true },
		{ "", "{clusterIPs: [None]}", false, true },
		{ "", "{type: ExternalName, externalName: a.b}", false, false },
		{ LABEL_PROXY_NAME ": other", "{ports: [{port: 80}]}", false, false },
		{ LABEL_HEADLESS ": ''", "{ports: [{port: 80}]}", false, false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		_cleanup_free_ char *text =
			xasprintf("apiVersion: v1\nkind: Service\n"
				  "metadata: {name: s, labels: {%s}}\nspec: %s\n",
				  cases[i].labels, cases[i].spec);
		_cleanup_object_ struct object *object = decode_yaml(text, DECODE_STRICT);

		assert_int_equal(service_is_proxied(service_of(object)), cases[i].proxied);
		assert_int_equal(service_of(object)->headless, cases[i].headless);
	}
}

static void test_slice(void **state)
{
	_cleanup_object_ struct object *object = decode_yaml(
		"apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\n"
		"metadata:\n  name: s-1\n"
		"  labels: {kubernetes.io/service-name: s,\n"
		"    endpointslice.kubernetes.io/managed-by: me}\n"
		"  annotations:\n    endpoints.kubernetes.io/last-change-trigger-time: "
		"'1970-01-01T00:00:02Z'\n"
		"addressType: IPv4\n"
		"ports: [{name: web, port: 8080, appProtocol: http}, {protocol: UDP}]\n"
		"endpoints:\n"
		"- {addresses: [10.0.0.1], nodeName: n1, zone: z1, hostname: h,\n"
		"   targetRef: {kind: Pod, name: p, uid: u},\n"
		"   hints: {forZones: [{name: z1}, {name: z2}], forNodes: [{name: n1}]}}\n"
		"- {addresses: ['fd00::1']}\n"
		"- {addresses: [10.0.0.2], conditions: {ready: false, terminating: true}}\n"
		"- {addresses: [10.0.0.3], conditions: {ready: false, serving: true},\n"
		"   hostname: 'A B', hints: {forZones: [{}, {name: z}]}}\n",
		DECODE_LENIENT);
	const struct endpoint_slice *slice = endpoint_slice_of(object);
	const struct slice_endpoint *first = slice->endpoints;

	(void)state;
	assert_string_equal(slice->service, "s");
	assert_string_equal(slice->managed_by, "me");
	assert_int_equal(slice->trigger_ms, 2000);
	assert_true(endpoint_slice_is_proxied(slice));
	assert_false(slice->is6);
	assert_int_equal(slice->port_count, 2);
	assert_int_equal(slice->ports[0].port, 8080);
	assert_int_equal(slice->ports[0].protocol, IPPROTO_TCP);
	assert_string_equal(slice->ports[0].app_protocol, "http");
	assert_string_equal(slice->ports[1].name, "");
	assert_int_equal(slice->ports[1].port, 0);
	assert_int_equal(slice->ports[1].protocol, IPPROTO_UDP);
	assert_int_equal(slice->endpoint_count, 3);
	assert_true(first->ready);
	assert_true(first->serving);
	assert_string_equal(first->pod, "p");
	assert_string_equal(first->pod_uid, "u");
	assert_string_equal(first->hostname, "h");
	assert_string_equal(first->node, "n1");
	assert_string_equal(first->zone, "z1");
	assert_int_equal(first->zone_hint_count, 2);
	assert_string_equal(first->zone_hints[1], "z2");
	assert_int_equal(first->node_hint_count, 1);
	assert_string_equal(first->node_hints[0], "n1");
	assert_addr(first->addrs, "10.0.0.1");
	assert_false(slice->endpoints[1].ready);
	assert_false(slice->endpoints[1].serving);
	assert_true(slice->endpoints[1].terminating);
	assert_addr(slice->endpoints[1].addrs, "10.0.0.2");
	assert_false(slice->endpoints[2].ready);
	assert_true(slice->endpoints[2].serving);
	assert_string_equal(slice->endpoints[2].hostname, "");
	assert_int_equal(slice->endpoints[2].zone_hint_count, 1);
}

/* --- units ---------------------------------------------------------------------------------- */

struct unit_case {
	const char *text;
	long long want; /* -1: refused */
};

static void check_units(const struct unit_case *cases, size_t count, field_reader read, size_t size)
{
	for (size_t i = 0; i < count; i++) {
		_cleanup_(problems_done) struct problems problems = { 0 };
		struct decode d = { .as = PROBLEM_ERROR, .problems = &problems };
		json_t *value = json_string(cases[i].text);
		const struct field field = { 0 };
		uint64_t got = 0;

		read(&d, NULL, value, &field, &got);
		json_decref(value);
		if (!d.bad != (cases[i].want >= 0) || (!d.bad && (long long)got != cases[i].want))
			fail_msg("\"%s\": %llu (%zu bytes), wanted %lld", cases[i].text,
				 (unsigned long long)got, size, cases[i].want);
	}
}

/* Go's time.ParseDuration, without signs. */
static void test_durations(void **state)
{
	static const struct unit_case cases[] = {
		{ "0", 0 },	   { "0s", 0 },	     { "1s", 1000 },	  { "1m30s", 90000 },
		{ "1h", 3600000 }, { "1.5s", 1500 }, { "250ms", 250 },	  { "1h2m3s4ms", 3723004 },
		{ ".5s", 500 },	   { "1us", 0 },     { "1000000ns", 1 },  { "", -1 },
		{ "1", -1 },	   { "s", -1 },	     { "1d", -1 },	  { "-1s", -1 },
		{ "1s ", -1 },	   { "1.2.3s", -1 }, { "99999999h", -1 }, { "1S", -1 },
	};

	(void)state;
	check_units(cases, sizeof(cases) / sizeof(cases[0]), read_duration, sizeof(uint32_t));
}

/* Kubernetes' resource.Quantity, as whole numbers, rounded up. */
static void test_quantities(void **state)
{
	static const struct unit_case cases[] = {
		{ "0", 0 },	  { "10", 10 },		{ "10M", 10000000 }, { "1Ki", 1024 },
		{ "1.5k", 1500 }, { "2Gi", 1LL << 31 }, { "100m", 1 },	     { "1500m", 2 },
		{ "", -1 },	  { "M", -1 },		{ "1X", -1 },	     { "1MM", -1 },
		{ "-1", -1 },	  { "1 M", -1 },	{ "99E", -1 },
	};

	(void)state;
	check_units(cases, sizeof(cases) / sizeof(cases[0]), read_quantity, sizeof(uint64_t));
}

/* --- updates -------------------------------------------------------------------------------- */

static struct object *pool_of(const char *name, const char *spec)
{
	_cleanup_free_ char *yaml = xasprintf("apiVersion: projectcalico.org/v3\nkind: IPPool\n"
					      "metadata: {name: %s}\nspec: %s\n",
					      name, spec);

	return decode_yaml(yaml, DECODE_STRICT);
}

static void test_updates(void **state)
{
	_cleanup_object_ struct object *a = pool_of("a", "{cidr: 10.0.0.0/16}");
	_cleanup_object_ struct object *same =
		pool_of("a", "{cidr: 10.0.0.0/16, ipipMode: Always}");
	_cleanup_object_ struct object *moved = pool_of("a", "{cidr: 10.1.0.0/16}");
	_cleanup_object_ struct object *finer = pool_of("a", "{cidr: 10.0.0.0/16, blockSize: 28}");
	_cleanup_object_ struct object *inside = pool_of("b", "{cidr: 10.0.8.0/24}");
	_cleanup_object_ struct object *other = pool_of("c", "{cidr: 10.2.0.0/16}");
	_cleanup_(problems_done) struct problems problems = { 0 };

	(void)state;
	assert_int_equal(object_check_update(a, same, &problems), 0);
	assert_int_equal(object_check_beside(a, same, &problems), 0); /* itself */
	assert_int_equal(object_check_beside(a, other, &problems), 0);
	assert_int_equal(problems.count, 0);
	assert_int_equal(object_check_update(a, moved, &problems), -EINVAL);
	assert_int_equal(object_check_update(a, finer, &problems), -EINVAL);
	assert_int_equal(object_check_beside(inside, a, &problems), -EINVAL);
	assert_int_equal(problems.count, 3);
	assert_string_equal(problems.v[0].path, "spec.cidr");
	assert_string_equal(problems.v[0].text, "cannot change: it is 10.0.0.0/16");
	assert_string_equal(problems.v[1].path, "spec.blockSize");
	assert_string_equal(problems.v[2].text, "overlaps with IPPool a (10.0.0.0/16)");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ipam),	       cmocka_unit_test(test_workload),
		cmocka_unit_test(test_cluster_info),   cmocka_unit_test(test_service_ports),
		cmocka_unit_test(test_service_fields), cmocka_unit_test(test_service_defaults),
		cmocka_unit_test(test_service_closed), cmocka_unit_test(test_service_proxied),
		cmocka_unit_test(test_slice),	       cmocka_unit_test(test_durations),
		cmocka_unit_test(test_quantities),     cmocka_unit_test(test_updates),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
