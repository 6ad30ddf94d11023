/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Sockets that talk to a backend and believe to talk to a service (abi/sock.h). Least recently
 * used rows go first: what is lost is the name of the peer, and of a socket that is not connected
 * the backend that it had.
 */
#ifndef MARGAY_MAPS_SOCKS_H
#define MARGAY_MAPS_SOCKS_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "abi/sock.h"

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 65536);
	__type(key, struct mg_sock_key);
	__type(value, struct mg_sock);
} mg_socks __weak SEC(".maps");

#endif
