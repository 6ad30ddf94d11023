/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every program of the object loads, trace copy and packet path, and the verifier's work stays
 * within selftests/verifier/budget.tsv: kernel, program, verified instructions. A program that
 * costs a tenth more than its row fails; MARGAY_BUDGET=write writes the rows of this kernel.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <bpf/libbpf.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#include "abi/config.h"
#include "base/cleanup.h"
#include "margay.skel.h"
#include "selftests/lib/sandbox.h"

#define BUDGET "selftests/verifier/budget.tsv"
#define PROGRAMS 16
#define LOG_STATS 4 /* BPF_LOG_STATS */
#define LOG_BYTES 65536
#define LINES 256

static struct {
	char name[64];
	unsigned long instructions;
} program[PROGRAMS];
static size_t programs;
static char kernel[32]; /* 6.18 */

static int enter(void **state)
{
	struct utsname name;
	char root[PATH_MAX], *dot;

	(void)state;
	if (sandbox_enter(root) || uname(&name))
		return -1;
	snprintf(kernel, sizeof(kernel), "%.20s", name.release);
	dot = strchr(kernel, '.');
	dot = dot ? strchr(dot + 1, '.') : NULL;
	if (dot)
		*dot = '\0';
	return 0;
}

/* All functions of the program together: "processed N insns ..." at the start of a line. */
static unsigned long processed(const char *log)
{
	const char *line = strstr(log, "\nprocessed ");

	return line ? strtoul(line + sizeof("\nprocessed"), NULL, 10) : 0;
}

static void load(bool trace)
{
	static char log[PROGRAMS][LOG_BYTES];
	struct margay *skel = margay__open();
	struct bpf_program *each;
	int r;

	assert_non_null(skel);
	skel->rodata->mg_config.trace = trace;
	programs = 0;
	bpf_object__for_each_program(each, skel->obj)
	{
		assert_true(programs < PROGRAMS);
		snprintf(program[programs].name, sizeof(program[0].name), "%s",
			 bpf_program__name(each));
		bpf_program__set_log_level(each, LOG_STATS);
		bpf_program__set_log_buf(each, log[programs], LOG_BYTES);
		programs++;
	}
	r = margay__load(skel);
	for (size_t i = 0; i < programs; i++) {
		if (r || getenv("MARGAY_VERIFIER_LOG"))
			print_message("# %s: %.4000s\n", program[i].name, log[i]);
		program[i].instructions = processed(log[i]);
	}
	margay__destroy(skel);
	if (r)
		fail_msg("loading: %s", strerror(-r));
}

static void test_trace_copy(void **state)
{
	(void)state;
	load(true);
	assert_true(programs >= 2);
}

/* The row of this kernel; of a kernel without one the largest of all kernels. */
static unsigned long allowed(const char *name)
{
	_cleanup_fclose_ FILE *file = fopen(BUDGET, "re");
	char line[256], of[32], what[64];
	unsigned long count, most = 0;

	while (file && fgets(line, sizeof(line), file)) {
		if (sscanf(line, "%31s %63s %lu", of, what, &count) != 3 || strcmp(what, name) != 0)
			continue;
		if (!strcmp(of, kernel))
			return count;
		most = count > most ? count : most;
	}
	return most;
}

/* Rows of other kernels stay as they are. */
static void write_budget(void)
{
	static char keep[LINES][256];
	size_t kept = 0;
	FILE *file = fopen(BUDGET, "re");
	size_t length = strlen(kernel);

	while (file && kept < LINES && fgets(keep[kept], sizeof(keep[0]), file))
		if (strncmp(keep[kept], kernel, length) != 0 || keep[kept][length] != '\t')
			kept++;
	if (file)
		fclose(file);
	file = fopen(BUDGET, "we");
	if (!file)
		fail_msg("%s cannot be written", BUDGET);
	for (size_t i = 0; i < kept; i++)
		fputs(keep[i], file);
	for (size_t i = 0; i < programs; i++)
		fprintf(file, "%s\t%s\t%lu\n", kernel, program[i].name, program[i].instructions);
	fclose(file);
}

static void test_budget(void **state)
{
	const char *mode = getenv("MARGAY_BUDGET");
	size_t above = 0;

	(void)state;
	load(false);
	if (mode && !strcmp(mode, "write"))
		write_budget();
	for (size_t i = 0; i < programs; i++) {
		unsigned long limit = allowed(program[i].name);

		print_message("# %s %s: %lu verified instructions, budget %lu\n", kernel,
			      program[i].name, program[i].instructions, limit);
		assert_true(program[i].instructions > 0);
		if (limit && program[i].instructions > limit + limit / 10)
			above++;
	}
	if (above)
		fail_msg("%zu programs are a tenth above %s", above, BUDGET);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_trace_copy),
		cmocka_unit_test(test_budget),
	};

	return cmocka_run_group_tests(tests, enter, NULL);
}
