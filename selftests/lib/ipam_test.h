/* SPDX-License-Identifier: Apache-2.0 */
/* For tests of ipam/: nodes on one fake store, a clock that the test moves, objects from texts. */
#ifndef MARGAY_SELFTESTS_IPAM_TEST_H
#define MARGAY_SELFTESTS_IPAM_TEST_H

#include "ipam/ipam.h"
#include "selftests/lib/fake_store.h"

#define IPAM_TEST_NODES 4

struct ipam_test;

struct ipam_test_node {
	struct ipam_test *test;
	char name[16], *dir; /* dir is owned */
	struct store *store;
	struct ipam *ipam;
	bool down; /* its store is out of reach */
	int (*hook)(struct ipam_test_node *node, enum fake_point point); /* may be NULL */
	void *hook_arg;
	const struct journal_ops *journal_ops; /* NULL: the system's; set before opening */
};

struct ipam_test {
	struct fake_content content;
	bool loose; /* stores that are not atomic */
	__u64 now;
	char folder[64];
	unsigned int reserve;
	struct ipam_test_node nodes[IPAM_TEST_NODES];
};

/* cmocka's set-up and tear-down of a case whose state is a struct ipam_test. */
int ipam_test_setup(void **state);
int ipam_test_setup_loose(void **state); /* where a commit of several objects may be cut */
int ipam_test_teardown(void **state);

void ipam_test_init(struct ipam_test *test);
void ipam_test_done(struct ipam_test *test);

/* Node n ("n0", "n1" ...), opened at the first call. */
struct ipam_test_node *ipam_test_node(struct ipam_test *test, unsigned int n);
struct ipam *ipam_test_ipam(struct ipam_test *test, unsigned int n);
/* Names and store of node n, not opened yet: for tests that set hooks before. */
struct ipam_test_node *ipam_test_prepare(struct ipam_test *test, unsigned int n);
/* Ends the instance and opens another, as a restart of the agent does. */
void ipam_test_reopen(struct ipam_test_node *node);

/* spec is JSON without braces: "\"cidr\":\"10.0.0.0/24\"". */
void ipam_test_object(struct ipam_test *test, const char *kind, const char *name, const char *spec);
void ipam_test_pool(struct ipam_test *test, const char *name, const char *cidr);

/* Commits and ticks until there is nothing to do at once. */
void ipam_test_settle(struct ipam *ipam);
/* ADD of a container until it is answered; the clock moves where the library wants to wait. */
struct ipam_result ipam_test_request(struct ipam_test_node *node,
				     const struct ipam_request *request);
struct ipam_result ipam_test_add(struct ipam_test_node *node, const char *container);
/* Containers prefix0, prefix1 ...; how many got an address. */
int ipam_test_add_many(struct ipam_test_node *node, const char *prefix, int count);
void ipam_test_del(struct ipam_test_node *node, const char *container);

/* "10.0.0.1 fd00::1", or the error's name and text. Static buffer. */
const char *ipam_test_text(const struct ipam_result *result);
/* Who holds the address in the store: handle, "free", "cooling", "no block". */
const char *ipam_test_holder(struct ipam_test *test, const char *addr);
/* The same of the first address that an ADD got. */
const char *ipam_test_held_by(struct ipam_test *test, const struct ipam_result *result);

#endif
