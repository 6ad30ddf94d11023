/* SPDX-License-Identifier: Apache-2.0 */
/* The shapes of names that the API allows (RFC 1123, Kubernetes apimachinery/validation). */
#ifndef MARGAY_MODEL_NAMES_H
#define MARGAY_MODEL_NAMES_H

#include <stdbool.h>

#define NAME_MAX_SUBDOMAIN 253
#define NAME_MAX_LABEL 63

bool name_is_dns_label(const char *text);     /* "shop", at most 63 */
bool name_is_dns_subdomain(const char *text); /* "node.n1", at most 253 */
bool name_is_label_key(const char *text);     /* "app", "app.kubernetes.io/name" */
bool name_is_label_value(const char *text);   /* "", "v1.2_x", at most 63 */
bool name_is_port(const char *text);	      /* "http-alt", at most 15, RFC 6335 */
/* "example.com", "*.example.com", "*.api.*": a name whose labels may be *, case does not matter. */
bool name_is_domain_pattern(const char *text);
/* The same with "*" as the first label alone, and of two labels at least. */
bool name_is_domain_suffix(const char *text);
bool name_is_interface(const char *text); /* "eth0", at most 15 */

#endif
