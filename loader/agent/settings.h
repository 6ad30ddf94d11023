/* SPDX-License-Identifier: Apache-2.0 */
/*
 * FelixConfiguration `default` and `node.NAME`, and the FELIX_ variables that go before both, as
 * far as it is not a row of a map (state/ makes those): attachment, listeners, log level, patterns,
 * sizes of maps. docs/configuration.md has the table. Everything is taken over at once but the
 * sizes of maps, which a restart takes.
 */
#ifndef MARGAY_AGENT_SETTINGS_H
#define MARGAY_AGENT_SETTINGS_H

#include "agent/agent.h"
#include "model/decode.h"

#define SETTINGS_SIZES_MAX 5

/* Before the programs are loaded: FELIX_ variables, and what the store holds now. A store out of
 * reach is no error. */
void settings_read(struct agent *agent);
/* Sizes of maps that are given; returns how many, sizes has room for SETTINGS_SIZES_MAX. */
size_t settings_sizes(const struct agent *agent, struct dp_size *sizes);

/* Puts a change into force. */
int settings_apply(struct agent *agent, struct err *err);
void settings_stop(struct agent *agent);

/* Whether an interface carries our programs, or counts for the MTU. */
bool settings_is_uplink(const struct agent *agent, const char *name);
bool settings_is_mtu_link(const struct agent *agent, const char *name);

/* What is wrong with an object's parameters: logged when it is new, shown by `status`. problems
 * NULL: the object went. */
void settings_report(struct agent *agent, const char *title, const struct problems *problems);
/* The same of what cannot be put into force; text NULL: it can. */
void settings_problem(struct agent *agent, const char *parameter, const char *text);

#endif
