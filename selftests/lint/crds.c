/* SPDX-License-Identifier: Apache-2.0 */
/* Writes manifests/crds: a file a kind (model/schema.h). usage: crds FOLDER */
#include <stdio.h>
#include <string.h>

#include "selftests/lib/crd_text.h"

int main(int argc, char **argv)
{
	for (int kind = 0; argc == 2 && kind < KIND_MAX; kind++) {
		char *path, *text = crd_text((enum kind)kind, argv[1], &path);
		FILE *file = text ? fopen(path, "w") : NULL;

		if (text && (!file || fputs(text, file) < 0 || fclose(file) < 0)) {
			perror(path);
			return 1;
		}
		free(text);
		free(path);
	}
	return argc != 2;
}
