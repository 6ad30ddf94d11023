/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every program of the object loads as the agent loads it, packet path and trace copy, and the
 * verifier's work stays within selftests/verifier/budget.tsv: kernel, program, verified
 * instructions, as the kernel tells them of a loaded program. A program that costs a tenth more
 * than its row fails; MARGAY_BUDGET=write writes the rows of this kernel.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#include "abi/config.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "dataplane/load.h"
#include "dataplane/object.h"
#include "dataplane/trace.h"
#include "selftests/lib/sandbox.h"

#define BUDGET "selftests/verifier/budget.tsv"
#define PROGRAMS 24
#define LINES 256

static struct {
	char name[64];
	unsigned long instructions;
} program[PROGRAMS];
static size_t programs;
static char kernel[32]; /* 6.18 */

static struct dp *dp;
static struct err err;

#define OK(call)                                                                                   \
	do {                                                                                       \
		if (call)                                                                          \
			fail_msg("%s: %s", #call, err.text);                                       \
	} while (0)

static int enter(void **state)
{
	struct dp_config config = dp_config_default();
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
	config.root = root;
	OK(dp_open(&config, &dp, &err));
	return 0;
}

static int leave(void **state)
{
	(void)state;
	dp_close(dp);
	return 0;
}

static void test_groups(void **state)
{
	(void)state;
	for (int group = 0; group < DP_GROUP_MAX; group++)
		if (dp_group_error(dp, (enum dp_group)group))
			fail_msg("%s: %s", dp_group_name((enum dp_group)group),
				 dp_group_error(dp, (enum dp_group)group));
	assert_true(dp_prog_fd(dp, "from_pod") >= 0);
	assert_true(dp_prog_fd(dp, "to_pod") >= 0);
}

static void test_trace_copy(void **state)
{
	struct dp_trace *trace;

	(void)state;
	OK(dp_trace_load(dp, &trace, &err));
	dp_trace_free(trace);
}

static unsigned long verified(int fd)
{
	struct bpf_prog_info info = { 0 };
	__u32 size = sizeof(info);

	if (bpf_obj_get_info_by_fd(fd, &info, &size))
		fail_msg("a program's description: %s", strerror(errno));
	return info.verified_insns;
}

/* One that is in no group: it is loaded when somebody asks for it. */
static unsigned long verified_alone(const char *name)
{
	const struct object_image image = object_built_in();
	const struct mg_config config = dp_config_default().mg;
	_cleanup_object_ struct bpf_object *object = NULL;
	struct bpf_program *one;

	OK(object_open_typed(&image, &config, &object, &err));
	one = bpf_object__find_program_by_name(object, name);
	bpf_program__set_autoload(one, true);
	OK(object_load(object, &err));
	return verified(bpf_program__fd(one));
}

static void count_all(void)
{
	const struct object_image image = object_built_in();
	const struct mg_config config = dp_config_default().mg;
	_cleanup_object_ struct bpf_object *object = NULL;
	struct bpf_program *each;

	OK(object_open(&image, &config, &object, &err));
	bpf_object__for_each_program(each, object)
	{
		const char *name = bpf_program__name(each);
		const int fd = dp_prog_fd(dp, name);

		assert_true(programs < PROGRAMS);
		snprintf(program[programs].name, sizeof(program[0].name), "%s", name);
		program[programs++].instructions = fd >= 0 ? verified(fd) : verified_alone(name);
	}
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
	count_all();
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
		cmocka_unit_test(test_groups),
		cmocka_unit_test(test_trace_copy),
		cmocka_unit_test(test_budget),
	};

	return cmocka_run_group_tests(tests, enter, leave);
}
