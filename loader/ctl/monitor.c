/* SPDX-License-Identifier: Apache-2.0 */
/*
 * margayctl monitor: drops, new flows and what Log rules see as they happen, as lines, JSON lines,
 * or a capture file of dropped packets (which tcpdump cannot show, since they never get to where it
 * looks). With
 * --kernel-drops also what the kernel drops by itself, before and behind Margay's programs.
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/arena.h"
#include "base/json.h"
#include "base/rpc.h"
#include "ctl/agent.h"
#include "ctl/rule_words.h"
#include "ctl/verb.h"

/* pcap-savefile(5), link types Ethernet and raw IP. */
#define PCAP_MAGIC_NS 0xa1b23c4d
#define PCAP_SNAPLEN 65535
#define LINKTYPE_RAW 101

struct watch {
	struct ctl *ctl;
	const char *from, *to, *verdict, *pcap;
	bool json, kernel;
	unsigned long count; /* 0: no end */
	unsigned long seen;
	FILE *capture;
};

static const struct argp_option options[] = {
	{ "from", 'F', "POD", 0, "only from this NAMESPACE/POD or address", 0 },
	{ "to", 'T', "POD", 0, "only to this NAMESPACE/POD or address", 0 },
	{ "verdict", 'v', "dropped|allowed", 0, "only these", 0 },
	{ "kernel-drops", 'k', NULL, 0, "what the kernel itself drops of these pods' packets, too",
	  0 },
	{ "pcap", 'w', "FILE", 0, "write dropped packets into a capture file; - is stdout", 0 },
	{ "count", 'c', "N", 0, "end after N records", 0 },
	{ "output", 'o', "json", 0, "one JSON object a line", 0 },
	{ 0 },
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct watch *watch = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = watch->ctl;
		return 0;
	case 'F':
		watch->from = arg;
		return 0;
	case 'T':
		watch->to = arg;
		return 0;
	case 'v':
		watch->verdict = arg;
		return 0;
	case 'k':
		watch->kernel = true;
		return 0;
	case 'w':
		watch->pcap = arg;
		watch->verdict = "dropped";
		return 0;
	case 'c':
		watch->count = strtoul(arg, NULL, 10);
		return 0;
	case 'o':
		if (strcmp(arg, "json"))
			argp_error(state, "-o %s: only json is known here", arg);
		watch->json = true;
		return 0;
	case ARGP_KEY_ARG:
		argp_error(state, "unexpected argument \"%s\"", arg);
		return 0;
	}
	return ARGP_ERR_UNKNOWN;
}

static void write_head(FILE *out)
{
	const struct {
		uint32_t magic;
		uint16_t major, minor;
		uint32_t zone, accuracy, snaplen, linktype;
	} head = { PCAP_MAGIC_NS, 2, 4, 0, 0, PCAP_SNAPLEN, LINKTYPE_RAW };

	fwrite(&head, sizeof(head), 1, out);
}

/* Events carry boot time: what the wall clock said then. */
static struct timespec wall_time(json_int_t boot)
{
	struct timespec real, now;
	long long ns;

	clock_gettime(CLOCK_REALTIME, &real);
	clock_gettime(CLOCK_BOOTTIME, &now);
	ns = (long long)real.tv_sec * 1000000000 + real.tv_nsec -
	     ((long long)now.tv_sec * 1000000000 + now.tv_nsec - boot);
	return (struct timespec){ .tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000 };
}

static void write_packet(FILE *out, const json_t *event)
{
	const char *hex = json_text_or(event, "data", "");
	size_t skip = (size_t)json_integer_value(json_object_get(event, "l3_offset"));
	size_t size = strlen(hex) / 2;
	struct timespec when = wall_time(json_integer_value(json_object_get(event, "time")));
	uint32_t length = (uint32_t)json_integer_value(json_object_get(event, "length"));
	uint32_t head[4];

	if (size <= skip)
		return;
	head[0] = (uint32_t)when.tv_sec;
	head[1] = (uint32_t)when.tv_nsec;
	head[2] = (uint32_t)(size - skip);
	head[3] = length > skip ? length - (uint32_t)skip : head[2];
	fwrite(head, sizeof(head), 1, out);
	for (size_t i = skip; i < size; i++) {
		unsigned int byte = 0;

		if (sscanf(hex + i * 2, "%2x", &byte) == 1)
			fputc((int)byte, out);
	}
	fflush(out);
}

/* Where in the kernel, and in whose namespace. */
static void print_place(const json_t *event)
{
	const char *function = json_text_or(event, "function", "");
	const char *pod = json_text_or(event, "pod", "");

	if (*function)
		printf(" in %s", function);
	if (*pod)
		printf(" of pod %s", pod);
}

/* Takes the words over. */
static void print_words(const char *before, char *words)
{
	if (words)
		printf("%s%s", before, words);
	free(words);
}

/* The rule that denied, or of what goes on that of the first end that has one. */
static const json_t *deciding_rule(const json_t *event)
{
	const char *reason = json_text_or(event, "reason", "");
	const json_t *out = json_object_get(event, "egress_rule");

	if (!strncmp(reason, "host-", 5) && json_is_object(json_object_get(event, "host_rule")))
		return json_object_get(event, "host_rule");
	if (!strcmp(reason, "policy-ingress") || !json_is_object(out))
		return json_object_get(event, "ingress_rule");
	return out;
}

static void print_log(const json_t *event)
{
	const json_t *rule;
	size_t i;

	json_array_foreach((json_t *)json_object_get(event, "log"), i, rule)
		print_words(i ? ", " : "; logged by ", rule_words(rule));
}

static void print_event(const json_t *event)
{
	const char *kind = json_text_or(event, "kind", "?");

	if (!strcmp(kind, "lost")) {
		printf("%lld records lost: this reader is too slow\n",
		       (long long)json_integer_value(json_object_get(event, "count")));
		return;
	}
	if (!strcmp(kind, "suppressed")) {
		printf("%lld more drops of the kernel: too many to tell one by one\n",
		       (long long)json_integer_value(json_object_get(event, "count")));
		return;
	}
	printf("%-5s %-16s %s:%lld > %s:%lld proto %lld %lld bytes at %s", kind,
	       json_text_or(event, "reason", ""), json_text_or(event, "from", "?"),
	       (long long)json_integer_value(json_object_get(event, "sport")),
	       json_text_or(event, "to", "?"),
	       (long long)json_integer_value(json_object_get(event, "dport")),
	       (long long)json_integer_value(json_object_get(event, "proto")),
	       (long long)json_integer_value(json_object_get(event, "length")),
	       json_text_or(event, "hook", "?"));
	print_words(" by ", rule_words(deciding_rule(event)));
	print_log(event);
	print_words("; staged policies: ", staged_words(event));
	print_place(event);
	putchar('\n');
}

static bool on_record(void *context, const json_t *event)
{
	struct watch *watch = context;

	if (json_object_get(event, "ok"))
		return true;
	if (watch->capture) {
		write_packet(watch->capture, event);
	} else if (watch->json) {
		json_dumpf(event, stdout, JSON_COMPACT);
		putchar('\n');
	} else {
		print_event(event);
	}
	fflush(stdout);
	return !watch->count || ++watch->seen < watch->count;
}

static json_t *request_of(const struct watch *watch)
{
	json_t *request = json_object();

	if (watch->from)
		json_object_set_new(request, "from", json_string(watch->from));
	if (watch->to)
		json_object_set_new(request, "to", json_string(watch->to));
	if (watch->verdict)
		json_object_set_new(request, "verdict", json_string(watch->verdict));
	if (watch->kernel)
		json_object_set_new(request, "kernel_drops", json_true());
	return request;
}

int verb_monitor(struct ctl *ctl, int argc, char **argv)
{
	static const struct argp_child children[] = { { &ctl_argp, 0, NULL, 0 }, { 0 } };
	const struct argp argp = {
		.options = options,
		.parser = parse,
		.doc = "Drops, new flows and what Log rules see, of this node, as they happen.",
		.children = children
	};
	struct watch watch = { .ctl = ctl };
	_cleanup_json_ json_t *request = NULL;
	struct err err = { 0 };
	int r;

	if (argp_parse(&argp, argc, argv, 0, NULL, &watch))
		return 1;
	if (watch.pcap) {
		watch.capture = strcmp(watch.pcap, "-") ? fopen(watch.pcap, "we") : stdout;
		if (!watch.capture) {
			ctl_error(ctl, "%s: %s", watch.pcap, strerror(errno));
			return 1;
		}
		write_head(watch.capture);
	}
	request = request_of(&watch);
	r = agent_stream(ctl, "monitor", request, &(struct agent_reader){ on_record, &watch },
			 &err);
	if (watch.capture && watch.capture != stdout && fclose(watch.capture) && !r)
		r = err_errno(&err, -errno, "%s", watch.pcap);
	if (r < 0)
		ctl_error(ctl, "%s", err.text);
	return ctl->failed;
}
