/* SPDX-License-Identifier: Apache-2.0 */
/* WorkloadEndpoint and ClusterInformation (projectcalico.org/v3). */
#include "model/workload.h"

#include <netinet/in.h>

#include "base/inet.h"
#include "model/cluster.h"
#include "model/decode_kinds.h"
#include "model/names.h"

/* A /32 or /128, or a bare address. */
static READER(read_ip_network)
{
	const char *text = json_string_value(value);
	struct mg_prefix prefix;

	(void)field;
	if (!text)
		complain_type(d, path, value, "a CIDR");
	else if (prefix_parse(text, true, &prefix))
		complain(d, path, "\"%.64s\" is not a CIDR or address", text);
	else if (prefix.len != MG_ADDR_BITS)
		complain(d, path, "%.64s is not one address (/32 or /128)", text);
	else
		*(union mg_addr *)at = prefix.addr;
}

static const struct field port_fields[] = {
	FIELD("name", struct pod_port, name, read_text, .flags = FIELD_REQUIRED | FIELD_NOT_EMPTY,
	      .is_valid = name_is_port, .what = "a port name (RFC 6335)"),
	FIELD("protocol", struct pod_port, protocol, read_enum,
	      .flags = FIELD_REQUIRED | FIELD_ANY_CASE, .enums = transport_protocols),
	FIELD("port", struct pod_port, port, read_int, .flags = FIELD_REQUIRED, .min = 1,
	      .max = 65535),
	FIELD_KNOWN("hostPort"),
	FIELD_KNOWN("hostIP"),
	FIELD_END
};
static const struct shape port_shape = { .fields = port_fields };
static const struct field port_field = { .read = read_object,
					 .shape = &port_shape,
					 .flags = FIELD_DROP };
static const struct field ip_field = { .read = read_ip_network,
				       .json = FIELD_JSON_TEXT,
				       .flags = FIELD_DROP };
static const struct field source_field = { .read = read_prefix,
					   .flags = FIELD_HOST_OK | FIELD_DROP };
static const struct field profile_field = { .read = read_text };

static const struct field wep_spec_fields[] = {
	FIELD("orchestrator", struct workload_endpoint, orchestrator, read_text),
	FIELD("workload", struct workload_endpoint, workload, read_text),
	FIELD("node", struct workload_endpoint, node, read_text,
	      .flags = FIELD_REQUIRED | FIELD_NOT_EMPTY),
	FIELD("containerID", struct workload_endpoint, container_id, read_text),
	FIELD("pod", struct workload_endpoint, pod, read_text),
	FIELD("endpoint", struct workload_endpoint, endpoint, read_text),
	FIELD("serviceAccountName", struct workload_endpoint, service_account, read_text),
	FIELD("interfaceName", struct workload_endpoint, interface, read_text,
	      .is_valid = name_is_interface, .what = "an interface name"),
	FIELD("mac", struct workload_endpoint, mac, read_mac, .flags = FIELD_DROP),
	FIELD_LIST("ipNetworks", struct workload_endpoint, ip_count, ips, &ip_field, .max = 64),
	FIELD_LIST("profiles", struct workload_endpoint, profile_count, profiles, &profile_field,
		   .max = 256),
	FIELD_LIST("ports", struct workload_endpoint, port_count, ports, &port_field, .max = 1000),
	FIELD_LIST("allowSpoofedSourcePrefixes", struct workload_endpoint, source_count, sources,
		   &source_field, .max = 256),
	FIELD_KNOWN("ipNATs"),
	FIELD_KNOWN("ipv4Gateway"),
	FIELD_KNOWN("ipv6Gateway"),
	FIELD_KNOWN("qosControls"),
	FIELD_END
};
static const struct shape wep_spec_shape = { .fields = wep_spec_fields };
static const struct field wep_fields[] = { FIELD_SAME("spec", &wep_spec_shape,
						      .flags = FIELD_REQUIRED),
					   FIELD_KNOWN("status"), FIELD_END };
static const struct shape wep_shape = { .fields = wep_fields };

static void wep_defaults(struct decode *d, void *object)
{
	struct workload_endpoint *wep = object;

	(void)d;
	wep->orchestrator = wep->workload = wep->node = wep->container_id = "";
	wep->pod = wep->endpoint = wep->service_account = wep->interface = "";
}

const struct decoder decoder_workload_endpoint = { .size = sizeof(struct workload_endpoint),
						   .shape = &wep_shape,
						   .defaults = wep_defaults };

/* --- ClusterInformation --------------------------------------------------------------------- */

static const struct field cluster_spec_fields[] = {
	FIELD("clusterGUID", struct cluster_info, guid, read_text),
	FIELD("clusterType", struct cluster_info, type, read_text),
	FIELD("calicoVersion", struct cluster_info, calico_version, read_text),
	FIELD("variant", struct cluster_info, variant, read_text),
	FIELD("datastoreReady", struct cluster_info, datastore_ready, read_bool),
	FIELD_END
};
static const struct shape cluster_spec_shape = { .fields = cluster_spec_fields };
static const struct field cluster_fields[] = { FIELD_SAME("spec", &cluster_spec_shape), FIELD_END };
static const struct shape cluster_shape = { .fields = cluster_fields, .check = check_default_name };

static void cluster_defaults(struct decode *d, void *object)
{
	struct cluster_info *info = object;

	(void)d;
	info->guid = info->type = info->calico_version = info->variant = "";
	info->datastore_ready = true;
}

const struct decoder decoder_cluster_info = { .size = sizeof(struct cluster_info),
					      .shape = &cluster_shape,
					      .defaults = cluster_defaults };
