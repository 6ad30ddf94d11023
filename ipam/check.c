/* SPDX-License-Identifier: Apache-2.0 */
#include "ipam/check.h"

#include <stdarg.h>
#include <string.h>

#include "base/arena.h"
#include "base/inet.h"
#include "base/json.h"
#include "ipam/internal.h"

struct check {
	const struct ipam_objects *in;
	struct pools *pools;
	json_t *ips, *problems;
	json_t *by_ip;	 /* address: its element of ips */
	json_t *used;	 /* address: {"pod", "namespace", "node"} of pods and workloads */
	json_t *handles; /* handle: {cidr: count}, from blocks */
	json_t *owners;	 /* cidr: affinity text, from blocks */
	json_t *nodes;	 /* name: true; NULL: not known */
	unsigned int blocks, addresses, reserve, cooling, free;
};

static void __attribute__((format(printf, 4, 5))) problem(struct check *check, const char *kind,
							  json_t *details, const char *format, ...)
{
	char text[512];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	details = details ? details : json_object();
	json_object_set_new(details, "kind", json_string(kind));
	json_object_set_new(details, "text", json_string(text));
	json_array_append_new(check->problems, details);
}

static const char *name_of(const json_t *object)
{
	return json_text_or(object, "metadata.name", "?");
}

/* --- who uses what --------------------------------------------------------------------------- */

static void use(struct check *check, const char *ip, json_t *owner)
{
	struct mg_prefix prefix;
	char text[ADDR_TEXT_MAX];
	union mg_addr addr;
	const json_t *old;

	if (!ip || prefix_parse(ip, true, &prefix) < 0)
		return;
	addr = prefix.addr;
	addr_format(&addr, text);
	old = json_object_get(check->used, text);
	if (old && !json_equal((json_t *)old, owner))
		problem(check, "two-owners", json_pack("{s:s}", "ip", text),
			"%s is used by %s/%s and by %s/%s", text,
			json_text_or(old, "namespace", "?"), json_text_or(old, "pod", "?"),
			json_text_or(owner, "namespace", "?"), json_text_or(owner, "pod", "?"));
	else
		json_object_set(check->used, text, owner);
}

static bool is_finished(const json_t *pod)
{
	const char *phase = json_text_or(pod, "status.phase", "");

	return !strcmp(phase, "Succeeded") || !strcmp(phase, "Failed") ||
	       json_bool_or(pod, "spec.hostNetwork", false);
}

static void use_pods(struct check *check)
{
	const json_t *pod, *item;
	size_t i, j;

	json_array_foreach(check->in->pods, i, pod) {
		_cleanup_json_ json_t *owner = json_pack(
			"{s:s, s:s}", "namespace",
			json_text_or(pod, "metadata.namespace", "default"), "pod", name_of(pod));

		if (is_finished(pod))
			continue;
		json_array_foreach(json_at(pod, "status.podIPs"), j, item)
			use(check, json_text_at(item, "ip"), owner);
		use(check, json_text_at(pod, "status.podIP"), owner);
	}
}

static void use_workloads(struct check *check)
{
	const json_t *workload, *item;
	size_t i, j;

	json_array_foreach(check->in->workloads, i, workload) {
		_cleanup_json_ json_t *owner =
			json_pack("{s:s, s:s}", "namespace",
				  json_text_or(workload, "metadata.namespace", "default"), "pod",
				  json_text_or(workload, "spec.pod", name_of(workload)));

		json_array_foreach(json_at(workload, "spec.ipNetworks"), j, item)
			use(check, json_string_value(item), owner);
	}
}

/* --- blocks ---------------------------------------------------------------------------------- */

static void count_handle(struct check *check, const struct block *block, unsigned int ordinal)
{
	const char *handle = block_handle(block, ordinal);
	json_t *counts = json_object_get(check->handles, handle);

	if (!counts) {
		counts = json_object();
		json_object_set_new(check->handles, handle, counts);
	}
	handle_count_one(counts, &block->cidr);
}

static json_t *ip_record(const struct block *block, unsigned int ordinal)
{
	static const char *const keys[] = { "pod", "namespace", "node", "type" };
	char addr[ADDR_TEXT_MAX], cidr[PREFIX_TEXT_MAX];
	union mg_addr where = block_addr(block, ordinal);
	json_t *record =
		json_pack("{s:s, s:s, s:s, s:I}", "ip", addr_format(&where, addr), "handle",
			  block_handle(block, ordinal), "block", prefix_format(&block->cidr, cidr),
			  "sequence", (json_int_t)block->sequences[ordinal]);

	for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++) {
		const char *text = block_secondary(block, ordinal, keys[i]);

		if (text)
			json_object_set_new(record, keys[i], json_string(text));
	}
	return record;
}

static bool is_reserve(const char *handle)
{
	return !strncmp(handle, RESERVE_HANDLE, strlen(RESERVE_HANDLE));
}

static void check_node(struct check *check, const json_t *record)
{
	const char *node = json_text_at(record, "node");

	if (check->nodes && node && !json_object_get(check->nodes, node))
		problem(check, "no-node", json_copy((json_t *)record),
			"%s is held for node %s, which does not exist",
			json_text_or(record, "ip", "?"), node);
}

static void take_allocation(struct check *check, const struct block *block, unsigned int ordinal)
{
	json_t *record = ip_record(block, ordinal);
	const char *ip = json_text_at(record, "ip");
	union mg_addr addr = block_addr(block, ordinal);

	count_handle(check, block, ordinal);
	check->reserve += is_reserve(block_handle(block, ordinal));
	if (json_object_get(check->by_ip, ip))
		problem(check, "overlap", json_pack("{s:s}", "ip", ip),
			"%s is allocated in two blocks", ip);
	if (check->pools && !pools_of(check->pools, &addr))
		problem(check, "not-in-pool", json_copy(record), "%s is allocated, but in no pool",
			ip);
	check_node(check, record);
	json_object_set(check->by_ip, ip, record);
	json_array_append_new(check->ips, record);
}

static void take_block_object(struct check *check, json_t *object)
{
	struct err err = {};
	char cidr[PREFIX_TEXT_MAX];
	struct block *block;

	if (block_parse(object, &block, &err) < 0) {
		problem(check, "invalid-block", json_pack("{s:s}", "object", name_of(object)),
			"IPAMBlock %s: %s", name_of(object), err.text);
		return;
	}
	check->blocks++;
	check->addresses += block->size;
	check->free += block->fifo_count;
	json_object_set_new(check->owners, prefix_format(&block->cidr, cidr),
			    json_string(block->affinity ? block->affinity : ""));
	for (unsigned int i = 0; i < block->size; i++) {
		if (block_handle(block, i))
			take_allocation(check, block, i);
		else
			check->cooling += block->attrs[i] != NULL;
	}
	block_free(block);
}

/* --- what does not fit ----------------------------------------------------------------------- */

static void check_handles(struct check *check)
{
	const json_t *object;
	json_t *counts, *seen;
	const char *id;
	size_t i;

	if (!check->in->handles)
		return;
	seen = json_object();
	json_array_foreach(check->in->handles, i, object) {
		id = json_text_or(object, "spec.handleID", "");
		counts = json_object_get(check->handles, id);
		json_object_set_new(seen, id, json_true());
		if (!counts)
			problem(check, "orphan-handle",
				json_pack("{s:s}", "object", name_of(object)),
				"IPAMHandle %s: no block has an address of it", name_of(object));
		else if (!json_equal(counts, json_at(object, "spec.block")))
			problem(check, "handle-count",
				json_pack("{s:s}", "object", name_of(object)),
				"IPAMHandle %s: counts differ from the blocks", name_of(object));
	}
	json_object_foreach(check->handles, id, counts)
		if (!json_object_get(seen, id))
			problem(check, "missing-handle", json_pack("{s:s}", "object", id),
				"handle %s has addresses, but no IPAMHandle", id);
	json_decref(seen);
}

static void check_affinities(struct check *check)
{
	json_t *seen = json_object(), *owner;
	const json_t *object;
	const char *cidr;
	size_t i;

	json_array_foreach(check->in->affinities, i, object) {
		_cleanup_free_ char *want =
			xasprintf("%s:%s", json_text_or(object, "spec.type", "host"),
				  json_text_or(object, "spec.node", ""));

		cidr = json_text_or(object, "spec.cidr", "");
		owner = json_object_get(check->owners, cidr);
		if (owner && !strcmp(json_string_value(owner), want))
			json_object_set_new(seen, cidr, json_true());
		else
			problem(check, "orphan-affinity",
				json_pack("{s:s}", "object", name_of(object)),
				"BlockAffinity %s: the block is not there or not of this node",
				name_of(object));
	}
	json_object_foreach(check->owners, cidr, owner)
		if (check->in->affinities && *json_string_value(owner) &&
		    !json_object_get(seen, cidr))
			problem(check, "missing-affinity", json_pack("{s:s}", "object", cidr),
				"block %s belongs to %s, but has no BlockAffinity", cidr,
				json_string_value(owner));
	json_decref(seen);
}

static bool is_owner(const json_t *user, const json_t *record)
{
	const char *pod = json_text_at(record, "pod");

	/* Without a pod in the attribute (podman, nerdctl) the address alone tells. */
	return !pod || (!strcmp(pod, json_text_or(user, "pod", "")) &&
			!strcmp(json_text_or(record, "namespace", "default"),
				json_text_or(user, "namespace", "default")));
}

static void check_use(struct check *check)
{
	json_t *record, *user;
	const char *ip;
	size_t i;

	if (!check->in->pods && !check->in->workloads)
		return;
	json_array_foreach(check->ips, i, record) {
		bool used;

		ip = json_text_at(record, "ip");
		user = json_object_get(check->used, ip);
		used = (user && is_owner(user, record)) || json_text_at(record, "type") ||
		       is_reserve(json_text_or(record, "handle", ""));
		json_object_set_new(record, "inUse", json_boolean(used));
		if (!used)
			problem(check, "leaked", json_copy(record),
				"%s is allocated to %s/%s, which does not use it", ip,
				json_text_or(record, "namespace", "?"),
				json_text_or(record, "pod", json_text_or(record, "handle", "?")));
	}
	json_object_foreach(check->used, ip, user) {
		union mg_addr addr;

		record = json_object_get(check->by_ip, ip);
		if (addr_parse(ip, &addr) < 0 || !check->pools || !pools_of(check->pools, &addr) ||
		    (record && is_owner(user, record) &&
		     !is_reserve(json_text_or(record, "handle", ""))))
			continue;
		problem(check, "not-allocated", json_pack("{s:s}", "ip", ip),
			"%s is used by %s/%s, but not allocated to it", ip,
			json_text_or(user, "namespace", "?"), json_text_or(user, "pod", "?"));
	}
}

static void take_nodes(struct check *check)
{
	const json_t *node;
	size_t i;

	if (!check->in->nodes)
		return;
	check->nodes = json_object();
	json_array_foreach(check->in->nodes, i, node)
		json_object_set_new(check->nodes, name_of(node), json_true());
}

static void take_pools(struct check *check)
{
	_cleanup_json_ json_t *source = NULL;

	if (!check->in->pools)
		return;
	source = json_pack("{s:O}", "pools", check->in->pools);
	check->pools = pools_new(source);
}

json_t *ipam_check_objects(const struct ipam_objects *objects)
{
	struct check check = {
		.in = objects,
		.ips = json_array(),
		.problems = json_array(),
		.by_ip = json_object(),
		.used = json_object(),
		.handles = json_object(),
		.owners = json_object(),
	};
	json_t *object, *report;
	size_t i;

	take_pools(&check);
	take_nodes(&check);
	use_pods(&check);
	use_workloads(&check);
	json_array_foreach(objects->blocks, i, object)
		take_block_object(&check, object);
	check_handles(&check);
	check_affinities(&check);
	check_use(&check);
	report = json_pack("{s:i, s:i, s:i, s:i, s:i, s:i, s:o, s:o}", "blocks", check.blocks,
			   "addresses", check.addresses, "allocated",
			   (int)json_array_size(check.ips) - (int)check.reserve, "reserve",
			   check.reserve, "cooling", check.cooling, "free", check.free, "ips",
			   check.ips, "problems", check.problems);
	pools_free(check.pools);
	json_decref(check.by_ip);
	json_decref(check.used);
	json_decref(check.handles);
	json_decref(check.owners);
	json_decref(check.nodes);
	return report;
}
