/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "base/arena.h"
#include "ctl/input.h"
#include "ctl/name.h"
#include "ctl/verb.h"

int verb_validate(struct ctl *ctl, int argc, char **argv)
{
	static const struct options_spec spec = {
		.takes = TAKE_FILES | TAKE_VALIDATE | TAKE_NAMESPACE,
		.doc = "Checks files as apply does, without a store.",
	};
	_cleanup_(options_done) struct options options = { .ctl = ctl };
	struct input input = { 0 };

	options_parse(&options, &spec, argc, argv);
	if (!options.file_count)
		ctl_error(ctl, "expected -f FILE");
	input_read(&input, &options);
	for (size_t i = 0; i < input.count; i++) {
		const struct input_object *object = &input.objects[i];
		_cleanup_free_ char *name = name_object(object->key.kind, object->key.name);

		if (!check_object(ctl, object->object, &object->place))
			printf("%s valid\n", name);
	}
	input_done(&input);
	return ctl->failed;
}
