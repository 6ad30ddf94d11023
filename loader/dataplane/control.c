/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/err.h"
#include "dataplane/control.h"

static size_t mapped_size(void)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	return (sizeof(struct mg_control) + page - 1) / page * page;
}

int dp_control_open(const struct dp_map *map, struct mg_control **ret_control, struct err *err)
{
	void *memory;

	if (map->value_size != sizeof(struct mg_control))
		return err_set(err, -EINVAL, "map %s: rows of %u bytes, expected %zu", map->name,
			       map->value_size, sizeof(struct mg_control));
	memory = mmap(NULL, mapped_size(), PROT_READ | PROT_WRITE, MAP_SHARED, map->fd, 0);
	if (memory == MAP_FAILED)
		return err_errno(err, -errno, "map %s", map->name);
	*ret_control = memory;
	return 0;
}

void dp_control_close(struct mg_control *control)
{
	if (control)
		munmap(control, mapped_size());
}
