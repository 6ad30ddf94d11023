/* SPDX-License-Identifier: Apache-2.0 */
/* Blocks as objects, the look over a cluster, usage, and release from outside. */
#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/inet.h"
#include "base/json.h"
#include "base/utc.h"
#include "ipam/block.h"
#include "ipam/check.h"
#include "ipam/release.h"
#include "selftests/lib/ipam_test.h"

static json_t *load(const char *text)
{
	json_error_t error;
	json_t *tree = json_loads(text, 0, &error);

	if (!tree)
		fail_msg("%s: %s", text, error.text);
	return tree;
}

static json_t *block_object(const char *spec)
{
	_cleanup_free_ char *text =
		xasprintf("{\"apiVersion\":\"projectcalico.org/v3\","
			  "\"kind\":\"IPAMBlock\",\"metadata\":{\"name\":\"b\"},"
			  "\"spec\":{%s}}",
			  spec);

	return load(text);
}

/* --- blocks ---------------------------------------------------------------------------------- */

static void test_block_refused(void **state)
{
	static const char *const specs[] = {
		"\"cidr\":\"10.0.0.0\"",
		"\"cidr\":\"10.0.0.1/30\",\"allocations\":[null,null,null,null]",
		"\"cidr\":\"10.0.0.0/16\",\"allocations\":[]",
		"\"cidr\":\"10.0.0.0/30\",\"allocations\":[null,null,null]",
		"\"cidr\":\"10.0.0.0/30\",\"allocations\":[0,null,null,null],\"attributes\":[]",
		"\"cidr\":\"10.0.0.0/30\",\"allocations\":[-1,null,null,null],\"attributes\":[{}]",
		"\"cidr\":\"10.0.0.0/30\",\"allocations\":[\"0\",null,null,null],"
		"\"attributes\":[{}]",
		"\"cidr\":\"10.0.0.0/30\",\"allocations\":[0,null,null,null],\"attributes\":[{}],"
		"\"unallocated\":[0]",
		"\"cidr\":\"10.0.0.0/30\",\"allocations\":[null,null,null,null],"
		"\"unallocated\":[1,1]",
		"\"cidr\":\"10.0.0.0/30\",\"allocations\":[null,null,null,null],"
		"\"unallocated\":[4]",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(specs) / sizeof(specs[0]); i++) {
		_cleanup_json_ json_t *object = block_object(specs[i]);
		struct block *block;
		struct err err = {};

		if (block_parse(object, &block, &err) != -EINVAL)
			fail_msg("accepted: %s", specs[i]);
		assert_true(*err.text);
	}
}

/* Unknown fields stay, the sequence grows, order and attributes are kept. */
static void test_block_round_trip(void **state)
{
	_cleanup_json_ json_t *object = block_object(
		"\"cidr\":\"10.0.0.0/30\",\"affinity\":\"host:n\",\"sequenceNumber\":7,"
		"\"allocations\":[0,null,0,null],\"attributes\":[{\"handle_id\":\"h\","
		"\"secondary\":{\"pod\":\"p\"},\"alternate\":{\"x\":\"y\"}}],"
		"\"unallocated\":[3,1],\"strictAffinity\":false,\"future\":[1],"
		"\"sequenceNumberForAllocation\":{\"0\":5,\"2\":6}");
	_cleanup_json_ json_t *encoded = NULL;
	struct block *block;

	(void)state;
	assert_int_equal(block_parse(object, &block, NULL), 0);
	assert_int_equal(block_next(block, NULL, NULL), 3);
	encoded = block_encode(block);
	json_object_set_new(json_object_get(encoded, "spec"), "sequenceNumber", json_integer(7));
	json_object_del(json_object_get(encoded, "spec"), "deleted");
	assert_true(json_equal(encoded, object));
	block_free(block);
}

/* An ordinal in neither list is free, not lost; a restarted clock does not freeze addresses. */
static void test_block_repair_and_clock(void **state)
{
	_cleanup_json_ json_t *object = block_object(
		"\"cidr\":\"10.0.0.0/30\",\"allocations\":[0,1,null,null],\"attributes\":["
		"{\"releasedAt\":\"2025-01-01T00:00:10Z\"},"
		"{\"releasedAt\":\"2035-01-01T02:00:00+02:00\"}],\"unallocated\":[3]");
	struct block *block;
	__u64 released = utc_parse("2025-01-01T00:00:10Z");

	(void)state;
	assert_int_equal(block_parse(object, &block, NULL), 0);
	assert_int_equal(block->fifo_count, 2);
	assert_false(block_is_empty(block));
	assert_int_equal(block_mature(block, released + 4999, 5000), 1); /* of 2035 */
	assert_int_equal(block_mature(block, released + 5000, 5000), 1);
	assert_true(block_is_empty(block));
	block_free(block);
}

static void test_block_names(void **state)
{
	char text[BLOCK_NAME_MAX];
	struct mg_prefix cidr;

	(void)state;
	prefix_parse("192.168.1.64/26", false, &cidr);
	assert_string_equal(block_name(&cidr, text), "192-168-1-64-26");
	prefix_parse("fd00:1:2::40/122", false, &cidr);
	assert_string_equal(block_name(&cidr, text), "fd00-1-2--40-122");
}

/* --- check ----------------------------------------------------------------------------------- */

#define BLOCK                                                                                      \
	"{\"metadata\":{\"name\":\"10-0-0-0-30\"},\"spec\":{\"cidr\":\"10.0.0.0/30\","             \
	"\"affinity\":\"host:n1\",\"allocations\":[0,1,null,null],\"unallocated\":[2,3],"          \
	"\"attributes\":[{\"handle_id\":\"net.a\",\"secondary\":{\"pod\":\"a\","                   \
	"\"namespace\":\"ns\",\"node\":\"n1\"}},{\"handle_id\":\"margay-reserve-n1\","             \
	"\"secondary\":{\"node\":\"n1\"}}]}}"
#define POOL "{\"metadata\":{\"name\":\"p\"},\"spec\":{\"cidr\":\"10.0.0.0/24\",\"blockSize\":30}}"
#define AFFINITY                                                                                   \
	"{\"metadata\":{\"name\":\"n1-10-0-0-0-30\"},\"spec\":{\"cidr\":\"10.0.0.0/30\","          \
	"\"node\":\"n1\",\"type\":\"host\",\"state\":\"confirmed\"}}"
#define HANDLE(id, count)                                                                          \
	"{\"metadata\":{\"name\":\"" id "\"},\"spec\":{\"handleID\":\"" id                         \
	"\",\"block\":{\"10.0.0.0/30\":" #count "}}}"
#define HANDLES HANDLE("net.a", 1) "," HANDLE("margay-reserve-n1", 1)
#define POD                                                                                        \
	"{\"metadata\":{\"name\":\"a\",\"namespace\":\"ns\"},"                                     \
	"\"status\":{\"podIPs\":[{\"ip\":\"10.0.0.0\"}]}}"
#define NODE "{\"metadata\":{\"name\":\"n1\"}}"

struct check_row {
	const char *name;
	const char *lists[6]; /* pools, blocks, affinities, handles, nodes, pods */
	const char *problems; /* kinds, in order */
};

static const struct check_row rows[] = {
	{ "all is well", { POOL, BLOCK, AFFINITY, HANDLES, NODE, POD }, "" },
	{ "pod gone", { POOL, BLOCK, AFFINITY, HANDLES, NODE, "" }, "leaked " },
	{ "address of another pod",
	  { POOL, BLOCK, AFFINITY, HANDLES, NODE,
	    "{\"metadata\":{\"name\":\"b\",\"namespace\":\"ns\"},"
	    "\"status\":{\"podIPs\":[{\"ip\":\"10.0.0.0\"}]}}" },
	  "leaked not-allocated " },
	{ "two pods, one address",
	  { POOL, BLOCK, AFFINITY, HANDLES, NODE,
	    POD ",{\"metadata\":{\"name\":\"b\",\"namespace\":\"ns\"},"
		"\"status\":{\"podIPs\":[{\"ip\":\"10.0.0.0\"}]}}" },
	  "two-owners " },
	{ "a finished pod is no user",
	  { POOL, BLOCK, AFFINITY, HANDLES, NODE,
	    POD ",{\"metadata\":{\"name\":\"b\",\"namespace\":\"ns\"},\"status\":{\"phase\":"
		"\"Succeeded\",\"podIPs\":[{\"ip\":\"10.0.0.0\"}]}}" },
	  "" },
	{ "pod on an address of the reserve",
	  { POOL, BLOCK, AFFINITY, HANDLES, NODE,
	    POD ",{\"metadata\":{\"name\":\"b\",\"namespace\":\"ns\"},"
		"\"status\":{\"podIPs\":[{\"ip\":\"10.0.0.1\"}]}}" },
	  "not-allocated " },
	{ "no pool", { "", BLOCK, AFFINITY, HANDLES, NODE, POD }, "not-in-pool not-in-pool " },
	{ "no handle",
	  { POOL, BLOCK, AFFINITY, HANDLE("net.a", 1), NODE, POD },
	  "missing-handle " },
	{ "handle too many",
	  { POOL, BLOCK, AFFINITY, HANDLES "," HANDLE("net.z", 1), NODE, POD },
	  "orphan-handle " },
	{ "wrong count",
	  { POOL, BLOCK, AFFINITY, HANDLE("net.a", 2) "," HANDLE("margay-reserve-n1", 1), NODE,
	    POD },
	  "handle-count " },
	{ "no affinity", { POOL, BLOCK, "", HANDLES, NODE, POD }, "missing-affinity " },
	{ "affinity of another node",
	  { POOL, BLOCK,
	    AFFINITY ",{\"metadata\":{\"name\":\"n2-x\"},\"spec\":{\"cidr\":\"10.0.0.0/30\","
		     "\"node\":\"n2\",\"state\":\"pending\"}}",
	    HANDLES, NODE, POD },
	  "orphan-affinity " },
	{ "node gone", { POOL, BLOCK, AFFINITY, HANDLES, "", POD }, "no-node no-node " },
	{ "broken block",
	  { POOL, BLOCK ",{\"metadata\":{\"name\":\"x\"},\"spec\":{\"cidr\":\"x\"}}", AFFINITY,
	    HANDLES, NODE, POD },
	  "invalid-block " },
};

static void check_one(const struct check_row *row)
{
	json_t *lists[6];
	_cleanup_json_ json_t *report = NULL;
	const json_t *problem;
	char got[256] = "";
	size_t i;

	for (i = 0; i < 6; i++) {
		_cleanup_free_ char *text = xasprintf("[%s]", row->lists[i]);

		lists[i] = load(text);
	}
	report = ipam_check_objects(&(struct ipam_objects){ .pools = lists[0],
							    .blocks = lists[1],
							    .affinities = lists[2],
							    .handles = lists[3],
							    .nodes = lists[4],
							    .pods = lists[5] });
	json_array_foreach(json_object_get(report, "problems"), i, problem) {
		strcat(got, json_text_or(problem, "kind", "?"));
		strcat(got, " ");
	}
	if (strcmp(got, row->problems) != 0)
		fail_msg("%s: got \"%s\", expected \"%s\"", row->name, got, row->problems);
	for (i = 0; i < 6; i++)
		json_decref(lists[i]);
}

static void test_check(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		check_one(&rows[i]);
}

/* --- usage and release ----------------------------------------------------------------------- */

static void test_usage(void **state)
{
	_cleanup_json_ json_t *pools = load("[" POOL "]"), *blocks = load("[" BLOCK "]");
	_cleanup_json_ json_t *reservations =
		load("[{\"spec\":{\"reservedCIDRs\":[\"10.0.0.2/31\",\"10.0.0.128/25\"]}}]");
	struct ipam_objects objects = { .pools = pools,
					.blocks = blocks,
					.reservations = reservations };
	_cleanup_json_ json_t *usage = ipam_usage(&objects, 0);
	const json_t *pool = json_array_get(json_object_get(usage, "pools"), 0);

	(void)state;
	assert_int_equal(json_integer_value(json_object_get(pool, "total")), 256);
	assert_int_equal(json_integer_value(json_object_get(pool, "inUse")), 1);
	assert_int_equal(json_integer_value(json_object_get(pool, "reserve")), 1);
	assert_int_equal(json_integer_value(json_object_get(pool, "reserved")), 130);
	assert_int_equal(json_integer_value(json_object_get(pool, "free")), 124);
	pool = json_array_get(json_object_get(pool, "blocks"), 0);
	assert_int_equal(json_integer_value(json_object_get(pool, "reserved")), 2);
	assert_int_equal(json_integer_value(json_object_get(pool, "free")), 0);
}

static void test_free_addr(void **state)
{
	struct ipam_test test;
	struct ipam_test_node *node;
	struct ipam_free what = {};
	struct ipam_result result;
	char text[ADDR_TEXT_MAX];
	struct err err = {};

	(void)state;
	ipam_test_init(&test);
	ipam_test_pool(&test, "p", "10.0.0.0/26");
	node = ipam_test_node(&test, 0);
	result = ipam_test_add(node, "c1");
	ipam_test_settle(node->ipam);
	what.addr = result.addrs[0].addr;
	what.now_ms = test.now;
	addr_format(&what.addr, text);
	what.handle = "other";
	assert_int_equal(ipam_free_addr(node->store, &what, &err), -ESTALE);
	what.handle = "k8s-pod-network.c1";
	what.sequence = 99999;
	assert_int_equal(ipam_free_addr(node->store, &what, &err), -ESTALE);
	what.sequence = 0;
	assert_int_equal(ipam_free_addr(node->store, &what, &err), 0);
	assert_string_equal(ipam_test_holder(&test, text), "cooling");
	assert_null(fake_get(&test.content, "IPAMHandle", "k8s-pod-network.c1"));
	assert_int_equal(ipam_free_addr(node->store, &what, &err), -ENOENT);
	/* The reserve is the node's to give. */
	what = (struct ipam_free){ .addr = addr_add(&what.addr, 1), .now_ms = test.now };
	assert_int_equal(ipam_free_addr(node->store, &what, &err), -EBUSY);
	what.addr = addr_from4(htonl(0x0a630001));
	assert_int_equal(ipam_free_addr(node->store, &what, &err), -ENOENT);
	ipam_test_done(&test);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_block_refused),
		cmocka_unit_test(test_block_round_trip),
		cmocka_unit_test(test_block_repair_and_clock),
		cmocka_unit_test(test_block_names),
		cmocka_unit_test(test_check),
		cmocka_unit_test(test_usage),
		cmocka_unit_test(test_free_addr),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
