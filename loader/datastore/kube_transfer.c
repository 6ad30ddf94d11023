/* SPDX-License-Identifier: Apache-2.0 */
#include "datastore/kube_transfer.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/crypto.h>
#include <string.h>
#include <sys/socket.h>

#include "base/arena.h"
#include "base/rpc.h"
#include "base/version.h"
#include "datastore/kube_auth.h"
#include "datastore/kube_config.h"
#include "datastore/kube_http.h"

#define UNHEARD_MS 15000 /* what was sent and is not acknowledged: the connection is dead */

static size_t on_bytes(char *data, size_t one, size_t count, void *arg)
{
	struct kube_transfer *transfer = arg;

	if (transfer->held.size > KUBE_HELD_MAX) {
		transfer->paused = true;
		return CURL_WRITEFUNC_PAUSE;
	}
	transfer->request->heard = rpc_now();
	kube_text_add(&transfer->held, data, one * count);
	return one * count;
}

/* Called once a line; the empty one ends the headers. */
static size_t on_header(char *data, size_t one, size_t count, void *arg)
{
	struct kube_transfer *transfer = arg;

	transfer->request->heard = rpc_now();
	transfer->answered = transfer->answered || *data == '\r' || *data == '\n';
	return one * count;
}

static int on_socket(void *arg, curl_socket_t fd, curlsocktype purpose)
{
	const unsigned int ms = UNHEARD_MS;

	(void)arg;
	(void)purpose;
	setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &ms, sizeof(ms));
	return CURL_SOCKOPT_OK;
}

#define SET(option, value) kube_curl->curl_easy_setopt(transfer->easy, option, value)

static void set_pem(struct kube_transfer *transfer, CURLoption option, const char *pem)
{
	struct curl_blob blob = { .data = (void *)pem,
				  .len = strlen(pem),
				  .flags = CURL_BLOB_COPY };

	SET(option, &blob);
}

/* Where to, and the name that the certificate is to have. */
static void set_server(struct kube_transfer *transfer, const struct kube_attempt *attempt)
{
	const char *name = attempt->config->tls_name, *path = transfer->request->path;
	const char *host = attempt->server + strlen("https://");
	size_t size = strcspn(host, "/");
	_cleanup_free_ char *to = NULL;

	if (!name) {
		transfer->url = xasprintf("%s%s", attempt->server, path);
	} else {
		transfer->url = xasprintf("https://%s%s%s", name, host + size, path);
		to = xasprintf("::%.*s%s", (int)size, host,
			       memchr(strrchr(host, ']') ?: host, ':', size) ? "" : ":443");
		transfer->connect_to = kube_curl->curl_slist_append(NULL, to);
		SET(CURLOPT_CONNECT_TO, transfer->connect_to);
	}
	SET(CURLOPT_URL, transfer->url);
}

static void set_tls(struct kube_transfer *transfer, const struct kube_attempt *attempt,
		    const struct kube_credentials *credentials)
{
	SET(CURLOPT_SSL_VERIFYPEER, 1L);
	SET(CURLOPT_SSL_VERIFYHOST, 2L);
	SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	if (attempt->config->ca) {
		set_pem(transfer, CURLOPT_CAINFO_BLOB, attempt->config->ca);
		SET(CURLOPT_CAPATH, NULL);
	}
	if (!credentials->certificate)
		return;
	SET(CURLOPT_SSLCERTTYPE, "PEM");
	SET(CURLOPT_SSLKEYTYPE, "PEM");
	set_pem(transfer, CURLOPT_SSLCERT_BLOB, credentials->certificate);
	set_pem(transfer, CURLOPT_SSLKEY_BLOB, credentials->key);
}

static void add_header(struct kube_transfer *transfer, const char *name, const char *value)
{
	char *line = xasprintf("%s: %s", name, value);

	transfer->headers = kube_curl->curl_slist_append(transfer->headers, line);
	OPENSSL_cleanse(line, strlen(line));
	free(line);
}

static void set_who(struct kube_transfer *transfer, const struct kube_credentials *credentials)
{
	if (credentials->token) {
		_cleanup_free_ char *bearer = xasprintf("Bearer %s", credentials->token);

		add_header(transfer, "Authorization", bearer);
		OPENSSL_cleanse(bearer, strlen(bearer));
	} else if (credentials->username) {
		SET(CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC);
		SET(CURLOPT_USERNAME, credentials->username);
		SET(CURLOPT_PASSWORD, credentials->password ?: "");
	}
}

static void set_content(struct kube_transfer *transfer)
{
	const struct kube_request *request = transfer->request;

	SET(CURLOPT_CUSTOMREQUEST, request->method);
	add_header(transfer, "Accept", "application/json");
	if (!request->body)
		return;
	add_header(transfer, "Content-Type", request->type ?: "application/json");
	add_header(transfer, "Expect", "");
	SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)strlen(request->body));
	SET(CURLOPT_POSTFIELDS, request->body);
}

static void set_manner(struct kube_transfer *transfer, const struct kube_attempt *attempt)
{
	_cleanup_free_ char *agent = xasprintf("margay/%s", margay_version);

	SET(CURLOPT_PRIVATE, transfer);
	SET(CURLOPT_ERRORBUFFER, transfer->why);
	SET(CURLOPT_USERAGENT, agent);
	SET(CURLOPT_NOSIGNAL, 1L);
	SET(CURLOPT_PROTOCOLS_STR, "https");
	SET(CURLOPT_PROXY, "");
	SET(CURLOPT_FOLLOWLOCATION, 0L);
	SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
	SET(CURLOPT_FRESH_CONNECT, attempt->fresh ? 1L : 0L);
	SET(CURLOPT_CONNECTTIMEOUT_MS, (long)KUBE_CONNECT_MS);
	SET(CURLOPT_TIMEOUT_MS, (long)attempt->timeout_ms);
	SET(CURLOPT_SOCKOPTFUNCTION, on_socket);
	SET(CURLOPT_TCP_KEEPALIVE, 1L);
	SET(CURLOPT_TCP_KEEPIDLE, 30L);
	SET(CURLOPT_TCP_KEEPINTVL, 10L);
	SET(CURLOPT_HEADERFUNCTION, on_header);
	SET(CURLOPT_HEADERDATA, transfer);
	SET(CURLOPT_WRITEFUNCTION, on_bytes);
	SET(CURLOPT_WRITEDATA, transfer);
}

int kube_transfer_new(const struct kube_attempt *attempt, struct kube_request *request,
		      struct kube_transfer **ret_transfer, struct err *err)
{
	struct kube_credentials credentials;
	struct kube_transfer *transfer;
	int r = kube_auth_get(attempt->auth, &credentials, err);

	if (r < 0)
		return r;
	transfer = xcalloc(1, sizeof(*transfer));
	transfer->request = request;
	transfer->easy = kube_curl->curl_easy_init();
	if (!transfer->easy)
		abort(); /* out of memory */
	set_manner(transfer, attempt);
	set_server(transfer, attempt);
	set_tls(transfer, attempt, &credentials);
	set_content(transfer);
	set_who(transfer, &credentials);
	SET(CURLOPT_HTTPHEADER, transfer->headers);
	*ret_transfer = transfer;
	return 0;
}

void kube_transfer_free(struct kube_transfer *transfer)
{
	if (!transfer)
		return;
	kube_curl->curl_easy_cleanup(transfer->easy);
	for (struct curl_slist *line = transfer->headers; line; line = line->next)
		OPENSSL_cleanse(line->data, strlen(line->data));
	kube_curl->curl_slist_free_all(transfer->headers);
	kube_curl->curl_slist_free_all(transfer->connect_to);
	kube_text_done(&transfer->held);
	free(transfer->url);
	free(transfer);
}

int kube_transfer_status(const struct kube_transfer *transfer)
{
	long status = 0;

	kube_curl->curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
	return (int)status;
}
