/* SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <string.h>

#include "base/arena.h"
#include "base/sha.h"
#include "datastore/dir.h"

/* A file name has at most 255 bytes, an object's name 253 before encoding and ".json". */
#define SEGMENT_MAX 200
#define SEGMENT_KEPT 180

char *dir_encode(const char *name)
{
	_cleanup_free_ char *text = xmalloc(strlen(name) * 3 + 1);
	unsigned char digest[SHA256_SIZE];
	char *out = text;

	for (const char *p = name; *p; p++) {
		bool plain = isalnum((unsigned char)*p) || *p == '-' || *p == '_' ||
			     (*p == '.' && p > name);

		if (plain)
			*out++ = *p;
		else
			out += snprintf(out, 4, "%%%02X", (unsigned char)*p);
	}
	*out = 0;
	if (out - text <= SEGMENT_MAX)
		return TAKE_PTR(text);
	sha256(name, strlen(name), digest);
	return xasprintf("%.*s~%02x%02x%02x%02x%02x%02x%02x%02x", SEGMENT_KEPT, text, digest[0],
			 digest[1], digest[2], digest[3], digest[4], digest[5], digest[6],
			 digest[7]);
}

char *dir_rel(const struct store_key *key)
{
	_cleanup_free_ char *ns = *key->ns ? dir_encode(key->ns) : xstrdup("_");
	_cleanup_free_ char *name = dir_encode(key->name);

	return xasprintf("%s/%s/%s/%s.json", *key->kind->group ? key->kind->group : "core",
			 key->kind->kind, ns, name);
}

const struct store_kind *dir_rel_kind(const char *rel)
{
	size_t count, group = strcspn(rel, "/"), name;
	const struct store_kind *kinds = store_kinds(&count);
	const char *kind = rel + group + (rel[group] == '/');

	name = strcspn(kind, "/");
	for (size_t i = 0; i < count; i++) {
		const char *want = *kinds[i].group ? kinds[i].group : "core";

		if (strlen(want) == group && !strncmp(want, rel, group) &&
		    strlen(kinds[i].kind) == name && !strncmp(kinds[i].kind, kind, name))
			return &kinds[i];
	}
	return NULL;
}
