/* SPDX-License-Identifier: Apache-2.0 */
/* Parts of the Service decoder: its ports, and what several fields must agree on. Private to
 * model/. */
#ifndef MARGAY_MODEL_DECODE_SERVICE_H
#define MARGAY_MODEL_DECODE_SERVICE_H

#include "model/field.h"
#include "model/service.h"

/* spec.ports into a struct service whose type is already read. */
READER(read_service_ports);

/* Headless Services have no address; of an ExternalName Service's address nothing stays. */
void check_service_addrs(struct decode *d, const struct path *spec, struct service *service);

/* Fields of spec (value, at path spec) that do not go with the type: reported, then as absent. */
void check_service_type(struct decode *d, const struct path *spec, const json_t *value,
			struct service *service);

#endif
