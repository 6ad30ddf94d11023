/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libcurl and what it needs (TLS, HTTP/2) are a dozen libraries: they are loaded when a store is
 * an API server, and not at all otherwise. Private to datastore/.
 */
#ifndef MARGAY_DATASTORE_KUBE_CURL_H
#define MARGAY_DATASTORE_KUBE_CURL_H

#define CURL_DISABLE_TYPECHECK
#include <curl/curl.h>

struct err;

#define KUBE_CURL_FUNCTIONS(f)                                                                     \
	f(curl_easy_cleanup) f(curl_easy_getinfo) f(curl_easy_init) f(curl_easy_pause)             \
		f(curl_easy_setopt) f(curl_easy_strerror) f(curl_global_init)                      \
			f(curl_multi_add_handle) f(curl_multi_cleanup) f(curl_multi_info_read)     \
				f(curl_multi_init) f(curl_multi_remove_handle)                     \
					f(curl_multi_setopt) f(curl_multi_socket_action)           \
						f(curl_slist_append) f(curl_slist_free_all)

#define KUBE_CURL_POINTER(name) __typeof__(name) *name;
struct kube_curl {
	KUBE_CURL_FUNCTIONS(KUBE_CURL_POINTER)
};

/* NULL until kube_curl_load() has succeeded once. */
extern const struct kube_curl *kube_curl;

int kube_curl_load(struct err *err);

#endif
