/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any text as a network configuration and as the record of an attachment. What holds whatever the
 * text: a configuration that is accepted has a name, a version and values in their ranges; one
 * that is refused has a code and a message; a record reads back as it was written.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/rpc.h"
#include "cni/attachment.h"
#include "cni/config.h"
#include "cni/env.h"
#include "cni/error.h"
#include "cni/record.h"
#include "cni/result.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_config(const char *text, size_t size)
{
	static const struct cni_env env = { .ip = "10.0.0.9", .mac = "02:00:00:00:00:09" };
	_cleanup_config_ struct cni_config config = { 0 };
	struct cni_error error = { 0 };

	if (cni_config_read(text, size, &env, &config, &error) < 0) {
		if (!error.code || !error.msg[0])
			abort();
		return;
	}
	if (!config.name || !*config.name || config.version >= CNI_VERSION_MAX)
		abort();
	if (config.mtu && (config.mtu < CNI_MTU_MIN || config.mtu > CNI_MTU_MAX))
		abort();
	if (json_array_size(config.ips) > 2 || json_object_size(config.labels) > CNI_LABELS_MAX)
		abort();
}

static void check_record(const char *text, size_t size)
{
	_cleanup_attachment_ struct attachment first = { 0 }, second = { 0 };
	_cleanup_json_ json_t *tree = json_loadb(text, size, JSON_REJECT_DUPLICATES, NULL);
	_cleanup_json_ json_t *written = NULL, *again = NULL, *result = NULL;
	const struct cni_config config = { .version = CNI_VERSION_1_1_0 };

	if (!tree || record_decode(tree, &first) < 0)
		return;
	written = record_encode(&first);
	if (record_decode(written, &second) < 0)
		abort();
	again = record_encode(&second);
	result = result_build(&config, &first);
	if (!json_equal(written, again) || !result)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	check_config((const char *)data, size);
	check_record((const char *)data, size);
	return 0;
}
