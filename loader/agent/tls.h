/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The server's side of TLS 1.2 and up, for the metrics' listener alone. OpenSSL is loaded when the
 * first certificate is configured (dlopen), not with the process: it is 1.7 MiB of resident memory
 * in every agent, most of which serve no TLS (docs/decisions/memory.md).
 */
#ifndef MARGAY_AGENT_TLS_H
#define MARGAY_AGENT_TLS_H

struct bufferevent;
struct err;
struct event_base;
struct http_config;
struct tls;

/* cert, key, ca and client of config are read; nothing is kept of it. -ENOENT: the libraries are
 * not installed. -EBADMSG: a file that cannot be used. */
int tls_new(const struct http_config *config, struct tls **ret_tls, struct err *err);
void tls_free(struct tls *tls); /* accepts NULL */

/* For evhttp_set_bevcb(): tls is a struct tls, a connection that is about to shake hands results.
 */
struct bufferevent *tls_accept(struct event_base *base, void *tls);

#endif
