/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/kernel_reason.h"

#include <bpf/btf.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"

#define SUFFIX "drop_reason"
#define SUBSYSTEMS "skb_drop_reason_subsys"
#define CORE_PREFIX "SKB_DROP_REASON_"
#define SUBSYSTEM_PREFIX "SKB_DROP_REASON_SUBSYS_"
#define SUBSYSTEM_SHIFT 16
#define REASONS_MAX 4096

struct kernel_reason {
	__u32 value;
	char *name;
};

struct list {
	struct kernel_reason *v;
	size_t count;
};

struct kernel_reasons {
	struct list reasons;
	struct list subsystems;
};

static const char *without(const char *name, const char *prefix)
{
	size_t size = strlen(prefix);

	return strncmp(name, prefix, size) ? name : name + size;
}

static void add(struct list *list, __u32 value, const char *name)
{
	if (list->count == REASONS_MAX)
		return;
	list->v = xrealloc(list->v, list->count + 1, sizeof(*list->v));
	list->v[list->count++] = (struct kernel_reason){ value, xstrdup(name) };
}

static bool ends(const char *text, const char *suffix)
{
	size_t size = strlen(text), tail = strlen(suffix);

	return size >= tail && !strcmp(text + size - tail, suffix);
}

static void take(struct kernel_reasons *reasons, const struct btf *btf, const struct btf_type *type)
{
	const char *name = btf__name_by_offset(btf, type->name_off);
	bool subsystems = !strcmp(name, SUBSYSTEMS);
	struct list *list = subsystems ? &reasons->subsystems : &reasons->reasons;
	const char *prefix = subsystems ? SUBSYSTEM_PREFIX : CORE_PREFIX;
	const struct btf_enum *value = btf_enum(type);

	if (!subsystems && !ends(name, SUFFIX))
		return;
	for (unsigned int i = 0; i < btf_vlen(type); i++)
		add(list, (__u32)value[i].val,
		    without(btf__name_by_offset(btf, value[i].name_off), prefix));
}

struct kernel_reasons *kernel_reasons_new(const struct btf *btf)
{
	struct kernel_reasons *reasons = xcalloc(1, sizeof(*reasons));
	__u32 count = btf__type_cnt(btf);

	for (__u32 id = 1; id < count; id++) {
		const struct btf_type *type = btf__type_by_id(btf, id);

		if (btf_is_enum(type))
			take(reasons, btf, type);
	}
	return reasons;
}

static void free_list(struct list *list)
{
	for (size_t i = 0; i < list->count; i++)
		free(list->v[i].name);
	free(list->v);
}

void kernel_reasons_free(struct kernel_reasons *reasons)
{
	if (!reasons)
		return;
	free_list(&reasons->reasons);
	free_list(&reasons->subsystems);
	free(reasons);
}

static const char *find(const struct list *list, __u32 value)
{
	for (size_t i = 0; i < list->count; i++) {
		if (list->v[i].value == value)
			return list->v[i].name;
	}
	return NULL;
}

const char *kernel_reasons_name(const struct kernel_reasons *reasons, __u32 reason, char *text,
				size_t size)
{
	const char *name = find(&reasons->reasons, reason), *subsystem;

	if (name)
		return name;
	subsystem = find(&reasons->subsystems, reason >> SUBSYSTEM_SHIFT);
	if (subsystem && reason >> SUBSYSTEM_SHIFT)
		snprintf(text, size, "%s:%u", subsystem, reason & ((1U << SUBSYSTEM_SHIFT) - 1));
	else
		snprintf(text, size, "%u", reason);
	return text;
}
