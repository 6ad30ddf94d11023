/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside dataplane/: the BPF object. It is opened once for the maps and once for each hook group,
 * so that a program the verifier refuses takes only its group along.
 */
#ifndef MARGAY_DATAPLANE_OBJECT_H
#define MARGAY_DATAPLANE_OBJECT_H

#include <bpf/libbpf.h>
#include <stdbool.h>

#include "abi/config.h"
#include "base/cleanup.h"

struct err;

struct object_image {
	const void *data; /* ELF */
	size_t size;
};

/* The object of this build. */
struct object_image object_built_in(void);

DEFINE_CLEANUP(struct bpf_object *, bpf_object__close)
#define _cleanup_object_ _cleanup_(bpf_object__close_p)

/* Opens the image with mg_config in its .rodata; nothing is loaded, all programs are off. */
int object_open(const struct object_image *image, const struct mg_config *config,
		struct bpf_object **ret_object, struct err *err);

/* The same for programs that read the kernel's own structures, which takes its type information
 * (5 MB) into memory until the object is closed. */
int object_open_typed(const struct object_image *image, const struct mg_config *config,
		      struct bpf_object **ret_object, struct err *err);

/* Loads what is on. On failure err holds the last lines of libbpf's and the verifier's words. */
int object_load(struct bpf_object *object, struct err *err);

/* All that is kept of the last failure's words, several lines. */
const char *object_words(void);

/* False of libbpf's own maps (.rodata) and of the first chunk of mg_pages. */
bool object_map_is_named(const struct bpf_map *map);

#endif
