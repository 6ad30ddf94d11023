/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ROOT/meta: an array of one row that tells what the pinned programs were made from, and the
 * layout of the runtime maps. A bpffs holds no plain files.
 */
#include <bpf/bpf.h>
#include <errno.h>
#include <string.h>

#include "base/err.h"
#include "base/sha.h"
#include "dataplane/dp.h"

struct meta {
	__u8 digest[SHA256_SIZE];
	__u32 runtime_version;
	__u32 pad;
};

static void digest(const struct dp *dp, __u8 out[SHA256_SIZE])
{
	struct {
		__u8 image[SHA256_SIZE];
		struct mg_config mg;
		__u32 ids[DP_MAPS_MAX];
	} input = { .mg = dp->mg };

	sha256(dp->image.data, dp->image.size, input.image);
	for (size_t i = 0; i < dp->row_count; i++) {
		if (dp->rows[i].class != MAP_SCRATCH)
			input.ids[i] = dp->rows[i].map.id;
	}
	sha256(&input, sizeof(input), out);
}

static int read_meta(const struct dp *dp, struct meta *meta)
{
	_cleanup_map_ struct dp_map map = DP_MAP_NONE;
	char path[4096];
	__u32 zero = 0;
	int fd, r;

	dp_pin_path(dp, "meta", "", "", path);
	fd = bpf_obj_get(path);
	r = fd < 0 ? fd : dp_map_init(fd, &map, NULL);
	if (!r && map.value_size != sizeof(*meta))
		r = -EINVAL;
	return r ? r : dp_map_get(&map, &zero, meta);
}

int dp_meta_matches(const struct dp *dp, bool *ret_runtime_fits)
{
	__u8 want[SHA256_SIZE];
	struct meta meta;
	int r = read_meta(dp, &meta);

	*ret_runtime_fits = !r && meta.runtime_version == MG_RUNTIME_VERSION;
	if (r)
		return 0;
	digest(dp, want);
	return *ret_runtime_fits && !memcmp(want, meta.digest, sizeof(want));
}

static int write_meta(const struct dp *dp, const struct meta *meta, struct err *err)
{
	_cleanup_close_ int fd = -1;
	__u32 zero = 0;
	int r;

	fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "mg_meta", sizeof(zero), sizeof(*meta), 1, NULL);
	if (fd < 0)
		return err_errno(err, fd, "map mg_meta");
	r = bpf_map_update_elem(fd, &zero, meta, BPF_ANY);
	return r ? err_errno(err, r, "map mg_meta") : dp_pin_over(dp, "meta", "", fd, err);
}

int dp_meta_write(const struct dp *dp, struct err *err)
{
	struct meta meta = { .runtime_version = MG_RUNTIME_VERSION };

	digest(dp, meta.digest);
	return write_meta(dp, &meta, err);
}

int dp_meta_tear(const struct dp *dp, struct err *err)
{
	const struct meta meta = { .runtime_version = dp->former_runtime ? MG_RUNTIME_VERSION : 0 };

	return write_meta(dp, &meta, err);
}
