/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The store's side of controller/auto_host.h: what KubeControllersConfiguration says, host
 * endpoints of nodes written after it. Told by whoever follows Nodes, HostEndpoints and the
 * configuration.
 */
#ifndef MARGAY_CONTROLLER_PROGRAM_HOSTS_H
#define MARGAY_CONTROLLER_PROGRAM_HOSTS_H

#include "controller/auto_host.h"
#include "datastore/store.h"

struct err;
struct hosts;
struct kube_controllers;

struct hosts *hosts_new(struct store *store);
void hosts_free(struct hosts *hosts); /* accepts NULL */

void hosts_event(struct hosts *hosts, const struct store_event *event);
/* Writes what waits, a bounded number of nodes; -errno: the store is out of reach, or does not take
 * it: what is left is tried again after a while. */
int hosts_work(struct hosts *hosts, struct err *err);

/* NULL: there is none. */
const struct kube_controllers *hosts_config(const struct hosts *hosts);

#endif
