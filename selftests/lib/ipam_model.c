/* SPDX-License-Identifier: Apache-2.0 */
#include "selftests/lib/ipam_model.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/cleanup.h"
#include "base/file.h"

unsigned int model_roll(struct model *model, unsigned int sides)
{
	model->random ^= model->random << 13;
	model->random ^= model->random >> 7;
	model->random ^= model->random << 17;
	return (unsigned int)(model->random >> 20) % sides;
}

/* --- faults ---------------------------------------------------------------------------------- */

/* Counts a write or fsync; true: the node died before it. */
static bool burn(struct model_node *node)
{
	if (!node->dead && node->fuse >= 0 && !node->fuse--)
		node->dead = true;
	return node->dead;
}

static ssize_t model_write(void *arg, int fd, const void *data, size_t size)
{
	struct model_node *node = arg;

	if (!burn(node))
		return write(fd, data, size);
	/* Died in the middle of it: once, a part of it arrives. */
	if (node->fuse == -1 && size > 1) {
		node->fuse = -2;
		if (write(fd, data, 1 + model_roll(node->model, (unsigned int)size - 1)) < 0)
			abort();
	}
	errno = EIO;
	return -1;
}

static int model_fsync(void *arg, int fd)
{
	struct model_node *node = arg;
	struct stat st;

	if (burn(node))
		return -EIO;
	fstat(fd, &st);
	node->synced = st.st_size;
	return 0;
}

static int model_replace(void *arg, int dirfd, const void *data, size_t size)
{
	struct model_node *node = arg;
	int r;

	if (burn(node))
		return -EIO;
	r = file_replace(dirfd, JOURNAL_FILE, data, size, 0600);
	node->synced = (off_t)size;
	return burn(node) ? -EIO : r; /* died after the rename */
}

static int model_hook(struct ipam_test_node *test_node, enum fake_point point)
{
	struct model_node *node = test_node->hook_arg;
	struct model *model = node->model;

	if (node->dead || node->outage)
		return -ECONNREFUSED;
	if (point == FAKE_READ)
		return 0;
	if (burn(node))
		return -ECONNREFUSED;
	/* Others go first now and then. */
	if (point == FAKE_BEFORE && !model->depth && !model_roll(model, 4)) {
		model->depth++;
		model_work(model, ((unsigned int)(node - model->nodes) + 1 +
				   model_roll(model, NODES - 1)) %
					  NODES);
		model->depth--;
	}
	/* Written, but the answer is lost. */
	if (point == FAKE_AFTER && !model_roll(model, 40))
		return -ETIMEDOUT;
	return 0;
}

void model_work(struct model *model, unsigned int n)
{
	struct ipam *ipam = model->nodes[n].node->ipam;

	if (model->nodes[n].dead || !ipam)
		return;
	ipam_commit(ipam);
	if (model_roll(model, 3))
		ipam_tick(ipam);
}

void model_cut_power(struct model *model, struct model_node *node)
{
	_cleanup_free_ char *path = xasprintf("%s/%s", node->node->dir, JOURNAL_FILE);
	struct stat st;

	model->cuts++;
	if (stat(path, &st) < 0 || st.st_size <= node->synced)
		return;
	st.st_size = node->synced +
		     (off_t)model_roll(model, (unsigned int)(st.st_size - node->synced) + 1);
	assert_int_equal(truncate(path, st.st_size), 0);
}

void model_node_init(struct model *model, struct model_node *node, struct ipam_test_node *test)
{
	node->model = model;
	node->fuse = -1;
	node->ops = (struct journal_ops){ model_write, model_fsync, model_replace, node };
	node->node = test;
	test->hook = model_hook;
	test->hook_arg = node;
	test->journal_ops = &node->ops;
}
