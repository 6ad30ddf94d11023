/* SPDX-License-Identifier: Apache-2.0 */
/* ServiceCIDR (networking.k8s.io/v1). */
#include "base/inet.h"
#include "model/decode_kinds.h"
#include "model/service_cidr.h"

static const struct field cidr_field = { .read = read_prefix, .flags = FIELD_MASKED };
static const struct field spec_fields[] = { FIELD_LIST("cidrs", struct service_cidr, count, cidrs,
						       &cidr_field, .max = 2,
						       .flags = FIELD_REQUIRED),
					    FIELD_END };

static void check_spec(struct decode *d, const struct path *path, const json_t *value, void *at)
{
	const struct path cidrs = { .up = path, .key = "cidrs" };
	const struct service_cidr *cidr = at;

	(void)value;
	if (!cidr->count)
		complain(d, &cidrs, "is empty");
	else if (cidr->count == 2 && prefix_is4(&cidr->cidrs[0]) == prefix_is4(&cidr->cidrs[1]))
		complain(d, &cidrs, "has two prefixes of one family");
}

static const struct shape spec_shape = { .fields = spec_fields, .check = check_spec };
static const struct field fields[] = { FIELD_SAME("spec", &spec_shape, .flags = FIELD_REQUIRED),
				       FIELD_KNOWN("status"), FIELD_END };
static const struct shape shape = { .fields = fields };

const struct decoder decoder_service_cidr = { .size = sizeof(struct service_cidr),
					      .shape = &shape };
