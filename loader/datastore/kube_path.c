/* SPDX-License-Identifier: Apache-2.0 */
/* Kinds and queries as URLs. Source: kubernetes.io/docs/reference/using-api/api-concepts. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "datastore/kube.h"

/* RFC 3986: all but the unreserved characters. */
static void put_encoded(FILE *out, const char *text)
{
	for (const char *p = text; *p; p++) {
		if ((*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') ||
		    (*p >= '0' && *p <= '9') || strchr("-_.~", *p))
			fputc(*p, out);
		else
			fprintf(out, "%%%02X", (unsigned char)*p);
	}
}

static void put_part(FILE *out, const char *text)
{
	fputc('/', out);
	put_encoded(out, text);
}

static void put_resource(FILE *out, const struct store_kind *kind, const char *ns)
{
	char api[80];

	fprintf(out, "%s/%s", *kind->group ? "/apis" : "/api", store_kind_api_version(kind, api));
	if (kind->namespaced && ns && *ns) {
		fputs("/namespaces", out);
		put_part(out, ns);
	}
	put_part(out, kind->plural);
}

static FILE *open_text(char **text, size_t *size)
{
	FILE *out = open_memstream(text, size);

	if (!out)
		abort(); /* out of memory */
	return out;
}

char *kube_path(const struct store_key *key, const char *sub)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_text(&text, &size);

	put_resource(out, key->kind, key->ns);
	if (key->name)
		put_part(out, key->name);
	if (sub)
		put_part(out, sub);
	fclose(out);
	return text;
}

struct parameters {
	FILE *out;
	char before; /* '?', then '&' */
};

static void put_parameter(struct parameters *parameters, const char *name, const char *value)
{
	if (!value)
		return;
	fprintf(parameters->out, "%c%s=", parameters->before, name);
	put_encoded(parameters->out, value);
	parameters->before = '&';
}

static void put_number(struct parameters *parameters, const char *name, unsigned int value)
{
	char text[16];

	snprintf(text, sizeof(text), "%u", value);
	put_parameter(parameters, name, value ? text : NULL);
}

char *kube_path_query(const struct store_query *query, const struct kube_ask *ask)
{
	_cleanup_free_ char *fields =
		query->name ? xasprintf("metadata.name=%s", query->name) : NULL;
	char *text = NULL;
	size_t size;
	struct parameters parameters = { .out = open_text(&text, &size), .before = '?' };

	put_resource(parameters.out, query->kind, query->ns);
	put_parameter(&parameters, "labelSelector", query->labels);
	put_parameter(&parameters, "fieldSelector", fields);
	put_parameter(&parameters, "continue", ask->more);
	put_number(&parameters, "limit", ask->limit);
	if (ask->watch) {
		put_parameter(&parameters, "watch", "true");
		put_parameter(&parameters, "allowWatchBookmarks", "true");
		put_parameter(&parameters, "resourceVersion", ask->version);
		put_number(&parameters, "timeoutSeconds", ask->seconds);
	}
	fclose(parameters.out);
	return text;
}

/* What is neither Kubernetes' own nor part of our installation's core. */
bool kube_kind_is_optional(const struct store_kind *kind)
{
	return !strcmp(kind->group, "policy.networking.k8s.io") ||
	       !strcmp(kind->group, "margay.dev");
}

char *kube_kind_text(const struct store_kind *kind)
{
	return xasprintf("%s%s%s", kind->plural, *kind->group ? "." : "", kind->group);
}
