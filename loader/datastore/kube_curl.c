/* SPDX-License-Identifier: Apache-2.0 */
#include "datastore/kube_curl.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

#define LIBRARY "libcurl.so.4"

const struct kube_curl *kube_curl;

int kube_curl_load(struct err *err)
{
	static struct kube_curl lib;
	bool whole = true;
	void *handle;

	if (kube_curl)
		return 0;
	handle = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
	if (!handle)
		return err_set(err, -ENOENT,
			       "the Kubernetes API needs libcurl (Debian: libcurl4): %s",
			       dlerror());
#define FIND(name)                                                                                 \
	*(void **)&lib.name = dlsym(handle, #name);                                                \
	whole = whole && lib.name;
	KUBE_CURL_FUNCTIONS(FIND)
	if (!whole)
		return err_set(err, -ENOENT, "%s lacks a function", LIBRARY);
	if (lib.curl_global_init(CURL_GLOBAL_ALL) != CURLE_OK)
		return err_set(err, -EIO, "%s cannot be used", LIBRARY);
	kube_curl = &lib;
	return 0;
}
