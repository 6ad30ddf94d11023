/* SPDX-License-Identifier: Apache-2.0 */
/* KubeControllersConfiguration (projectcalico.org/v3). */
#include "model/controllers.h"

#include <string.h>

#include "model/decode_kinds.h"
#include "model/names.h"

static const struct enum_text switches[] = { { "Enabled", 1 }, { "Disabled", 0 }, { NULL, 0 } };

/* Interfaces of a node are known to its agent alone. */
static void check_template(struct decode *d, const struct path *path, const json_t *value, void *at)
{
	const struct path place = { .up = path, .key = "interfacePattern" };
	const struct host_template *template = at;

	(void)value;
	if (*template->pattern)
		warn_of(d, &place, "has no effect: the template makes no host endpoint");
	else if (!template->net_count)
		complain(d, path, "needs interfaceCIDRs");
}

static void template_defaults(void *at)
{
	((struct host_template *)at)->pattern = "";
}

static const struct field net_field = { .read = read_prefix };
static const struct field template_fields[] = {
	FIELD("generateName", struct host_template, name, read_text,
	      .flags = FIELD_REQUIRED | FIELD_NOT_EMPTY, .max = 253),
	FIELD_LIST("interfaceCIDRs", struct host_template, net_count, nets, &net_field),
	FIELD("interfacePattern", struct host_template, pattern, read_text, .max = 1024),
	FIELD("labels", struct host_template, labels, read_labels),
	FIELD("nodeSelector", struct host_template, nodes, read_selector),
	FIELD_END
};
static const struct shape template_shape = { .fields = template_fields,
					     .defaults = template_defaults,
					     .check = check_template };
static const struct field template_field = { .read = read_object,
					     .shape = &template_shape,
					     .flags = FIELD_DROP };

static const struct field endpoint_fields[] = {
	FIELD("autoCreate", struct kube_controllers, auto_create, read_enum, .enums = switches),
	FIELD("createDefaultHostEndpoint", struct kube_controllers, default_endpoint, read_enum,
	      .enums = switches),
	FIELD_LIST("templates", struct kube_controllers, template_count, templates, &template_field,
		   .max = 100),
	FIELD_END
};
static const struct shape endpoint_shape = { .fields = endpoint_fields };

static const struct field node_fields[] = {
	FIELD_SAME("hostEndpoint", &endpoint_shape),
	FIELD("leakGracePeriod", struct kube_controllers, leak_grace_ms, read_duration,
	      .flags = FIELD_DROP, .has = 1, .has_offset = offsetof(struct kube_controllers, has)),
	FIELD_KNOWN("reconcilerPeriod"), FIELD_KNOWN("syncLabels"), FIELD_END
};
static const struct shape node_shape = { .fields = node_fields };

static const struct field controllers_fields[] = {
	FIELD_SAME("node", &node_shape), FIELD_KNOWN("policy"),
	FIELD_KNOWN("workloadEndpoint"), FIELD_KNOWN("serviceAccount"),
	FIELD_KNOWN("namespace"),	 FIELD_KNOWN("loadBalancer"),
	FIELD_KNOWN("migration"),	 FIELD_END
};
static const struct shape controllers_shape = { .fields = controllers_fields, .open = true };

static const struct field spec_fields[] = { FIELD_SAME("controllers", &controllers_shape),
					    FIELD_KNOWN("logSeverityScreen"),
					    FIELD_KNOWN("healthChecks"),
					    FIELD_KNOWN("etcdV3CompactionPeriod"),
					    FIELD_KNOWN("prometheusMetricsPort"),
					    FIELD_KNOWN("debugProfilePort"),
					    FIELD_END };
static const struct shape spec_shape = { .fields = spec_fields, .open = true };
static const struct field fields[] = { FIELD_SAME("spec", &spec_shape), FIELD_KNOWN("status"),
				       FIELD_END };
static const struct shape shape = { .fields = fields, .check = check_default_name };

static void defaults(struct decode *d, void *object)
{
	(void)d;
	((struct kube_controllers *)object)->default_endpoint = 1;
}

const struct decoder decoder_kube_controllers = { .size = sizeof(struct kube_controllers),
						  .shape = &shape,
						  .defaults = defaults };
