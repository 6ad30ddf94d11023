/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the caller asks of one attachment: capabilities (runtimeConfig), args.cni and CNI_ARGS, in
 * this order of weight (CNI conventions, "dynamic plugin specific fields").
 */
#ifndef MARGAY_CNI_REQUEST_H
#define MARGAY_CNI_REQUEST_H

struct cni_config;
struct cni_env;
struct cni_error;

/* Fills ips, mac, ports, labels and bandwidth of config; unknown keys go to its ignored. */
int cni_request_read(struct cni_config *config, const struct cni_env *env, struct cni_error *error);

/* Notes a key without effect. */
void cni_config_ignore(struct cni_config *config, const char *prefix, const char *key);

#endif
