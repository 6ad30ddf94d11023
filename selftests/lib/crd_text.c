/* SPDX-License-Identifier: Apache-2.0 */
#include "selftests/lib/crd_text.h"

#include <stdlib.h>

#include "base/arena.h"
#include "base/json.h"
#include "base/yaml.h"

char *crd_text(enum kind kind, const char *folder, char **ret_path)
{
	const struct kind_info *info = kind_info(kind);
	_cleanup_json_ json_t *crd = schema_crd(kind);
	_cleanup_free_ char *yaml = NULL;

	*ret_path = NULL;
	if (!crd)
		return NULL;
	if (yaml_write(crd, &yaml) < 0)
		abort(); /* our own tree */
	*ret_path = xasprintf("%s/%s_%s.yaml", folder, info->group, info->plural);
	return xasprintf(
		"# SPDX-License-Identifier: Apache-2.0\n"
		"# Made by `make docs` from the tables of loader/model: change it there.\n%s",
		yaml);
}
