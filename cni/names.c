/* SPDX-License-Identifier: Apache-2.0 */
/* The digest by its low-level calls: EVP would link all of libcrypto's providers into a static
 * binary that starts at each ADD. SHA-1 makes a name here, it protects nothing. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "cni/names.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/file.h"
#include "base/hex.h"
#include "base/inet.h"

static void digest_text(SHA_CTX *digest, const char *text)
{
	SHA1_Update(digest, text, strlen(text));
}

void host_prefix(const char *state_dir, char ret_prefix[CNI_HOST_PREFIX_MAX + 1])
{
	_cleanup_free_ char *path = xasprintf("%s/" CNI_HOST_PREFIX_FILE, state_dir);
	_cleanup_free_ char *text = NULL;
	size_t size;

	if (file_read(AT_FDCWD, path, CNI_HOST_PREFIX_MAX, &text, &size) < 0 || !size ||
	    strpbrk(text, "/. \t\n"))
		snprintf(ret_prefix, CNI_HOST_PREFIX_MAX + 1, "%s", CNI_HOST_PREFIX);
	else
		snprintf(ret_prefix, CNI_HOST_PREFIX_MAX + 1, "%s", text);
}

void host_ifname(const char *prefix, const char *pod_namespace, const char *pod, const char *ifname,
		 char ret_name[IFNAMSIZ])
{
	unsigned char sum[SHA_DIGEST_LENGTH];
	char hex[13];
	SHA_CTX digest;

	SHA1_Init(&digest);
	digest_text(&digest, pod_namespace);
	digest_text(&digest, ".");
	digest_text(&digest, pod);
	if (strcmp(ifname, "eth0")) {
		digest_text(&digest, "/");
		digest_text(&digest, ifname);
	}
	SHA1_Final(sum, &digest);
	hex_format(sum, 6, hex);
	snprintf(ret_name, IFNAMSIZ, "%.*s", CNI_HOST_PREFIX_MAX, prefix);
	hex[11] = '\0';
	strncat(ret_name, hex, IFNAMSIZ - 1 - strlen(ret_name));
}

union mg_addr gateway4(void)
{
	union mg_addr addr = { 0 };

	addr_parse(CNI_GATEWAY4, &addr);
	return addr;
}

union mg_addr gateway6(const __u8 host_mac[6])
{
	union mg_addr addr = { .b = { 0xfe, 0x80 } };

	memcpy(addr.b + 8, host_mac, 3);
	addr.b[8] ^= 2;
	addr.b[11] = 0xff;
	addr.b[12] = 0xfe;
	memcpy(addr.b + 13, host_mac + 3, 3);
	return addr;
}

int mac_parse(const char *text, __u8 ret_mac[6])
{
	static const __u8 zero[6];
	__u8 mac[6];

	if (strlen(text) != MAC_TEXT_MAX - 1)
		return -EINVAL;
	for (int i = 0; i < 6; i++, text += 3) {
		if (!isxdigit((unsigned char)text[0]) || !isxdigit((unsigned char)text[1]) ||
		    text[2] != (i < 5 ? ':' : 0))
			return -EINVAL;
		mac[i] = (__u8)strtoul(text, NULL, 16);
	}
	if (mac[0] & 1 || !memcmp(mac, zero, 6))
		return -EINVAL;
	memcpy(ret_mac, mac, 6);
	return 0;
}

const char *mac_format(const __u8 mac[6], char text[MAC_TEXT_MAX])
{
	snprintf(text, MAC_TEXT_MAX, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2],
		 mac[3], mac[4], mac[5]);
	return text;
}

/* The hash less its last digit. Where the name is taken by the pair of an earlier DEL, DEL deletes.
 */
void aside_ifnames(const char *host_ifname, char ret_host[IFNAMSIZ], char ret_peer[IFNAMSIZ])
{
	snprintf(ret_host, IFNAMSIZ, CNI_ASIDE_PREFIX "%.10s", host_ifname + 4);
	snprintf(ret_peer, IFNAMSIZ, "cali+%.10s", host_ifname + 4);
}
