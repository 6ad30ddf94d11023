/* SPDX-License-Identifier: Apache-2.0 */
/*
 * margayctl trace: what happens to the first packet of a connection, or to the next one of a live
 * connection, asked from node to node. This
 * node's agent is asked by its socket, others by an object TraceRequest in the store.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "base/arena.h"
#include "base/json.h"
#include "base/rpc.h"
#include "ctl/agent.h"
#include "ctl/table.h"
#include "ctl/verb.h"
#include "datastore/store.h"

#define HOPS_MAX 8
#define ANSWER_TIMEOUT_MS 10000
#define LOOK_MS 20

struct question {
	struct ctl *ctl;
	const char *src, *dst;
	const char *protocol;
	const char *family;
	const char *port;
	const char *source_port;
	bool flow; /* a live connection, not a new one */
	bool json;
	char *here; /* this node's name */
};

static const struct argp_option options[] = {
	{ "protocol", 'p', "PROTOCOL", 0, "tcp (default), udp, sctp, icmp or a number", 0 },
	{ "port", 'P', "PORT", 0, "destination port", 0 },
	{ "flow", 'F', NULL, 0,
	  "a connection that is there, the latest that fits, instead of a new one", 0 },
	{ "source-port", 'S', "PORT", 0, "its source port, with --flow (ICMP: the identifier)", 0 },
	{ "family", 'f', "4|6", 0, "address family where pods have both (4)", 0 },
	{ "output", 'o', "json", 0, "print the answers as they came", 0 },
	{ 0 },
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct question *question = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = question->ctl;
		return 0;
	case 'p':
		question->protocol = arg;
		return 0;
	case 'P':
		question->port = arg;
		return 0;
	case 'F':
		question->flow = true;
		return 0;
	case 'S':
		question->source_port = arg;
		question->flow = true;
		return 0;
	case 'f':
		question->family = arg;
		return 0;
	case 'o':
		if (strcmp(arg, "json"))
			argp_error(state, "-o %s: only json is known here", arg);
		question->json = true;
		return 0;
	case ARGP_KEY_ARG:
		if (state->arg_num > 1)
			argp_error(state, "unexpected argument \"%s\"", arg);
		*(state->arg_num ? &question->dst : &question->src) = arg;
		return 0;
	case ARGP_KEY_END:
		if (!question->dst)
			argp_error(state,
				   "who asks whom? margayctl trace NAMESPACE/POD NAMESPACE/POD");
		return 0;
	}
	return ARGP_ERR_UNKNOWN;
}

/* --- asking -------------------------------------------------------------------------------- */

static int await(struct ctl *ctl, const struct store_key *key, json_t **ret_answer, struct err *err)
{
	const struct timespec pause = { .tv_nsec = LOOK_MS * 1000000 };
	long long deadline = rpc_now() + ANSWER_TIMEOUT_MS;

	for (;;) {
		_cleanup_json_ json_t *object = NULL;
		json_t *status;
		int r = store_get(ctl->store, key, &object, err);

		if (r < 0)
			return r;
		status = json_object_get(object, "status");
		if (status) {
			*ret_answer = json_incref(status);
			return 0;
		}
		if (rpc_now() > deadline)
			return err_set(err, -ETIMEDOUT, "the node's agent does not answer");
		nanosleep(&pause, NULL);
	}
}

static int ask_by_object(struct ctl *ctl, const char *node, const json_t *request,
			 json_t **ret_answer, struct err *err)
{
	_cleanup_json_ json_t *spec = json_deep_copy(request), *object = NULL, *answer = NULL;
	char name[32];
	struct store_key key = { .kind = store_kind_find("margay.dev/v1", "TraceRequest"),
				 .name = name };
	unsigned long long random;
	int r = ctl_store(ctl, true, err);

	if (r < 0)
		return r;
	if (getrandom(&random, sizeof(random), 0) != sizeof(random))
		return err_errno(err, -errno, "random name");
	snprintf(name, sizeof(name), "trace-%016llx", random);
	json_object_set_new(spec, "node", json_string(node));
	object = json_pack("{s:s,s:s,s:{s:s},s:O}", "apiVersion", "margay.dev/v1", "kind",
			   "TraceRequest", "metadata", "name", name, "spec", spec);
	r = store_create(ctl->store, object, NULL, err);
	if (r < 0)
		return r;
	r = await(ctl, &key, &answer, err);
	store_delete(ctl->store, &key, NULL, NULL);
	if (!r && !json_is_true(json_object_get(answer, "ok")))
		r = err_set(err, -EPROTO, "%s", json_text_or(answer, "msg", "refused"));
	if (r < 0)
		return err_wrap(err, r, "node %s", node);
	*ret_answer = TAKE_PTR(answer);
	return 0;
}

static int ask(struct question *question, const char *node, const json_t *request,
	       json_t **ret_answer, struct err *err)
{
	if (!strcmp(node, question->here))
		return agent_call(question->ctl, "trace", request, ret_answer, err);
	return ask_by_object(question->ctl, node, request, ret_answer, err);
}

static int find_here(struct question *question, struct err *err)
{
	_cleanup_json_ json_t *answer = NULL;
	int r = agent_call(question->ctl, "status", NULL, &answer, err);

	if (r < 0)
		return r;
	question->here = xstrdup(json_text_or(json_object_get(answer, "status"), "node", ""));
	return 0;
}

/* The node where the asking pod lives; this one where the store does not know the pod. */
static char *node_of_source(struct question *question)
{
	const struct store_query query = { .kind = store_kind_find("projectcalico.org/v3",
								   "WorkloadEndpoint") };
	struct store_list list;
	struct err unused;
	char *node = NULL;
	json_t *object;
	size_t i;

	if (ctl_store(question->ctl, false, &unused) < 0 ||
	    store_list(question->ctl->store, &query, 1, &list, &unused) < 0)
		return xstrdup(question->here);
	json_array_foreach(list.items, i, object) {
		const json_t *spec = json_object_get(object, "spec");
		_cleanup_free_ char *name = xasprintf(
			"%s/%s", json_text_or(json_object_get(object, "metadata"), "namespace", ""),
			json_text_or(spec, "pod", ""));

		if (!node && !strcmp(name, question->src))
			node = xstrdup(json_text_or(spec, "node", question->here));
	}
	store_list_done(&list);
	return node ? node : xstrdup(question->here);
}

static json_t *first_request(const struct question *question)
{
	json_t *request = json_pack("{s:s,s:s,s:s,s:i}", "src", question->src, "dst", question->dst,
				    "protocol", question->protocol ? question->protocol : "tcp",
				    "port", question->port ? atoi(question->port) : 0);

	if (question->flow)
		json_object_set_new(request, "flow", json_true());
	if (question->source_port)
		json_object_set_new(request, "source_port",
				    json_integer(atoi(question->source_port)));
	if (question->family)
		json_object_set_new(request, "family", json_integer(atoi(question->family)));
	return request;
}

/* --- showing ------------------------------------------------------------------------------- */

static void show_answer(const json_t *answer)
{
	const json_t *nearest = json_object_get(answer, "nearest");
	json_t *step;
	size_t i;

	printf("node %s\n", json_text_or(answer, "node", "?"));
	json_array_foreach(json_object_get(answer, "steps"), i, step)
		printf("  %-20s %s\n", json_text_or(step, "step", ""),
		       json_text_or(step, "text", ""));
	if (nearest)
		printf("  %-20s %s\n", "nearest", json_text_or(nearest, "text", ""));
}

static int walk(struct question *question, json_t *answers, struct err *err)
{
	json_t *request = first_request(question);
	char *node = node_of_source(question);
	int r = 0;

	for (unsigned int hop = 0; node && hop < HOPS_MAX && !r; hop++) {
		json_t *answer = NULL;
		const char *next;

		r = ask(question, node, request, &answer, err);
		if (r < 0)
			break;
		json_array_append_new(answers, answer);
		free(node);
		next = json_text_at(answer, "next_node");
		node = next ? xstrdup(next) : NULL;
		json_decref(request);
		request = json_pack("{s:s,s:O*,s:O*}", "packet", json_text_or(answer, "packet", ""),
				    "flow", json_object_get(answer, "flow"), "connection",
				    json_object_get(answer, "connection"));
	}
	json_decref(request);
	free(node);
	return r;
}

int verb_trace(struct ctl *ctl, int argc, char **argv)
{
	static const struct argp_child children[] = { { &ctl_argp, 0, NULL, 0 }, { 0 } };
	const struct argp argp = {
		.options = options,
		.parser = parse,
		.args_doc = "SOURCE DESTINATION",
		.doc = "What happens to a new connection, or with --flow to the next packet of one "
		       "that is there, step by step, from node to node. Source and destination are "
		       "NAMESPACE/POD or an address.",
		.children = children
	};
	struct question question = { .ctl = ctl };
	_cleanup_json_ json_t *answers = json_array();
	const json_t *last;
	struct err err = { 0 };
	json_t *answer;
	size_t i;
	int r;

	if (argp_parse(&argp, argc, argv, 0, NULL, &question))
		return 1;
	r = find_here(&question, &err);
	if (!r)
		r = walk(&question, answers, &err);
	free(question.here);
	if (question.json)
		print_json(stdout, answers);
	else
		json_array_foreach(answers, i, answer)
			show_answer(answer);
	if (r < 0) {
		ctl_error(ctl, "%s", err.text);
		return 1;
	}
	last = json_array_get(answers, json_array_size(answers) - 1);
	if (!question.json)
		printf("verdict: %s%s%s\n", json_text_or(last, "verdict", "?"),
		       json_text_at(last, "reason") ? ", " : "", json_text_or(last, "reason", ""));
	return 0;
}
