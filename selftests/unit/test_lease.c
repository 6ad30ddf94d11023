/* SPDX-License-Identifier: Apache-2.0 */
/* The lease between two agents: who may take it when, by clocks that do not agree. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/json.h"
#include "controller/lease.h"

#define SECONDS 1000LL

/* The store: one object, compare-and-swap. */
struct shelf {
	json_t *object;
	unsigned int version;
};

/* What a store does with a write; true: it was taken. */
static bool put(struct shelf *shelf, const json_t *object)
{
	const char *expect = json_text_or(object, "metadata.resourceVersion", "");
	const char *stored = json_text_or(shelf->object, "metadata.resourceVersion", "");
	json_t *copy;

	if (strcmp(expect, stored))
		return false;
	copy = json_deep_copy(object);
	json_object_set_new(json_object_get(copy, "metadata"), "resourceVersion",
			    json_sprintf("%u", ++shelf->version));
	json_decref(shelf->object);
	shelf->object = copy;
	return true;
}

static bool claim(struct lease *lease, struct shelf *shelf, long long now)
{
	_cleanup_json_ json_t *object = lease_claim(lease, 1700000000000ULL + (uint64_t)now);

	if (!put(shelf, object))
		return false;
	lease_written(lease, shelf->object, now);
	return true;
}

struct pair {
	struct shelf shelf;
	struct lease a, b;
};

static int setup(void **state)
{
	static struct pair pair;

	pair = (struct pair){ 0 };
	lease_init(&pair.a, "a");
	lease_init(&pair.b, "b");
	*state = &pair;
	return 0;
}

static int teardown(void **state)
{
	struct pair *pair = *state;

	lease_done(&pair->a);
	lease_done(&pair->b);
	json_decref(pair->shelf.object);
	return 0;
}

static void test_first_one_has_it(void **state)
{
	struct pair *p = *state;

	lease_seen(&p->a, NULL, 5);
	lease_seen(&p->b, NULL, 5);
	assert_true(lease_is_free(&p->a, 5));
	assert_true(claim(&p->a, &p->shelf, 10));
	assert_true(lease_is_held(&p->a, 10));
	assert_false(claim(&p->b, &p->shelf, 10)); /* it was created meanwhile */
	lease_seen(&p->b, p->shelf.object, 11);
	assert_false(lease_is_free(&p->b, 11));
	assert_string_equal(lease_holder(&p->b), "a");
}

/* The holder renews in time; who looks on counts from the last change it saw, by its own clock. */
static void test_renewed_in_time(void **state)
{
	struct pair *p = *state;
	const long long off = 5000 * SECONDS; /* of b's clock */

	claim(&p->a, &p->shelf, SECONDS);
	for (long long now = SECONDS; now < 120 * SECONDS; now += SECONDS) {
		if (lease_is_due(&p->a, now))
			assert_true(claim(&p->a, &p->shelf, now));
		lease_seen(&p->b, p->shelf.object, now + off);
		assert_true(lease_is_held(&p->a, now));
		assert_false(lease_is_free(&p->b, now + off));
	}
	assert_true(p->shelf.version > 20);
}

static void test_runs_out(void **state)
{
	struct pair *p = *state;

	claim(&p->a, &p->shelf, 1);
	lease_seen(&p->b, p->shelf.object, 8 * SECONDS);
	lease_seen(&p->b, p->shelf.object, 20 * SECONDS); /* nothing new */
	assert_false(lease_is_held(&p->a, (LEASE_SECONDS + 1) * SECONDS));
	assert_false(lease_is_free(&p->b, (8 + LEASE_SECONDS - 1) * SECONDS));
	assert_true(lease_is_free(&p->b, (8 + LEASE_SECONDS) * SECONDS));
	assert_true(claim(&p->b, &p->shelf, 30 * SECONDS));
	assert_int_equal(json_integer_value(json_at(p->shelf.object, "spec.leaseTransitions")), 2);
	/* The former holder wakes up: its write, with all that is in the transaction, fails. */
	assert_false(claim(&p->a, &p->shelf, 31 * SECONDS));
	lease_seen(&p->a, p->shelf.object, 31 * SECONDS);
	assert_false(lease_is_held(&p->a, 31 * SECONDS));
	assert_false(lease_is_free(&p->a, 32 * SECONDS));
}

static void test_given_up(void **state)
{
	struct pair *p = *state;
	_cleanup_json_ json_t *released = NULL;

	claim(&p->a, &p->shelf, 1);
	lease_seen(&p->b, p->shelf.object, 2);
	released = lease_release(&p->a);
	assert_true(put(&p->shelf, released));
	lease_seen(&p->b, p->shelf.object, 3);
	assert_true(lease_is_free(&p->b, 3));
	assert_true(claim(&p->b, &p->shelf, 4));
}

/* An agent that comes back takes what is its own at once, and has been its holder all the time. */
static void test_comes_back(void **state)
{
	struct pair *p = *state;
	struct lease again;
	_cleanup_json_ json_t *since = NULL;

	claim(&p->a, &p->shelf, 1);
	since = json_incref(json_at(p->shelf.object, "spec.acquireTime"));
	lease_init(&again, "a");
	lease_seen(&again, p->shelf.object, 50);
	assert_false(lease_is_held(&again, 50));
	assert_true(lease_is_free(&again, 50));
	assert_true(claim(&again, &p->shelf, 51));
	assert_true(lease_is_held(&again, 51));
	assert_int_equal(json_integer_value(json_at(p->shelf.object, "spec.leaseTransitions")), 1);
	assert_true(json_equal(json_at(p->shelf.object, "spec.acquireTime"), since));
	lease_done(&again);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

/* An API server takes no other form of a MicroTime. */
static void test_times(void **state)
{
	struct pair *p = *state;

	assert_true(claim(&p->a, &p->shelf, 97));
	assert_string_equal(json_text_at(p->shelf.object, "spec.renewTime"),
			    "2023-11-14T22:13:20.097000Z");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_first_one_has_it), TEST(test_renewed_in_time), TEST(test_runs_out),
		TEST(test_given_up),	     TEST(test_comes_back),	 TEST(test_times),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
