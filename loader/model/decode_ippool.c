/* SPDX-License-Identifier: Apache-2.0 */
/* IPPool and IPReservation (projectcalico.org/v3). */
#include "model/ippool.h"

#include "base/inet.h"
#include "model/decode_kinds.h"

static const struct enum_text encap_modes[] = { { "Never", ENCAP_NEVER },
						{ "Always", ENCAP_ALWAYS },
						{ "CrossSubnet", ENCAP_CROSS_SUBNET },
						{ "", ENCAP_NEVER },
						{ NULL, 0 } };
static const struct enum_text uses[] = { { "Tunnel", POOL_USE_TUNNEL },
					 { "Workload", POOL_USE_WORKLOAD },
					 { "LoadBalancer", POOL_USE_LOAD_BALANCER },
					 { NULL, 0 } };
static const struct enum_text assignment[] = { { "Automatic", false },
					       { "Manual", true },
					       { NULL, 0 } };

static const struct field pool_spec_fields[] = {
	FIELD("cidr", struct ip_pool, cidr, read_prefix, .flags = FIELD_REQUIRED | FIELD_MASKED),
	FIELD("ipipMode", struct ip_pool, ipip, read_enum, .enums = encap_modes),
	FIELD("vxlanMode", struct ip_pool, vxlan, read_enum, .enums = encap_modes),
	FIELD("natOutgoing", struct ip_pool, nat_outgoing, read_bool),
	FIELD("disabled", struct ip_pool, disabled, read_bool),
	FIELD("disableBGPExport", struct ip_pool, disable_bgp_export, read_bool),
	FIELD("blockSize", struct ip_pool, block_size, read_int, .max = 128),
	FIELD("nodeSelector", struct ip_pool, nodes, read_selector),
	FIELD("namespaceSelector", struct ip_pool, namespaces, read_selector),
	FIELD("allowedUses", struct ip_pool, uses, read_flags, .enums = uses),
	FIELD("assignmentMode", struct ip_pool, manual, read_enum, .enums = assignment),
	FIELD_END
};

static void check_sizes(struct decode *d, const struct path *path, struct ip_pool *pool)
{
	const struct path cidr = { .up = path, .key = "cidr" };
	const struct path size = { .up = path, .key = "blockSize" };
	const bool is4 = prefix_is4(&pool->cidr);
	const unsigned int bits = prefix_bits(&pool->cidr), min = is4 ? 20 : 116,
			   max = is4 ? 32 : 128;

	if (!pool->block_size)
		pool->block_size = is4 ? 26 : 122;
	if (pool->block_size < min || pool->block_size > max)
		complain(d, &size, "%u is not in %u-%u", pool->block_size, min, max);
	else if (bits > pool->block_size)
		complain(d, &cidr, "a /%u is smaller than one block of blockSize %u", bits,
			 pool->block_size);
}

static void check_link_local(struct decode *d, const struct path *path,
			     const struct mg_prefix *cidr)
{
	const struct path at = { .up = path, .key = "cidr" };
	struct mg_prefix local;

	if (!prefix_parse(prefix_is4(cidr) ? "169.254.0.0/16" : "fe80::/10", false, &local) &&
	    prefix_overlaps(cidr, &local))
		complain(d, &at, "overlaps with link-local addresses");
}

static void check_load_balancer(struct decode *d, const struct path *path,
				const struct ip_pool *pool)
{
	if (!(pool->uses & POOL_USE_LOAD_BALANCER))
		return;
	if (pool->uses != POOL_USE_LOAD_BALANCER)
		complain(d, path, "allowedUses LoadBalancer stands alone");
	if (pool->ipip != ENCAP_NEVER || pool->vxlan != ENCAP_NEVER)
		complain(d, path, "a LoadBalancer pool has no ipipMode and no vxlanMode");
	if (pool->disable_bgp_export)
		complain(d, path, "disableBGPExport is not allowed in a LoadBalancer pool");
	if (pool->nodes->op != SELECTOR_ALL)
		complain(d, path, "nodeSelector of a LoadBalancer pool must be all()");
}

/* What Calico's validation refuses and its IPAM bears: in the store it stays what it was. */
static void check_uses(struct decode *d, const struct path *path, const json_t *value,
		       struct ip_pool *pool)
{
	const struct path uses_path = { .up = path, .key = "allowedUses" };
	const bool tunnel = pool->uses & POOL_USE_TUNNEL; /* asked for by name */
	const bool strict = d->mode == DECODE_STRICT;

	if (strict && !pool->uses && json_is_array(json_object_get(value, "allowedUses")))
		complain(d, &uses_path, "must not be empty");
	if (strict && tunnel && pool->namespaces->op != SELECTOR_ALL)
		complain(d, path, "a namespaceSelector is not allowed in a pool for Tunnel use");
	if (!pool->uses)
		pool->uses = POOL_USE_TUNNEL | POOL_USE_WORKLOAD;
}

static void check_pool(struct decode *d, const struct path *path, const json_t *value, void *at)
{
	struct ip_pool *pool = at;

	check_uses(d, path, value, pool);
	if (pool->ipip != ENCAP_NEVER && pool->vxlan != ENCAP_NEVER)
		complain(d, path, "ipipMode and vxlanMode are both on");
	check_sizes(d, path, pool);
	check_link_local(d, path, &pool->cidr);
	check_load_balancer(d, path, pool);
}

static void pool_defaults(struct decode *d, void *object)
{
	struct ip_pool *pool = object;

	(void)d;
	pool->created = "";
	pool->nodes = pool->namespaces = selector_all();
}

static const struct shape pool_spec_shape = { .fields = pool_spec_fields, .check = check_pool };
static const struct field pool_metadata_fields[] = {
	FIELD("creationTimestamp", struct ip_pool, created, read_text, .max = 64), FIELD_END
};
static const struct shape pool_metadata_shape = { .fields = pool_metadata_fields, .open = true };
static const struct field pool_fields[] = { FIELD_SAME("metadata", &pool_metadata_shape),
					    FIELD_SAME("spec", &pool_spec_shape,
						       .flags = FIELD_REQUIRED),
					    FIELD_KNOWN("status"), FIELD_END };
static const struct shape pool_shape = { .fields = pool_fields };

const struct decoder decoder_ip_pool = { .size = sizeof(struct ip_pool),
					 .shape = &pool_shape,
					 .defaults = pool_defaults };

/* --- IPReservation -------------------------------------------------------------------------- */

/* IPAM masks what is stored. */
static READER(read_reserved)
{
	struct field masked = *field;

	if (d->mode == DECODE_STRICT)
		masked.flags |= FIELD_MASKED;
	read_prefix(d, path, value, &masked, at);
}

static const struct field reserved_field = { .read = read_reserved,
					     .json = FIELD_JSON_TEXT,
					     .flags = FIELD_HOST_OK | FIELD_DROP };
static const struct field reservation_spec_fields[] = {
	FIELD_LIST("reservedCIDRs", struct ip_reservation, count, cidrs, &reserved_field), FIELD_END
};
static const struct shape reservation_spec_shape = { .fields = reservation_spec_fields };
static const struct field reservation_fields[] = { FIELD_SAME("spec", &reservation_spec_shape),
						   FIELD_END };
static const struct shape reservation_shape = { .fields = reservation_fields };

const struct decoder decoder_ip_reservation = { .size = sizeof(struct ip_reservation),
						.shape = &reservation_shape };
