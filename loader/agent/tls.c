/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/tls.h"

#include <dlfcn.h>
#include <errno.h>
#include <event2/bufferevent_ssl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdbool.h>

#include "agent/http.h"
#include "base/arena.h"
#include "base/err.h"

/* It needs libssl and libcrypto, so all names are found through it. */
#define LIBRARY "libevent_openssl-2.1.so.7"

#define FUNCTIONS(f)                                                                               \
	f(bufferevent_openssl_socket_new) f(ERR_clear_error) f(ERR_peek_last_error)                \
		f(ERR_reason_error_string) f(SSL_CTX_check_private_key) f(SSL_CTX_ctrl)            \
			f(SSL_CTX_free) f(SSL_CTX_load_verify_locations) f(SSL_CTX_new)            \
				f(SSL_CTX_set_cert_verify_callback) f(SSL_CTX_set_options)         \
					f(SSL_CTX_set_verify) f(SSL_CTX_use_PrivateKey_file)       \
						f(SSL_CTX_use_certificate_chain_file) f(SSL_new)   \
							f(TLS_server_method)

#define POINTER(name) __typeof__(name) *name;
static struct {
	FUNCTIONS(POINTER)
} lib;

struct tls {
	SSL_CTX *context;
};

static int load(struct err *err)
{
	void *handle;
	bool whole = true;

	if (lib.SSL_new)
		return 0;
	handle = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
	if (!handle)
		return err_set(err, -ENOENT, "TLS needs OpenSSL and libevent's part for it: %s",
			       dlerror());
#define FIND(name)                                                                                 \
	*(void **)&lib.name = dlsym(handle, #name);                                                \
	whole = whole && lib.name;
	FUNCTIONS(FIND)
	if (whole)
		return 0;
	lib.SSL_new = NULL;
	return err_set(err, -ENOENT, "%s or its libssl lacks a function", LIBRARY);
}

static int fail(struct err *err, const char *what, const char *path)
{
	const char *why = lib.ERR_reason_error_string(lib.ERR_peek_last_error());
	int r = err_set(err, -EBADMSG, "%s %s: %s", what, path, why ? why : "cannot be used");

	lib.ERR_clear_error();
	return r;
}

/* Any certificate will do. */
static int take_any(X509_STORE_CTX *context, void *arg)
{
	(void)context;
	(void)arg;
	return 1;
}

static int ask_client(SSL_CTX *context, const struct http_config *config, struct err *err)
{
	bool verified = config->client == HTTP_CLIENT_VERIFIED ||
			config->client == HTTP_CLIENT_VERIFIED_IF_SHOWN;
	bool demanded =
		config->client == HTTP_CLIENT_VERIFIED || config->client == HTTP_CLIENT_SHOWS;

	if (config->client == HTTP_CLIENT_ANY)
		return 0;
	if (verified && !*config->ca)
		return err_set(err, -EINVAL, "clients cannot be verified without a CA file");
	if (verified && lib.SSL_CTX_load_verify_locations(context, config->ca, NULL) != 1)
		return fail(err, "CA", config->ca);
	if (!verified)
		lib.SSL_CTX_set_cert_verify_callback(context, take_any, NULL);
	lib.SSL_CTX_set_verify(
		context, SSL_VERIFY_PEER | (demanded ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0), NULL);
	return 0;
}

static int configure(SSL_CTX *context, const struct http_config *config, struct err *err)
{
	lib.SSL_CTX_ctrl(context, SSL_CTRL_SET_MIN_PROTO_VERSION, TLS1_2_VERSION, NULL);
	/* Each scrape is a connection of its own; no session outlives it. */
	lib.SSL_CTX_ctrl(context, SSL_CTRL_SET_SESS_CACHE_MODE, SSL_SESS_CACHE_OFF, NULL);
	lib.SSL_CTX_set_options(context, SSL_OP_NO_TICKET);
	if (lib.SSL_CTX_use_certificate_chain_file(context, config->cert) != 1)
		return fail(err, "certificate", config->cert);
	if (lib.SSL_CTX_use_PrivateKey_file(context, config->key, SSL_FILETYPE_PEM) != 1 ||
	    lib.SSL_CTX_check_private_key(context) != 1)
		return fail(err, "key", config->key);
	return ask_client(context, config, err);
}

int tls_new(const struct http_config *config, struct tls **ret_tls, struct err *err)
{
	struct tls *tls;
	int r = load(err);

	if (r < 0)
		return r;
	tls = xcalloc(1, sizeof(*tls));
	tls->context = lib.SSL_CTX_new(lib.TLS_server_method());
	if (!tls->context)
		abort();
	r = configure(tls->context, config, err);
	if (r < 0)
		tls_free(tls);
	else
		*ret_tls = tls;
	return r;
}

void tls_free(struct tls *tls)
{
	if (!tls)
		return;
	lib.SSL_CTX_free(tls->context);
	free(tls);
}

struct bufferevent *tls_accept(struct event_base *base, void *tls)
{
	SSL_CTX *context = ((struct tls *)tls)->context;

	return lib.bufferevent_openssl_socket_new(base, -1, lib.SSL_new(context),
						  BUFFEREVENT_SSL_ACCEPTING,
						  BEV_OPT_CLOSE_ON_FREE | BEV_OPT_DEFER_CALLBACKS);
}
