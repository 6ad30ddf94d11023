/* SPDX-License-Identifier: Apache-2.0 */
/* loader/state/table.h, and loader/sync/sync.h over maps in memory that can fail. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "state/table.h"
#include "sync/sync.h"

#define PEERS "mg_peers"
#define ADDRS "mg_addrs"

/* The kernel's side: what stands in two maps, and a diary of the writes. */
struct kernel {
	struct table peers;
	struct table addrs;
	char diary[4096];
	const char *fail_map; /* writes to it fail ... */
	size_t fail_after;    /* ... after so many rows */
	int reads;
};

struct fixture {
	struct kernel kernel;
	struct sync *sync;
	struct sync_status status;
	char changes[4096];
};

static struct table *map_of(struct kernel *kernel, const char *name)
{
	if (!strcmp(name, PEERS))
		return &kernel->peers;
	assert_string_equal(name, ADDRS);
	return &kernel->addrs;
}

static __attribute__((format(printf, 2, 3))) void append(char *text, const char *format, ...)
{
	size_t used = strlen(text);
	va_list args;

	va_start(args, format);
	vsnprintf(text + used, 4096 - used, format, args);
	va_end(args);
}

static int mem_read(void *data, struct table *table)
{
	struct table *map = map_of(data, table->map);

	((struct kernel *)data)->reads++;
	for (size_t i = 0; i < map->count; i++)
		table_add(table, table_key(map, i), table_value(map, i));
	table_seal(table);
	return 0;
}

static int mem_set(void *data, const char *name, const void *keys, const void *values, size_t count,
		   size_t *ret_done)
{
	struct kernel *kernel = data;
	struct table *map = map_of(kernel, name);
	const unsigned char *key = keys, *value = values;
	int r = 0;

	if (kernel->fail_map && !strcmp(kernel->fail_map, name) && count > kernel->fail_after) {
		count = kernel->fail_after;
		r = -E2BIG;
	}
	for (size_t i = 0; i < count; i++) {
		table_add(map, key + i * map->key_size, value + i * map->value_size);
		append(kernel->diary, "+%c%u ", name[3], key[i * map->key_size]);
	}
	table_seal(map);
	*ret_done = count;
	return r;
}

static int mem_remove(void *data, const char *name, const void *keys, size_t count,
		      size_t *ret_done)
{
	struct kernel *kernel = data;
	struct table *map = map_of(kernel, name);
	const unsigned char *key = keys;

	for (size_t i = 0; i < count; i++) {
		_cleanup_table_ struct table rest;

		table_init(&rest, map->map, map->key_size, map->value_size);
		for (size_t j = 0; j < map->count; j++) {
			if (memcmp(table_key(map, j), key + i * map->key_size, map->key_size) != 0)
				table_add(&rest, table_key(map, j), table_value(map, j));
		}
		table_seal(&rest);
		table_done(map);
		*map = rest;
		rest.rows = NULL;
		append(kernel->diary, "-%c%u ", name[3], key[i * map->key_size]);
	}
	*ret_done = count;
	return 0;
}

static const struct sync_ops memory = { mem_read, mem_set, mem_remove };

static void on_change(const char *map, const void *key, const void *before, const void *after,
		      void *data)
{
	append(data, "%c%u:%d>%d ", map[3], *(const uint8_t *)key,
	       before ? *(const uint8_t *)before : -1, after ? *(const uint8_t *)after : -1);
}

static int setup(void **state)
{
	struct fixture *f = test_calloc(1, sizeof(*f));

	table_init(&f->kernel.peers, PEERS, 1, 1);
	table_init(&f->kernel.addrs, ADDRS, 1, 1);
	f->sync = sync_new(&memory, &f->kernel);
	sync_on_change(f->sync, on_change, f->changes);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	sync_free(f->sync);
	table_done(&f->kernel.peers);
	table_done(&f->kernel.addrs);
	test_free(f);
	return 0;
}

/* rows: pairs of key and value, as text "1=5 2=6" of single digits */
static void want(struct fixture *f, const char *map, const char *rows)
{
	struct table table;

	table_init(&table, map, 1, 1);
	for (; *rows; rows += rows[3] ? 4 : 3) {
		unsigned char key = (unsigned char)(rows[0] - '0');
		unsigned char value = (unsigned char)(rows[2] - '0');

		table_add(&table, &key, &value);
	}
	assert_int_equal(sync_want(f->sync, &table), 0);
	assert_int_equal(table.count, 0);
	table_done(&table);
}

static void expect(const struct table *map, const char *rows)
{
	char text[256] = "";

	for (size_t i = 0; i < map->count; i++)
		append(text, "%s%u=%u", i ? " " : "", *(const uint8_t *)table_key(map, i),
		       *(const uint8_t *)table_value(map, i));
	assert_string_equal(text, rows);
}

static int run(struct fixture *f, uint64_t now)
{
	f->kernel.diary[0] = '\0';
	f->changes[0] = '\0';
	return sync_run(f->sync, now, &f->status);
}

static void tables(void **state)
{
	struct table table, same;
	const unsigned char keys[] = "dbacb", values[] = "12345";

	(void)state;
	table_init(&table, "x", 1, 1);
	table_init(&same, "x", 1, 1);
	assert_null(table_find(&table, "a"));
	for (int i = 0; i < 5; i++)
		table_add(&table, &keys[i], &values[i]);
	table_seal(&table);
	assert_int_equal(table.count, 4);
	assert_memory_equal(table.rows, "a3b5c4d1", 8); /* of equal keys the last */
	assert_memory_equal(table_find(&table, "b"), "5", 1);
	assert_null(table_find(&table, "e"));
	for (int i = 3; i >= 0; i--)
		table_add(&same, table_key(&table, (size_t)i), table_value(&table, (size_t)i));
	table_seal(&same);
	assert_true(table_equal(&table, &same));
	table_add(&same, "e", "0");
	table_seal(&same);
	assert_false(table_equal(&table, &same));
	table_clear(&same);
	assert_int_equal(same.count, 0);
	for (int i = 0; i < 1000; i++) {
		unsigned char key = (unsigned char)(i * 7);

		table_add(&same, &key, &key);
	}
	table_seal(&same);
	assert_int_equal(same.count, 256);
	table_done(&table);
	table_done(&same);
}

static void additions_up_removals_down(void **state)
{
	struct fixture *f = *state;

	sync_allow_removal(f->sync);
	want(f, ADDRS, "1=1 2=2");
	want(f, PEERS, "1=1 2=2");
	assert_int_equal(run(f, 0), 0);
	assert_string_equal(f->kernel.diary, "+p1 +p2 +a1 +a2 ");
	assert_string_equal(f->changes, "p1:-1>1 p2:-1>2 a1:-1>1 a2:-1>2 ");
	want(f, PEERS, "2=3 3=3");
	want(f, ADDRS, "2=2 3=3");
	assert_int_equal(run(f, 0), 0);
	assert_string_equal(f->kernel.diary, "+p2 +p3 +a3 -a1 -p1 ");
	assert_string_equal(f->changes, "p2:2>3 p3:-1>3 a3:-1>3 a1:1>-1 p1:1>-1 ");
	expect(&f->kernel.peers, "2=3 3=3");
	expect(&f->kernel.addrs, "2=2 3=3");
	assert_int_equal(f->status.written, 7);
	assert_int_equal(f->status.removed, 2);
	assert_int_equal(f->status.waiting, 0);
	assert_int_equal(run(f, 0), 0); /* nothing to do */
	assert_string_equal(f->kernel.diary, "");
	assert_int_equal(f->kernel.reads, 2);
}

/* A start with what a former agent left: only the difference is written, nothing removed. */
static void adopts_kernel_rows(void **state)
{
	struct fixture *f = *state;

	table_add(&f->kernel.addrs, "\1", "\1");
	table_add(&f->kernel.addrs, "\2", "\2");
	table_add(&f->kernel.addrs, "\3", "\3");
	table_seal(&f->kernel.addrs);
	want(f, ADDRS, "2=2 3=4 5=5");
	assert_int_equal(run(f, 0), 0);
	assert_string_equal(f->kernel.diary, "+a3 +a5 ");
	expect(&f->kernel.addrs, "1=1 2=2 3=4 5=5");
	want(f, ADDRS, "2=2 3=4 6=6");
	assert_int_equal(run(f, 0), 0);
	assert_string_equal(f->kernel.diary, "+a6 ");
	sync_allow_removal(f->sync);
	assert_int_equal(run(f, 0), 0);
	assert_string_equal(f->kernel.diary, "-a1 -a5 ");
	expect(&f->kernel.addrs, "2=2 3=4 6=6");
	assert_int_equal(f->kernel.reads, 1);
}

static void failure_is_retried_later(void **state)
{
	struct fixture *f = *state;

	sync_allow_removal(f->sync);
	f->kernel.fail_map = ADDRS;
	f->kernel.fail_after = 1;
	want(f, ADDRS, "1=1 2=2 3=3");
	want(f, PEERS, "1=1");
	assert_int_equal(run(f, 1000), -E2BIG);
	assert_string_equal(f->kernel.diary, "+p1 +a1 "); /* the other map goes on */
	assert_string_equal(f->changes, "p1:-1>1 a1:-1>1 ");
	assert_string_equal(f->status.map, ADDRS);
	assert_non_null(strstr(f->status.error.text, ADDRS));
	assert_int_equal(f->status.waiting, 2);
	assert_int_equal(f->status.retry_ms, 1100);
	assert_int_equal(run(f, 1050), 0); /* not due */
	assert_string_equal(f->kernel.diary, "");
	assert_int_equal(f->status.retry_ms, 1100);
	f->kernel.fail_after = 0;
	assert_int_equal(run(f, 1100), -E2BIG);
	assert_int_equal(f->status.retry_ms, 1300); /* twice as long */
	f->kernel.fail_map = NULL;
	assert_int_equal(run(f, 1300), 0);
	assert_string_equal(f->kernel.diary, "+a2 +a3 "); /* row 1 was found */
	assert_int_equal(f->status.retry_ms, 0);
	assert_int_equal(f->status.waiting, 0);
	expect(&f->kernel.addrs, "1=1 2=2 3=3");
}

static void backoff_has_an_end(void **state)
{
	struct fixture *f = *state;
	uint64_t now = 0;

	f->kernel.fail_map = ADDRS;
	want(f, ADDRS, "1=1");
	for (int i = 0; i < 20; i++) {
		assert_int_equal(run(f, now), -E2BIG);
		assert_true(f->status.retry_ms - now <= 30000);
		now = f->status.retry_ms;
	}
}

static void forget_reads_again(void **state)
{
	struct fixture *f = *state;

	sync_allow_removal(f->sync);
	want(f, ADDRS, "1=1");
	assert_int_equal(run(f, 0), 0);
	table_clear(&f->kernel.addrs); /* somebody emptied it */
	assert_int_equal(run(f, 0), 0);
	expect(&f->kernel.addrs, "");
	sync_forget(f->sync);
	assert_int_equal(run(f, 0), 0);
	expect(&f->kernel.addrs, "1=1");
}

static void unknown_map(void **state)
{
	struct fixture *f = *state;
	struct table table;

	table_init(&table, "mg_flow_e", 1, 1);
	table_add(&table, "a", "b");
	assert_int_equal(sync_want(f->sync, &table), -ENOENT);
	table_done(&table);
}

/* More rows than a batch, at random, many times: the map is what was wanted. */
static void random_changes(void **state)
{
	struct fixture *f = *state;
	unsigned int seed = 1;

	sync_allow_removal(f->sync);
	for (int turn = 0; turn < 50; turn++) {
		struct table table;
		_cleanup_table_ struct table copy;

		table_init(&table, ADDRS, 1, 1);
		table_init(&copy, ADDRS, 1, 1);
		for (int i = rand_r(&seed) % 300; i > 0; i--) {
			unsigned char row[2] = { (unsigned char)rand_r(&seed),
						 (unsigned char)(rand_r(&seed) % 3) };

			table_add(&table, &row[0], &row[1]);
			table_add(&copy, &row[0], &row[1]);
		}
		table_seal(&copy);
		assert_int_equal(sync_want(f->sync, &table), 0);
		f->kernel.fail_map = turn % 3 ? NULL : ADDRS;
		f->kernel.fail_after = (size_t)rand_r(&seed) % 50;
		run(f, (uint64_t)turn * 100000);
		f->kernel.fail_map = NULL;
		assert_int_equal(run(f, (uint64_t)turn * 100000 + 40000), 0);
		assert_true(table_equal(&copy, &f->kernel.addrs));
	}
}

#define CASE(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tables), CASE(additions_up_removals_down),
		CASE(adopts_kernel_rows), CASE(failure_is_retried_later),
		CASE(backoff_has_an_end), CASE(forget_reads_again),
		CASE(unknown_map),	  CASE(random_changes),
	};

	return cmocka_run_group_tests_name("sync", tests, NULL, NULL);
}
