/* SPDX-License-Identifier: Apache-2.0 */
#include "model/kind.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#define CALICO API_GROUP_CALICO
#define NAMESPACED true
#define CLUSTER false
#define NOW true
#define LATER false

static const struct kind_info infos[KIND_MAX] = {
#define KIND(id, name, names, further, api_group, api_version, scope, works, decoder)              \
	[KIND_##id] = { .kind = name,                                                              \
			.plural = names,                                                           \
			.aliases = further,                                                        \
			.group = api_group,                                                        \
			.version = api_version,                                                    \
			.api = sizeof(api_group) > 1 ? api_group "/" api_version : api_version,    \
			.namespaced = scope,                                                       \
			.effect = works },
#define KIND_FORM(...)
#include "model/kinds.def"
#undef KIND
#undef KIND_FORM
};

static const struct {
	enum kind kind;
	const char *api;
} forms[] = {
#define KIND(...)
#define KIND_FORM(id, api_group, api_version, decoder) { KIND_##id, api_group "/" api_version },
#include "model/kinds.def"
#undef KIND
#undef KIND_FORM
};

const struct kind_info *kind_info(enum kind kind)
{
	return &infos[kind];
}

int kind_find(const char *api, const char *name, enum kind *ret_kind)
{
	for (int k = 0; k < KIND_MAX; k++) {
		if (strcmp(infos[k].kind, name))
			continue;
		for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
			if ((int)forms[i].kind == k && !strcmp(forms[i].api, api)) {
				*ret_kind = (enum kind)k;
				return 0;
			}
		}
		if (!strcmp(infos[k].api, api)) {
			*ret_kind = (enum kind)k;
			return 0;
		}
	}
	return -ENOENT;
}

static bool word_in(const char *words, const char *word, size_t length)
{
	for (size_t n; *words; words += n + (words[n] == ' ')) {
		n = strcspn(words, " ");
		if (n == length && !strncasecmp(words, word, length))
			return true;
	}
	return false;
}

static bool is_named(const struct kind_info *info, const char *name, size_t length)
{
	return word_in(info->kind, name, length) || word_in(info->plural, name, length) ||
	       word_in(info->aliases, name, length);
}

static bool is_in_group(enum kind kind, const char *group)
{
	const size_t length = strlen(group);

	if (!strcasecmp(infos[kind].group, group))
		return true;
	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++)
		if (forms[i].kind == kind && !strncasecmp(forms[i].api, group, length) &&
		    forms[i].api[length] == '/')
			return true;
	return false;
}

size_t kinds_named(const char *name, enum kind *ret_kinds, size_t max)
{
	size_t length = strcspn(name, "."), count = 0;
	const char *group = name[length] ? name + length + 1 : NULL;

	for (int k = 0; k < KIND_MAX; k++)
		if (count < max && length && is_named(&infos[k], name, length) &&
		    (!group || is_in_group((enum kind)k, group)))
			ret_kinds[count++] = (enum kind)k;
	return count;
}
