/* SPDX-License-Identifier: Apache-2.0 */
/* Parts of random objects: among the files policy_random*.c. */
#ifndef MARGAY_SELFTESTS_POLICY_RANDOM_H
#define MARGAY_SELFTESTS_POLICY_RANDOM_H

#include "selftests/lib/policy_world.h"

extern const char *const pw_tier_names[PW_TIERS];
extern const char *const pw_services[2];

json_t *pw_text(const char *value);
json_t *pw_random_block(struct policy_world *world, int family); /* a CIDR; 4, 6 */
json_t *pw_random_selector(struct policy_world *world);		 /* Calico's expression */
json_t *pw_label_selector(struct policy_world *world);		 /* Kubernetes' LabelSelector */
json_t *pw_random_domains(struct policy_world *world);		 /* of Calico's rules and sets */
json_t *pw_random_types(struct policy_world *world);		 /* Ingress, Egress or both */

json_t *pw_knp_spec(struct policy_world *world);
json_t *pw_calico_spec(struct policy_world *world, bool global);
json_t *pw_cnp_spec(struct policy_world *world, bool old); /* AdminNetworkPolicy's */

void pw_random_names(struct policy_world *world);
void pw_tell_name(const struct policy_world *world, struct engine *engine, unsigned int name);
void pw_change_name(struct policy_world *world, struct engine *engine);
void pw_view_names(const struct policy_world *world, struct pw_view *view);
void pw_print_names(const struct policy_world *world);

#endif
