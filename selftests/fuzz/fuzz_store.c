/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as a file of the directory store: the first one says which. Whatever is there, the
 * store opens, what is served has a name and a version, and it takes the next write.
 */
#include <fcntl.h>
#include <ftw.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/json.h"
#include "datastore/store.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define SET "projectcalico.org/NetworkSet/a/x.json"

static const char *const files[] = {
	"store/version",
	"store/log/1.json",
	"store/log/2.json",
	"store/served/" SET,
	"store/objects/" SET,
	"manifests/m.yaml",
	"store/manifests/n/m.yaml.json",
};

static char folder[64];

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static struct store *open_store(void)
{
	char address[128], manifests[128];
	const struct store_options options = {
		.create = true, .manifests = manifests, .instance = "n", .history = 4
	};
	struct store *store = NULL;

	snprintf(address, sizeof(address), "dir:%s/store", folder);
	snprintf(manifests, sizeof(manifests), "%s/manifests", folder);
	if (store_open(address, &options, &store, NULL) < 0)
		abort();
	return store;
}

static void create(struct store *store, const char *name)
{
	_cleanup_json_ json_t *object =
		json_pack("{s:s, s:s, s:{s:s, s:s}}", "apiVersion", "projectcalico.org/v3", "kind",
			  "NetworkSet", "metadata", "name", name, "namespace", "a");

	if (store_create(store, object, NULL, NULL) < 0)
		abort();
}

static void damage(const uint8_t *data, size_t size)
{
	char path[256], up[256];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", folder,
		 files[*data % (sizeof(files) / sizeof(*files))]);
	memcpy(up, path, sizeof(up));
	*strrchr(up, '/') = 0;
	mkdir(up, 0700);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0 || write(fd, data + 1, size - 1) != (ssize_t)size - 1)
		abort();
	close(fd);
}

static void on_batch(struct store_watch *watch, const struct store_batch *batch, void *arg)
{
	(void)watch;
	(void)arg;
	for (size_t i = 0; i < batch->count; i++)
		if (!json_text_at(batch->events[i].object, "metadata.name"))
			abort();
}

static void use(struct store *store)
{
	struct store_query query = { .kind = store_kind(KIND_NETWORK_SET), .from = "1" };
	const struct store_watch_args args = { &query, 1, on_batch, NULL };
	struct store_watch *watch;
	struct store_list list;
	json_t *object;
	size_t i;

	if (store_watch(store, &args, &watch, NULL) < 0)
		abort();
	if (!store_list(store, &query, 1, &list, NULL)) {
		json_array_foreach(list.items, i, object)
			if (!json_text_at(object, "metadata.name") ||
			    !json_text_at(object, "metadata.resourceVersion"))
				abort();
		store_list_done(&list);
	}
	create(store, "new");
	for (i = 0; i < 4; i++)
		(void)store_dispatch(store, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct store *store;

	if (!size)
		return 0;
	snprintf(folder, sizeof(folder), "/dev/shm/margay-fuzz-XXXXXX");
	if (!mkdtemp(folder))
		abort();
	store = open_store();
	create(store, "x");
	damage(data, size);
	use(store);
	store_close(store);
	store = open_store();
	create(store, "last");
	store_close(store);
	nftw(folder, remove_one, 32, FTW_DEPTH | FTW_PHYS);
	return 0;
}
