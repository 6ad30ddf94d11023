/* SPDX-License-Identifier: Apache-2.0 */
#include "cni/error.h"

#include <errno.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static int fill(struct cni_error *error, int code, const char *format, va_list args)
{
	error->code = code;
	error->details[0] = 0;
	vsnprintf(error->msg, sizeof(error->msg), format, args);
	return code == CNI_TRY_AGAIN ? -EAGAIN : -EIO;
}

int cni_fail(struct cni_error *error, int code, const char *format, ...)
{
	va_list args;
	int r;

	va_start(args, format);
	r = fill(error, code, format, args);
	va_end(args);
	return r;
}

int cni_fail_err(struct cni_error *error, int code, const struct err *err, const char *format, ...)
{
	va_list args;
	int r;

	va_start(args, format);
	r = fill(error, code, format, args);
	va_end(args);
	memcpy(error->details, err->text, sizeof(error->details));
	return r;
}

/* Text from outside may hold bytes that are no UTF-8, and a cut may split a character. */
static json_t *text_json(const char *text)
{
	json_t *string = json_string(text);
	char plain[ERR_TEXT_MAX];
	size_t i;

	if (string)
		return string;
	for (i = 0; text[i] && i < sizeof(plain) - 1; i++)
		plain[i] = (unsigned char)text[i] < 0x80 ? text[i] : '?';
	plain[i] = 0;
	return json_string(plain);
}

json_t *cni_error_json(const struct cni_error *error, const char *version)
{
	json_t *tree = json_pack("{s:s, s:i, s:o}", "cniVersion", version, "code", error->code,
				 "msg", text_json(error->msg));

	if (error->details[0])
		json_object_set_new(tree, "details", text_json(error->details));
	return tree;
}
