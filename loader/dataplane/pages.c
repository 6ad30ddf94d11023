/* SPDX-License-Identifier: Apache-2.0 */
#include <bpf/bpf.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "base/err.h"
#include "dataplane/load.h"
#include "dataplane/pages.h"

struct dp_pages {
	const struct dp_map *outer;
	char *root;
	int chunk[MG_CHUNKS_MAX]; /* descriptors; -1: the chunk is not there */
	__u32 chunks;
};

static void chunk_path(const struct dp_pages *pages, __u32 chunk, char path[PATH_MAX])
{
	/* With the outer map's id: a new outer map has chunks of its own. (bpffs takes no dots.) */
	snprintf(path, PATH_MAX, "%s/pages/%u-%u", pages->root, pages->outer->id, chunk);
}

/* The inner map of a chunk: by its pin, or by its id where there is none (needs CAP_SYS_ADMIN);
 * then it gets a pin. -ENOENT: no such chunk. */
static int open_chunk(struct dp_pages *pages, __u32 chunk)
{
	char path[PATH_MAX];
	__u32 id;
	int fd, r = dp_map_get(pages->outer, &chunk, &id);

	if (r)
		return r;
	chunk_path(pages, chunk, path);
	fd = bpf_obj_get(path);
	if (fd >= 0)
		return fd;
	fd = bpf_map_get_fd_by_id(id);
	if (fd >= 0)
		(void)bpf_obj_pin(fd, path);
	return fd;
}

int dp_pages_open(const char *root, const struct dp_map *outer, struct dp_pages **ret_pages,
		  struct err *err)
{
	struct dp_pages *pages = xcalloc(1, sizeof(*pages));

	pages->outer = outer;
	pages->root = xstrdup(root ? root : DP_ROOT_DEFAULT);
	memset(pages->chunk, -1, sizeof(pages->chunk));
	for (__u32 i = 0; i < MG_CHUNKS_MAX && i < outer->entries; i++) {
		int fd = open_chunk(pages, i);

		if (fd == -ENOENT)
			continue;
		if (fd < 0) {
			dp_pages_close(pages);
			return err_errno(err, fd, "chunk %u of map %s", i, outer->name);
		}
		pages->chunk[i] = fd;
		pages->chunks++;
	}
	*ret_pages = pages;
	return 0;
}

void dp_pages_close(struct dp_pages *pages)
{
	if (!pages)
		return;
	for (__u32 i = 0; i < MG_CHUNKS_MAX; i++) {
		if (pages->chunk[i] >= 0)
			close(pages->chunk[i]);
	}
	free(pages->root);
	free(pages);
}

/* Pinned before it can be reached, so that no chunk is ever without a name. */
static int make_chunk(struct dp_pages *pages, __u32 chunk)
{
	_cleanup_close_ int fd = -1;
	char path[PATH_MAX];
	int r;

	fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "mg_chunk", sizeof(__u32), sizeof(struct mg_page),
			    MG_CHUNK_PAGES, NULL);
	if (fd < 0)
		return fd;
	chunk_path(pages, chunk, path);
	(void)unlink(path); /* of an agent that died between pin and insert */
	r = bpf_obj_pin(fd, path);
	if (!r)
		r = dp_map_set(pages->outer, &chunk, &fd);
	if (r)
		return r;
	pages->chunk[chunk] = TAKE_FD(fd);
	pages->chunks++;
	return 0;
}

int dp_pages_write(struct dp_pages *pages, __u32 page, const struct mg_page *value)
{
	__u32 chunk = page / MG_CHUNK_PAGES, index = page % MG_CHUNK_PAGES;
	int r;

	if (chunk >= MG_CHUNKS_MAX)
		return -E2BIG;
	if (pages->chunk[chunk] < 0) {
		r = make_chunk(pages, chunk);
		if (r)
			return r;
	}
	return bpf_map_update_elem(pages->chunk[chunk], &index, value, BPF_ANY);
}

int dp_pages_read(struct dp_pages *pages, __u32 page, struct mg_page *ret_value)
{
	__u32 chunk = page / MG_CHUNK_PAGES, index = page % MG_CHUNK_PAGES;

	if (chunk >= MG_CHUNKS_MAX)
		return -E2BIG;
	if (pages->chunk[chunk] < 0) {
		memset(ret_value, 0, sizeof(*ret_value));
		return 0;
	}
	return bpf_map_lookup_elem(pages->chunk[chunk], &index, ret_value);
}

int dp_pages_poke(struct dp_pages *pages, __u32 page, __u32 entry, __u32 value)
{
	struct mg_page content;
	int r;

	if (entry >= MG_PAGE_ENTRIES)
		return -E2BIG;
	r = dp_pages_read(pages, page, &content);
	if (r)
		return r;
	content.v[entry] = value;
	return dp_pages_write(pages, page, &content);
}

__u32 dp_pages_capacity(const struct dp_pages *pages)
{
	return pages->chunks * MG_CHUNK_PAGES;
}
