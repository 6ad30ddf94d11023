/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rules of flows and events in words, from what the agent says of them (agent/show.h).
 */
#ifndef MARGAY_CTL_RULE_WORDS_H
#define MARGAY_CTL_RULE_WORDS_H

#include <jansson.h>

/* "NetworkPolicy shop/allow-dns 0"; NULL: no rule. The caller frees. */
char *rule_words(const json_t *rule);

/* What staged policies say of a flow or an event: "denied by StagedNetworkPolicy shop/strict 1";
 * NULL: nothing. The caller frees. */
char *staged_words(const json_t *record);

#endif
