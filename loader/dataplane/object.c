/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/object.h"

#include "margay.skel.h"

struct object_image object_built_in(void)
{
	struct object_image image;

	image.data = margay__elf_bytes(&image.size);
	return image;
}
