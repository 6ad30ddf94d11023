/* SPDX-License-Identifier: Apache-2.0 */
/* Answers that say no, in words that say what to do. Source: k8s.io/apimachinery's metav1.Status;
 * kubernetes.io/docs/reference/kubernetes-api/common-definitions/status. */
#include <errno.h>
#include <string.h>

#include "base/arena.h"
#include "base/json.h"
#include "datastore/kube_config.h"
#include "datastore/kube_http.h"

#define TEXT_MAX 300

/* Of a Status its message; of anything else its first words, printable ones. */
static char *message_of(const struct kube_request *request, const json_t *status)
{
	const char *text = json_text_at(status, "message");
	char *copy;

	if (!text)
		text = request->answer.size ? request->answer.v : "no explanation";
	copy = xasprintf("%.*s", TEXT_MAX, text);
	for (char *p = copy; *p; p++)
		if ((unsigned char)*p < ' ')
			*p = ' ';
	return copy;
}

/* The server knows the resource, and there is no such object. Otherwise it has no such resource:
 * "404 page not found", or a Status that names none. */
static bool is_object_missing(const json_t *status)
{
	return *json_text_or(status, "details.name", "") != 0;
}

static int missing(const json_t *status, const char *what, struct err *err)
{
	if (is_object_missing(status))
		return err_set(err, -ENOENT, "%s: not found", what);
	return err_set(err, -EOPNOTSUPP,
		       "%s: the API server has no such resource: are the CRDs installed "
		       "(kubectl apply --server-side -f manifests/crds)?",
		       what);
}

static int conflict(const json_t *status, const char *what, struct err *err)
{
	if (!strcmp(json_text_or(status, "reason", ""), "AlreadyExists"))
		return err_set(err, -EEXIST, "%s: already exists", what);
	return err_set(err, -ESTALE, "%s: has changed: %.200s", what,
		       json_text_or(status, "message", "read it again"));
}

static int unknown(const struct kube_request *request, const char *what, struct err *err)
{
	return err_set(err, -EACCES,
		       "%s: the API server does not know who we are (401): are the credentials of "
		       "%s those of this cluster, and not expired?",
		       what, request->config->from);
}

/* In the server's own words: verb, resource, group and scope. */
static int forbidden(const char *text, const char *what, struct err *err)
{
	return err_set(err, -EACCES, "%s: %s (a ClusterRole of this account must allow it)", what,
		       text);
}

static int server_error(const struct kube_request *request, const char *text, const char *what,
			struct err *err)
{
	int r = request->status == 503 || request->status == 429 ? -EAGAIN
		: request->status == 504			 ? -ETIMEDOUT
		: strstr(text, "space exceeded")		 ? -ENOSPC
								 : -EIO;

	return err_set(err, r, "%s: the API server answers %d: %s", what, request->status, text);
}

int kube_http_check(const struct kube_request *request, const char *what, struct err *err)
{
	_cleanup_json_ json_t *status = NULL;
	_cleanup_free_ char *text = NULL;

	if (request->result < 0)
		return err_set(err, request->result, "%s: %s", what, request->err.text);
	if (request->status >= 200 && request->status < 300)
		return 0;
	status = json_read(request->answer.v, request->answer.size);
	text = message_of(request, status);
	switch (request->status) {
	case 400:
	case 422:
		return err_set(err, -EINVAL, "%s: %s", what, text);
	case 401:
		return unknown(request, what, err);
	case 403:
		return forbidden(text, what, err);
	case 404:
		return missing(status, what, err);
	case 405:
	case 406:
	case 415:
		return err_set(err, -EOPNOTSUPP, "%s: the API server cannot do that: %s", what,
			       text);
	case 409:
		return conflict(status, what, err);
	case 410:
		return err_set(err, -ESTALE, "%s: %s", what, text);
	case 413:
		return err_set(err, -EMSGSIZE, "%s: %s", what, text);
	default:
		return server_error(request, text, what, err);
	}
}
