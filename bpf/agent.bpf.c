/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Maps that no program reads: the agent keeps what it must find again after a restart in them.
 */
#include "maps/ident_dig.h"
#include "maps/set_dig.h"
#include "maps/rule_dig.h"
#include "maps/service_dig.h"
