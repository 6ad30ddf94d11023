/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/columns.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/arena.h"
#include "base/json.h"
#include "ctl/counted.h"
#include "ctl/tier.h"

/* "5d", "3h2m": as kubectl's AGE. */
static char *age(const json_t *row)
{
	const char *text = json_text_at(row, "metadata.creationTimestamp");
	struct tm tm = { 0 };
	long seconds;

	if (!text || !strptime(text, "%Y-%m-%dT%H:%M:%SZ", &tm))
		return xstrdup("<unknown>");
	seconds = (long)(time(NULL) - timegm(&tm));
	if (seconds < 0)
		seconds = 0;
	if (seconds < 120)
		return xasprintf("%lds", seconds);
	if (seconds < 600)
		return xasprintf("%ldm%lds", seconds / 60, seconds % 60);
	if (seconds < 3 * 3600)
		return xasprintf("%ldm", seconds / 60);
	if (seconds < 8 * 3600)
		return xasprintf("%ldh%ldm", seconds / 3600, seconds / 60 % 60);
	if (seconds < 48 * 3600)
		return xasprintf("%ldh", seconds / 3600);
	return xasprintf("%ldd", seconds / 86400);
}

static char *count_text(const json_t *row, const char *path)
{
	return xasprintf("%zu", json_array_size(json_at(row, path)));
}

static char *export_v4(const json_t *row)
{
	return count_text(row, "spec.exportV4");
}

static char *import_v4(const json_t *row)
{
	return count_text(row, "spec.importV4");
}

static char *export_v6(const json_t *row)
{
	return count_text(row, "spec.exportV6");
}

static char *import_v6(const json_t *row)
{
	return count_text(row, "spec.importV6");
}

static char *pairs(const json_t *map)
{
	char *text = NULL;
	const char *key;
	json_t *value;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		abort();
	json_object_foreach((json_t *)map, key, value)
		fprintf(out, "%s%s=%s", ftell(out) ? "," : "", key, json_string_value(value) ?: "");
	fclose(out);
	return text;
}

static char *labels(const json_t *row)
{
	return pairs(json_at(row, "metadata.labels"));
}

static char *profile_labels(const json_t *row)
{
	return pairs(json_at(row, "spec.labelsToApply"));
}

static char *expressions(const json_t *list)
{
	char *text = NULL;
	json_t *item, *value;
	size_t size, i, n;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		abort();
	json_array_foreach((json_t *)list, i, item) {
		const char *op = json_text_or(item, "operator", "");
		const char *key = json_text_or(item, "key", "");

		fputs(i ? "," : "", out);
		if (!strcmp(op, "DoesNotExist"))
			fprintf(out, "!%s", key);
		else
			fputs(key, out);
		if (strcmp(op, "In") && strcmp(op, "NotIn"))
			continue;
		fputs(op[0] == 'I' ? " in (" : " notin (", out);
		json_array_foreach(json_object_get(item, "values"), n, value)
			fprintf(out, "%s%s", n ? "," : "", json_string_value(value) ?: "");
		fputc(')', out);
	}
	fclose(out);
	return text;
}

/* A LabelSelector as kubectl prints it; Calico's selector is text already. */
static char *selector(const json_t *row)
{
	const char *text = json_text_at(row, "spec.selector");
	_cleanup_free_ char *matches = pairs(json_at(row, "spec.podSelector.matchLabels"));
	_cleanup_free_ char *more = expressions(json_at(row, "spec.podSelector.matchExpressions"));

	if (!json_at(row, "spec.podSelector"))
		return text ? xstrdup(text) : NULL;
	return xasprintf("%s%s%s", matches, *matches && *more ? "," : "", more);
}

static char *group(const json_t *row)
{
	const char *api = json_text_or(row, "apiVersion", "");
	const char *slash = strchr(api, '/');

	return slash ? strndup(api, (size_t)(slash - api)) : xstrdup("core");
}

/* calicoctl's WORKLOAD: the pod, or what another orchestrator calls it. */
static char *workload(const json_t *row)
{
	static const char *const paths[] = { "spec.pod", "spec.workload", "spec.containerID" };

	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
		if (json_text_at(row, paths[i]))
			return xstrdup(json_text_at(row, paths[i]));
	return NULL;
}

static char *service_ports(const json_t *row)
{
	char *text = NULL;
	json_t *port;
	size_t size, i;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		abort();
	json_array_foreach(json_at(row, "spec.ports"), i, port) {
		json_int_t node = json_integer_value(json_object_get(port, "nodePort"));

		fprintf(out, "%s%lld", i ? "," : "",
			(long long)json_integer_value(json_object_get(port, "port")));
		if (node)
			fprintf(out, ":%lld", (long long)node);
		fprintf(out, "/%s", json_text_or(port, "protocol", "TCP"));
	}
	fclose(out);
	return text;
}

#define COLUMN(title_, path_, ...) { .title = title_, .path = path_, ##__VA_ARGS__ }
#define COMPUTED(title_, text_, ...) { .title = title_, .text = text_, ##__VA_ARGS__ }
#define WIDE .when = TABLE_WIDE
#define OR(text_) .empty = text_
#define SPEC(title, field, ...) COLUMN(title, ".spec." field, ##__VA_ARGS__)

/* Of this node alone. */
#define COUNTED                                                                                    \
	COMPUTED("ALLOWED", counted_allowed, WIDE, OR("-")),                                       \
		COMPUTED("DENIED", counted_denied, WIDE, OR("-")),                                 \
		COMPUTED("PACKETS", counted_packets, WIDE, OR("-")),                               \
		COMPUTED("BYTES", counted_bytes, WIDE, OR("-"))

static const struct table_column name_age[] = { COMPUTED("AGE", age) };
static const struct table_column policy[] = { SPEC("TIER", "tier", OR("default")),
					      SPEC("ORDER", "order", WIDE),
					      COMPUTED("SELECTOR", selector, WIDE),
					      COMPUTED("STATUS", tier_status, WIDE, OR("active")),
					      COUNTED };
static const struct table_column kube_policy[] = { COMPUTED("POD-SELECTOR", selector),
						   COMPUTED("AGE", age), COUNTED };
static const struct table_column both_policies[] = { COMPUTED("GROUP", group),
						     SPEC("TIER", "tier"),
						     SPEC("ORDER", "order", WIDE),
						     COMPUTED("SELECTOR", selector),
						     COMPUTED("STATUS", tier_status, WIDE,
							      OR("active")),
						     COUNTED };
static const struct table_column staged_kube[] = { COMPUTED("PODSELECTOR", selector, WIDE),
						   COUNTED };
static const struct table_column pool[] = {
	SPEC("CIDR", "cidr"),
	SPEC("NAT", "natOutgoing", WIDE, OR("false")),
	SPEC("IPIPMODE", "ipipMode", WIDE, OR("Never")),
	SPEC("VXLANMODE", "vxlanMode", WIDE, OR("Never")),
	SPEC("DISABLED", "disabled", WIDE, OR("false")),
	SPEC("DISABLEBGPEXPORT", "disableBGPExport", WIDE, OR("false")),
	SPEC("SELECTOR", "nodeSelector", OR("all()")),
	SPEC("ASSIGNMENTMODE", "assignmentMode", WIDE, OR("Automatic")),
};
static const struct table_column node[] = { SPEC("ASN", "bgp.asNumber", WIDE, OR("(64512)")),
					    SPEC("IPV4", "bgp.ipv4Address", WIDE),
					    SPEC("IPV6", "bgp.ipv6Address", WIDE) };
static const struct table_column wep[] = {
	COMPUTED("WORKLOAD", workload),	    SPEC("NODE", "node"),
	SPEC("NETWORKS", "ipNetworks"),	    SPEC("INTERFACE", "interfaceName"),
	SPEC("PROFILES", "profiles", WIDE), SPEC("NATS", "ipNATs[*].externalIP", WIDE)
};
static const struct table_column cluster_info[] = { SPEC("CLUSTERGUID", "clusterGUID"),
						    SPEC("CLUSTERTYPE", "clusterType"),
						    SPEC("CALICOVERSION", "calicoVersion"),
						    SPEC("DATASTOREREADY", "datastoreReady") };
static const struct table_column bgp_config[] = {
	SPEC("LOGSEVERITY", "logSeverityScreen", OR("Info")),
	SPEC("MESHENABLED", "nodeToNodeMeshEnabled", OR("true")),
	SPEC("ASNUMBER", "asNumber", OR("64512"))
};
static const struct table_column bgp_filter[] = { COMPUTED("NUMEXPORTV4", export_v4),
						  COMPUTED("NUMIMPORTV4", import_v4),
						  COMPUTED("NUMEXPORTV6", export_v6),
						  COMPUTED("NUMIMPORTV6", import_v6) };
static const struct table_column bgp_peer[] = { SPEC("PEERIP", "peerIP"), SPEC("NODE", "node"),
						SPEC("ASN", "asNumber") };
static const struct table_column nets[] = { SPEC("NETS", "nets", WIDE) };
static const struct table_column host_endpoint[] = { SPEC("NODE", "node"),
						     SPEC("INTERFACE", "interfaceName", WIDE),
						     SPEC("IPS", "expectedIPs", WIDE),
						     SPEC("PROFILES", "profiles", WIDE) };
static const struct table_column ipam_config[] = {
	SPEC("STRICTAFFINITY", "strictAffinity", OR("false")),
	SPEC("AUTOALLOCATEBLOCKS", "autoAllocateBlocks", OR("true")),
	SPEC("MAXBLOCKSPERHOST", "maxBlocksPerHost", WIDE, OR("0"))
};
static const struct table_column reservation[] = { SPEC("CIDRS", "reservedCIDRs", WIDE) };
static const struct table_column node_status[] = { SPEC("NODE", "node"),
						   SPEC("CLASSES", "classes", WIDE) };
static const struct table_column profile[] = { COMPUTED("LABELS", profile_labels, WIDE) };
static const struct table_column tier[] = {
	SPEC("ORDER", "order"), SPEC("DEFAULTACTION", "defaultAction", WIDE, OR("Deny"))
};
static const struct table_column cluster_policy[] = { SPEC("TIER", "tier"),
						      SPEC("PRIORITY", "priority"),
						      COMPUTED("AGE", age), COUNTED };
static const struct table_column admin_policy[] = { SPEC("PRIORITY", "priority"),
						    COMPUTED("AGE", age), COUNTED };
static const struct table_column baseline_policy[] = { COMPUTED("AGE", age), COUNTED };
static const struct table_column block[] = { SPEC("CIDR", "cidr"), SPEC("AFFINITY", "affinity") };
static const struct table_column affinity[] = { SPEC("CIDR", "cidr"), SPEC("NODE", "node"),
						SPEC("STATE", "state") };
static const struct table_column pod[] = { COLUMN("STATUS", ".status.phase"),
					   COLUMN("IP", ".status.podIP"), SPEC("NODE", "nodeName"),
					   COMPUTED("AGE", age) };
static const struct table_column service[] = {
	SPEC("TYPE", "type", OR("ClusterIP")), SPEC("CLUSTER-IP", "clusterIP"),
	SPEC("EXTERNAL-IP", "externalIPs"), COMPUTED("PORT(S)", service_ports), COMPUTED("AGE", age)
};
static const struct table_column slice[] = { COLUMN("ADDRESSTYPE", ".addressType"),
					     COLUMN("PORTS", ".ports[*].port"),
					     COLUMN("ENDPOINTS", ".endpoints[*].addresses[*]"),
					     COMPUTED("AGE", age) };

struct list {
	const struct table_column *columns;
	size_t count;
};
#define LIST(columns_) { columns_, sizeof(columns_) / sizeof((columns_)[0]) }

static struct list list_of(enum kind kind)
{
	static const struct list lists[KIND_MAX] = {
		[KIND_NAMESPACE] = LIST(name_age),
		[KIND_SERVICE_ACCOUNT] = LIST(name_age),
		[KIND_IPAM_HANDLE] = LIST(name_age),
		[KIND_CLUSTER_NETWORK_POLICY] = LIST(cluster_policy),
		[KIND_ADMIN_POLICY] = LIST(admin_policy),
		[KIND_BASELINE_ADMIN_POLICY] = LIST(baseline_policy),
		[KIND_POD] = LIST(pod),
		[KIND_SERVICE] = LIST(service),
		[KIND_ENDPOINT_SLICE] = LIST(slice),
		[KIND_NETWORK_POLICY] = LIST(kube_policy),
		[KIND_NODE] = LIST(node),
		[KIND_IP_POOL] = LIST(pool),
		[KIND_IP_RESERVATION] = LIST(reservation),
		[KIND_IPAM_CONFIG] = LIST(ipam_config),
		[KIND_IPAM_BLOCK] = LIST(block),
		[KIND_BLOCK_AFFINITY] = LIST(affinity),
		[KIND_WORKLOAD_ENDPOINT] = LIST(wep),
		[KIND_CLUSTER_INFO] = LIST(cluster_info),
		[KIND_CALICO_POLICY] = LIST(policy),
		[KIND_GLOBAL_POLICY] = LIST(policy),
		[KIND_STAGED_POLICY] = LIST(policy),
		[KIND_STAGED_GLOBAL_POLICY] = LIST(policy),
		[KIND_STAGED_KUBERNETES_POLICY] = LIST(staged_kube),
		[KIND_TIER] = LIST(tier),
		[KIND_NETWORK_SET] = LIST(nets),
		[KIND_GLOBAL_NETWORK_SET] = LIST(nets),
		[KIND_HOST_ENDPOINT] = LIST(host_endpoint),
		[KIND_PROFILE] = LIST(profile),
		[KIND_BGP_CONFIG] = LIST(bgp_config),
		[KIND_BGP_PEER] = LIST(bgp_peer),
		[KIND_BGP_FILTER] = LIST(bgp_filter),
		[KIND_CALICO_NODE_STATUS] = LIST(node_status),
	};

	return lists[kind];
}

static void add(struct columns *columns, struct table_column column)
{
	columns->list[columns->count++] = column;
}

void columns_of(const struct columns_args *args, struct columns *columns)
{
	static const struct list both = LIST(both_policies);
	const struct list list = args->group ? both : list_of(args->kind);
	struct table_column name = COLUMN("NAME", ".metadata.name");

	columns->count = 0;
	if (args->ns)
		add(columns, (struct table_column)COLUMN("NAMESPACE", ".metadata.namespace"));
	/* calicoctl knows an endpoint by its workload. */
	if (args->kind == KIND_WORKLOAD_ENDPOINT)
		name.when = TABLE_WIDE;
	add(columns, name);
	for (size_t i = 0; i < list.count; i++)
		add(columns, list.columns[i]);
	if (args->labels)
		add(columns, (struct table_column)COMPUTED("LABELS", labels));
}
