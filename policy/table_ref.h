/* SPDX-License-Identifier: Apache-2.0 */
/*
 * References between the rows of tables.
 */
#ifndef MARGAY_POLICY_TABLE_REF_H
#define MARGAY_POLICY_TABLE_REF_H

#include "policy/table.h"

void page_hold(struct tables *tables, const struct page *page); /* takes its children's */
void page_unref(struct tables *tables, uint32_t number);	/* accepts 0 */

#endif
