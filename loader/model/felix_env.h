/* SPDX-License-Identifier: Apache-2.0 */
/*
 * FELIX_* environment variables as a FelixConfiguration: Felix's way to give parameters at the
 * start, which goes before both objects. Names are taken whatever their case; a value is written as
 * Felix reads it: "true", "10", text, lists as "tcp:22,udp:10.0.0.0/8:53" and "name=value,...".
 *
 * Source: docs.tigera.io/calico/latest/reference/felix/configuration, "Environment variables".
 */
#ifndef MARGAY_MODEL_FELIX_ENV_H
#define MARGAY_MODEL_FELIX_ENV_H

#include <jansson.h>

/* environment as environ has it. An object named "default", to be decoded: what is wrong with a
 * value is found there. NULL: no such variable is set. An empty one counts as not set. */
json_t *felix_environment(char *const *environment);

#endif
