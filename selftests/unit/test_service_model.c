/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The model of the Service API itself: sentences of the documentation as cases, and the comparison
 * with it: whoever does what the model says passes, and each way to do it wrong is found.
 */
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/inet.h"
#include "selftests/lib/decode.h"
#include "selftests/lib/service_world.h"

/* --- sentences ------------------------------------------------------------------------------ */

/* One Service 10.96.0.1:80, node port 30080, external 203.0.113.1 and balancer 198.51.100.1; what
 * more it says, its endpoints, and who is asked from where. */
struct sentence {
	const char *says;
	const char *type, *spec;
	const char *endpoints; /* YAML flow: of one slice with port 8080 */
	enum so_from from;
	const char *dest;
	uint16_t port;
	enum so_verdict verdict;
	const char *backends; /* last bytes, in order */
	const char *source;   /* NULL: 10.244.0.9 */
};

#define E(last, node, more) "{addresses: [10.244.1." #last "], nodeName: " #node more "}"
#define NOT_READY ", conditions: {ready: false, serving: false}"
#define DRAINS ", conditions: {ready: false, serving: true, terminating: true}"
#define ZONE(z) ", hints: {forZones: [{name: " #z "}]}"
#define ZONE_AND_NODE(z, n) ", hints: {forZones: [{name: " #z "}], forNodes: [{name: " #n "}]}"
#define TWO E(1, n0, ) ", " E(2, n1, )

static const struct sentence sentences[] = {
	{ "ready endpoints are used", "ClusterIP", "", TWO, SO_FROM_POD, "10.96.0.1", 80,
	  SO_TRANSLATED, "1 2", NULL },
	{ "another port is nobody's", "ClusterIP", "", TWO, SO_FROM_POD, "10.96.0.1", 81,
	  SO_NOT_A_SERVICE, "", NULL },
	{ "endpoints that are not ready are not used", "ClusterIP", "",
	  E(1, n0, NOT_READY) ", " E(2, n1, ), SO_FROM_POD, "10.96.0.1", 80, SO_TRANSLATED, "2",
	  NULL },
	{ "nobody is ready: serving ones that go are used", "ClusterIP", "",
	  E(1, n0, DRAINS) ", " E(2, n1, NOT_READY), SO_FROM_POD, "10.96.0.1", 80, SO_TRANSLATED,
	  "1", NULL },
	{ "somebody is ready: those that go are not", "ClusterIP", "",
	  E(1, n0, DRAINS) ", " E(2, n1, ), SO_FROM_POD, "10.96.0.1", 80, SO_TRANSLATED, "2",
	  NULL },
	{ "no endpoint is a refusal", "ClusterIP", "", "", SO_FROM_POD, "10.96.0.1", 80,
	  SO_REJECTED, "", NULL },
	{ "internal Local: this node's alone", "ClusterIP", ", internalTrafficPolicy: Local", TWO,
	  SO_FROM_POD, "10.96.0.1", 80, SO_TRANSLATED, "1", NULL },
	{ "internal Local: none here is a drop", "ClusterIP", ", internalTrafficPolicy: Local",
	  E(2, n1, ), SO_FROM_HOST, "10.96.0.1", 80, SO_DROPPED, "", NULL },
	{ "internal Local: those that go, here, are used", "ClusterIP",
	  ", internalTrafficPolicy: Local", E(1, n0, DRAINS) ", " E(2, n1, ), SO_FROM_POD,
	  "10.96.0.1", 80, SO_TRANSLATED, "1", NULL },
	{ "internal Local and no endpoint anywhere is a refusal", "ClusterIP",
	  ", internalTrafficPolicy: Local", E(2, n1, NOT_READY), SO_FROM_POD, "10.96.0.1", 80,
	  SO_REJECTED, "", NULL },
	{ "internal Local is not about node ports", "NodePort", ", internalTrafficPolicy: Local",
	  TWO, SO_FROM_OUTSIDE, "192.168.0.1", 30080, SO_TRANSLATED, "1 2", "198.18.0.1" },
	{ "external Local: this node's alone", "NodePort", ", externalTrafficPolicy: Local", TWO,
	  SO_FROM_OUTSIDE, "192.168.0.1", 30080, SO_TRANSLATED, "1", "198.18.0.1" },
	{ "external Local: none here is a drop", "NodePort", ", externalTrafficPolicy: Local",
	  E(2, n1, ), SO_FROM_OUTSIDE, "192.168.0.1", 30080, SO_DROPPED, "", "198.18.0.1" },
	{ "external Local: pods reach all", "LoadBalancer", ", externalTrafficPolicy: Local",
	  E(2, n1, ), SO_FROM_POD, "198.51.100.1", 80, SO_TRANSLATED, "2", NULL },
	{ "external Local: the node reaches all", "LoadBalancer", ", externalTrafficPolicy: Local",
	  E(2, n1, ), SO_FROM_HOST, "198.51.100.1", 80, SO_TRANSLATED, "2", NULL },
	{ "external Local is about external addresses, too", "ClusterIP",
	  ", externalTrafficPolicy: Local", TWO, SO_FROM_OUTSIDE, "203.0.113.1", 80, SO_TRANSLATED,
	  "1", "198.18.0.1" },
	{ "the node's port is at its own addresses", "NodePort", "", TWO, SO_FROM_POD,
	  "192.168.0.1", 30080, SO_TRANSLATED, "1 2", NULL },
	{ "not at another node's", "NodePort", "", TWO, SO_FROM_POD, "192.168.0.2", 30080,
	  SO_NOT_A_SERVICE, "", NULL },
	{ "at loopback for the node itself", "NodePort", "", TWO, SO_FROM_HOST, "127.0.0.1", 30080,
	  SO_TRANSLATED, "1 2", "127.0.0.1" },
	{ "not for its pods", "NodePort", "", TWO, SO_FROM_POD, "127.0.0.1", 30080,
	  SO_NOT_A_SERVICE, "", NULL },
	{ "the cluster address has no node port", "NodePort", "", TWO, SO_FROM_POD, "10.96.0.1",
	  30080, SO_NOT_A_SERVICE, "", NULL },
	{ "source ranges let in", "LoadBalancer", ", loadBalancerSourceRanges: [198.18.0.0/24]",
	  TWO, SO_FROM_OUTSIDE, "198.51.100.1", 80, SO_TRANSLATED, "1 2", "198.18.0.1" },
	{ "and keep out", "LoadBalancer", ", loadBalancerSourceRanges: [198.18.0.0/24]", TWO,
	  SO_FROM_OUTSIDE, "198.51.100.1", 80, SO_DROPPED, "", "198.19.0.1" },
	{ "but not from node ports", "LoadBalancer", ", loadBalancerSourceRanges: [198.18.0.0/24]",
	  TWO, SO_FROM_OUTSIDE, "192.168.0.1", 30080, SO_TRANSLATED, "1 2", "198.19.0.1" },
	{ "hints of the zone hold", "ClusterIP", "", E(1, n0, ZONE(za)) ", " E(2, n1, ZONE(zb)),
	  SO_FROM_POD, "10.96.0.1", 80, SO_TRANSLATED, "1", NULL },
	{ "unless some ready endpoint has none", "ClusterIP", "",
	  E(1, n0, ZONE(za)) ", " E(2, n1, ), SO_FROM_POD, "10.96.0.1", 80, SO_TRANSLATED, "1 2",
	  NULL },
	{ "or none is for us", "ClusterIP", "", E(1, n0, ZONE(zb)) ", " E(2, n1, ZONE(zc)),
	  SO_FROM_POD, "10.96.0.1", 80, SO_TRANSLATED, "1 2", NULL },
	{ "who is not ready has no say", "ClusterIP", "",
	  E(1, n0, ZONE(za)) ", " E(2, n1, ZONE(zb)) ", " E(3, n1, NOT_READY), SO_FROM_POD,
	  "10.96.0.1", 80, SO_TRANSLATED, "1", NULL },
	{ "hints of the node go before those of the zone", "ClusterIP", "",
	  E(1, n0, ZONE_AND_NODE(za, n0)) ", " E(2, n1, ZONE_AND_NODE(za, n1)), SO_FROM_POD,
	  "10.96.0.1", 80, SO_TRANSLATED, "1", NULL },
	{ "none for the node: the zone's hold", "ClusterIP", "",
	  E(1, n1, ZONE_AND_NODE(za, n1)) ", " E(2, n2, ZONE_AND_NODE(zb, n2)), SO_FROM_POD,
	  "10.96.0.1", 80, SO_TRANSLATED, "1", NULL },
	{ "policy Local does not heed hints", "ClusterIP", ", internalTrafficPolicy: Local",
	  E(1, n0, ZONE(zb)) ", " E(2, n1, ZONE(za)), SO_FROM_POD, "10.96.0.1", 80, SO_TRANSLATED,
	  "1", NULL },
	{ "endpoints outside the cluster", "ClusterIP", "", "{addresses: [10.244.1.7]}",
	  SO_FROM_POD, "10.96.0.1", 80, SO_TRANSLATED, "7", NULL },
};

static struct object *sentence_service(const struct sentence *sentence)
{
	const bool balanced = !strcmp(sentence->type, "LoadBalancer");
	_cleanup_free_ char *text = xasprintf(
		"apiVersion: v1\nkind: Service\nmetadata: {name: s}\n"
		"spec: {type: %s, clusterIP: 10.96.0.1, externalIPs: [203.0.113.1],\n"
		"  ports: [{port: 80%s}]%s}\n%s",
		sentence->type, strcmp(sentence->type, "ClusterIP") ? ", nodePort: 30080" : "",
		sentence->spec,
		balanced ? "status: {loadBalancer: {ingress: [{ip: 198.51.100.1}]}}\n" : "");

	return decode_yaml(text, DECODE_LENIENT);
}

static struct object *sentence_slice(const struct sentence *sentence)
{
	_cleanup_free_ char *text =
		xasprintf("apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\n"
			  "metadata: {name: s-1, labels: {kubernetes.io/service-name: s}}\n"
			  "addressType: IPv4\nports: [{port: 8080}]\nendpoints: [%s]\n",
			  sentence->endpoints);

	return decode_yaml(text, DECODE_STRICT);
}

static void check_backends(const struct sentence *sentence, const struct so_answer *answer)
{
	_cleanup_free_ char *got = xstrdup("");

	for (size_t i = 0; i < answer->backend_count; i++) {
		char *more = xasprintf("%s%s%u", got, i ? " " : "", answer->backends[i].addr.b[15]);

		free(got);
		got = more;
		assert_int_equal(answer->backends[i].port, 8080);
	}
	if (strcmp(got, sentence->backends))
		fail_msg("%s: want %s, got %s", sentence->says, sentence->backends, got);
}

static void check_sentence(const struct sentence *sentence)
{
	static const char *const zones[] = { "za", "zb", "zb" };
	_cleanup_object_ struct object *service = sentence_service(sentence);
	_cleanup_object_ struct object *slice = sentence_slice(sentence);
	const struct service *services[] = { service_of(service) };
	const struct endpoint_slice *slices[] = { endpoint_slice_of(slice) };
	struct so_query query = { .from = sentence->from,
				  .port = sentence->port,
				  .protocol = IPPROTO_TCP };
	struct so_node nodes[3];
	union mg_addr addrs[3];
	static const char *const names[] = { "n0", "n1", "n2" };
	const struct so_world world = { .services = services,
					.service_count = 1,
					.slices = slices,
					.slice_count = 1,
					.nodes = nodes,
					.node_count = 3 };
	struct so_answer answer;

	for (unsigned int i = 0; i < 3; i++) {
		addrs[i] = addr_from4(htonl(0xc0a80001 + i));
		nodes[i] = (struct so_node){ names[i], zones[i], &addrs[i], 1 };
	}
	assert_int_equal(addr_parse(sentence->dest, &query.dest), 0);
	assert_int_equal(
		addr_parse(sentence->source ? sentence->source : "10.244.0.9", &query.source), 0);
	so_ask(&world, &query, &answer);
	if (answer.verdict != sentence->verdict)
		fail_msg("%s: want %s, got %s", sentence->says, so_verdict_name(sentence->verdict),
			 so_verdict_name(answer.verdict));
	check_backends(sentence, &answer);
}

static void test_sentences(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(sentences) / sizeof(sentences[0]); i++)
		check_sentence(&sentences[i]);
}

/* --- who does it wrong ---------------------------------------------------------------------- */

enum fault {
	FAULT_NONE,
	FAULT_INTERNAL_LOCAL, /* policies are not heeded */
	FAULT_EXTERNAL_LOCAL,
	FAULT_LOCAL_FOR_PODS, /* external Local holds for pods and nodes, too */
	FAULT_HINTS,
	FAULT_READY,	/* whoever is listed is used */
	FAULT_DRAINING, /* who goes is never used */
	FAULT_RANGES,
	FAULT_IP_MODE,
	FAULT_PROXY_NAME,
	FAULT_NAT_EXCLUDE,
	FAULT_EXTERNAL_IPS, /* refused ones are served */
	FAULT_NODE_PORTS,   /* at every address of every node */
	FAULT_PORT_NAMES,   /* the first port of the slice is taken */
	FAULT_AFFINITY,
	FAULT_MAX
};

/* The model with one fault put into a copy of its world. */
struct pretender {
	enum fault fault;
	const struct sw_world *world;
	struct so_world so;
	struct service services[SW_SERVICES];
	const struct service *service_list[SW_SERVICES];
	struct service_ingress ingress[SW_SERVICES][8];
	struct endpoint_slice slices[SW_SLICES];
	const struct endpoint_slice *slice_list[SW_SLICES];
	struct slice_endpoint endpoints[SW_SLICES][16];
	struct slice_port ports[SW_SLICES][8];
	uint64_t random;
	struct so_answer answer;
};

/* Nothing of a list that is not there. */
static void copy(void *to, const void *from, size_t size)
{
	if (size)
		memcpy(to, from, size);
}

static void spoil_service(struct pretender *p, size_t i)
{
	struct service *service = &p->services[i];

	copy(p->ingress[i], service->ingress, service->ingress_count * sizeof(*p->ingress[i]));
	service->ingress = p->ingress[i];
	if (p->fault == FAULT_INTERNAL_LOCAL)
		service->internal_traffic = SERVICE_TRAFFIC_CLUSTER;
	if (p->fault == FAULT_EXTERNAL_LOCAL)
		service->external_traffic = SERVICE_TRAFFIC_CLUSTER;
	if (p->fault == FAULT_RANGES)
		service->limits_sources = false;
	if (p->fault == FAULT_PROXY_NAME)
		service->base.labels.count = 0;
	if (p->fault == FAULT_NAT_EXCLUDE)
		service->nat_exclude = false;
	for (size_t k = 0; p->fault == FAULT_IP_MODE && k < service->ingress_count; k++)
		p->ingress[i][k].proxy = false;
}

static void spoil_endpoint(const struct pretender *p, struct slice_endpoint *endpoint)
{
	if (p->fault == FAULT_HINTS)
		endpoint->zone_hint_count = endpoint->node_hint_count = 0;
	if (p->fault == FAULT_READY)
		endpoint->ready = true;
	if (p->fault == FAULT_DRAINING)
		endpoint->terminating = false;
}

static void spoil_slice(struct pretender *p, size_t i)
{
	struct endpoint_slice *slice = &p->slices[i];

	copy(p->endpoints[i], slice->endpoints, slice->endpoint_count * sizeof(*p->endpoints[i]));
	copy(p->ports[i], slice->ports, slice->port_count * sizeof(*p->ports[i]));
	slice->endpoints = p->endpoints[i];
	slice->ports = p->ports[i];
	for (size_t k = 0; k < slice->endpoint_count; k++)
		spoil_endpoint(p, &p->endpoints[i][k]);
	for (size_t k = 1; p->fault == FAULT_PORT_NAMES && k < slice->port_count; k++)
		p->ports[i][k].port = p->ports[i][0].port;
	if (p->fault == FAULT_PROXY_NAME)
		slice->base.labels.count = 0;
}

static void pretend_tell(void *context, const struct sw_world *world)
{
	struct pretender *p = context;

	p->world = world;
	p->so = world->so;
	p->so.services = p->service_list;
	p->so.slices = p->slice_list;
	for (size_t i = 0; i < world->so.service_count; i++) {
		p->services[i] = *world->so.services[i];
		p->service_list[i] = &p->services[i];
		spoil_service(p, i);
	}
	for (size_t i = 0; i < world->so.slice_count; i++) {
		p->slices[i] = *world->so.slices[i];
		p->slice_list[i] = &p->slices[i];
		spoil_slice(p, i);
	}
	if (p->fault == FAULT_EXTERNAL_IPS)
		p->so.refuse_external_ips = false;
}

/* A client has its place in the list, so that it keeps its backend as long as nothing changes. */
static size_t choose(struct pretender *p, const struct so_query *query)
{
	size_t sum = 0;

	if (p->fault == FAULT_AFFINITY)
		return (size_t)(p->random = p->random * 6364136223846793005ULL +
					    1442695040888963407ULL) >>
		       33;
	for (size_t i = 0; i < sizeof(query->source.b); i++)
		sum += query->source.b[i];
	return sum;
}

static void pretend_ask(void *context, const struct so_query *query, struct sw_seen *ret_seen)
{
	struct pretender *p = context;
	struct so_query asked = *query;

	if (p->fault == FAULT_LOCAL_FOR_PODS)
		asked.from = SO_FROM_OUTSIDE;
	if (p->fault == FAULT_NODE_PORTS)
		for (size_t i = 0; i < p->so.node_count; i++)
			for (size_t k = 0; k < p->so.nodes[i].addr_count; k++)
				if (!addr_cmp(&p->so.nodes[i].addrs[k], &query->dest))
					asked.dest = p->so.nodes[query->node].addrs[k];
	so_ask(&p->so, &asked, &p->answer);
	ret_seen->verdict = p->answer.verdict;
	if (p->answer.verdict == SO_TRANSLATED) {
		const struct so_backend *backend =
			&p->answer.backends[choose(p, query) % p->answer.backend_count];

		ret_seen->addr = backend->addr;
		ret_seen->port = backend->port;
	}
}

static char *run_with(enum fault fault, uint64_t seed, unsigned int worlds, struct sw_run *ret_run)
{
	struct pretender *pretender = xcalloc(1, sizeof(*pretender));
	const struct sw_subject subject = { .context = pretender,
					    .tell = pretend_tell,
					    .ask = pretend_ask };
	char *text;

	*ret_run = (struct sw_run){ .seed = seed, .worlds = worlds, .packets = 1000 };
	pretender->fault = fault;
	text = sw_run(&subject, ret_run);
	free(pretender);
	return text;
}

static uint64_t seed;

static void test_agrees_with_itself(void **state)
{
	struct sw_run run;
	_cleanup_free_ char *text = run_with(FAULT_NONE, seed, 100, &run);

	(void)state;
	if (text)
		fail_msg("%s", text);
	print_message("# %u not a service, %u translated, %u rejected, %u dropped, %u kept\n",
		      run.verdicts[SO_NOT_A_SERVICE], run.verdicts[SO_TRANSLATED],
		      run.verdicts[SO_REJECTED], run.verdicts[SO_DROPPED], run.kept);
	/* The worlds ask for everything. */
	assert_true(run.verdicts[SO_TRANSLATED] > 5000);
	assert_true(run.verdicts[SO_REJECTED] > 500);
	assert_true(run.verdicts[SO_DROPPED] > 500);
	assert_true(run.kept > 500);
}

static void test_finds_each_fault(void **state)
{
	(void)state;
	for (int fault = FAULT_NONE + 1; fault < FAULT_MAX; fault++) {
		struct sw_run run;
		_cleanup_free_ char *text = run_with((enum fault)fault, seed, 300, &run);

		if (!text)
			fail_msg("fault %d was not found", fault);
	}
}

int main(void)
{
	const char *given = getenv("MARGAY_SEED");
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sentences),
		cmocka_unit_test(test_agrees_with_itself),
		cmocka_unit_test(test_finds_each_fault),
	};

	seed = given ? strtoull(given, NULL, 10) : (uint64_t)time(NULL);
	print_message("# MARGAY_SEED=%llu\n", (unsigned long long)seed);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
