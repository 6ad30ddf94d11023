/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/sweep.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/err.h"
#include "dataplane/dp.h"

#define PROGRAM "sweep"

struct dp_sweep {
	int fd; /* the program's: the object it came from is a megabyte that nobody needs */
};

void dp_sweep_close(struct dp_sweep *sweep)
{
	if (!sweep)
		return;
	if (sweep->fd >= 0)
		close(sweep->fd);
	free(sweep);
}
DEFINE_CLEANUP(struct dp_sweep *, dp_sweep_close)

/* The set's own maps, one packet's memory for itself, and no other. */
static int give_maps(const struct dp *dp, struct bpf_object *object)
{
	struct bpf_map *map;
	int r = 0;

	bpf_object__for_each_map(map, object)
	{
		const char *name = bpf_map__name(map);
		const struct dp_map *own = dp_get_map(dp, name);

		if (bpf_map__is_internal(map) || !strcmp(name, "mg_scratch"))
			continue;
		r = own ? bpf_map__reuse_fd(map, own->fd) : bpf_map__set_autocreate(map, false);
		if (r)
			break;
	}
	return r;
}

static int load(const struct dp *dp, struct dp_sweep *sweep, struct err *err)
{
	_cleanup_object_ struct bpf_object *object = NULL;
	int r = object_open(&dp->image, &dp->mg, &object, err);
	struct bpf_program *prog;

	if (r)
		return r;
	prog = bpf_object__find_program_by_name(object, PROGRAM);
	if (!prog)
		return err_set(err, -ENOENT, "the BPF object has no program " PROGRAM);
	bpf_program__set_autoload(prog, true);
	r = give_maps(dp, object);
	if (r)
		return err_errno(err, r, "maps of " PROGRAM);
	r = object_load(object, err);
	if (r)
		return r;
	sweep->fd = fcntl(bpf_program__fd(prog), F_DUPFD_CLOEXEC, 3);
	return sweep->fd < 0 ? err_errno(err, -errno, PROGRAM) : 0;
}

int dp_sweep_open(const struct dp *dp, struct dp_sweep **ret_sweep, struct err *err)
{
	_cleanup_(dp_sweep_close_p) struct dp_sweep *sweep = xcalloc(1, sizeof(*sweep));
	int r;

	sweep->fd = -1;
	r = load(dp, sweep, err);
	if (r)
		return err_wrap(err, r, "flows that are over");
	*ret_sweep = TAKE_PTR(sweep);
	return 0;
}

int dp_sweep_flow(const struct dp_sweep *sweep, const struct mg_flow_key *key)
{
	unsigned char frame[ETH_HLEN + sizeof(*key)] = { 0 };
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame, .data_size_in = sizeof(frame));
	int r;

	memcpy(frame + ETH_HLEN, key, sizeof(*key));
	r = bpf_prog_test_run_opts(sweep->fd, &opts);
	return r ? r : (int)opts.retval;
}
