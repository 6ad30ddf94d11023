/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane/names.h"

#include "abi/event.h"
#include "abi/reason.h"

#define REASON(name, text, help) [MG_DROP_##name] = { text, help },
static const struct {
	const char *name, *help;
} reasons[MG_DROP_MAX] = { MG_REASONS(REASON) };

#define HOOK(name, text) [MG_HOOK_##name] = text,
static const char *const hooks[MG_HOOK_MAX] = { MG_HOOKS(HOOK) };

#define STEP(name, text, help) [MG_STEP_##name] = text,
static const char *const steps[MG_STEP_MAX] = { MG_STEPS(STEP) };

const char *dp_reason_name(unsigned int reason)
{
	return reason < MG_DROP_MAX ? reasons[reason].name : "?";
}

const char *dp_reason_help(unsigned int reason)
{
	return reason < MG_DROP_MAX ? reasons[reason].help : "?";
}

const char *dp_hook_name(unsigned int hook)
{
	return hook < MG_HOOK_MAX ? hooks[hook] : "?";
}

const char *dp_step_name(unsigned int kind)
{
	return kind < MG_STEP_MAX ? steps[kind] : "?";
}
