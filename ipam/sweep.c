/* SPDX-License-Identifier: Apache-2.0 */
#include "ipam/sweep.h"

#include <errno.h>
#include <string.h>

#include "base/arena.h"
#include "base/inet.h"
#include "base/json.h"
#include "ipam/check.h"
#include "ipam/internal.h"
#include "ipam/release.h"

#define KEY_MAX 512

struct ipam_sweep {
	__u64 grace_ms;
	ipam_sweep_told told;
	void *arg;
	json_t *suspects; /* "ip handle sequence": when it was seen without a pod first, ms */
};

/* One look. */
struct look {
	struct ipam_sweep *sweep;
	struct store *store;
	__u64 now_ms;
	json_t *lists[5];
	json_t *nodes; /* name: true */
	json_t *suspects;
	struct ipam_sweep_report *report;
	struct err *err;
};

/* Blocks first: who got an address before has a Pod that the later list shows. */
static const enum kind kinds[] = { KIND_IPAM_BLOCK, KIND_BLOCK_AFFINITY, KIND_POD,
				   KIND_WORKLOAD_ENDPOINT, KIND_NODE };
enum { BLOCKS, AFFINITIES, PODS, WORKLOADS, NODES };
#define LISTS (sizeof(kinds) / sizeof(kinds[0]))

struct ipam_sweep *ipam_sweep_new(__u64 grace_ms, ipam_sweep_told told, void *arg)
{
	struct ipam_sweep *sweep = xcalloc(1, sizeof(*sweep));

	sweep->grace_ms = grace_ms;
	sweep->told = told;
	sweep->arg = arg;
	sweep->suspects = json_object();
	return sweep;
}

void ipam_sweep_set_grace(struct ipam_sweep *sweep, __u64 grace_ms)
{
	sweep->grace_ms = grace_ms;
}

void ipam_sweep_free(struct ipam_sweep *sweep)
{
	if (sweep)
		json_decref(sweep->suspects);
	free(sweep);
}

/* --- reading ------------------------------------------------------------------------------- */

static void keep(json_t *to, const json_t *from, const char *key, const char *const *names)
{
	json_t *part = json_object();

	for (; *names; names++) {
		json_t *value = json_object_get(json_object_get(from, key), *names);

		if (value)
			json_object_set(part, *names, value);
	}
	json_object_set_new(to, key, part);
}

/* Of tens of thousands of Pods only what the look asks is kept. */
static json_t *slim(const json_t *object)
{
	static const char *const metadata[] = { "name", "namespace", NULL };
	static const char *const spec[] = { "hostNetwork", "nodeName",	 "pod",
					    "node",	   "ipNetworks", NULL };
	static const char *const status[] = { "phase", "podIP", "podIPs", NULL };
	json_t *less = json_object();

	keep(less, object, "metadata", metadata);
	keep(less, object, "spec", spec);
	keep(less, object, "status", status);
	return less;
}

struct into {
	struct look *look;
	size_t list;
};

static int take(size_t query, json_t *object, void *arg)
{
	const struct into *into = arg;
	json_t *list = into->look->lists[into->list];

	(void)query;
	if (into->list == BLOCKS || into->list == AFFINITIES)
		json_array_append(list, object);
	else
		json_array_append_new(list, slim(object));
	if (into->list == NODES)
		json_object_set_new(into->look->nodes, json_text_or(object, "metadata.name", ""),
				    json_true());
	return 0;
}

static int read_lists(struct look *look)
{
	int r = 0;

	/* One after the other: where lists are not of one moment, their order counts. */
	for (size_t i = 0; !r && i < LISTS; i++) {
		const struct store_query query = { .kind = store_kind(kinds[i]) };
		struct into into = { look, i };
		const struct store_reading reading = {
			.queries = &query, .count = 1, .fn = take, .arg = &into
		};

		look->lists[i] = json_array();
		r = store_read(look->store, &reading, look->err);
	}
	return r;
}

static bool has_node(const struct look *look, const char *node)
{
	return json_object_get(look->nodes, node) != NULL;
}

/* --- once more ----------------------------------------------------------------------------- */

/* 1: it is there, 0: it is not, else the store's error. */
static int is_there(struct look *look, enum kind kind, const char *ns, const char *name,
		    json_t **ret_object)
{
	const struct store_key key = { .kind = store_kind(kind), .ns = ns, .name = name };
	int r = store_get(look->store, &key, ret_object, look->err);

	return r == -ENOENT ? 0 : r < 0 ? r : 1;
}

/* The Pod of the record is there, and the address may be its own: it says so, or says none yet. */
static int has_pod(struct look *look, const json_t *record)
{
	const char *pod = json_text_at(record, "pod"), *ip = json_text_or(record, "ip", "");
	_cleanup_json_ json_t *object = NULL;
	const json_t *item;
	int r = pod ? is_there(look, KIND_POD, json_text_or(record, "namespace", "default"), pod,
			       &object)
		    : 0;
	size_t i;

	if (r <= 0)
		return r;
	json_array_foreach(json_at(object, "status.podIPs"), i, item) {
		if (!strcmp(json_text_or(item, "ip", ""), ip))
			return 1;
	}
	return !strcmp(json_text_or(object, "status.podIP", ip), ip);
}

/* By the list, and by another question. 1: gone. */
static int is_node_gone(struct look *look, const char *node)
{
	_cleanup_json_ json_t *object = NULL;
	int r;

	if (!node || !*node || has_node(look, node))
		return 0;
	r = is_there(look, KIND_NODE, NULL, node, &object);
	return r < 0 ? r : !r;
}

/* --- addresses ----------------------------------------------------------------------------- */

static int release(struct look *look, const json_t *record, bool reserve)
{
	struct ipam_free what = { .handle = json_text_at(record, "handle"),
				  .sequence = (__u64)json_integer_value(
					  json_object_get(record, "sequence")),
				  .reserve = reserve,
				  .now_ms = look->now_ms };
	const char *ip = json_text_or(record, "ip", "");
	int r = addr_parse(ip, &what.addr);

	if (!r)
		r = ipam_free_addr(look->store, &what, look->err);
	/* Somebody else was faster, or it was given anew. */
	if (r == -ENOENT || r == -ESTALE || r == -EBUSY)
		return 0;
	if (r < 0)
		return r;
	look->report->released++;
	if (look->sweep->told)
		look->sweep->told(look->sweep->arg, record);
	return 0;
}

/* Since when it is known; the clock may have been set back meanwhile. */
static bool is_over(struct look *look, const json_t *record)
{
	char key[KEY_MAX];
	const json_t *before;
	__u64 since;

	snprintf(key, sizeof(key), "%s %s %lld", json_text_or(record, "ip", ""),
		 json_text_or(record, "handle", ""),
		 (long long)json_integer_value(json_object_get(record, "sequence")));
	before = json_object_get(look->sweep->suspects, key);
	since = before ? (__u64)json_integer_value(before) : look->now_ms;
	if (since > look->now_ms)
		since = look->now_ms;
	json_object_set_new(look->suspects, key, json_integer((json_int_t)since));
	return before && look->now_ms - since >= look->sweep->grace_ms;
}

static int judge_leaked(struct look *look, const json_t *record)
{
	int gone = is_node_gone(look, json_text_at(record, "node")), r;

	if (gone < 0)
		return gone;
	if (!gone && !is_over(look, record)) {
		look->report->suspects++;
		return 0;
	}
	r = has_pod(look, record);
	return r ? (r < 0 ? r : 0) : release(look, record, false);
}

/* Reserve and tunnel addresses; those of pods are leaked once the pod is gone. */
static int judge_node(struct look *look, const json_t *record)
{
	bool reserve = !strncmp(json_text_or(record, "handle", ""), RESERVE_HANDLE,
				strlen(RESERVE_HANDLE));
	int gone;

	if (!reserve && !json_text_at(record, "type"))
		return 0;
	gone = is_node_gone(look, json_text_at(record, "node"));
	return gone <= 0 ? gone : release(look, record, reserve);
}

static int judge_addresses(struct look *look)
{
	const struct ipam_objects objects = { .blocks = look->lists[BLOCKS],
					      .nodes = look->lists[NODES],
					      .pods = look->lists[PODS],
					      .workloads = look->lists[WORKLOADS] };
	_cleanup_json_ json_t *report = ipam_check_objects(&objects);
	const json_t *record;
	size_t i;
	int r = 0;

	json_array_foreach(json_object_get(report, "problems"), i, record) {
		const char *kind = json_text_or(record, "kind", "");

		if (!strcmp(kind, "leaked"))
			r = judge_leaked(look, record);
		else if (!strcmp(kind, "no-node"))
			r = judge_node(look, record);
		if (r < 0)
			return r;
	}
	return 0;
}

/* --- blocks -------------------------------------------------------------------------------- */

/* A block without a node that has nothing left goes; one that pods of others borrow from, or whose
 * addresses rest, stays without a node: who needs one takes it. */
static int free_block(struct look *look, const char *name)
{
	struct ipam ipam = { .store = look->store };
	_cleanup_json_ json_t *object = NULL, *changed = NULL;
	_cleanup_block_ struct block *block = NULL;
	int r = get_object(&ipam, "IPAMBlock", name, &object, look->err);

	if (!r)
		r = block_parse(object, &block, look->err);
	if (r < 0)
		return r;
	if (block_is_empty(block))
		return delete_object(&ipam, "IPAMBlock", name,
				     json_text_at(object, "metadata.resourceVersion"), look->err);
	free(block->affinity);
	block->affinity = NULL;
	changed = block_encode(block);
	return put_object(&ipam, STORE_UPDATE, changed, NULL, look->err);
}

static int judge_block(struct look *look, const json_t *object)
{
	const char *affinity = json_text_or(object, "spec.affinity", "");
	const size_t size = strlen(BLOCK_AFFINITY);
	int r = 0;

	if (!strncmp(affinity, BLOCK_AFFINITY, size))
		r = is_node_gone(look, affinity + size);
	if (r <= 0)
		return r;
	r = free_block(look, json_text_or(object, "metadata.name", ""));
	look->report->blocks += !r;
	/* The next look sees what became of it. */
	return r == -ESTALE || r == -ENOENT ? 0 : r;
}

static int judge_affinity(struct look *look, const json_t *object)
{
	const struct store_key key = { .kind = store_kind(KIND_BLOCK_AFFINITY),
				       .name = json_text_or(object, "metadata.name", "") };
	int r = 0;

	if (!strcmp(json_text_or(object, "spec.type", "host"), "host"))
		r = is_node_gone(look, json_text_at(object, "spec.node"));
	if (r <= 0)
		return r;
	r = store_delete(look->store, &key, json_text_at(object, "metadata.resourceVersion"),
			 look->err);
	return r == -ESTALE || r == -ENOENT ? 0 : r;
}

typedef int (*judge_fn)(struct look *look, const json_t *object);

static int judge_each(struct look *look, const json_t *list, judge_fn judge)
{
	const json_t *object;
	size_t i;
	int r = 0;

	json_array_foreach(list, i, object) {
		if (!r)
			r = judge(look, object);
	}
	return r;
}

/* --- the whole ----------------------------------------------------------------------------- */

int ipam_sweep_look(struct ipam_sweep *sweep, struct store *store, __u64 now_ms,
		    struct ipam_sweep_report *ret_report, struct err *err)
{
	struct look look = { .sweep = sweep,
			     .store = store,
			     .now_ms = now_ms,
			     .nodes = json_object(),
			     .suspects = json_object(),
			     .report = ret_report,
			     .err = err };
	int r;

	*ret_report = (struct ipam_sweep_report){ 0 };
	r = read_lists(&look);
	if (!r)
		r = judge_addresses(&look);
	if (!r) {
		json_decref(sweep->suspects);
		sweep->suspects = TAKE_PTR(look.suspects);
		r = judge_each(&look, look.lists[BLOCKS], judge_block);
	}
	/* The block's own word decides: its affinity goes behind it. */
	if (!r)
		r = judge_each(&look, look.lists[AFFINITIES], judge_affinity);
	for (size_t i = 0; i < LISTS; i++)
		json_decref(look.lists[i]);
	json_decref(look.nodes);
	json_decref(look.suspects);
	return r;
}
