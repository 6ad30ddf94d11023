/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a plain scalar means: the YAML 1.1 types as Go's yaml.v2, and so kubectl, tells them
 * apart (no sexagesimal numbers; timestamps stay strings).
 */
#include "base/doc.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"

enum word { WORD_NONE, WORD_TRUE, WORD_FALSE, WORD_NULL, WORD_NUMBER };

static enum word special_word(const char *text)
{
	static const struct {
		const char *text;
		enum word word;
	} words[] = {
		{ "", WORD_NULL },	 { "~", WORD_NULL },	  { "null", WORD_NULL },
		{ "Null", WORD_NULL },	 { "NULL", WORD_NULL },	  { "y", WORD_TRUE },
		{ "Y", WORD_TRUE },	 { "yes", WORD_TRUE },	  { "Yes", WORD_TRUE },
		{ "YES", WORD_TRUE },	 { "true", WORD_TRUE },	  { "True", WORD_TRUE },
		{ "TRUE", WORD_TRUE },	 { "on", WORD_TRUE },	  { "On", WORD_TRUE },
		{ "ON", WORD_TRUE },	 { "n", WORD_FALSE },	  { "N", WORD_FALSE },
		{ "no", WORD_FALSE },	 { "No", WORD_FALSE },	  { "NO", WORD_FALSE },
		{ "false", WORD_FALSE }, { "False", WORD_FALSE }, { "FALSE", WORD_FALSE },
		{ "off", WORD_FALSE },	 { "Off", WORD_FALSE },	  { "OFF", WORD_FALSE },
		{ ".nan", WORD_NUMBER }, { ".NaN", WORD_NUMBER }, { ".NAN", WORD_NUMBER },
		{ ".inf", WORD_NUMBER }, { ".Inf", WORD_NUMBER }, { ".INF", WORD_NUMBER },
	};
	const char *number = *text == '+' || *text == '-' ? text + 1 : text;

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (!strcmp(text, words[i].text))
			return words[i].word;
		if (words[i].word == WORD_NUMBER && !strcmp(number, words[i].text) &&
		    tolower((unsigned char)number[1]) == 'i')
			return WORD_NUMBER;
	}
	return WORD_NONE;
}

/* [-+]? with prefix 0x, 0o, 0b or 0 (octal), as strconv.ParseInt(text, 0, 64). */
static json_t *resolve_int(const char *text)
{
	bool negative = *text == '-';
	const char *digits = text + (*text == '-' || *text == '+');
	unsigned long long value;
	int base = 10;
	char *end;

	if (digits[0] == '0' && digits[1]) {
		char prefix = (char)tolower((unsigned char)digits[1]);

		base = prefix == 'x' ? 16 : prefix == 'b' ? 2 : 8;
		digits += prefix == 'x' || prefix == 'b' || prefix == 'o' ? 2 : 1;
	}
	if (!isxdigit((unsigned char)*digits))
		return NULL;
	if (base == 16 && tolower((unsigned char)digits[1]) == 'x')
		return NULL; /* strtoull would take a second 0x */
	errno = 0;
	value = strtoull(digits, &end, base);
	if (*end || end == digits)
		return NULL;
	if (errno == ERANGE || (negative && value > 1ULL << 63))
		return NULL;
	if (!negative && value > INT64_MAX)
		return json_real((double)value);
	return json_integer(negative ? (json_int_t)(0 - value) : (json_int_t)value);
}

/* [-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)? */
static bool is_float(const char *text)
{
	size_t whole, fraction = 0;

	text += *text == '-' || *text == '+';
	whole = strspn(text, "0123456789");
	text += whole;
	if (*text == '.') {
		fraction = strspn(++text, "0123456789");
		text += fraction;
	}
	if (!whole && !fraction)
		return false;
	if (*text == 'e' || *text == 'E') {
		text += 1 + (text[1] == '-' || text[1] == '+');
		if (!isdigit((unsigned char)*text))
			return false;
		text += strspn(text, "0123456789");
	}
	return !*text;
}

/* A float without a fraction is an integer in JSON, as Go writes it. NULL: out of range. */
static json_t *resolve_float(const char *text)
{
	double value = strtod(text, NULL);

	if (fabs(value) < 1e15 && value == floor(value))
		return json_integer((json_int_t)value);
	return json_real(value);
}

static char *without_underscores(const char *text, size_t length)
{
	char *copy = xmalloc(length + 1), *to = copy;

	for (; *text; text++)
		if (*text != '_')
			*to++ = *text;
	*to = 0;
	return copy;
}

/* The number that text is; false: not one, or out of a double's range (then it is a string). */
static bool resolve_number(const char *text, size_t length, json_t **ret_value)
{
	_cleanup_free_ char *plain = NULL;
	json_t *value;

	if (!strchr("+-.0123456789", *text))
		return false;
	plain = without_underscores(text, length);
	value = *plain == '.' ? NULL : resolve_int(plain);
	if (!value && !is_float(*text == '.' ? text : plain))
		return false;
	*ret_value = value ? value : resolve_float(plain);
	return *ret_value != NULL;
}

json_t *yaml_resolve(const char *text, size_t length)
{
	json_t *value;

	switch (special_word(text)) {
	case WORD_TRUE:
		return json_true();
	case WORD_FALSE:
		return json_false();
	case WORD_NULL:
		return json_null();
	case WORD_NUMBER:
		return NULL;
	case WORD_NONE:
		break;
	}
	if (resolve_number(text, length, &value))
		return value;
	return json_stringn(text, length);
}

/* 2026-11-20 and what may follow: others' readers make a time of it. */
static bool is_timestamp(const char *text)
{
	size_t year = strspn(text, "0123456789"), month, day;

	if (year != 4 || text[4] != '-')
		return false;
	month = strspn(text + 5, "0123456789");
	if (month < 1 || month > 2 || text[5 + month] != '-')
		return false;
	day = strspn(text + 6 + month, "0123456789");
	return day == 1 || day == 2;
}

/* 12:34:56: a number to older readers. */
static bool is_sexagesimal(const char *text)
{
	text += *text == '-' || *text == '+';
	return isdigit((unsigned char)*text) && strchr(text, ':') &&
	       !text[strspn(text, "0123456789_:.")];
}

bool yaml_is_plain_string(const char *text)
{
	json_t *value;
	bool is_string;

	if (!strcmp(text, "<<") || is_timestamp(text) || is_sexagesimal(text))
		return false;
	value = yaml_resolve(text, strlen(text));
	is_string = json_is_string(value);
	json_decref(value);
	return is_string;
}
