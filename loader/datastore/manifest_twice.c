/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One object in two places: an error that names both, whichever is in force.
 */
#include <string.h>
#include <utlist.h>

#include "base/arena.h"
#include "datastore/manifest.h"

static void note_twice(struct manifests *manifests, const struct manifest_object *object,
		       const char *other, const char *which)
{
	_cleanup_free_ char *origin = manifests_origin(object), *name = NULL, *text = NULL;
	struct store_key key = manifest_key(object);

	name = key_text(&key);
	text = xasprintf("is in two places, here and in %s: %s is in force; remove one of them",
			 other, which);
	problem_set(&manifests->dir->store, &(struct store_problem){ .file = origin,
								     .object = name,
								     .text = text,
								     .served = true,
								     .twice = true });
	manifests->twice =
		xrealloc(manifests->twice, manifests->twice_count + 1, sizeof(*manifests->twice));
	manifests->twice[manifests->twice_count++] = TAKE_PTR(origin);
}

static void find_twice(struct manifests *manifests, const struct manifest_object *object)
{
	const struct manifest_object *entry = manifest_same(&manifests->index, object);
	struct store_key key = manifest_key(object);
	_cleanup_free_ char *other = NULL, *rel = NULL;

	if (entry && !object->held) {
		other = manifests_origin(entry);
		note_twice(manifests, object, other, "the other one");
	} else if (object->stored) {
		rel = dir_rel(&key);
		other = xasprintf("%s/objects/%s", manifests->dir->path, rel);
		note_twice(manifests, object, other, entry ? "this one" : "the other one");
	}
}

void manifests_clear_twice(struct manifests *manifests)
{
	for (size_t i = 0; i < manifests->twice_count; i++) {
		problem_clear(&manifests->dir->store, manifests->twice[i]);
		free(manifests->twice[i]);
	}
	free(manifests->twice);
	manifests->twice = NULL;
	manifests->twice_count = 0;
}

void manifests_find_twice(struct dir *dir)
{
	struct manifest_file *file;

	if (!dir->manifests)
		return;
	manifests_clear_twice(dir->manifests);
	LL_FOREACH(dir->manifests->files, file)
		for (size_t i = 0; i < file->objects.count; i++)
			find_twice(dir->manifests, file->objects.v[i]);
}
