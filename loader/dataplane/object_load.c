/* SPDX-License-Identifier: Apache-2.0 */
#include <bpf/btf.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "base/arena.h"
#include "base/err.h"
#include "dataplane/object.h"

#define RODATA ".rodata"
#define CONFIG "mg_config"
#define FIRST_CHUNK "mg_chunk0"
#define TAIL 2048

/* libbpf speaks through one function of the process; its last words end up in struct err. */
static _Thread_local struct {
	char text[TAIL];
	size_t used;
} tail;

static int keep_tail(enum libbpf_print_level level, const char *format, va_list args)
{
	char *text = NULL;
	int size;

	if (level != LIBBPF_WARN)
		return 0;
	size = vasprintf(&text, format, args);
	if (size < 0)
		return 0;
	if ((size_t)size >= TAIL) {
		memcpy(tail.text, text + size - (TAIL - 1), TAIL - 1);
		tail.used = TAIL - 1;
	} else {
		if (tail.used + (size_t)size >= TAIL) {
			size_t drop = tail.used + (size_t)size - (TAIL - 1);

			memmove(tail.text, tail.text + drop, tail.used - drop);
			tail.used -= drop;
		}
		memcpy(tail.text + tail.used, text, (size_t)size);
		tail.used += (size_t)size;
	}
	tail.text[tail.used] = '\0';
	free(text);
	return 0;
}

const char *object_words(void)
{
	return tail.text;
}

/* What fits into err, from its end, beginning with a whole line. */
static const char *last_words(void)
{
	const size_t room = ERR_TEXT_MAX - 120;
	char *start = tail.text, *line;

	while (tail.used && (tail.text[tail.used - 1] == '\n' || tail.text[tail.used - 1] == ' '))
		tail.text[--tail.used] = '\0';
	if (tail.used > room) {
		start = tail.text + tail.used - room;
		line = strchr(start, '\n');
		start = line ? line + 1 : start;
	}
	return start;
}

static int fail(struct err *err, int r, const char *what)
{
	char number[64];

	snprintf(number, sizeof(number), "%s", strerror(-r));
	if (!tail.used)
		return err_set(err, r, "%s: %s", what, number);
	err_set(err, r, "%s: %s: %s", what, number, last_words());
	for (char *at = err ? strchr(err->text, '\n') : NULL; at; at = strchr(at, '\n'))
		*at = '|';
	return r;
}

/* Where mg_config stands in .rodata, from the object's type information. */
static int config_offset(const struct bpf_object *object, __u32 *ret_offset)
{
	const struct btf *btf = bpf_object__btf(object);
	int id = btf ? btf__find_by_name_kind(btf, RODATA, BTF_KIND_DATASEC) : -ENOENT;
	const struct btf_type *section, *var;
	const struct btf_var_secinfo *info;

	if (id < 0)
		return id;
	section = btf__type_by_id(btf, (__u32)id);
	info = btf_var_secinfos(section);
	for (int i = 0; i < btf_vlen(section); i++, info++) {
		var = btf__type_by_id(btf, info->type);
		if (strcmp(btf__name_by_offset(btf, var->name_off), CONFIG) != 0)
			continue;
		if (info->size != sizeof(struct mg_config))
			return -EINVAL;
		*ret_offset = info->offset;
		return 0;
	}
	return -ENOENT;
}

static struct bpf_map *find_rodata(struct bpf_object *object)
{
	struct bpf_map *map;

	bpf_object__for_each_map(map, object)
	{
		const char *name = bpf_map__name(map);
		size_t size = strlen(name);

		if (size >= strlen(RODATA) && !strcmp(name + size - strlen(RODATA), RODATA))
			return map;
	}
	return NULL;
}

static int set_config(struct bpf_object *object, const struct mg_config *config, struct err *err)
{
	struct bpf_map *map = find_rodata(object);
	__u32 offset = 0;
	size_t size = 0;
	char *data = map ? (char *)(uintptr_t)bpf_map__initial_value(map, &size) : NULL;
	int r = config_offset(object, &offset);

	if (r || !data || offset + sizeof(*config) > size)
		return err_set(err, r ? r : -ENOENT, "the BPF object has no fitting " CONFIG);
	memcpy(data + offset, config, sizeof(*config));
	return 0;
}

bool object_map_is_named(const struct bpf_map *map)
{
	return !bpf_map__is_internal(map) && strcmp(bpf_map__name(map), FIRST_CHUNK) != 0;
}

/*
 * libbpf reads the kernel's types for every object in which any program has relocations against
 * them, whether that program is switched on or not, and refuses where the kernel has none. Types
 * given by a file take their place: for who needs none, a file that has none.
 */
static const char *no_types(void)
{
	static const struct btf_header none = {
		.magic = BTF_MAGIC, .version = BTF_VERSION, .hdr_len = sizeof(none), .str_len = 1
	};
	static char path[40];
	static int fd = -1;

	if (fd >= 0)
		return path;
	fd = memfd_create("margay-no-types", MFD_CLOEXEC);
	if (fd < 0 || write(fd, &none, sizeof(none)) != sizeof(none) || write(fd, "", 1) != 1) {
		close_p(&fd);
		fd = -1;
		return NULL;
	}
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return path;
}

static int open_image(const struct object_image *image, const struct mg_config *config,
		      const char *types, struct bpf_object **ret_object, struct err *err)
{
	LIBBPF_OPTS(bpf_object_open_opts, opts, .object_name = "margay", .btf_custom_path = types);
	_cleanup_object_ struct bpf_object *object = NULL;
	struct bpf_program *prog;
	int r;

	tail.used = 0;
	libbpf_set_print(keep_tail);
	object = bpf_object__open_mem(image->data, image->size, &opts);
	if (!object)
		return fail(err, -errno, "BPF object");
	r = set_config(object, config, err);
	if (r)
		return r;
	bpf_object__for_each_program(prog, object) bpf_program__set_autoload(prog, false);
	*ret_object = TAKE_PTR(object);
	return 0;
}

int object_open(const struct object_image *image, const struct mg_config *config,
		struct bpf_object **ret_object, struct err *err)
{
	return open_image(image, config, no_types(), ret_object, err);
}

int object_open_typed(const struct object_image *image, const struct mg_config *config,
		      struct bpf_object **ret_object, struct err *err)
{
	return open_image(image, config, NULL, ret_object, err);
}

int object_load(struct bpf_object *object, struct err *err)
{
	int r;

	tail.used = 0;
	r = bpf_object__load(object);
	return r ? fail(err, r, "load") : 0;
}
