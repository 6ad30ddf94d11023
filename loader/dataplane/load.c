/* SPDX-License-Identifier: Apache-2.0 */
#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "abi/maps.h"
#include "base/arena.h"
#include "base/err.h"
#include "base/file.h"
#include "dataplane/attach.h"
#include "dataplane/dp.h"
#include "dataplane/pins.h"

static const struct {
	const char *name;
	enum map_class class;
} classes[] = {
#define CLASS(map, key, value, kind, text) { #map, MAP_##kind },
	MG_MAPS(CLASS)
#undef CLASS
};

enum map_class dp_map_class(const char *name)
{
	for (size_t i = 0; i < sizeof(classes) / sizeof(classes[0]); i++) {
		if (!strcmp(classes[i].name, name))
			return classes[i].class;
	}
	return MAP_SCRATCH;
}

struct dp_config dp_config_default(void)
{
	return (struct dp_config){
		.root = DP_ROOT_DEFAULT,
		.mg = { .slots = 4096, .mark = 0x01000000, .redirect_peer = 1 },
	};
}

/* Kernels before 5.11 account maps there; ours do not, and a refusal does not matter. */
static void raise_memlock(void)
{
	const struct rlimit all = { RLIM_INFINITY, RLIM_INFINITY };

	(void)setrlimit(RLIMIT_MEMLOCK, &all);
}

static int make_folders(const struct dp *dp, struct err *err)
{
	static const char *const folders[] = { "", "/maps", "/progs", "/pages", "/links" };
	char path[PATH_MAX];

	for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
		int r;

		if (snprintf(path, sizeof(path), "%s%s", dp->root, folders[i]) >= PATH_MAX / 2)
			return err_set(err, -ENAMETOOLONG, "%s", dp->root);
		r = dir_make(path, 0700, err);
		if (r)
			return r;
	}
	return 0;
}

static __u32 size_of(const struct dp_config *config, const char *name, __u32 own)
{
	for (size_t i = 0; i < config->size_count; i++) {
		if (!strcmp(config->sizes[i].map, name))
			return config->sizes[i].entries;
	}
	if (!strcmp(name, "mg_ep") || !strcmp(name, "mg_slots") || !strcmp(name, "mg_ep_if"))
		return config->mg.slots;
	return own;
}

static bool fits(const struct dp_map *pinned, const struct bpf_map *wanted)
{
	return pinned->type == (__u32)bpf_map__type(wanted) &&
	       pinned->key_size == bpf_map__key_size(wanted) &&
	       pinned->value_size == bpf_map__value_size(wanted) &&
	       pinned->entries == bpf_map__max_entries(wanted) &&
	       pinned->flags == bpf_map__map_flags(wanted);
}

/* Takes the pinned map, or leaves it as the former one where it does not fit. */
static int find_pinned(struct dp *dp, struct dp_row *row, struct bpf_map *wanted, struct err *err)
{
	struct dp_map pinned;
	int r;

	if (row->class == MAP_SCRATCH)
		return 0;
	r = pin_open_map(dp->root, row->name, &pinned, err);
	if (r == -ENOENT)
		return err_clear(err);
	if (r)
		return r;
	if (!fits(&pinned, wanted) || (row->class == MAP_RUNTIME && !dp->former_runtime)) {
		row->former = pinned;
		return 0;
	}
	row->map = pinned;
	r = bpf_map__reuse_fd(wanted, pinned.fd);
	return r ? err_errno(err, r, "map %s", row->name) : 0;
}

static int add_row(struct dp *dp, const struct dp_config *config, struct bpf_map *wanted,
		   struct err *err)
{
	const char *name = bpf_map__name(wanted);
	struct dp_row *row = &dp->rows[dp->row_count];
	int r;

	if (dp->row_count == DP_MAPS_MAX)
		return err_set(err, -E2BIG, "the BPF object has more than %d maps", DP_MAPS_MAX);
	*row = (struct dp_row){ .map = DP_MAP_NONE, .former = DP_MAP_NONE };
	snprintf(row->name, sizeof(row->name), "%s", name);
	row->class = dp_map_class(name);
	dp->row_count++;
	r = bpf_map__set_max_entries(wanted, size_of(config, name, bpf_map__max_entries(wanted)));
	if (r)
		return err_errno(err, r, "map %s: size", name);
	return find_pinned(dp, row, wanted, err);
}

static struct bpf_map *template_of_chunk(const struct bpf_object *object)
{
	return bpf_object__find_map_by_name(object, "mg_chunk0");
}

/* A chunk belongs to the outer map of its time: with a pinned one, the object's is not made. */
static void drop_template(const struct bpf_object *object)
{
	struct bpf_map *outer = bpf_object__find_map_by_name(object, "mg_pages");
	struct bpf_map *chunk = template_of_chunk(object);

	if (outer && chunk && bpf_map__fd(outer) >= 0)
		bpf_map__set_autocreate(chunk, false);
}

/* The object cannot say so itself (bpf/maps/pages.h). */
static int place_first_chunk(const struct bpf_object *object)
{
	struct bpf_map *outer = bpf_object__find_map_by_name(object, "mg_pages");
	struct bpf_map *chunk = template_of_chunk(object);
	__u32 zero = 0;
	int fd;

	if (!outer || !chunk || !bpf_map__autocreate(chunk))
		return 0;
	fd = bpf_map__fd(chunk);
	return bpf_map_update_elem(bpf_map__fd(outer), &zero, &fd, BPF_ANY);
}

static int take_made(struct dp *dp, struct bpf_object *object, struct err *err)
{
	int fd, r;

	for (size_t i = 0; i < dp->row_count; i++) {
		struct dp_row *row = &dp->rows[i];

		if (row->map.fd >= 0)
			continue;
		fd = bpf_map__fd(bpf_object__find_map_by_name(object, row->name));
		fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
		if (fd < 0)
			return err_errno(err, -errno, "map %s", row->name);
		r = dp_map_init(fd, &row->map, err);
		if (r)
			return r;
		row->made = true;
	}
	return 0;
}

void dp_leave_watch_maps(const struct bpf_object *object)
{
	struct bpf_map *map;

	bpf_object__for_each_map(map, object)
	{
		if (dp_map_class(bpf_map__name(map)) == MAP_WATCH)
			bpf_map__set_autocreate(map, false);
	}
}

/* The first pass: all maps, no programs. */
static int open_maps(struct dp *dp, const struct dp_config *config, struct err *err)
{
	_cleanup_object_ struct bpf_object *object = NULL;
	struct bpf_map *map;
	int r;

	r = object_open(&dp->image, &dp->mg, &object, err);
	if (r)
		return r;
	bpf_object__for_each_map(map, object)
	{
		if (!object_map_is_named(map) || dp_map_class(bpf_map__name(map)) == MAP_WATCH)
			continue;
		r = add_row(dp, config, map, err);
		if (r)
			return r;
	}
	drop_template(object);
	dp_leave_watch_maps(object);
	r = object_load(object, err);
	if (r)
		return err_wrap(err, r, "maps");
	r = place_first_chunk(object);
	return r ? err_errno(err, r, "chunk 0 of mg_pages") : take_made(dp, object, err);
}

int dp_reuse_maps(const struct dp *dp, struct bpf_object *object)
{
	struct bpf_map *map;

	for (size_t i = 0; i < dp->row_count; i++) {
		int r;

		map = bpf_object__find_map_by_name(object, dp->rows[i].name);
		if (!map || bpf_map__fd(map) >= 0)
			continue;
		r = bpf_map__reuse_fd(map, dp->rows[i].map.fd);
		if (r)
			return r;
	}
	drop_template(object);
	dp_leave_watch_maps(object);
	return 0;
}

static bool switch_on(struct bpf_object *object, enum dp_group group)
{
	struct bpf_program *prog;
	bool any = false;

	for (size_t i = 0; i < dp_prog_count; i++) {
		prog = bpf_object__find_program_by_name(object, dp_progs[i].name);
		if (!prog || dp_progs[i].group != group)
			continue;
		bpf_program__set_autoload(prog, true);
		any = true;
	}
	return any;
}

static int take_progs(struct dp *dp, const struct bpf_object *object, enum dp_group group)
{
	struct bpf_program *prog;

	for (size_t i = 0; i < dp_prog_count; i++) {
		prog = bpf_object__find_program_by_name(object, dp_progs[i].name);
		if (!prog || dp_progs[i].group != group)
			continue;
		dp->prog[i] = fcntl(bpf_program__fd(prog), F_DUPFD_CLOEXEC, 3);
		if (dp->prog[i] < 0)
			return -errno;
	}
	return 0;
}

/* 0 also where the verifier refused: then group_error has its words. */
static int load_group(struct dp *dp, enum dp_group group, struct err *err)
{
	_cleanup_object_ struct bpf_object *object = NULL;
	int r = object_open(&dp->image, &dp->mg, &object, err);

	if (r)
		return r;
	if (!switch_on(object, group))
		return 0;
	r = dp_reuse_maps(dp, object);
	if (r)
		return err_errno(err, r, "programs of %s", dp_group_name(group));
	r = object_load(object, err);
	if (r && dp_is_transient(r))
		return err_wrap(err, r, "programs of %s", dp_group_name(group));
	if (r) {
		dp->group_error[group] = xstrdup(object_words());
		return err_clear(err);
	}
	r = take_progs(dp, object, group);
	return r ? err_errno(err, r, "programs of %s", dp_group_name(group)) : 0;
}

static int open_former(struct dp *dp, struct err *err)
{
	for (size_t i = 0; i < dp_prog_count; i++) {
		int r = pin_open_prog(dp->root, dp_progs[i].name, &dp->former_prog[i], err);

		if (r && r != -ENOENT)
			return r;
		err_clear(err);
		if (!r)
			(void)dp_attach_know(dp->former_prog[i]);
	}
	return 0;
}

static bool any_made(const struct dp *dp)
{
	for (size_t i = 0; i < dp->row_count; i++) {
		if (dp->rows[i].made && dp->rows[i].class != MAP_SCRATCH)
			return true;
	}
	return false;
}

/* All programs of the object are pinned. */
static bool all_pinned(const struct dp *dp)
{
	_cleanup_object_ struct bpf_object *object = NULL;

	if (object_open(&dp->image, &dp->mg, &object, NULL))
		return false;
	for (size_t i = 0; i < dp_prog_count; i++) {
		if (bpf_object__find_program_by_name(object, dp_progs[i].name) &&
		    dp->former_prog[i] < 0)
			return false;
	}
	return true;
}

/* The pinned programs have a scratch of their own, which is not pinned. */
static void adopt(struct dp *dp)
{
	memcpy(dp->prog, dp->former_prog, sizeof(dp->prog));
	memset(dp->former_prog, -1, sizeof(dp->former_prog));
	for (size_t i = 0; i < dp->row_count; i++) {
		if (dp->rows[i].class == MAP_SCRATCH)
			dp_map_done(&dp->rows[i].map);
	}
	dp->adopted = true;
	dp->in_force = true;
}

static int load_programs(struct dp *dp, struct err *err)
{
	bool fits_runtime;
	int r = 0;

	if (!any_made(dp) && dp_meta_matches(dp, &fits_runtime) && all_pinned(dp)) {
		adopt(dp);
		return 0;
	}
	for (int group = 0; group < DP_GROUP_MAX && !r; group++)
		r = load_group(dp, (enum dp_group)group, err);
	for (size_t i = 0; i < dp_prog_count && !r; i++) {
		if (dp->prog[i] >= 0)
			(void)dp_attach_know(dp->prog[i]);
	}
	return r;
}

static bool first_of_node(const struct dp *dp)
{
	for (size_t i = 0; i < dp_prog_count; i++) {
		if (dp->former_prog[i] >= 0)
			return false;
	}
	return true;
}

int dp_open(const struct dp_config *config, struct dp **ret_dp, struct err *err)
{
	_cleanup_dp_ struct dp *dp = xcalloc(1, sizeof(*dp));
	int r;

	dp->root = xstrdup(config->root ? config->root : DP_ROOT_DEFAULT);
	dp->mg = config->mg;
	dp->mg.trace = 0;
	dp->image = config->object ? (struct object_image){ config->object, config->object_size }
				   : object_built_in();
	memset(dp->prog, -1, sizeof(dp->prog));
	memset(dp->former_prog, -1, sizeof(dp->former_prog));
	dp->grace[0] = dp->grace[1] = -1;
	raise_memlock();
	r = make_folders(dp, err);
	if (r)
		return r;
	(void)dp_meta_matches(dp, &dp->former_runtime);
	r = open_maps(dp, config, err);
	if (!r)
		r = open_former(dp, err);
	if (!r)
		r = load_programs(dp, err);
	if (!r && !dp->adopted)
		r = dp_pin_set(dp, first_of_node(dp), err);
	if (r)
		return r;
	*ret_dp = TAKE_PTR(dp);
	return 0;
}

static void close_all(int *fds, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (fds[i] >= 0)
			close(fds[i]);
	}
}

void dp_close(struct dp *dp)
{
	if (!dp)
		return;
	for (size_t i = 0; i < dp->row_count; i++) {
		dp_map_done(&dp->rows[i].map);
		dp_map_done(&dp->rows[i].former);
	}
	close_all(dp->prog, DP_PROGS_MAX);
	close_all(dp->former_prog, DP_PROGS_MAX);
	close_all(dp->grace, 2);
	for (int i = 0; i < DP_GROUP_MAX; i++)
		free(dp->group_error[i]);
	dp_attach_forget();
	free(dp->root);
	free(dp);
}
