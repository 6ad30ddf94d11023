/* SPDX-License-Identifier: Apache-2.0 */
#include "selftests/lib/ipam_test.h"

#include <errno.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/inet.h"
#include "ipam/block.h"

#define START_MS 1750000000000ULL
#define TURNS_MAX 1000

static __u64 test_now(void *arg)
{
	return ((struct ipam_test *)arg)->now;
}

static int node_hook(void *arg, enum fake_point point)
{
	struct ipam_test_node *node = arg;

	if (node->down)
		return -ECONNREFUSED;
	return node->hook ? node->hook(node, point) : 0;
}

void ipam_test_init(struct ipam_test *test)
{
	*test = (struct ipam_test){ .now = START_MS };
	fake_content_init(&test->content);
	snprintf(test->folder, sizeof(test->folder), "/tmp/margay-ipam-XXXXXX");
	assert_non_null(mkdtemp(test->folder));
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st;
	(void)flag;
	(void)ftw;
	return remove(path);
}

void ipam_test_done(struct ipam_test *test)
{
	for (int i = 0; i < IPAM_TEST_NODES; i++) {
		ipam_close(test->nodes[i].ipam);
		store_close(test->nodes[i].store);
		free(test->nodes[i].dir);
	}
	fake_content_done(&test->content);
	nftw(test->folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static void node_open(struct ipam_test_node *node)
{
	struct ipam_options options = {
		.store = node->store,
		.node = node->name,
		.dir = node->dir,
		.reserve = node->test->reserve,
		.now = test_now,
		.now_arg = node->test,
		.journal_ops = node->journal_ops,
	};
	struct err err = {};

	if (ipam_open(&options, &node->ipam, &err) < 0)
		fail_msg("%s", err.text);
}

struct ipam_test_node *ipam_test_prepare(struct ipam_test *test, unsigned int n)
{
	struct ipam_test_node *node = &test->nodes[n];
	struct fake_options options = {
		.content = &test->content,
		.atomic = !test->loose,
		.hook = node_hook,
		.arg = node,
	};

	if (node->store)
		return node;
	node->test = test;
	snprintf(node->name, sizeof(node->name), "n%u", n);
	node->dir = xasprintf("%s/%s", test->folder, node->name);
	node->store = fake_store_new(&options);
	return node;
}

struct ipam_test_node *ipam_test_node(struct ipam_test *test, unsigned int n)
{
	struct ipam_test_node *node = ipam_test_prepare(test, n);

	if (!node->ipam)
		node_open(node);
	return node;
}

struct ipam *ipam_test_ipam(struct ipam_test *test, unsigned int n)
{
	return ipam_test_node(test, n)->ipam;
}

void ipam_test_reopen(struct ipam_test_node *node)
{
	ipam_close(node->ipam);
	node->ipam = NULL;
	node_open(node);
}

void ipam_test_object(struct ipam_test *test, const char *kind, const char *name, const char *spec)
{
	char *text = xasprintf("{\"apiVersion\":\"projectcalico.org/v3\",\"kind\":\"%s\","
			       "\"metadata\":{\"name\":\"%s\"},\"spec\":{%s}}",
			       kind, name, spec);

	fake_put(&test->content, text);
	free(text);
	for (int i = 0; i < IPAM_TEST_NODES; i++)
		if (test->nodes[i].ipam)
			ipam_notice(test->nodes[i].ipam, kind, name, "new");
}

void ipam_test_pool(struct ipam_test *test, const char *name, const char *cidr)
{
	char *spec = xasprintf("\"cidr\":\"%s\"", cidr);

	ipam_test_object(test, "IPPool", name, spec);
	free(spec);
}

void ipam_test_settle(struct ipam *ipam)
{
	for (int i = 0; i < TURNS_MAX; i++) {
		ipam_commit(ipam);
		if (ipam_tick(ipam))
			break;
	}
	ipam_commit(ipam);
}

struct answer {
	bool there;
	struct ipam_result result;
};

static void take_answer(void *arg, const struct ipam_result *result)
{
	struct answer *answer = arg;

	assert_false(answer->there);
	answer->there = true;
	answer->result = *result;
}

static void wait_answer(struct ipam_test_node *node, struct answer *answer)
{
	for (int i = 0; i < TURNS_MAX && !answer->there; i++) {
		int wait = ipam_commit(node->ipam);

		if (answer->there)
			break;
		if (wait > 0)
			node->test->now += (__u64)wait;
		ipam_tick(node->ipam);
	}
	assert_true(answer->there);
}

struct ipam_result ipam_test_request(struct ipam_test_node *node,
				     const struct ipam_request *request)
{
	struct answer answer = {};

	ipam_request(node->ipam, request, take_answer, &answer);
	wait_answer(node, &answer);
	return answer.result;
}

struct ipam_result ipam_test_add(struct ipam_test_node *node, const char *container)
{
	struct ipam_request request = {
		.owner = { .container = container, .namespace_name = "ns", .pod = container },
	};

	return ipam_test_request(node, &request);
}

void ipam_test_del(struct ipam_test_node *node, const char *container)
{
	struct ipam_owner owner = { .container = container };
	struct answer answer = {};

	ipam_release(node->ipam, &owner, take_answer, &answer);
	wait_answer(node, &answer);
	assert_int_equal(answer.result.status, 0);
}

const char *ipam_test_text(const struct ipam_result *result)
{
	static char text[ERR_TEXT_MAX + 64];
	size_t used = 0;

	if (result->status) {
		snprintf(text, sizeof(text), "%s: %s", strerrorname_np(-result->status),
			 result->err.text);
		return text;
	}
	text[0] = 0;
	for (size_t i = 0; i < result->count; i++) {
		char addr[ADDR_TEXT_MAX];

		used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%s", i ? " " : "",
					 addr_format(&result->addrs[i].addr, addr));
	}
	return text;
}

const char *ipam_test_holder(struct ipam_test *test, const char *text)
{
	static char holder[300];
	union mg_addr addr;
	const char *key;
	json_t *object;

	assert_int_equal(addr_parse(text, &addr), 0);
	json_object_foreach(test->content.objects, key, object) {
		struct block *block;
		unsigned int n;

		if (strncmp(key, "IPAMBlock/", 10) != 0 || block_parse(object, &block, NULL) < 0)
			continue;
		if (block_contains(block, &addr, &n)) {
			const char *handle = block_handle(block, n);

			snprintf(holder, sizeof(holder), "%s",
				 handle			      ? handle
				 : block_is_cooling(block, n) ? "cooling"
							      : "free");
			block_free(block);
			return holder;
		}
		block_free(block);
	}
	return "no block";
}

int ipam_test_add_many(struct ipam_test_node *node, const char *prefix, int count)
{
	int ok = 0;

	for (int i = 0; i < count; i++) {
		char name[32];

		snprintf(name, sizeof(name), "%s%d", prefix, i);
		ok += !ipam_test_add(node, name).status;
	}
	return ok;
}

const char *ipam_test_held_by(struct ipam_test *test, const struct ipam_result *result)
{
	char text[ADDR_TEXT_MAX];

	return ipam_test_holder(test, addr_format(&result->addrs[0].addr, text));
}

int ipam_test_setup(void **state)
{
	struct ipam_test *test = xcalloc(1, sizeof(*test));

	ipam_test_init(test);
	*state = test;
	return 0;
}

int ipam_test_setup_loose(void **state)
{
	ipam_test_setup(state);
	((struct ipam_test *)*state)->loose = true;
	return 0;
}

int ipam_test_teardown(void **state)
{
	ipam_test_done(*state);
	free(*state);
	return 0;
}
