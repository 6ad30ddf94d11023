/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Features of a device by ethtool's ioctl: names are strings the kernel gives, their order is the
 * number of the bit. The ioctl works in every namespace and needs no generic netlink family.
 */
#include <errno.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "base/arena.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "dataplane/netlink.h"

#define FEATURES_MAX 1024
#define BLOCKS(count) (((count) + 31) / 32)

static int ethtool(int fd, const char *ifname, void *command)
{
	struct ifreq request = { .ifr_data = command };

	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", ifname);
	return ioctl(fd, SIOCETHTOOL, &request) ? -errno : 0;
}

static int feature_count(int fd, const char *ifname, __u32 *ret_count)
{
	struct {
		struct ethtool_sset_info info;
		__u32 count;
	} sets = { .info = { .cmd = ETHTOOL_GSSET_INFO, .sset_mask = 1ULL << ETH_SS_FEATURES } };
	int r = ethtool(fd, ifname, &sets);

	if (r)
		return r;
	if (!sets.info.sset_mask || sets.count > FEATURES_MAX)
		return -EOPNOTSUPP;
	*ret_count = sets.count;
	return 0;
}

/* Bit number of a feature, and how many there are. */
static int find_feature(int fd, const char *ifname, const char *feature, __u32 *ret_bit,
			__u32 *ret_count)
{
	_cleanup_free_ struct ethtool_gstrings *names = NULL;
	__u32 count;
	int r = feature_count(fd, ifname, &count);

	if (r)
		return r;
	names = xcalloc(1, sizeof(*names) + (size_t)count * ETH_GSTRING_LEN);
	*names = (struct ethtool_gstrings){ .cmd = ETHTOOL_GSTRINGS,
					    .string_set = ETH_SS_FEATURES,
					    .len = count };
	r = ethtool(fd, ifname, names);
	if (r)
		return r;
	*ret_count = count;
	for (*ret_bit = 0; *ret_bit < count; (*ret_bit)++) {
		if (!strncmp((char *)names->data + *ret_bit * ETH_GSTRING_LEN, feature,
			     ETH_GSTRING_LEN))
			return 0;
	}
	return -ENOENT;
}

static int open_feature(const char *ifname, const char *feature, __u32 *ret_bit, __u32 *ret_count,
			int *ret_fd)
{
	_cleanup_close_ int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int r = fd < 0 ? -errno : find_feature(fd, ifname, feature, ret_bit, ret_count);

	if (!r)
		*ret_fd = TAKE_FD(fd);
	return r;
}

int net_feature_set(const char *ifname, const char *feature, bool on, struct err *err)
{
	_cleanup_free_ struct ethtool_sfeatures *set = NULL;
	_cleanup_close_ int fd = -1;
	__u32 bit, count;
	int r = open_feature(ifname, feature, &bit, &count, &fd);

	if (!r) {
		set = xcalloc(1, sizeof(*set) + BLOCKS(count) * sizeof(set->features[0]));
		set->cmd = ETHTOOL_SFEATURES;
		set->size = BLOCKS(count);
		set->features[bit / 32].valid = 1U << bit % 32;
		set->features[bit / 32].requested = on ? 1U << bit % 32 : 0;
		r = ethtool(fd, ifname, set);
	}
	return r ? err_errno(err, r, "%s: feature %s", ifname, feature) : 0;
}

int net_feature_get(const char *ifname, const char *feature, bool *ret_on, struct err *err)
{
	_cleanup_free_ struct ethtool_gfeatures *get = NULL;
	_cleanup_close_ int fd = -1;
	__u32 bit, count;
	int r = open_feature(ifname, feature, &bit, &count, &fd);

	if (!r) {
		get = xcalloc(1, sizeof(*get) + BLOCKS(count) * sizeof(get->features[0]));
		get->cmd = ETHTOOL_GFEATURES;
		get->size = BLOCKS(count);
		r = ethtool(fd, ifname, get);
	}
	if (r)
		return err_errno(err, r, "%s: feature %s", ifname, feature);
	*ret_on = get->features[bit / 32].active >> bit % 32 & 1;
	return 0;
}
