/* SPDX-License-Identifier: Apache-2.0 */
/* `ipam release`: one address, or what all the given reports of `ipam check` call leaked. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/inet.h"
#include "base/json.h"
#include "ctl/ipam.h"
#include "ctl/verb.h"
#include "ipam/release.h"

#define REPORTS_MAX 16
#define REPORT_LIMIT (64 * 1024 * 1024)

struct arguments {
	struct ctl *ctl;
	const char *ip;
	const char *reports[REPORTS_MAX];
	size_t report_count;
	bool force;
};

enum { OPT_IP = 256, OPT_REPORT, OPT_FORCE };

static const struct argp_option options[] = {
	{ "ip", OPT_IP, "IP", 0, "release this address, whoever has it", 0 },
	{ "from-report", OPT_REPORT, "FILE", 0,
	  "release what is leaked by this report; several: by all of them", 0 },
	{ "force", OPT_FORCE, NULL, 0, "also from the reserve of a node that is gone", 0 },
	{ 0 },
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct arguments *arguments = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = arguments->ctl;
		return 0;
	case OPT_IP:
		arguments->ip = arg;
		return 0;
	case OPT_REPORT:
		if (arguments->report_count == REPORTS_MAX)
			argp_error(state, "more than %d reports", REPORTS_MAX);
		arguments->reports[arguments->report_count++] = arg;
		return 0;
	case OPT_FORCE:
		arguments->force = true;
		return 0;
	case ARGP_KEY_ARG:
		argp_error(state, "unexpected argument \"%s\"", arg);
		return 0;
	case ARGP_KEY_END:
		if (!arguments->ip == !arguments->report_count)
			argp_error(state, "expected --ip=IP or --from-report=FILE");
		return 0;
	}
	return ARGP_ERR_UNKNOWN;
}

/* --- reports --------------------------------------------------------------------------------- */

static json_t *read_report(struct ctl *ctl, const char *path)
{
	_cleanup_free_ char *text = NULL;
	json_t *report;
	int r = file_read(AT_FDCWD, path, REPORT_LIMIT, &text, NULL);

	if (r < 0) {
		ctl_error(ctl, "%s: %s", path, strerror(-r));
		return NULL;
	}
	report = json_loads(text, 0, NULL);
	if (!json_is_array(json_object_get(report, "problems"))) {
		ctl_error(ctl, "%s: expected a report of `ipam check -o FILE`", path);
		json_decref(report);
		return NULL;
	}
	return report;
}

/* {"ip handle sequence": problem} */
static json_t *leaked_of(const json_t *report)
{
	json_t *leaked = json_object(), *problem;
	size_t i;

	json_array_foreach(json_object_get(report, "problems"), i, problem) {
		char key[512];

		if (strcmp(json_text_or(problem, "kind", ""), "leaked") != 0)
			continue;
		snprintf(key, sizeof(key), "%s %s %lld", json_text_or(problem, "ip", ""),
			 json_text_or(problem, "handle", ""),
			 (long long)json_integer_value(json_object_get(problem, "sequence")));
		json_object_set(leaked, key, problem);
	}
	return leaked;
}

static void keep_common(json_t *leaked, const json_t *other)
{
	const char *key;
	json_t *problem;
	void *next;

	json_object_foreach_safe(leaked, next, key, problem) if (!json_object_get(other, key))
		json_object_del(leaked, key);
}

static json_t *leaked_in_all(const struct arguments *arguments)
{
	json_t *leaked = NULL;

	for (size_t i = 0; i < arguments->report_count; i++) {
		_cleanup_json_ json_t *report = read_report(arguments->ctl, arguments->reports[i]);
		_cleanup_json_ json_t *one = report ? leaked_of(report) : NULL;

		if (!one) {
			json_decref(leaked);
			return NULL;
		}
		if (leaked)
			keep_common(leaked, one);
		else
			leaked = json_incref(one);
	}
	return leaked;
}

static void release_reports(const struct arguments *arguments)
{
	_cleanup_json_ json_t *leaked = leaked_in_all(arguments);
	size_t done = 0, skipped = 0;
	const char *key;
	json_t *problem;

	if (!leaked)
		return;
	printf("Releasing %zu old IPs...\n", json_object_size(leaked));
	json_object_foreach(leaked, key, problem) {
		struct ipam_free what = {
			.handle = json_text_at(problem, "handle"),
			.sequence = (__u64)json_integer_value(json_object_get(problem, "sequence")),
			.now_ms = ipam_now(),
		};
		struct err err = {};
		int r = addr_parse(json_text_or(problem, "ip", ""), &what.addr);

		if (!r)
			r = ipam_free_addr(arguments->ctl->store, &what, &err);
		done += !r;
		/* Gone or given anew since the report: as it should be. */
		skipped += r == -ENOENT || r == -ESTALE;
		if (r < 0 && r != -ENOENT && r != -ESTALE)
			ctl_error(arguments->ctl, "%s: %s", json_text_or(problem, "ip", "?"),
				  err.text);
	}
	printf("Released %zu IPs; skipped %zu that changed since.\n", done, skipped);
}

static void release_ip(const struct arguments *arguments)
{
	struct ipam_free what = { .reserve = arguments->force, .now_ms = ipam_now() };
	struct err err = {};
	int r;

	if (addr_parse(arguments->ip, &what.addr) < 0) {
		ctl_error(arguments->ctl, "--ip: \"%s\" is not an address", arguments->ip);
		return;
	}
	r = ipam_free_addr(arguments->ctl->store, &what, &err);
	if (r == -ENOENT)
		printf("IP address %s is not assigned\n", arguments->ip);
	else if (r < 0)
		ctl_error(arguments->ctl, "%s", err.text);
	else
		printf("Successfully released IP address %s\n", arguments->ip);
}

int verb_ipam_release(struct ctl *ctl, int argc, char **argv)
{
	const struct argp_child children[] = { { &ctl_argp, 0, NULL, 0 }, {} };
	const struct argp argp = { options,  parse,
				   NULL,     "Releases addresses nobody uses any more.",
				   children, NULL,
				   NULL };
	struct arguments arguments = { .ctl = ctl };
	struct err err = {};

	argp_parse(&argp, argc, argv, 0, NULL, &arguments);
	if (ctl_store(ctl, true, &err) < 0) {
		ctl_error(ctl, "%s", err.text);
		return 1;
	}
	if (arguments.ip)
		release_ip(&arguments);
	else
		release_reports(&arguments);
	return ctl->failed;
}
