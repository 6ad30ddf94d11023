/* SPDX-License-Identifier: Apache-2.0 */
/* `get -w`: the objects that are there, then each change, until interrupted. */
#ifndef MARGAY_CTL_WATCH_H
#define MARGAY_CTL_WATCH_H

#include "ctl/options.h"

int watch_objects(struct options *options, struct err *err);

#endif
