/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/object.h"

#if __has_include("margay.skel.h")
#include "margay.skel.h"

struct object_image object_built_in(void)
{
	struct object_image image;

	image.data = margay__elf_bytes(&image.size);
	return image;
}
#else
struct object_image object_built_in(void)
{
	return (struct object_image){ 0 };
}
#endif
