/* SPDX-License-Identifier: Apache-2.0 */
/* Apart from what applies it, so that reading a configuration needs no netlink. */
#include <stdint.h>
#include <stdio.h>

#include "cni/bandwidth.h"
#include "cni/error.h"

/* Rate and burst come together. The kernel keeps a burst in 32 bits of bytes. */
static int read_pair(const json_t *tree, const char *way, __u64 *ret_rate, __u64 *ret_burst,
		     struct cni_error *error)
{
	char rate_key[16], burst_key[16];
	const json_t *rate, *burst;

	snprintf(rate_key, sizeof(rate_key), "%sRate", way);
	snprintf(burst_key, sizeof(burst_key), "%sBurst", way);
	rate = json_object_get(tree, rate_key);
	burst = json_object_get(tree, burst_key);
	if ((rate && (!json_is_integer(rate) || json_integer_value(rate) < 0)) ||
	    (burst && (!json_is_integer(burst) || json_integer_value(burst) < 0)))
		return cni_fail(error, CNI_BAD_CONFIG,
				"network configuration: runtimeConfig.bandwidth: %s and %s: must "
				"be numbers of bits",
				rate_key, burst_key);
	*ret_rate = (__u64)json_integer_value(rate);
	*ret_burst = (__u64)json_integer_value(burst);
	if ((*ret_rate && (*ret_rate < 8 || *ret_burst < 8)) || *ret_burst / 8 > UINT32_MAX)
		return cni_fail(error, CNI_BAD_CONFIG,
				"network configuration: runtimeConfig.bandwidth: %s needs a %s of "
				"8 to 34359738360 bits",
				rate_key, burst_key);
	return 0;
}

int bandwidth_read(const json_t *tree, struct bandwidth *ret_bandwidth, struct cni_error *error)
{
	struct bandwidth bandwidth = { 0 };
	int r;

	r = read_pair(tree, "ingress", &bandwidth.ingress_rate, &bandwidth.ingress_burst, error);
	if (!r)
		r = read_pair(tree, "egress", &bandwidth.egress_rate, &bandwidth.egress_burst,
			      error);
	if (!r)
		*ret_bandwidth = bandwidth;
	return r;
}
