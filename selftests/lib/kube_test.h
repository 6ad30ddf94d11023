/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For tests of the Kubernetes API as datastore: one fake API server (fake_apiserver.py) for all
 * tests of a program, emptied between them. Where MARGAY_TEST_APISERVER names the folder of another
 * one (real_apiserver.py), that is used, and kube_only() leaves no other test. The state of a test
 * is a struct store_fixture, as with a directory, so that the same test functions run on both.
 */
#ifndef MARGAY_SELFTESTS_KUBE_TEST_H
#define MARGAY_SELFTESTS_KUBE_TEST_H

#include "selftests/lib/store_test.h"

/* A test that runs on a directory too. */
#define KUBE_CASE(name)                                                                            \
	{ "kubernetes: " #name, name, kube_fixture_setup, kube_fixture_teardown, NULL }

void kube_only(void);
int kube_group_setup(void **state);
int kube_group_teardown(void **state);
int kube_fixture_setup(void **state);
int kube_fixture_teardown(void **state);

/* What the server does from now on: members of its control file, "\"absent\": [\"tiers\"]"; ""
 * for nothing particular. */
void kube_control(const struct store_fixture *f, const char *members);
/* A number that kube_control() was not given before. */
unsigned int kube_number(void);
/* Requests so far in this test whose line "PORT METHOD PATH" has the text. */
unsigned int kube_requests(const struct store_fixture *f, const char *text);
/* Reads the NetworkSet a/x: store_get()'s result. */
int kube_try_get(struct store *store, struct err *err);

#endif
