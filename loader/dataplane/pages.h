/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mg_pages: an array of arrays that grows by chunks of MG_CHUNK_PAGES pages. A chunk is made with
 * its first page and pinned as ROOT/pages/ID-N (ID: of the outer map), so that the next agent can
 * write it without CAP_SYS_ADMIN.
 */
#ifndef MARGAY_DATAPLANE_PAGES_H
#define MARGAY_DATAPLANE_PAGES_H

#include "abi/policy.h"
#include "base/cleanup.h"
#include "dataplane/map.h"

struct dp_pages;

/* root as in pins.h; outer is borrowed for the life of the pages. */
int dp_pages_open(const char *root, const struct dp_map *outer, struct dp_pages **ret_pages,
		  struct err *err);
void dp_pages_close(struct dp_pages *pages); /* accepts NULL */
DEFINE_CLEANUP(struct dp_pages *, dp_pages_close)

/* -E2BIG: page number beyond MG_CHUNKS_MAX chunks. A page of a missing chunk reads as zero. */
int dp_pages_write(struct dp_pages *pages, __u32 page, const struct mg_page *value);
/* One entry of a page, in place (filling an entry of an identity nobody uses). */
int dp_pages_poke(struct dp_pages *pages, __u32 page, __u32 entry, __u32 value);
int dp_pages_read(struct dp_pages *pages, __u32 page, struct mg_page *ret_value);
__u32 dp_pages_capacity(const struct dp_pages *pages); /* pages that have memory now */

#endif
