/* SPDX-License-Identifier: Apache-2.0 */
/* What `apply` makes of an object, for the verbs that do as it does. */
#ifndef MARGAY_CTL_APPLY_H
#define MARGAY_CTL_APPLY_H

struct err;
struct job;
struct jobs;

/* Of struct jobs: input and what is stored, merged as kubectl apply does. */
int apply_prepare(struct jobs *jobs, struct job *job, struct err *err);

#endif
