/* SPDX-License-Identifier: Apache-2.0 */
#include "model/names.h"

#include <string.h>

#define LOWER "abcdefghijklmnopqrstuvwxyz"
#define UPPER "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGIT "0123456789"

/* All of inner, first and last of edge, 1 to max long. */
static bool is_made_of(const char *text, size_t length, const char *edge, const char *inner)
{
	if (!length || !strchr(edge, text[0]) || !strchr(edge, text[length - 1]))
		return false;
	return strspn(text, inner) >= length;
}

static bool is_label(const char *text, size_t length)
{
	return length <= NAME_MAX_LABEL && is_made_of(text, length, LOWER DIGIT, LOWER DIGIT "-");
}

bool name_is_dns_label(const char *text)
{
	return is_label(text, strlen(text));
}

static bool is_subdomain(const char *text, size_t length)
{
	const char *end = text + length;

	if (!length || length > NAME_MAX_SUBDOMAIN)
		return false;
	for (;;) {
		size_t part = strcspn(text, "./");

		if (!is_made_of(text, part, LOWER DIGIT, LOWER DIGIT "-"))
			return false;
		text += part;
		if (text >= end)
			return true;
		if (*text++ != '.')
			return false;
	}
}

bool name_is_dns_subdomain(const char *text)
{
	return !strchr(text, '/') && is_subdomain(text, strlen(text));
}

static bool is_qualified(const char *text)
{
	size_t length = strlen(text);

	return length <= NAME_MAX_LABEL &&
	       is_made_of(text, length, LOWER UPPER DIGIT, LOWER UPPER DIGIT "-_.");
}

bool name_is_label_key(const char *text)
{
	const char *slash = strchr(text, '/');

	if (!slash)
		return is_qualified(text);
	return is_subdomain(text, (size_t)(slash - text)) && is_qualified(slash + 1);
}

bool name_is_label_value(const char *text)
{
	return !*text || is_qualified(text);
}

bool name_is_port(const char *text)
{
	size_t length = strlen(text);

	return length <= 15 && is_made_of(text, length, LOWER DIGIT, LOWER DIGIT "-") &&
	       strpbrk(text, LOWER) && !strstr(text, "--");
}

bool name_is_interface(const char *text)
{
	size_t length = strlen(text);

	return length && length <= 15 && strspn(text, LOWER UPPER DIGIT "_.-") == length;
}

bool name_is_domain_pattern(const char *text)
{
	size_t length = strlen(text);

	/* One dot at the end is the root's. */
	if (length && text[length - 1] == '.')
		length--;
	if (!length || length > NAME_MAX_SUBDOMAIN)
		return false;
	for (const char *end = text + length; text < end; text++) {
		size_t part = strcspn(text, ".");

		if (text + part > end)
			part = (size_t)(end - text);
		if (part > NAME_MAX_LABEL ||
		    (!(part == 1 && *text == '*') &&
		     !is_made_of(text, part, LOWER UPPER DIGIT "_", LOWER UPPER DIGIT "-_.")))
			return false;
		text += part;
	}
	return true;
}

bool name_is_domain_suffix(const char *text)
{
	const char *rest = strncmp(text, "*.", 2) ? text : text + 2;
	size_t length = strlen(rest);
	const char *dot = strchr(rest, '.');

	return name_is_domain_pattern(text) && !strchr(rest, '*') && dot && dot < rest + length - 1;
}
