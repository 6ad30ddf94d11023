/* SPDX-License-Identifier: Apache-2.0 */
/* Objects of manifests once they were handed on: what one costs, and that its content is read
 * again. And what a list costs while it is read. */
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/json.h"
#include "selftests/lib/store_test.h"

#define MANY 8000
#define BYTES_AN_OBJECT 120 /* a tree of this size is 2 KiB */

static size_t heap_bytes(void)
{
	struct mallinfo2 info = mallinfo2();

	return info.uordblks + info.hblkhd;
}

static char *sets(int first, int count)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	for (int i = first; i < first + count; i++)
		fprintf(out,
			"---\napiVersion: projectcalico.org/v3\nkind: NetworkSet\n"
			"metadata: {name: set-%d, namespace: a}\n"
			"spec: {nets: [10.0.0.0/8, 11.0.0.0/8, 12.0.0.0/8]}\n",
			i);
	fclose(out);
	return text;
}

static void test_bytes_an_object(void **state)
{
	_cleanup_free_ char *text = sets(0, MANY);
	struct store_test test;
	struct store_options options = { .manifests = test.manifests, .instance = "n1" };
	struct store *store;
	size_t before, each;

	(void)state;
	store_test_init(&test);
	assert_int_equal(mkdir(test.manifests, 0755), 0);
	store = store_test_open(&test, &options);
	before = heap_bytes();
	test_write(&test, "manifests.d/many.yaml", text);
	store_close(store);
	store = store_test_open(&test, &options);
	each = (heap_bytes() - before) / MANY;
	print_message("%zu bytes an object\n", each);
#ifndef __SANITIZE_ADDRESS__
	assert_in_range(each, 20, BYTES_AN_OBJECT);
#endif
	store_close(store);
	store_test_done(&test);
}

#define FILES 6
#define A_FILE 4000
#define PEAK_KIB (40 << 10) /* the trees of all files are 40 MiB, and it was 65 with them */

static size_t status_kib(const char *key)
{
	char line[256];
	size_t kib = 0;
	FILE *in = fopen("/proc/self/status", "r");

	while (in && fgets(line, sizeof(line), in))
		if (!strncmp(line, key, strlen(key)))
			kib = strtoul(line + strlen(key), NULL, 10);
	if (in)
		fclose(in);
	return kib;
}

/* The high mark from here on, in a process of its own. */
static void measure_start(const struct store_test *test)
{
	const struct store_options options = { .create = true,
					       .manifests = test->manifests,
					       .instance = "n1" };
	size_t before;
	FILE *mark = fopen("/proc/self/clear_refs", "w");

	if (!mark || fputs("5", mark) < 0 || fclose(mark))
		_exit(2);
	before = status_kib("VmRSS:");
	store_close(store_test_open(test, &options));
	printf("# %zu KiB at the most\n", status_kib("VmHWM:") - before);
	fflush(stdout);
	_exit(status_kib("VmHWM:") - before > PEAK_KIB);
}

/* A start that finds many manifests for the first time has the trees of a few files in memory. */
static void test_peak_of_a_first_start(void **state)
{
	struct store_test test;
	int status;
	pid_t pid;

	(void)state;
	store_test_init(&test);
	assert_int_equal(mkdir(test.manifests, 0755), 0);
	for (int i = 0; i < FILES; i++) {
		_cleanup_free_ char *text = sets(i * A_FILE, A_FILE);
		char name[64];

		snprintf(name, sizeof(name), "manifests.d/%d.yaml", i);
		test_write(&test, name, text);
	}
	pid = fork();
	assert_true(pid >= 0);
	if (!pid)
		measure_start(&test);
	assert_int_equal(waitpid(pid, &status, 0), pid);
#ifndef __SANITIZE_ADDRESS__
	assert_int_equal(status, 0);
#endif
	store_test_done(&test);
}

/* From the last valid copy, else from the file. */
static void test_lost_copy(void **state)
{
	struct store_test test;
	struct store_options options = { .manifests = test.manifests, .instance = "n1" };
	struct store_key key = test_key("a", "x");
	struct watch_log log = { 0 };
	struct store *store;

	(void)state;
	store_test_init(&test);
	assert_int_equal(mkdir(test.manifests, 0755), 0);
	test_write(&test, "manifests.d/x.yaml",
		   "apiVersion: projectcalico.org/v3\nkind: NetworkSet\n"
		   "metadata: {name: x, namespace: a}\nspec: {nets: [2.0.0.0/8]}\n");
	store = store_test_open(&test, &options);
	test_watch(store, &log);
	settle(store);
	for (int lost = 0; lost < 2; lost++) {
		_cleanup_free_ char *copy = test_path(&test, "store/manifests/n1/x.yaml.json");
		_cleanup_json_ json_t *got = NULL;

		if (lost)
			assert_int_equal(unlink(copy), 0);
		assert_int_equal(store_get(store, &key, &got, NULL), 0);
		assert_string_equal(test_net(got), "2.0.0.0/8");
	}
	/* Its last content is lost with the file; its key is not. */
	{
		_cleanup_free_ char *file = test_path(&test, "manifests.d/x.yaml");

		assert_int_equal(unlink(file), 0);
	}
	assert_true(wait_log(store, &log, "-a/x"));
	store_close(store);
	store_test_done(&test);
}

/* --- lists --- */

#define STORED 4000
#define PEAK_AN_OBJECT 200 /* its name; a tree is 2 KiB */

struct peak {
	size_t count, bytes;
};

static int note_peak(size_t query, json_t *object, void *arg)
{
	struct peak *peak = arg;
	size_t bytes = heap_bytes();

	(void)query;
	(void)object;
	peak->count++;
	if (bytes > peak->bytes)
		peak->bytes = bytes;
	return 0;
}

static void put_many(struct store *store)
{
	struct store_write *writes = calloc(STORED, sizeof(*writes));

	for (int i = 0; i < STORED; i++) {
		char name[32];

		snprintf(name, sizeof(name), "set-%d", i);
		writes[i] = (struct store_write){ .op = STORE_CREATE,
						  .object = test_set("a", name, "10.0.0.0/8",
								     "app=web,tier=front") };
	}
	assert_int_equal(store_commit(store, writes, STORED, NULL), 0);
	store_writes_done(writes, STORED);
	for (int i = 0; i < STORED; i++)
		json_decref((json_t *)writes[i].object);
	free(writes);
}

/* A list that is handed on object by object is never in memory whole. */
static void test_peak_of_a_list(void **state)
{
	struct store_fixture *f = *state;
	struct store_query query = test_query(NULL);
	struct peak peak = { 0 };
	const struct store_reading reading = {
		.queries = &query, .count = 1, .fn = note_peak, .arg = &peak
	};
	size_t before;

	put_many(f->store);
	before = heap_bytes();
	assert_int_equal(store_read(f->store, &reading, NULL), 0);
	assert_int_equal(peak.count, STORED);
	print_message("%zu bytes an object at the most\n", (peak.bytes - before) / STORED);
#ifndef __SANITIZE_ADDRESS__
	assert_in_range((peak.bytes - before) / STORED, 0, PEAK_AN_OBJECT);
#endif
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		/* First: what others have freed would hide its peak. */
		cmocka_unit_test(test_peak_of_a_first_start),
		cmocka_unit_test(test_bytes_an_object),
		cmocka_unit_test(test_lost_copy),
		cmocka_unit_test_setup_teardown(test_peak_of_a_list, store_fixture_setup,
						store_fixture_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
