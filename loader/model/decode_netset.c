/* SPDX-License-Identifier: Apache-2.0 */
/*
 * NetworkSet and GlobalNetworkSet (projectcalico.org/v3), with the checks of Calico's validator.
 */
#include "model/decode_kinds.h"
#include "model/names.h"
#include "model/selector.h"
#include "model/tier.h"

#define NETS_MAX 250000 /* what the map of prefixes holds, with room for others */
#define DOMAINS_MAX 10000

/* Without one bad net the others still say what they did. */
static const struct field net_field = { .read = read_prefix, .flags = FIELD_HOST_OK | FIELD_DROP };
static const struct field domain_field = { .read = read_text,
					   .size = sizeof(const char *),
					   .flags = FIELD_NOT_EMPTY | FIELD_DROP,
					   .is_valid = name_is_domain_pattern,
					   .what = "a domain name such as *.example.com" };

static const struct field spec_fields[] = {
	FIELD_LIST("nets", struct network_set, net_count, nets, &net_field, .max = NETS_MAX),
	FIELD_LIST("allowedEgressDomains", struct network_set, domain_count, domains, &domain_field,
		   .max = DOMAINS_MAX),
	FIELD_END
};

static void check_spec(struct decode *d, const struct path *path, const json_t *value, void *at)
{
	const struct path domains = { .up = path, .key = "allowedEgressDomains" };
	const struct network_set *set = at;

	(void)value;
	if (set->domain_count)
		warn_of(d, &domains, "have no effect yet");
}

static const struct shape spec_shape = { .fields = spec_fields, .check = check_spec };

/* The label is the real namespace's. */
static void check_set(struct decode *d, const struct path *path, const json_t *value, void *at)
{
	const struct path metadata = { .up = path, .key = "metadata" };
	const struct path labels = { .up = &metadata, .key = "labels" };
	const struct path label = { .up = &labels, .key = LABEL_NAMESPACE };
	const struct network_set *set = at;

	(void)value;
	if (d->mode == DECODE_STRICT && labels_get(&set->base.labels, LABEL_NAMESPACE))
		complain(d, &label, "cannot be a label of a network set");
}

static const struct field set_fields[] = { FIELD_SAME("spec", &spec_shape), FIELD_END };
static const struct shape set_shape = { .fields = set_fields, .check = check_set };

const struct decoder decoder_network_set = { .size = sizeof(struct network_set),
					     .shape = &set_shape };
