/* SPDX-License-Identifier: Apache-2.0 */
/* An attachment as JSON and back. The tree of record_encode() is the caller's, never NULL. */
#ifndef MARGAY_CNI_RECORD_H
#define MARGAY_CNI_RECORD_H

#include <jansson.h>

struct attachment;

#define RECORD_VERSION 1

json_t *record_encode(const struct attachment *attachment);
/* -EBADMSG: a member is missing or not what it should be. Fills an empty attachment, also on
 * failure: attachment_done() in any case. */
int record_decode(const json_t *tree, struct attachment *attachment);

#endif
