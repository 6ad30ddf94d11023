/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random scenes for policy_walk.h: pods, services, tiers and policies in the neutral form with
 * everything that a rule can say, and questions about them. Words are few, so that rules often
 * match and often nearly match.
 */
#ifndef MARGAY_SELFTESTS_POLICY_SCENE_H
#define MARGAY_SELFTESTS_POLICY_SCENE_H

#include "selftests/lib/policy_walk.h"
#include "selftests/lib/policy_world.h"

extern struct policy_world scene_dice; /* pw_init() it */
bool scene_chance(uint32_t percent);

void scene_init(struct walk_scene *scene);
void scene_done(struct walk_scene *scene);
void scene_question(const struct walk_scene *scene, struct walk_question *ret_question);
void scene_change(struct walk_scene *scene); /* one thing of it */

#endif
