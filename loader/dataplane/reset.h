/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Clean leave: removes what Margay put on this node, in the caller's network namespace. May be
 * run again at any time; what is gone already is no error.
 */
#ifndef MARGAY_DATAPLANE_RESET_H
#define MARGAY_DATAPLANE_RESET_H

#include "base/cleanup.h"

struct err;

struct dp_reset {
	const char *root;	 /* NULL: DP_ROOT_DEFAULT */
	const char *link_prefix; /* interfaces to delete ("cali"), veth only; NULL: keep */
	const char *vxlan;	 /* the idle device; NULL: DP_VXLAN_NAME */
};

struct dp_reset_report {
	unsigned int detached; /* programs taken off devices */
	unsigned int links;    /* interfaces deleted */
	unsigned int routes;   /* of protocol 80 */
	unsigned int pins;
};

/* Goes on after a failure; the first one is returned, with how many followed in err. */
int dp_reset_node(const struct dp_reset *what, struct dp_reset_report *ret_report, struct err *err);

#endif
